//! The same on a log: closed and opened again at any time, replayed from the log alone and from snapshots, and with
//! losses of power at any operation of the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use skein_store::{CheckpointError, Durability, Options, Store, SubmitError, Value};
use skein_testkit::Numbers;
use skein_wal::disk::FaultyDisk;

use super::classes::{ENTRY, schema};
use super::on_random_operations;
use super::operations::{Operation, operation};
use super::run::{Open, Run};

fn options(disk: &FaultyDisk) -> Options {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    options
}

fn opening(options: Options) -> Open {
    Box::new(move || Store::open(schema(), options.clone()).unwrap())
}

fn check(operations: &[Operation], options: Options) {
    let mut run = Run::on_files(opening(options));
    operations.iter().for_each(|operation| run.step(operation));
    run.finish();
}

#[test]
fn what_is_closed_and_opened_again_is_the_same() {
    on_random_operations(100, |operations| check(operations, options(&FaultyDisk::new())));
}

#[test]
fn snapshots_beside_writers_change_nothing() {
    on_random_operations(60, |operations| {
        let mut options = options(&FaultyDisk::new());
        options.snapshot_after_log_bytes = 300;
        check(operations, options);
    });
}

#[test]
fn what_is_synced_later_is_there_when_it_was_closed() {
    on_random_operations(60, |operations| {
        let mut options = options(&FaultyDisk::new());
        options.durability = Durability::WalAsync { sync_interval: Duration::from_secs(3600) };
        check(operations, options);
    });
}

/// The snapshot files of a disk by name. They hold every row with its version, the numbers of the classes and the index.
fn snapshots(disk: &FaultyDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let is_snapshot = |path: &PathBuf| path.to_string_lossy().contains("snapshot");
    disk.paths().into_iter().filter(is_snapshot).map(|path| (path.clone(), disk.content(&path))).collect()
}

#[test]
fn a_replay_gives_the_same_state_byte_for_byte() {
    on_random_operations(60, |operations| {
        let disk = FaultyDisk::new();
        let store = Store::open(schema(), options(&disk)).unwrap();
        let mut run = Run::in_memory(store.clone());
        operations.iter().for_each(|operation| run.step(operation));
        run.finish();
        let copy = disk.fork();
        store.checkpoint().unwrap();
        let replayed = Store::open(schema(), options(&copy)).unwrap();
        assert_eq!(replayed.stats().bytes, store.stats().bytes, "the account of memory is the same");
        replayed.checkpoint().unwrap();
        let (written, again) = (snapshots(&disk), snapshots(&copy));
        assert!(!written.is_empty(), "there is a snapshot among {:?}", disk.paths());
        assert!(written == again, "the replayed state differs");
    });
}

#[test]
fn a_closed_store_gives_its_directory_back_and_can_still_be_read() {
    let disk = FaultyDisk::new();
    let store = Store::open(schema(), options(&disk)).unwrap();
    let class = store.schema().classes()[ENTRY].clone();
    let row = |seq| {
        class.encode_row(&[Value::from("a"), Value::I32(seq), Value::U8(0), Value::Bytes(Bytes::new())])
    };
    let put = |store: &Store, seq| {
        let mut batch = store.batch();
        batch.put(class.id, row(seq).unwrap()).unwrap();
        store.commit(batch)
    };
    put(&store, 1).unwrap();
    store.close();
    assert!(matches!(put(&store, 2), Err(SubmitError::Stopped { .. })));
    assert!(matches!(store.checkpoint(), Err(CheckpointError::Closing)));
    assert_eq!(store.snapshot().len(class.id), 1);
    let again = Store::open(schema(), options(&disk)).unwrap();
    put(&again, 3).unwrap();
    assert_eq!((again.snapshot().len(class.id), store.snapshot().len(class.id)), (2, 1));
    drop(store);
    put(&again, 4).unwrap();
}

/// How often the power fails under one list of operations.
const LOSSES: usize = 3;

#[test]
fn losses_of_power_keep_what_was_answered_and_halve_nothing() {
    let mut runner = TestRunner::deterministic();
    for seed in 0..200 {
        let operations = vec(operation(), 20..150).new_tree(&mut runner).unwrap().current();
        lose_power_in(&operations, seed, Durability::WalSync);
    }
}

#[test]
fn losses_of_power_bring_back_a_state_that_was_when_syncs_come_later() {
    let mut runner = TestRunner::deterministic();
    for seed in 0..200 {
        let operations = vec(operation(), 20..150).new_tree(&mut runner).unwrap().current();
        let sync_interval = Duration::from_secs(if seed % 2 == 0 { 3600 } else { 0 });
        lose_power_in(&operations, seed, Durability::WalAsync { sync_interval });
    }
}

/// Runs the operations with several losses of power between and in them.
fn lose_power_in(operations: &[Operation], seed: u64, durability: Durability) {
    let mut numbers = Numbers::new(seed);
    let disk = FaultyDisk::new();
    let mut options = options(&disk);
    options.durability = durability;
    if numbers.one_in(2) {
        options.snapshot_after_log_bytes = 300;
    }
    let mut run = Run::in_memory(Store::open(schema(), options.clone()).unwrap());
    run.power_may_fail = true;
    if durability != Durability::WalSync {
        run.keep_past();
    }
    for part in operations.chunks(operations.len().div_ceil(LOSSES)) {
        disk.cut_power_at(disk.operations() + numbers.below(part.len() as u64 * 2));
        part.iter().for_each(|operation| run.step(operation));
        // A snapshot may be under way on a thread of its own: the process ends with the power.
        disk.cut_power_at(disk.operations());
        run.die();
        lose(&disk, &mut numbers);
        if numbers.one_in(3) {
            // The power fails again while the store is being brought back.
            disk.cut_power_at(disk.operations() + numbers.below(6));
            drop(Store::open(schema(), options.clone()));
            lose(&disk, &mut numbers);
        }
        let store = Store::open(schema(), options.clone());
        run = run.resume(store.unwrap_or_else(|fault| panic!("seed {seed}: {fault}")));
    }
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing_that_was_answered() {
    let mut runner = TestRunner::deterministic();
    let mut stopped = 0;
    for seed in 0..100 {
        let operations = vec(operation(), 20..150).new_tree(&mut runner).unwrap().current();
        let mut numbers = Numbers::new(seed);
        let disk = FaultyDisk::new();
        let mut options = options(&disk);
        options.snapshot_after_log_bytes = 500;
        let mut run = Run::in_memory(Store::open(schema(), options.clone()).unwrap());
        run.power_may_fail = true;
        for part in operations.chunks(operations.len().div_ceil(2)) {
            disk.fail_at_random(seed, 10 + numbers.below(50));
            part.iter().for_each(|operation| run.step(operation));
            stopped += u32::from(run.is_stopped());
            disk.cut_power_at(disk.operations());
            run.die();
            lose(&disk, &mut numbers);
            // A start on a disk that fails is refused or goes well; it does no harm.
            drop(Store::open(schema(), options.clone()));
            disk.heal();
            lose(&disk, &mut numbers);
            let store = Store::open(schema(), options.clone());
            run = run.resume(store.unwrap_or_else(|fault| panic!("seed {seed}: {fault}")));
        }
    }
    assert!(stopped > 20, "only {stopped} stores were stopped by their disk: the test tells little");
}

/// Turns the power off and on: everything that was not synced is gone, or some of it, or nothing.
fn lose(disk: &FaultyDisk, numbers: &mut Numbers) {
    let keep = numbers.below(4);
    disk.crash(|_| keep > 0 && (keep > 2 || numbers.one_in(2)));
}
