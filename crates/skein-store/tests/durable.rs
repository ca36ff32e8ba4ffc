//! The store on its log: what is answered is there after a restart, a full disk passes, a failed sync ends it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when something is not as it should be")]

#[path = "support/bank.rs"]
mod bank;

use bank::{ACCOUNT, LEDGER, NOTE, account, balance, key, ledger_row, row};
use parking_lot::Mutex;
use skein_store::{
    Access, Class, ClassKind, CommitError, Durability, Isolation, KeyRange, Mode, OpenError, Options,
    Outcome, Root, Schema, Store, SubmitError, Type, Value,
};
use skein_testkit::{DEADLINE, TestDirectory, wait_until};
use skein_wal::disk::{Failure, FaultyDisk, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn options(disk: &FaultyDisk) -> Options {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    options
}

fn open(disk: &FaultyDisk) -> Store {
    Store::open(bank::schema(), options(disk)).unwrap()
}

/// Every row of every class with its version: what a replay must give again.
fn content(root: &Root) -> Vec<(u16, Vec<u8>, Vec<u8>, u64)> {
    let snapshot_rows = |class: &Arc<Class>| {
        let id = class.id;
        root.rows(id)
            .map(move |(key, row, version)| (id.0, key.as_slice().to_vec(), row.as_slice().to_vec(), version))
    };
    root.schema().classes().iter().flat_map(snapshot_rows).collect()
}

fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, DEADLINE, condition);
}

fn put(store: &Store, ids: std::ops::Range<u64>) -> Result<u64, SubmitError> {
    let mut batch = store.batch();
    ids.for_each(|id| batch.put(LEDGER, ledger_row(store, id, id)).unwrap());
    store.commit(batch)
}

#[test]
fn what_was_answered_is_there_after_a_restart_with_its_versions_and_numbers() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    account(&store, 1, "ann", 10);
    account(&store, 2, "bob", 20);
    account(&store, 1, "ann", 11);
    put(&store, 0..100).unwrap();
    let mut noted = store.begin(Mode::ReadWrite, Isolation::Serializable);
    noted.insert_values(NOTE, &[Value::U64(0), Value::from("a")]).unwrap();
    assert!(matches!(noted.commit().unwrap(), Outcome::Committed { .. }));
    let mut refused = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    refused.insert_row(ACCOUNT, row(&store, 1, "eve", 0)).unwrap();
    assert!(matches!(refused.commit().unwrap(), Outcome::DuplicateKey { .. }));
    let (before, index) = (content(store.snapshot().root()), store.applied_index());
    drop(store);
    for checkpoint in [false, true, true] {
        let store = open(&disk);
        assert_eq!(content(store.snapshot().root()), before);
        assert_eq!(store.applied_index(), index);
        assert_eq!(balance(&store, 1), Some(11));
        assert!(store.next_id(NOTE) >= 2, "the number 1 was given");
        if checkpoint {
            assert_eq!(store.checkpoint().unwrap(), index);
        }
    }
}

#[test]
fn a_snapshot_and_the_log_behind_it_give_the_state() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    put(&store, 0..1000).unwrap();
    account(&store, 1, "ann", 10);
    store.checkpoint().unwrap();
    put(&store, 500..1500).unwrap();
    account(&store, 1, "ann", 12);
    let before = content(store.snapshot().root());
    let bytes = store.stats().bytes;
    store.close();
    assert!(matches!(put(&store, 0..1), Err(SubmitError::Stopped { .. })), "a closed store takes nothing");
    drop(store);
    let store = open(&disk);
    assert_eq!(content(store.snapshot().root()), before);
    assert_eq!(store.stats().bytes, bytes, "the account of memory is the same");
}

#[test]
fn the_log_is_bounded_by_snapshots_written_beside_the_writers() {
    let disk = FaultyDisk::new();
    let mut options = options(&disk);
    options.snapshot_after_log_bytes = 100_000;
    let store = Store::open(bank::schema(), options).unwrap();
    for _ in 0..60 {
        put(&store, 0..1000).unwrap();
    }
    until("snapshots", || store.stats().snapshots >= 2);
    put(&store, 0..1000).unwrap();
    until("the log to be purged", || store.stats().log_bytes < 400_000);
    let before = content(store.snapshot().root());
    drop(store);
    assert_eq!(content(open(&disk).snapshot().root()), before);
}

/// Cuts the power before every operation of a small script in turn.
#[test]
fn a_loss_of_power_at_any_moment_loses_nothing_answered_and_halves_nothing() {
    let script = |disk: &FaultyDisk| -> Vec<u64> {
        let mut answered = Vec::new();
        let Ok(store) = Store::open(bank::schema(), options(disk)) else { return answered };
        for round in 0..6_u64 {
            if put(&store, round * 10..round * 10 + 10).is_ok() {
                answered.push(round);
            }
            if round == 3 {
                let _ = store.checkpoint();
            }
        }
        answered
    };
    let whole = FaultyDisk::new();
    assert_eq!(script(&whole).len(), 6);
    for cut in 0..whole.operations() {
        for keep_unsynced in [false, true] {
            let disk = FaultyDisk::new();
            disk.cut_power_at(cut);
            let answered = script(&disk);
            disk.crash(|_| keep_unsynced);
            let snapshot = open(&disk).snapshot();
            for round in 0..6_u64 {
                let there = (round * 10..round * 10 + 10)
                    .filter(|id| snapshot.get(LEDGER, &key(*id)).is_some())
                    .count();
                assert!(there == 0 || there == 10, "cut {cut}: round {round} is there by half");
                assert!(there == 10 || !answered.contains(&round), "cut {cut}: round {round} was answered");
            }
        }
    }
}

#[test]
fn all_that_waits_during_a_sync_is_the_next_group() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let syncs = store.stats().syncs;
    let held = disk.hold_syncs();
    let done = Arc::new(AtomicU64::new(0));
    let mut submitted = 0;
    let mut submit = || {
        let mut batch = store.batch();
        batch.put(LEDGER, ledger_row(&store, submitted, 1)).unwrap();
        submitted += 1;
        let done = Arc::clone(&done);
        store.submit(batch, move |result| {
            result.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        });
    };
    submit();
    until("the first sync", || disk.syncs_waiting() == 1);
    (0..500).for_each(|_| submit());
    assert_eq!(done.load(Ordering::Relaxed), 0, "nothing is answered before its sync");
    assert!(store.snapshot().is_empty(LEDGER), "or seen");
    assert_eq!(store.stats().queued, 500);
    drop(held);
    until("the answers", || done.load(Ordering::Relaxed) == 501);
    assert_eq!(store.stats().syncs - syncs, 2);
    assert_eq!(store.snapshot().len(LEDGER), 501);
}

#[test]
fn what_comes_and_goes_while_a_sync_lasts_is_never_written() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let held = disk.hold_syncs();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let submit = |fill: &dyn Fn(&mut skein_store::WriteBatch)| {
        let mut batch = store.batch();
        fill(&mut batch);
        let answers = Arc::clone(&answers);
        store.submit(batch, move |result| answers.lock().push(result.unwrap()));
    };
    submit(&|batch| batch.put(LEDGER, ledger_row(&store, 1, 1)).unwrap());
    until("the first sync", || disk.syncs_waiting() == 1);
    submit(&|batch| (10..20).for_each(|id| batch.put_fresh(LEDGER, ledger_row(&store, id, 1)).unwrap()));
    submit(&|batch| (10..20).for_each(|id| batch.delete(LEDGER, key(id)).unwrap()));
    drop(held);
    until("the answers", || answers.lock().len() == 3);
    let first = answers.lock()[0];
    assert_eq!(*answers.lock(), [first; 3], "the others were answered without an entry of their own");
    assert_eq!(store.stats().groups, 1);
}

#[test]
fn a_full_disk_makes_the_store_read_only_until_there_is_room() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    account(&store, 1, "ann", 10);
    disk.set_room(disk.used());
    let done = Arc::new(AtomicU64::new(0));
    let mut submitted = 0;
    let mut id = 0;
    while store.writable() {
        let mut batch = store.batch();
        (0..100).for_each(|_| {
            id += 1;
            batch.put(LEDGER, ledger_row(&store, id, 1)).unwrap();
        });
        submitted += 1;
        let signal = Arc::clone(&done);
        store.submit(batch, move |result| {
            result.unwrap();
            signal.fetch_add(1, Ordering::Relaxed);
        });
        until("an answer or the alarm", || done.load(Ordering::Relaxed) == submitted || !store.writable());
    }
    assert!(store.stats().alarms.iter().any(|alarm| alarm.contains("no room")), "{:?}", store.stats().alarms);
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.upsert_row(ACCOUNT, row(&store, 1, "ann", 99)).unwrap();
    let refused = transaction.commit().unwrap_err();
    assert!(matches!(refused, CommitError::ReadOnly { .. }), "{refused}");
    assert_eq!(balance(&store, 1), Some(10), "readers go on");
    assert_eq!(done.load(Ordering::Relaxed), submitted - 1, "the batch waits");
    disk.set_room(u64::MAX);
    until("the batch to be written", || done.load(Ordering::Relaxed) == submitted);
    until("the alarm to clear", || store.writable());
    account(&store, 1, "ann", 11);
    assert_eq!(store.stats().alarms, Vec::<String>::new());
    let before = content(store.snapshot().root());
    drop(store);
    assert_eq!(content(open(&disk).snapshot().root()), before);
}

#[test]
fn a_failed_sync_is_told_also_when_the_store_is_closed_at_that_moment() {
    let disk = FaultyDisk::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut options = options(&disk);
    let tells = Arc::clone(&told);
    options.on_fatal = Some(Arc::new(move |why: &str| tells.lock().push(why.to_owned())));
    let store = Store::open(bank::schema(), options).unwrap();
    disk.fail_always(Operation::Sync, Failure::Io);
    let mut batch = store.batch();
    batch.put(LEDGER, ledger_row(&store, 1, 1)).unwrap();
    let closes = store.clone();
    // The answer comes before the log thread ends, so that the store is being closed when it does.
    store.submit(batch, move |refused| {
        assert!(matches!(refused, Err(SubmitError::Stopped { .. })), "{refused:?}");
        closes.close();
    });
    until("the failure was told", || told.lock().len() == 1);
}

#[test]
fn a_failed_sync_ends_the_store_and_tells_once() {
    let disk = FaultyDisk::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut options = options(&disk);
    let tells = Arc::clone(&told);
    options.on_fatal = Some(Arc::new(move |why: &str| tells.lock().push(why.to_owned())));
    let store = Store::open(bank::schema(), options).unwrap();
    account(&store, 1, "ann", 10);
    disk.fail_always(Operation::Sync, Failure::Io);
    let refused = put(&store, 0..10).unwrap_err();
    assert!(matches!(refused, SubmitError::Stopped { .. }), "{refused}");
    assert!(!store.writable(), "whoever is refused finds it so");
    assert!(store.snapshot().is_empty(LEDGER), "what was not answered is not seen");
    for _ in 0..3 {
        let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
        transaction.upsert_row(ACCOUNT, row(&store, 1, "ann", 99)).unwrap();
        assert!(matches!(transaction.commit(), Err(CommitError::Stopped { .. })));
    }
    assert_eq!(balance(&store, 1), Some(10));
    assert!(!store.writable());
    drop(store);
    let told = told.lock().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    disk.crash(|_| false);
    disk.heal();
    assert_eq!(balance(&open(&disk), 1), Some(10));
}

#[test]
fn the_asynchronous_mode_answers_before_it_syncs_and_syncs_within_its_interval() {
    let disk = FaultyDisk::new();
    let mut options = options(&disk);
    options.durability = Durability::WalAsync { sync_interval: Duration::from_millis(1) };
    let store = Store::open(bank::schema(), options).unwrap();
    let held = disk.hold_syncs();
    put(&store, 0..10).unwrap();
    assert_eq!(store.snapshot().len(LEDGER), 10);
    until("the sync that is due", || disk.syncs_waiting() == 1);
    drop(held);
    until("the sync to end", || store.stats().syncs == 1);
    disk.crash(|_| false);
    drop(store);
    assert_eq!(open(&disk).snapshot().len(LEDGER), 10);
}

#[test]
fn an_exclusive_transaction_holds_the_log_thread_back() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    account(&store, 1, "ann", 10);
    let mut exclusive = store.begin(Mode::Exclusive, Isolation::RepeatableRead);
    let done = Arc::new(AtomicU64::new(0));
    let mut batch = store.batch();
    batch.put(LEDGER, ledger_row(&store, 1, 1)).unwrap();
    let signal = Arc::clone(&done);
    store.submit(batch, move |result| signal.store(result.unwrap(), Ordering::Release));
    assert!(exclusive.update_row(ACCOUNT, row(&store, 1, "ann", 11)).unwrap());
    assert_eq!(done.load(Ordering::Acquire), 0);
    let Outcome::Committed { index } = exclusive.commit().unwrap() else { panic!("it cannot conflict") };
    until("the batch", || done.load(Ordering::Acquire) == index + 1);
}

fn evolved(unique_owner: bool) -> Schema {
    let ledger = Class::builder("ledger", LEDGER.0, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("amount", Type::U64)
        .field_with_default("owner", Type::String, Value::from("nobody"))
        .primary(&["id"]);
    let ledger = if unique_owner {
        ledger.unique("by_owner", &["owner"])
    } else {
        ledger.ordered("by_owner", &["owner"])
    };
    let others = bank::schema();
    let early = Class::builder("early", 5, ClassKind::Local).field("id", Type::U64).primary(&["id"]).build();
    Schema::builder("bank")
        .class(others.class(ACCOUNT).unwrap().clone())
        .class(others.class(NOTE).unwrap().clone())
        .class(ledger.build().unwrap())
        .class(early.unwrap())
        .build()
        .unwrap()
}

#[test]
fn an_accepted_change_of_the_schema_is_kept_and_any_other_refused() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    put(&store, 0..50).unwrap();
    account(&store, 1, "ann", 10);
    drop(store);
    let clash = Store::open(evolved(true), options(&disk)).unwrap_err();
    assert!(matches!(&clash, OpenError::NotUnique { index, .. } if index == "by_owner"), "{clash}");
    for _ in 0..2 {
        let store = Store::open(evolved(false), options(&disk)).unwrap();
        let by_owner = KeyRange::prefix(
            &store
                .schema()
                .class(LEDGER)
                .unwrap()
                .index_key_from_values(0, &[Value::from("nobody")])
                .unwrap(),
        );
        assert_eq!(store.snapshot().count(LEDGER, Access::Index(0), &by_owner), 50);
        assert_eq!(balance(&store, 1), Some(10));
        account(&store, 2, "bob", 1);
    }
    let back = Store::open(bank::schema(), options(&disk)).unwrap_err();
    assert!(matches!(back, OpenError::Schema(_)), "{back}");
    assert!(back.to_string().contains("early"), "{back}");
}

#[test]
fn a_real_directory_is_for_one_store_at_a_time() {
    let directory = TestDirectory::create("store");
    let path = directory.path().join("data");
    let store = Store::open(bank::schema(), Options::durable(&path)).unwrap();
    account(&store, 1, "ann", 10);
    let second = Store::open(bank::schema(), Options::durable(&path)).unwrap_err();
    assert!(second.to_string().contains("in use"), "{second}");
    drop(store);
    assert_eq!(balance(&Store::open(bank::schema(), Options::durable(&path)).unwrap(), 1), Some(10));
}

#[test]
fn the_memory_limit_counts_what_still_waits_for_the_log() {
    let disk = FaultyDisk::new();
    let mut options = options(&disk);
    options.memory_bytes_max = 100_000;
    let store = Store::open(bank::schema(), options).unwrap();
    let held = disk.hold_syncs();
    let (done, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for id in 0..2000 {
        let mut batch = store.batch();
        batch.put(LEDGER, ledger_row(&store, id, 1)).unwrap();
        let (done, refused) = (Arc::clone(&done), Arc::clone(&refused));
        store.submit(batch, move |result| {
            let counter = if result.is_ok() { done } else { refused };
            counter.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert!(refused.load(Ordering::Relaxed) > 1000, "refused before anything was written");
    drop(held);
    until("the answers", || done.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed) == 2000);
    let bytes = store.stats().bytes;
    assert!((80_000..=100_000).contains(&bytes), "{bytes}");
    let mut batch = store.batch();
    (0..2000).for_each(|id| batch.delete(LEDGER, key(id)).unwrap());
    store.commit(batch).unwrap();
    assert_eq!(store.stats().bytes, 0);
    put(&store, 0..100).unwrap();
}

/// A lack of descriptors or memory while the next segment is made is no damage: nothing was written to it yet.
#[test]
fn running_out_of_descriptors_is_like_a_full_disk_and_passes() {
    for lack in [Failure::Descriptors, Failure::Memory] {
        for operation in [Operation::Create, Operation::Allocate, Operation::Rename] {
            let disk = FaultyDisk::new();
            let fatal = Arc::new(AtomicU64::new(0));
            let mut options = options(&disk);
            let told = Arc::clone(&fatal);
            options.on_fatal = Some(Arc::new(move |_| _ = told.fetch_add(1, Ordering::Relaxed)));
            let store = Store::open(bank::schema(), options).unwrap();
            put(&store, 0..10).unwrap();
            disk.fail_always(operation, lack);
            let answered = Arc::new(Mutex::new(Vec::new()));
            let mut submitted = 0;
            until("the store to be read-only", || {
                let (round, answered) = (submitted, Arc::clone(&answered));
                let mut batch = store.batch();
                (0..100).for_each(|id| batch.put(LEDGER, ledger_row(&store, round * 100 + id, id)).unwrap());
                store.submit(batch, move |result| answered.lock().push((round, result.is_ok())));
                submitted += 1;
                !store.writable()
            });
            let mut refused = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
            refused.insert_row(ACCOUNT, row(&store, 7, "eve", 0)).unwrap();
            let refused = refused.commit();
            assert!(matches!(refused, Err(CommitError::ReadOnly { .. })), "{operation:?}: {refused:?}");
            assert!(store.get(LEDGER, &key(1)).is_some(), "reading goes on");
            disk.heal();
            until("all to be answered", || answered.lock().len() as u64 == submitted);
            assert!(answered.lock().iter().all(|(_, ok)| *ok), "{operation:?}: {answered:?}");
            until("the store to take writes", || store.writable());
            account(&store, 1, "ann", 10);
            assert_eq!((fatal.load(Ordering::Relaxed), store.stats().alarms.len()), (0, 0));
            let before = content(store.snapshot().root());
            drop(store);
            disk.crash(|_| false);
            assert_eq!(content(open(&disk).snapshot().root()), before);
        }
    }
}
