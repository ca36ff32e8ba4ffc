//! No room: at every byte budget the log says so, stays whole, and goes on when room returns.

use skein_wal::{
    AppendFault, LogOptions, OpenFault, Prepare,
    disk::{Failure, FaultyDisk, Operation},
};

use crate::{
    crash::{Promise, check, options},
    fixture::{append, directory, files, open},
};

#[test]
fn at_every_budget_the_log_is_whole_and_goes_on_when_room_returns() {
    for room in 0..6000 {
        let disk = FaultyDisk::new();
        disk.set_room(room);
        let home = directory(&disk);
        let mut log = match open(&home, options(1024), 1) {
            Ok((log, ..)) => log,
            Err(OpenFault::Files(fault)) => {
                assert!(fault.is_full(), "{fault}");
                assert_eq!(files(&disk, ""), [""; 0]);
                disk.set_room(1024);
                open(&home, options(1024), 1).expect("room for one segment").0
            }
            Err(fault) => panic!("{fault}"),
        };
        let mut full = 0;
        while log.next_index() < 40 {
            let before = log.next_index();
            match append(&mut log, 1 + before % 4) {
                Ok(()) => {
                    if before % 3 == 0 {
                        log.sync().expect("a sync needs no room");
                    }
                }
                Err(AppendFault::Full { needed, free }) => {
                    assert!(free < needed);
                    assert_eq!(log.next_index(), before);
                    assert!(matches!(append(&mut log, 1), Err(AppendFault::Full { .. }) | Ok(())));
                    full += 1;
                    disk.set_room(disk.used() + 1024);
                }
                Err(fault) => panic!("{fault}"),
            }
        }
        assert!(full > 0);
        log.sync().expect("a sync needs no room");
        let next = log.next_index();
        drop((log, home));
        disk.crash(|_| false);
        check(&disk, 1024, &Promise { synced_below: next, given_below: next, snapshot: None });
    }
}

/// A file system that never overwrites in place can be full even in a prepared segment.
#[test]
fn a_frame_that_was_written_in_part_is_overwritten_by_the_next() {
    for written in 0..400 {
        for keep in [false, true] {
            let disk = FaultyDisk::new();
            let home = directory(&disk);
            let (mut log, ..) = open(&home, options(4096), 1).expect("a new log");
            append(&mut log, 1).expect("room");
            log.sync().expect("a good disk");
            disk.fail(Operation::Write, 0, Failure::ShortFull(written));
            assert!(matches!(append(&mut log, 9), Err(AppendFault::Full { .. })));
            let disk_in_between = disk.fork();
            append(&mut log, 1).expect("room again");
            log.sync().expect("a good disk");
            drop((log, home));
            disk.crash(|_| keep);
            check(&disk, 4096, &Promise { synced_below: 3, given_below: 3, snapshot: None });
            disk_in_between.crash(|_| keep);
            // Nothing of the frame counts unless all of it was written.
            check(&disk_in_between, 4096, &Promise { synced_below: 2, given_below: 2, snapshot: None });
        }
    }
}

#[test]
fn a_full_disk_while_the_next_segment_is_prepared_leaves_nothing_behind() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options(1024), 1).expect("a new log");
    disk.fail(Operation::Write, 0, Failure::ShortFull(300));
    assert!(log.prepare().expect_err("no room").is_full());
    disk.fail(Operation::Allocate, 0, Failure::Full);
    assert!(log.prepare().expect_err("no room").is_full());
    assert_eq!(files(&disk, ".tmp"), [""; 0]);
    log.prepare().expect("room");
    assert_eq!(files(&disk, ".tmp").len(), 1);
    append(&mut log, 9).expect("room");
}

#[test]
fn renaming_without_room_is_tried_again() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options(1024), 1).expect("a new log");
    append(&mut log, 4).expect("room");
    disk.fail(Operation::Rename, 0, Failure::Full);
    assert!(matches!(append(&mut log, 9), Err(AppendFault::Full { .. })));
    append(&mut log, 9).expect("room");
    log.sync().expect("a good disk");
    drop((log, home));
    disk.crash(|_| false);
    check(&disk, 1024, &Promise { synced_below: 14, given_below: 14, snapshot: None });
}

#[test]
fn a_lack_of_descriptors_or_memory_is_tried_again() {
    let lacks = [Failure::Descriptors, Failure::Memory];
    let operations = [Operation::Create, Operation::Allocate, Operation::Write, Operation::Rename];
    for (lack, operation) in lacks.into_iter().flat_map(|lack| operations.map(|operation| (lack, operation)))
    {
        let disk = FaultyDisk::new();
        let home = directory(&disk);
        let (mut log, ..) = open(&home, options(1024), 1).expect("a new log");
        append(&mut log, 4).expect("room");
        disk.fail_always(operation, lack);
        for _ in 0..3 {
            let refused = append(&mut log, 9);
            assert!(
                matches!(refused, Err(AppendFault::Exhausted(_))),
                "{operation:?}, {lack:?}: {refused:?}"
            );
            assert_eq!(log.next_index(), 5);
        }
        disk.heal();
        append(&mut log, 9).expect("it passed");
        log.sync().expect("a good disk");
        drop((log, home));
        disk.crash(|_| false);
        check(&disk, 1024, &Promise { synced_below: 14, given_below: 14, snapshot: None });
    }
}

/// A failed sync leaves open what is on the disk, whatever its reason.
#[test]
fn a_lack_while_syncing_is_final() {
    for operation in [Operation::Sync, Operation::SyncDir] {
        let disk = FaultyDisk::new();
        let home = directory(&disk);
        let (mut log, ..) = open(&home, options(1024), 1).expect("a new log");
        append(&mut log, 4).expect("room");
        log.prepare().expect("room");
        disk.fail(operation, 0, Failure::Descriptors);
        assert!(matches!(append(&mut log, 9), Err(AppendFault::Broken(_))), "{operation:?}");
        assert!(matches!(append(&mut log, 9), Err(AppendFault::Broken(_))), "{operation:?}");
    }
}

#[test]
fn the_thread_that_prepares_meets_a_full_disk_and_the_log_goes_on_later() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let options = LogOptions { segment_bytes: 4096, prepare: Prepare::Thread };
    let (mut log, ..) = open(&home, options, 1).expect("a new log");
    disk.fail_always(Operation::Allocate, Failure::Full);
    let mut full = 0;
    for _ in 0..60 {
        match append(&mut log, 1) {
            Ok(()) => log.sync().expect("a good disk"),
            Err(fault) => {
                assert!(matches!(fault, AppendFault::Full { needed: 4096, .. }), "{fault}");
                full += 1;
            }
        }
    }
    assert!(full > 0);
    disk.heal();
    for _ in 0..200 {
        append(&mut log, 1).expect("room again");
        log.sync().expect("a good disk");
    }
    assert!(log.segments() > 2);
    let next = log.next_index();
    drop((log, home));
    disk.crash(|_| false);
    check(&disk, 4096, &Promise { synced_below: next, given_below: next, snapshot: None });
}

#[test]
fn a_log_that_ends_gives_up_preparing_and_frees_the_directory() {
    let disk = FaultyDisk::new();
    let options = LogOptions { segment_bytes: 1 << 20, prepare: Prepare::Thread };
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options, 1).expect("a new log");
    append(&mut log, 6000).expect("room");
    drop((log, home));
    // The thread held a part of the directory too.
    let (log, _, entries) = open(&directory(&disk), options, 1).expect("the directory is free");
    assert_eq!((entries.len(), log.next_index()), (6000, 6001));
}
