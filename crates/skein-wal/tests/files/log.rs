//! The log without faults: what goes in comes out, segments follow each other, purging and refusing.

use std::sync::Arc;

use skein_testkit::TestDirectory;
use skein_wal::{
    AppendFault, Directory, Entries, Fault, Log, LogOptions, OpenFault, Prepare, StoreId,
    disk::{FaultyDisk, RealDisk},
};

use crate::fixture::{self, SMALL, STORE, append, assert_entries, directory, files, open};

#[test]
fn entries_come_back_in_order_and_from_where_they_are_needed() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, recovery, entries) = open(&home, SMALL, 1).expect("a new log");
    assert_eq!((recovery.next_index, recovery.entries, entries.len()), (1, 0, 0));
    for count in [1, 3, 2, 40, 1, 7, 30] {
        append(&mut log, count).expect("room");
        log.sync().expect("a good disk");
    }
    assert_eq!(log.next_index(), 85);
    assert!(log.segments() > 3);
    drop(log);

    let (log, recovery, entries) = open(&home, SMALL, 1).expect("the log opens");
    assert_eq!(recovery.cut, None);
    assert_entries(&entries, 1, 85);
    drop(log);
    let (log, recovery, entries) = open(&home, SMALL, 50).expect("the log opens");
    assert_eq!(recovery.entries, 35);
    assert_entries(&entries, 50, 85);
    assert_eq!(log.next_index(), 85);
}

#[test]
fn one_buffer_with_ends_is_the_same_as_slices() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    log.append(1, Entries::Buffer { bytes: b"onethree", ends: &[3, 3, 8] }).expect("room");
    log.append(4, Entries::Slices(&[b"four"])).expect("room");
    drop(log);
    let (_, _, entries) = open(&home, SMALL, 1).expect("the log opens");
    let expected: [(u64, &[u8]); 4] = [(1, b"one"), (2, b""), (3, b"three"), (4, b"four")];
    assert_eq!(entries, expected.map(|(index, entry)| (index, entry.to_vec())));
}

#[test]
#[should_panic(expected = "the ends of entries")]
fn ends_that_do_not_fit_their_buffer_are_a_mistake_of_the_caller() {
    let home = directory(&FaultyDisk::new());
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    drop(log.append(1, Entries::Buffer { bytes: b"one", ends: &[2] }));
}

#[test]
fn an_entry_that_does_not_follow_is_refused() {
    let home = directory(&FaultyDisk::new());
    let (mut log, ..) = open(&home, SMALL, 7).expect("a new log");
    let refused = log.append(9, Entries::Slices(&[b"x"]));
    assert!(matches!(refused, Err(AppendFault::OutOfOrder { expected: 7, given: 9 })));
    log.append(7, Entries::Slices(&[b"x"])).expect("the one that follows");
}

#[test]
fn a_frame_larger_than_a_segment_has_one_of_its_own() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 1).expect("room");
    append(&mut log, 500).expect("room");
    append(&mut log, 1).expect("room");
    log.sync().expect("a good disk");
    drop(log);
    let (_, _, entries) = open(&home, SMALL, 1).expect("the log opens");
    assert_entries(&entries, 1, 503);
}

#[test]
fn purging_removes_whole_segments_only() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    for _ in 0..60 {
        append(&mut log, 1).expect("room");
    }
    log.sync().expect("a good disk");
    let all = log.segments();
    let size = log.size_bytes();
    log.purge(1);
    assert_eq!(log.segments(), all);
    log.purge(30);
    assert!(log.segments() < all && log.size_bytes() < size);
    assert_eq!(files(&disk, "log-").len(), log.segments());
    drop(log);
    let (mut log, _, entries) = open(&home, SMALL, 30).expect("what was kept suffices");
    assert_entries(&entries, 30, 61);
    log.purge(u64::MAX);
    assert_eq!(log.segments(), 1, "the segment that is appended to stays");
    drop(log);
    let gone = open(&home, SMALL, 1).expect_err("entries are gone");
    assert!(matches!(gone, OpenFault::Files(Fault::Missing { from: 1, .. })), "{gone}");
}

#[test]
fn a_log_behind_the_snapshot_begins_anew() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 9).expect("room");
    drop(log);
    let (mut log, recovery, entries) = open(&home, SMALL, 21).expect("the snapshot has all of the log");
    assert_eq!((recovery.ended_before, recovery.next_index, entries.len()), (Some(10), 21, 0));
    append(&mut log, 2).expect("room");
    drop(log);
    let (_, recovery, entries) = open(&home, SMALL, 21).expect("the log opens");
    assert_eq!(recovery.ended_before, None);
    assert_entries(&entries, 21, 23);
}

#[test]
fn the_caller_may_refuse_an_entry() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 5).expect("room");
    drop(log);
    let refused = Log::open(&home, SMALL, 1, &mut |index, _| if index == 3 { Err("no") } else { Ok(()) });
    assert!(matches!(refused, Err(OpenFault::Entry { index: 3, source: "no" })));
}

#[test]
fn a_directory_has_one_owner_and_files_one_store() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 1).expect("room");
    let other = StoreId([7; 16]);
    let second = Directory::open(Arc::new(disk.clone()), fixture::dir(), other);
    assert!(matches!(&second, Err(Fault::Locked { path }) if path == fixture::dir()));
    assert!(second.expect_err("locked").to_string().contains("/store is in use"));
    drop((log, home));

    let home = Directory::open(Arc::new(disk.clone()), fixture::dir(), other).expect("free again");
    assert_eq!(home.store(), STORE, "the files say whose directory it is");
    let mixed = FaultyDisk::new();
    let there = Directory::open(Arc::new(mixed.clone()), fixture::dir(), other).expect("a new directory");
    drop(open(&there, SMALL, 1).expect("a new log"));
    drop(there);
    for path in disk.paths() {
        mixed.put(&path.with_file_name("log-00000000000000000002"), &disk.content(&path));
    }
    let there = Directory::open(Arc::new(mixed), fixture::dir(), other).expect("it opens");
    let fault = open(&there, SMALL, 1).expect_err("files of two stores");
    assert!(matches!(fault, OpenFault::Files(Fault::Foreign { .. })), "{fault}");
}

#[test]
fn the_real_disk_keeps_a_log_and_a_thread_prepares_its_segments() {
    let place = TestDirectory::create("wal");
    let path = place.path().join("data");
    let options = LogOptions { segment_bytes: 64 << 10, prepare: Prepare::Thread };
    let home = Directory::open(Arc::new(RealDisk::default()), &path, STORE).expect("the directory is made");
    let (mut log, ..) = open(&home, options, 1).expect("a new log");
    for _ in 0..300 {
        append(&mut log, 20).expect("room");
        log.sync().expect("a good disk");
    }
    assert!(log.segments() >= 4);
    let second = Directory::open(Arc::new(RealDisk::default()), &path, STORE);
    assert!(matches!(second, Err(Fault::Locked { .. })));
    log.close().expect("a good disk");
    drop(home);

    let home =
        Directory::open(Arc::new(RealDisk::default()), &path, STORE).expect("the directory is free again");
    let (mut log, recovery, entries) = open(&home, options, 1).expect("the log opens");
    assert_entries(&entries, 1, 6001);
    assert_eq!(recovery.cut, None);
    log.purge(3000);
    drop(log);
    let (_, _, entries) = open(&home, options, 3000).expect("the log opens");
    assert_entries(&entries, 3000, 6001);
}

/// Segments for large frames are only reserved; what is read back from them is the same.
#[test]
fn large_frames_come_back_from_segments_that_were_only_reserved() {
    let place = TestDirectory::create("wal");
    let options = LogOptions { segment_bytes: 1 << 20, prepare: Prepare::Thread };
    let home =
        Directory::open(Arc::new(RealDisk::default()), place.path(), STORE).expect("the directory is made");
    let (mut log, ..) = open(&home, options, 1).expect("a new log");
    let entry = |index: u64| vec![u8::try_from(index % 251).expect("a byte"); 100_000];
    for index in 1..=60 {
        log.append(index, Entries::Slices(&[&entry(index)])).expect("room");
        log.sync().expect("a good disk");
    }
    assert!(log.segments() > 4);
    drop(log);
    let (_, recovery, entries) = open(&home, options, 1).expect("the log opens");
    assert_eq!((recovery.next_index, recovery.cut), (61, None));
    assert!(entries.iter().all(|(index, bytes)| *bytes == entry(*index)));
}
