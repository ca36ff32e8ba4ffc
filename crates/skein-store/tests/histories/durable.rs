//! The same on a log that syncs every commit: on a real disk, and over losses of power.
//!
//! After a loss of power the store is opened again and all lists are read, in the same history. Whatever was answered before
//! comes before those reads in real time; so a commit that was lost, or that is there by half, is a cycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use skein_store::{Isolation, Mode, Object, Options, Outcome as Told, Store, SubmitError};
use skein_testkit::history::{Level, Outcome, Recorder};
use skein_testkit::{DEADLINE, Numbers, TestDirectory, wait_until};
use skein_wal::disk::FaultyDisk;

use super::lists::{self, Element, ElementPerRow, ListPerRow, Lists};
use super::threads::{Load, all_lists, run};

/// Each commit waits for a sync of a real disk.
const ON_DISK: Load = Load { threads: 6, transactions: 30 };

/// The power fails somewhere in it.
const UNTIL_POWER_FAILS: Load = Load { threads: 6, transactions: 60 };

#[test]
fn histories_on_a_real_log_keep_their_level() {
    let levels = [
        (Isolation::Serializable, Level::StrictSerializable),
        (Isolation::RepeatableRead, Level::StrongSnapshotIsolation),
        (Isolation::ReadCommitted, Level::ReadCommitted),
    ];
    for (isolation, level) in levels {
        let directory = TestDirectory::create("histories");
        let recorder = Recorder::new();
        let store = Store::open(lists::schema(), Options::durable(directory.path())).unwrap();
        run(&store, &recorder, isolation, &ElementPerRow, ON_DISK, 1);
        drop(store);
        let store = Store::open(lists::schema(), Options::durable(directory.path())).unwrap();
        read_all(&store, &recorder, &ElementPerRow, ON_DISK);
        recorder.history().check(level).assert_legal();
    }
}

/// Reads every list in one transaction.
fn read_all(store: &Store, recorder: &Recorder, lists: &dyn Lists, load: Load) {
    let mut recording = recorder.begin(1_000);
    let mut transaction = store.begin(Mode::ReadOnly, Isolation::Serializable);
    for key in all_lists(load) {
        recording.read(key, lists.read(&mut transaction, key).unwrap());
    }
    recording.end(Outcome::Committed);
}

fn options(disk: &FaultyDisk) -> Options {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    options.snapshot_after_log_bytes = 10_000;
    options
}

/// Turns the power off and on: everything that was not synced is gone, or some of it, or nothing.
fn lose_power(disk: &FaultyDisk, numbers: &mut Numbers) {
    let keep = numbers.below(4);
    disk.crash(|_| keep > 0 && (keep > 2 || numbers.one_in(2)));
}

#[test]
fn losses_of_power_leave_the_history_strictly_serializable() {
    let ways: [&dyn Lists; 2] = [&ListPerRow, &ElementPerRow];
    for (seed, lists) in (0..30).zip(ways.into_iter().cycle()) {
        let mut numbers = Numbers::new(seed);
        let disk = FaultyDisk::new();
        let recorder = Recorder::new();
        for round in 0..3 {
            let store = Store::open(lists::schema(), options(&disk)).unwrap();
            read_all(&store, &recorder, lists, UNTIL_POWER_FAILS);
            disk.cut_power_at(disk.operations() + numbers.below(300));
            run(&store, &recorder, Isolation::Serializable, lists, UNTIL_POWER_FAILS, seed * 10 + round);
            drop(store);
            lose_power(&disk, &mut numbers);
        }
        let store = Store::open(lists::schema(), options(&disk)).unwrap();
        read_all(&store, &recorder, lists, UNTIL_POWER_FAILS);
        let history = recorder.history();
        assert!(history.transactions.iter().any(|transaction| transaction.outcome == Outcome::Committed));
        let report = history.check(Level::StrictSerializable);
        assert!(report.is_legal(), "seed {seed}: {report}");
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_leaves_the_history_strictly_serializable() {
    let load = Load { threads: 6, transactions: 300 };
    let disk = FaultyDisk::new();
    let recorder = Recorder::new();
    let mut options = options(&disk);
    // Snapshots would make room again.
    options.snapshot_after_log_bytes = u64::MAX;
    let store = Store::open(lists::schema(), options.clone()).unwrap();
    // What is left of the segments that are there.
    disk.set_room(disk.used());
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the disk is full", DEADLINE, || !store.writable());
            assert!(!store.stats().alarms.is_empty(), "a full disk is told");
            disk.set_room(u64::MAX);
        });
        run(&store, &recorder, Isolation::Serializable, &ElementPerRow, load, 1);
    });
    assert!(store.writable() && store.stats().alarms.is_empty(), "{:?}", store.stats().alarms);
    drop(store);
    let store = Store::open(lists::schema(), options).unwrap();
    read_all(&store, &recorder, &ElementPerRow, load);
    recorder.history().check(Level::StrictSerializable).assert_legal();
}

/// Batches a thread has handed over at once.
const BATCHES_WAITING_MAX: usize = 4;
const BATCH_THREADS: u64 = 4;
const BATCH_ROWS: u64 = 3;

/// Hands batches over without waiting for each, until one is refused; returns how many were answered.
fn hand_over(store: &Store, thread: u64) -> u64 {
    let (sender, answers) = std::sync::mpsc::sync_channel(BATCHES_WAITING_MAX);
    let stopped = Arc::new(AtomicBool::new(false));
    let (mut handed, mut told, mut answered) = (0, 0, 0);
    while !stopped.load(Ordering::Acquire) && handed < 200 {
        let mut batch = store.batch();
        for row in 0..BATCH_ROWS {
            batch
                .put_object(&Element { list: thread, position: handed * BATCH_ROWS + row, value: handed })
                .unwrap();
        }
        // What is put fresh and deleted in one group is written not at all; the rest of the batch is.
        let passing = Element { list: 100 + thread, position: handed, value: 0 };
        batch.put_fresh(Element::class().id, passing.to_row()).unwrap();
        batch.delete(Element::class().id, passing.primary_key()).unwrap();
        let (sender, stopped) = (sender.clone(), Arc::clone(&stopped));
        store.submit(batch, move |answer: Result<u64, SubmitError>| {
            if answer.is_err() {
                stopped.store(true, Ordering::Release);
            }
            sender.send(answer.is_ok()).unwrap();
        });
        handed += 1;
        while told + BATCHES_WAITING_MAX as u64 <= handed {
            answered += u64::from(answers.recv().unwrap());
            told += 1;
        }
    }
    drop(sender);
    answered + answers.iter().filter(|is_done| *is_done).count() as u64
}

#[test]
fn batches_that_were_answered_are_there_whole_and_in_order_after_a_loss_of_power() {
    for seed in 0..60 {
        let mut numbers = Numbers::new(seed);
        let disk = FaultyDisk::new();
        let store = Store::open(lists::schema(), options(&disk)).unwrap();
        disk.cut_power_at(disk.operations() + numbers.below(200));
        let answered: Vec<u64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..BATCH_THREADS)
                .map(|thread| {
                    scope.spawn({
                        let store = &store;
                        move || hand_over(store, thread)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        drop(store);
        lose_power(&disk, &mut numbers);
        let store = Store::open(lists::schema(), options(&disk)).unwrap();
        for (list, answered) in (0..BATCH_THREADS).zip(answered) {
            let mut reader = store.begin(Mode::ReadOnly, Isolation::default());
            let values = ElementPerRow.read(&mut reader, list).unwrap();
            let batches = values.len() as u64 / BATCH_ROWS;
            let whole: Vec<u64> = (0..batches).flat_map(|batch| [batch; BATCH_ROWS as usize]).collect();
            assert_eq!(values, whole, "seed {seed}: a batch is there by half, or one before it is missing");
            assert!(batches >= answered, "seed {seed}: {batches} of {answered} answered batches are there");
            let passing = ElementPerRow.read(&mut reader, 100 + list).unwrap();
            assert!(passing.is_empty(), "seed {seed}: {passing:?} was deleted by the batch that put it");
        }
    }
}

#[test]
fn in_one_group_each_is_answered_with_the_index_that_its_writes_have() {
    let disk = FaultyDisk::new();
    let store = &Store::open(lists::schema(), options(&disk)).unwrap();
    let put = &|list, position| {
        let mut batch = store.batch();
        batch.put_object(&Element { list, position, value: 0 }).unwrap();
        batch
    };
    let version = |list, position| {
        let key = Element { list, position, value: 0 }.primary_key();
        store.snapshot().get_versioned(Element::class().id, &key).unwrap().1
    };
    let hold = disk.hold_syncs();
    thread::scope(|scope| {
        let first = scope.spawn(|| store.commit(put(0, 0)).unwrap());
        wait_until("the first is being synced", DEADLINE, || disk.syncs_waiting() == 1);
        // These wait for its sync to end, and are one group.
        let batches: Vec<_> =
            (1..4).map(|at| scope.spawn(move || store.commit(put(1, at)).unwrap())).collect();
        let transactions: Vec<_> = (1..4)
            .map(|at| {
                scope.spawn(move || {
                    let mut transaction = store.begin(Mode::ReadWrite, Isolation::Serializable);
                    transaction.insert(&Element { list: 2, position: at, value: 0 }).unwrap();
                    match transaction.commit().unwrap() {
                        Told::Committed { index } => index,
                        other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        wait_until("all others wait", DEADLINE, || store.stats().queued == 6);
        drop(hold);
        assert_eq!(first.join().unwrap(), version(0, 0));
        for (list, threads) in [(1, batches), (2, transactions)] {
            for (position, thread) in (1..4).zip(threads) {
                assert_eq!(
                    thread.join().unwrap(),
                    version(list, position),
                    "element {position} of list {list}"
                );
            }
        }
    });
}
