//! The disk in memory does what it says, and the two disks agree where nothing fails.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use skein_testkit::TestDirectory;
use skein_wal::disk::{Disk, Failure, FaultyDisk, File, Operation, RealDisk, Unsynced};
use skein_wal::{Directory, Log, LogOptions, Prepare, SnapshotWriter, StoreId};

fn read(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().expect("a length") as usize];
    let count = file.read_at(&mut bytes, 0).expect("bytes");
    assert_eq!(count, bytes.len());
    bytes
}

/// What any disk must do.
fn exercise(disk: &dyn Disk, dir: &Path) {
    let (one, two) = (dir.join("one"), dir.join("two"));
    assert_eq!(disk.open(&one).expect_err("no file").kind(), io::ErrorKind::NotFound);
    let file = disk.create(&one).expect("a new file");
    assert_eq!(disk.create(&one).expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
    assert!(file.is_empty().expect("a length"));
    file.write_at(b"world", 6).expect("room");
    file.write_at(b"hello", 0).expect("room");
    assert_eq!(read(&*file), b"hello\0world");
    let mut part = [0; 20];
    assert_eq!(file.read_at(&mut part, 8).expect("bytes"), 3);
    assert_eq!(file.read_at(&mut part, 11).expect("bytes"), 0);
    file.allocate(16).expect("room");
    assert_eq!(read(&*file), b"hello\0world\0\0\0\0\0");
    file.allocate(3).expect("nothing to do");
    file.set_len(5).expect("a cut");
    assert_eq!(read(&*file), b"hello");
    file.sync_data().expect("a good disk");
    file.sync_all().expect("a good disk");
    disk.rename(&one, &two).expect("a free name");
    disk.lock(dir).expect("free").sync().expect("a good disk");
    let names = disk.list(dir).expect("names");
    assert_eq!(names.iter().filter(|name| *name != "lock").collect::<Vec<_>>(), ["two"]);
    disk.create(&one).expect("free again");
    disk.rename(&two, &one).expect("renaming replaces");
    assert_eq!(read(&*disk.open(&one).expect("the file")), b"hello");
    disk.remove(&one).expect("the file");
    assert_eq!(disk.remove(&one).expect_err("gone").kind(), io::ErrorKind::NotFound);
    assert!(disk.free_bytes(dir).expect("a number") > 0);
    let lock = disk.lock(dir).expect("free");
    assert_eq!(disk.lock(dir).expect_err("taken").kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    disk.lock(dir).expect("free again");
}

#[test]
fn both_disks_do_the_same_when_nothing_fails() {
    exercise(&FaultyDisk::new(), Path::new("/d"));
    let place = TestDirectory::create("disk");
    let dir = place.path().join("a/b");
    let real = RealDisk::default();
    real.create_dir(&dir).expect("a new directory");
    real.create_dir(&dir).expect("one that is there");
    exercise(&real, &dir);
}

/// What a store keeps is no business of others on the machine, whatever the umask.
#[test]
fn what_the_real_disk_makes_is_for_its_owner_alone() {
    let place = TestDirectory::create("modes");
    let dir = place.path().join("data/store");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let home = Directory::open(Arc::new(RealDisk::default()), &dir, StoreId([1; 16])).expect("a directory");
    let options = LogOptions { segment_bytes: 4096, prepare: Prepare::Caller };
    let (mut log, _) = Log::open::<()>(&home, options, 1, &mut |_, _| Ok(())).expect("a log");
    log.prepare().expect("room");
    SnapshotWriter::create(&home, 1).expect("room").finish().expect("a good disk");
    assert_eq!((mode(&dir), mode(&place.path().join("data"))), (0o700, 0o700));
    let names: Vec<_> =
        std::fs::read_dir(&dir).expect("names").map(|entry| entry.expect("a name").path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    names.iter().for_each(|path| assert_eq!(mode(path), 0o600, "{}", path.display()));
}

#[test]
fn a_crash_loses_what_is_not_synced_and_keeps_what_was_chosen() {
    let disk = FaultyDisk::new();
    let path = Path::new("/d/f");
    let file = disk.create(path).expect("a new file");
    file.write_at(&[1; 1024], 0).expect("room");
    file.sync_data().expect("a good disk");
    let lost = disk.fork();
    lost.crash(|_| false);
    assert!(lost.paths().is_empty(), "the name was not synced");
    disk.lock(Path::new("/d")).expect("free").sync().expect("a good disk");
    file.write_at(&[2; 1024], 0).expect("room");
    assert_eq!(disk.unsynced(), 2);
    let torn = disk.fork();
    torn.crash(|unsynced| matches!(unsynced, Unsynced::Sector { offset: 512, .. }));
    assert_eq!(torn.content(path), [[1; 512], [2; 512]].concat());
    disk.crash(|_| false);
    assert_eq!(disk.content(path), [1; 1024]);
    file.write_at(b"x", 0).expect_err("the file was opened before the crash");
}

#[test]
fn the_power_is_cut_before_the_operation_that_was_named() {
    let disk = FaultyDisk::new();
    let file = disk.create(Path::new("/d/f")).expect("a new file");
    disk.cut_power_at(2);
    file.write_at(b"a", 0).expect("the second operation");
    file.sync_data().expect_err("the third");
    assert!(disk.open(Path::new("/d/f")).is_err());
    disk.crash(|_| true);
    assert_eq!(disk.content(Path::new("/d/f")), b"a");
    assert_eq!(disk.operations(), 2);
}

#[test]
fn a_failed_sync_forgets_and_the_next_one_does_not_know() {
    let disk = FaultyDisk::new();
    let path = Path::new("/d/f");
    let file = disk.create(path).expect("a new file");
    disk.lock(Path::new("/d")).expect("free").sync().expect("a good disk");
    file.write_at(b"abc", 0).expect("room");
    disk.fail(Operation::Sync, 0, Failure::Io);
    file.sync_data().expect_err("the sync fails");
    file.sync_data().expect("and now it does not");
    assert_eq!(disk.content(path), b"abc");
    disk.crash(|_| true);
    assert_eq!(disk.content(path), b"");
}

#[test]
fn room_and_short_writes_and_flipped_bits() {
    let disk = FaultyDisk::new();
    disk.set_room(10);
    let path = Path::new("/d/f");
    let file = disk.create(path).expect("a new file");
    let full = file.write_at(&[7; 16], 0).expect_err("no room");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert_eq!((disk.content(path), disk.used()), (vec![7; 10], 10));
    file.write_at(&[8; 10], 0).expect("overwriting needs none");
    file.allocate(11).expect_err("no room");
    disk.set_room(100);
    disk.fail(Operation::Write, 1, Failure::ShortIo(2));
    file.write_at(b"whole", 20).expect("the first one");
    file.write_at(b"torn", 30).expect_err("the second one");
    assert_eq!(&disk.content(path)[20..], b"whole\0\0\0\0\0to");
    disk.flip(path, 20, 0);
    assert_eq!(disk.content(path)[20], b'w' ^ 1);
}

#[test]
fn random_faults_are_the_same_for_the_same_seed() {
    let outcomes = |seed| -> Vec<bool> {
        let disk = FaultyDisk::new();
        disk.fail_at_random(seed, 3);
        (0..50).map(|number| disk.create(Path::new(&format!("/d/{number}"))).is_ok()).collect()
    };
    assert_eq!(outcomes(1), outcomes(1));
    assert_ne!(outcomes(1), outcomes(2));
    assert!(outcomes(1).contains(&true) && outcomes(1).contains(&false));
}

#[test]
fn a_sync_is_held_until_it_is_let_go() {
    let disk = FaultyDisk::new();
    let file = disk.create(Path::new("/d/f")).expect("a new file");
    let hold = disk.hold_syncs();
    let (done, answered) = std::sync::mpsc::sync_channel(1);
    let disk_there = Arc::new(disk.clone());
    let syncing = thread::spawn(move || {
        let synced = file.sync_data();
        done.send(()).expect("the test listens");
        drop(disk_there);
        synced
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while disk.syncs_waiting() == 0 {
        assert!(Instant::now() < deadline, "the sync never began");
        thread::yield_now();
    }
    assert!(answered.try_recv().is_err(), "it waits");
    drop(hold);
    syncing.join().expect("no panic").expect("a good disk");
    assert_eq!(disk.syncs_waiting(), 0);
}
