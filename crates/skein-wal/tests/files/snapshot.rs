//! Snapshots: blocks come back, the newest two stay, a damaged one is passed over only where the log allows.

use skein_wal::{
    Directory, Fault, SnapshotReader, SnapshotWriter,
    disk::{Failure, FaultyDisk, Operation},
};

use crate::fixture::{self, SMALL, append, directory, files, open};

fn write(home: &Directory, index: u64, blocks: &[&[u8]]) -> u64 {
    let mut writer = SnapshotWriter::create(home, index).expect("a new snapshot");
    for block in blocks {
        writer.write_block(block).expect("room");
    }
    writer.finish().expect("a good disk").purge_below
}

fn blocks(reader: &mut SnapshotReader) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block().expect("a checked snapshot") {
        blocks.push(block.to_vec());
    }
    blocks
}

fn newest_index(home: &Directory) -> Option<u64> {
    SnapshotReader::newest(home).expect("a snapshot or none").reader.map(|reader| reader.index())
}

#[test]
fn blocks_come_back_as_they_were_given() {
    let home = directory(&FaultyDisk::new());
    assert_eq!(newest_index(&home), None);
    let large = vec![7; 3 << 20];
    write(&home, 12, &[b"one", b"", &large, b"three"]);
    let mut reader = SnapshotReader::newest(&home).expect("in order").reader.expect("a snapshot");
    assert_eq!(reader.index(), 12);
    assert_eq!(blocks(&mut reader), [b"one".to_vec(), vec![], large, b"three".to_vec()]);
    write(&home, 13, &[]);
    assert_eq!(newest_index(&home), Some(13));
}

#[test]
fn the_newest_two_stay_and_say_what_may_be_purged() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    assert_eq!(write(&home, 10, &[b"a"]), 0);
    assert_eq!(write(&home, 20, &[b"b"]), 11);
    assert_eq!(write(&home, 30, &[b"c"]), 21);
    assert_eq!(files(&disk, "snapshot-").len(), 2);
    assert_eq!(home.snapshots().expect("a list"), [20, 30]);
}

#[test]
fn one_that_is_given_up_leaves_nothing_behind() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    write(&home, 10, &[b"a"]);
    let mut writer = SnapshotWriter::create(&home, 20).expect("a new snapshot");
    writer.write_block(b"b").expect("room");
    drop(writer);
    assert_eq!(files(&disk, "").len(), 1);
    let mut writer = SnapshotWriter::create(&home, 20).expect("a new snapshot");
    disk.set_room(disk.used());
    writer.write_block(&vec![1; 2 << 20]).expect_err("no room");
    drop(writer);
    disk.set_room(disk.used());
    let fault = SnapshotWriter::create(&home, 20).expect_err("no room");
    assert!(fault.is_full(), "{fault}");
    assert_eq!(files(&disk, "").len(), 1);
    assert_eq!(newest_index(&home), Some(10));
}

#[test]
fn at_every_budget_a_snapshot_is_there_or_leaves_nothing_behind() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 4).expect("room");
    write(&home, 2, &[b"older"]);
    drop((log, home));
    let before: Vec<_> = disk.paths().iter().map(|path| (path.clone(), disk.content(path))).collect();
    let (mut finished, mut given_up) = (0, 0);
    for room in 0..700 {
        let disk = disk.fork();
        disk.set_room(disk.used() + room);
        let home = directory(&disk);
        let done = SnapshotWriter::create(&home, 4).and_then(|mut writer| {
            writer.write_block(&[7; 100])?;
            writer.finish()
        });
        let index = match done {
            Ok(_) => {
                finished += 1;
                4
            }
            Err(fault) => {
                assert!(fault.is_full(), "{fault}");
                let after: Vec<_> =
                    disk.paths().iter().map(|path| (path.clone(), disk.content(path))).collect();
                assert_eq!(after, before);
                given_up += 1;
                2
            }
        };
        assert_eq!(newest_index(&home), Some(index));
    }
    assert!(finished > 0 && given_up > 600, "{finished} finished, {given_up} given up");
}

#[test]
fn whatever_fails_the_older_snapshot_is_there() {
    for operation in [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename] {
        for skip in 0..3 {
            let disk = FaultyDisk::new();
            let home = directory(&disk);
            write(&home, 10, &[b"a"]);
            disk.fail(operation, skip, Failure::Io);
            let mut writer = match SnapshotWriter::create(&home, 20) {
                Ok(writer) => writer,
                Err(_) => continue,
            };
            let done = writer.write_block(b"b").and_then(|()| writer.finish());
            assert_eq!(newest_index(&home), Some(if done.is_ok() { 20 } else { 10 }));
            assert_eq!(files(&disk, ".tmp"), [""; 0]);
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_without_effect() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    write(&home, 10, &[b"first", b"", b"third block"]);
    drop(home);
    let path = disk.paths().remove(0);
    for byte in 0..disk.content(&path).len() {
        for bit in 0..8 {
            let disk = disk.fork();
            disk.flip(&path, byte, bit);
            let home = directory(&disk);
            let found = SnapshotReader::newest(&home);
            // The rest of the header's sector is not used.
            let unused = (64..512).contains(&byte);
            assert_eq!(found.is_ok(), unused, "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn a_damaged_one_is_passed_over_when_the_log_makes_up_for_it() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    append(&mut log, 40).expect("room");
    write(&home, 10, &[b"a"]);
    write(&home, 20, &[b"b"]);
    disk.flip(&home.path().join("snapshot-00000000000000000020"), 520, 3);
    let newest = SnapshotReader::newest(&home).expect("the older one serves");
    assert_eq!(newest.reader.map(|reader| reader.index()), Some(10));
    assert_eq!(newest.set_aside.len(), 1);
    assert_eq!(files(&disk, ".damaged"), ["snapshot-00000000000000000020.damaged"]);
    disk.flip(&home.path().join("snapshot-00000000000000000010"), 520, 3);
    assert_eq!(newest_index(&home), None, "the log has everything from the beginning");
}

#[test]
fn a_damaged_one_is_refused_when_the_log_does_not_reach_back() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, SMALL, 1).expect("a new log");
    for _ in 0..40 {
        append(&mut log, 1).expect("room");
    }
    write(&home, 10, &[b"a"]);
    write(&home, 20, &[b"b"]);
    log.purge(21);
    disk.flip(&home.path().join("snapshot-00000000000000000020"), 520, 3);
    let fault = SnapshotReader::newest(&home).expect_err("entries 11 and up are gone");
    assert!(matches!(&fault, Fault::Damaged { offset: 512, .. }), "{fault}");
    assert!(fault.to_string().contains("snapshot-00000000000000000020 is damaged at offset 512"), "{fault}");
    assert_eq!(files(&disk, ".damaged"), [""; 0]);
}

#[test]
fn leftovers_go_with_the_next_opening() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    write(&home, 10, &[b"a"]);
    drop(home);
    for name in ["snapshot-00000000000000000020.tmp", "log-next.tmp", "notes.tmp"] {
        disk.put(&fixture::dir().join(name), b"half");
    }
    let home = directory(&disk);
    assert_eq!(files(&disk, ""), ["notes.tmp", "snapshot-00000000000000000010"]);
    assert_eq!(newest_index(&home), Some(10));
}
