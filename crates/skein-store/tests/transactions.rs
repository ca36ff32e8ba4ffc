//! Transactions through the public API, in memory: statements, own writes, savepoints, outcomes, batches.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when something is not as it should be")]

#[path = "support/bank.rs"]
mod bank;

use bank::{ACCOUNT, account, balance, key, open, row};
use skein_store::{
    Access, CommitError, Direction, Isolation, KeyRange, Mode, Options, Outcome, Row, StatementError, Store,
    Value,
};

fn begin(store: &Store) -> skein_store::Transaction {
    store.begin(Mode::ReadWrite, Isolation::RepeatableRead)
}

fn committed(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Committed { index } => index,
        refused => panic!("{refused:?}"),
    }
}

fn ids(scan: impl Iterator<Item = skein_store::Entry>, store: &Store) -> Vec<u64> {
    let class = store.schema().class(ACCOUNT).unwrap();
    scan.map(|entry| match &class.values(&entry.row).unwrap()[0] {
        Value::U64(id) => *id,
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn what_is_committed_is_seen_by_the_next_reader_and_not_by_an_earlier_snapshot() {
    let store = open();
    let before = store.snapshot();
    let mut transaction = begin(&store);
    transaction.insert_row(ACCOUNT, row(&store, 1, "ann", 10)).unwrap();
    assert!(store.snapshot().is_empty(ACCOUNT), "nothing is seen before the commit");
    let index = committed(transaction.commit().unwrap());
    assert_eq!(index, 1);
    assert_eq!(balance(&store, 1), Some(10));
    assert_eq!(store.snapshot().get_versioned(ACCOUNT, &key(1)).unwrap().1, index);
    assert!(before.is_empty(ACCOUNT), "a snapshot never changes");
}

#[test]
fn a_transaction_sees_its_own_writes_in_reads_and_scans() {
    let store = open();
    account(&store, 1, "ann", 10);
    account(&store, 3, "cid", 30);
    let mut transaction = begin(&store);
    transaction.insert_row(ACCOUNT, row(&store, 2, "bob", 20)).unwrap();
    assert!(transaction.delete_row(ACCOUNT, &key(3)).unwrap());
    assert!(!transaction.delete_row(ACCOUNT, &key(3)).unwrap(), "it is deleted already");
    assert!(transaction.update_row(ACCOUNT, row(&store, 1, "zoe", 11)).unwrap());
    assert!(!transaction.update_row(ACCOUNT, row(&store, 9, "nil", 0)).unwrap());
    assert_eq!(transaction.get_row(ACCOUNT, &key(3)).unwrap(), None);
    for (direction, primary, by_owner) in
        [(Direction::Forward, [1, 2], [2, 1]), (Direction::Backward, [2, 1], [1, 2])]
    {
        let rows = transaction.scan_rows(ACCOUNT, Access::Primary, KeyRange::all(), direction).unwrap();
        assert_eq!(ids(rows, &store), primary);
        let rows = transaction.scan_rows(ACCOUNT, Access::Index(1), KeyRange::all(), direction).unwrap();
        assert_eq!(ids(rows, &store), by_owner);
    }
    assert_eq!(transaction.count_rows(ACCOUNT, Access::Primary, &KeyRange::all()).unwrap(), 2);
    committed(transaction.commit().unwrap());
    assert_eq!(store.snapshot().count(ACCOUNT, Access::Index(1), &KeyRange::all()), 2);
}

#[test]
fn a_scan_is_a_cursor_that_does_not_move_while_its_transaction_writes() {
    let store = open();
    for id in 1..=1000 {
        account(&store, id, &format!("n{id}"), 1);
    }
    let mut transaction = begin(&store);
    transaction.delete_row(ACCOUNT, &key(500)).unwrap();
    let scan = transaction.scan_rows(ACCOUNT, Access::Primary, KeyRange::all(), Direction::Forward).unwrap();
    let mut seen = Vec::new();
    for entry in scan {
        seen.extend(ids(std::iter::once(entry.clone()), &store));
        transaction.delete_row(ACCOUNT, &entry.key).unwrap();
    }
    assert_eq!(seen, (1..=1000).filter(|id| *id != 500).collect::<Vec<_>>());
    assert_eq!(transaction.count_rows(ACCOUNT, Access::Primary, &KeyRange::all()).unwrap(), 0);
    drop(transaction);
    assert_eq!(store.snapshot().len(ACCOUNT), 1000, "dropping rolls back");
}

#[test]
fn an_insert_of_a_key_that_is_there_is_a_duplicate_at_the_statement_or_at_the_commit() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut looked = begin(&store);
    looked.get_row(ACCOUNT, &key(7)).unwrap();
    let refused = looked.insert_row(ACCOUNT, row(&store, 1, "bob", 1)).unwrap_err();
    assert!(matches!(refused, StatementError::DuplicateKey { index, .. } if index == "primary"));

    let mut blind = begin(&store);
    blind.insert_row(ACCOUNT, row(&store, 1, "bob", 1)).unwrap();
    let refused = blind.commit().unwrap();
    assert_eq!(refused, Outcome::DuplicateKey { class: "account".into(), index: "primary".into() });
    assert_eq!(balance(&store, 1), Some(10));
}

#[test]
fn unique_indexes_are_kept_and_may_be_exchanged_within_one_commit() {
    let store = open();
    account(&store, 1, "ann", 10);
    account(&store, 2, "bob", 20);
    let mut blind = begin(&store);
    blind.insert_row(ACCOUNT, row(&store, 3, "ann", 1)).unwrap();
    assert_eq!(
        blind.commit().unwrap(),
        Outcome::DuplicateKey { class: "account".into(), index: "by_name".into() }
    );

    let mut looked = begin(&store);
    looked.get_row(ACCOUNT, &key(1)).unwrap();
    let refused = looked.insert_row(ACCOUNT, row(&store, 3, "ann", 1)).unwrap_err();
    assert!(matches!(refused, StatementError::DuplicateKey { index, .. } if index == "by_name"));

    let mut exchange = begin(&store);
    exchange.delete_row(ACCOUNT, &key(1)).unwrap();
    exchange.update_row(ACCOUNT, row(&store, 2, "ann", 20)).unwrap();
    exchange.insert_row(ACCOUNT, row(&store, 1, "bob", 10)).unwrap();
    committed(exchange.commit().unwrap());
    let class = store.schema().class(ACCOUNT).unwrap();
    for (name, id) in [("ann", 2), ("bob", 1)] {
        let range = KeyRange::prefix(&class.index_key_from_values(0, &[Value::from(name)]).unwrap());
        assert_eq!(
            ids(store.snapshot().scan(ACCOUNT, Access::Index(0), range, Direction::Forward), &store),
            [id]
        );
    }
}

#[test]
fn savepoints_bring_back_what_was_written_before() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut transaction = begin(&store);
    transaction.update_row(ACCOUNT, row(&store, 1, "ann", 11)).unwrap();
    let outer = transaction.savepoint();
    transaction.update_row(ACCOUNT, row(&store, 1, "eve", 12)).unwrap();
    let inner = transaction.savepoint();
    transaction.delete_row(ACCOUNT, &key(1)).unwrap();
    transaction.insert_row(ACCOUNT, row(&store, 2, "bob", 1)).unwrap();
    transaction.rollback_to(&inner).unwrap();
    assert_eq!(transaction.get_row(ACCOUNT, &key(1)).unwrap(), Some(row(&store, 1, "eve", 12)));
    transaction.rollback_to(&outer).unwrap();
    assert!(matches!(transaction.rollback_to(&inner), Err(StatementError::SavepointGone)));
    let rows = transaction.scan_rows(ACCOUNT, Access::Index(0), KeyRange::all(), Direction::Forward).unwrap();
    assert_eq!(ids(rows, &store), [1]);
    committed(transaction.commit().unwrap());
    assert_eq!(balance(&store, 1), Some(11));
    assert_eq!(store.snapshot().len(ACCOUNT), 1);
}

#[test]
fn numbers_are_given_once_and_not_again_after_a_rollback() {
    let store = open();
    let values = |name: &str| vec![Value::U64(0), Value::from(name)];
    let mut first = begin(&store);
    let one = first.insert_values(bank::NOTE, &values("a")).unwrap();
    drop(first);
    let mut second = begin(&store);
    let two = second.insert_values(bank::NOTE, &values("b")).unwrap();
    committed(second.commit().unwrap());
    assert_ne!(one, two);
    assert_eq!(store.snapshot().len(bank::NOTE), 1);
    assert_eq!(store.next_id(bank::NOTE), 3);
}

#[test]
fn a_read_only_transaction_keeps_its_state_and_writes_nothing() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut reader = store.begin(Mode::ReadOnly, Isolation::RepeatableRead);
    account(&store, 2, "bob", 20);
    assert_eq!(reader.count_rows(ACCOUNT, Access::Primary, &KeyRange::all()).unwrap(), 1);
    assert!(matches!(reader.insert_row(ACCOUNT, row(&store, 3, "cid", 1)), Err(StatementError::ReadOnly)));
    assert_eq!(committed(reader.commit().unwrap()), 1, "it ends at the index it saw");
}

#[test]
fn an_exclusive_transaction_holds_back_commits_but_no_readers() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut exclusive = store.begin(Mode::Exclusive, Isolation::Serializable);
    exclusive.get_row(ACCOUNT, &key(1)).unwrap();
    let (other, started) = (store.clone(), std::sync::Arc::new(std::sync::Barrier::new(2)));
    let signal = std::sync::Arc::clone(&started);
    let writer = std::thread::spawn(move || {
        signal.wait();
        let mut transaction = begin(&other);
        transaction.upsert_row(ACCOUNT, row(&other, 1, "ann", 99)).unwrap();
        committed(transaction.commit().unwrap())
    });
    started.wait();
    for _ in 0..1000 {
        assert_eq!(balance(&store, 1), Some(10), "readers go on and see nothing of the one that waits");
        std::thread::yield_now();
    }
    exclusive.update_row(ACCOUNT, row(&store, 1, "ann", 11)).unwrap();
    let mine = committed(exclusive.commit().unwrap());
    assert!(writer.join().unwrap() > mine);
    assert_eq!(balance(&store, 1), Some(99));
}

#[test]
fn transact_tries_again_until_it_holds() {
    let store = open();
    account(&store, 1, "ann", 0);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                for _ in 0..200 {
                    store
                        .transact(Isolation::RepeatableRead, |transaction| {
                            let row_now = transaction.get_row(ACCOUNT, &key(1))?.expect("it is there");
                            let now = bank::balance_of(&store, &row_now);
                            transaction.update_row(ACCOUNT, row(&store, 1, "ann", now + 1))?;
                            Ok::<(), StatementError>(())
                        })
                        .unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(balance(&store, 1), Some(800));
}

#[test]
fn batches_put_and_delete_blindly_and_hold_as_a_whole() {
    let store = open();
    let mut batch = store.batch();
    for id in 1..=100 {
        batch.put(bank::LEDGER, bank::ledger_row(&store, id, id)).unwrap();
    }
    batch.delete(bank::LEDGER, key(7)).unwrap();
    batch.delete(bank::LEDGER, key(7_000)).unwrap();
    let index = store.commit(batch).unwrap();
    assert_eq!(store.snapshot().len(bank::LEDGER), 99);
    let (sender, answered) = std::sync::mpsc::sync_channel(1);
    let mut batch = store.batch();
    batch.put(bank::LEDGER, bank::ledger_row(&store, 7, 1)).unwrap();
    store.submit(batch, move |result| sender.send(result).unwrap());
    assert_eq!(answered.recv().unwrap().unwrap(), index + 1);
    assert_eq!(store.snapshot().len(bank::LEDGER), 100);
    let refused = store.batch().put(ACCOUNT, row(&store, 1, "ann", 1)).unwrap_err();
    assert!(refused.to_string().contains("by_name"), "{refused}");
}

#[test]
fn a_conflict_names_the_object() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut late = begin(&store);
    late.get_row(ACCOUNT, &key(1)).unwrap();
    let mut early = begin(&store);
    early.update_row(ACCOUNT, row(&store, 1, "ann", 11)).unwrap();
    committed(early.commit().unwrap());
    late.update_row(ACCOUNT, row(&store, 1, "ann", 12)).unwrap();
    assert_eq!(late.commit().unwrap(), Outcome::Conflict { class: "account".into(), key: key(1) });
    assert_eq!(store.stats().conflicts, 1);
}

#[test]
fn writes_stop_before_the_memory_limit_is_passed_and_deletes_do_not() {
    let mut options = Options::memory();
    options.memory_bytes_max = 200_000;
    let store = Store::open(bank::schema(), options).unwrap();
    let mut last = 0;
    let refused = loop {
        let mut transaction = begin(&store);
        transaction.insert_row(ACCOUNT, row(&store, last + 1, &format!("n{last}"), 0)).unwrap();
        match transaction.commit() {
            Ok(outcome) => {
                committed(outcome);
                last += 1;
            }
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, CommitError::MemoryFull { max: 200_000, .. }), "{refused}");
    assert!(last > 100 && store.stats().bytes <= 200_000);
    let mut replace = begin(&store);
    assert!(replace.update_row(ACCOUNT, row(&store, 1, "n0", 0)).unwrap(), "replacing takes no more");
    committed(replace.commit().unwrap());
    let mut delete = begin(&store);
    delete.delete_row(ACCOUNT, &key(1)).unwrap();
    committed(delete.commit().unwrap());
    let mut again = begin(&store);
    again.insert_row(ACCOUNT, row(&store, 1, "n0", 0)).unwrap();
    committed(again.commit().unwrap());
}

#[test]
fn rows_that_are_none_are_refused_before_anything_relies_on_them() {
    let store = open();
    let mut transaction = begin(&store);
    let refused = transaction.insert_row(ACCOUNT, Row::from_slice(&[1, 2])).unwrap_err();
    assert!(matches!(refused, StatementError::Row { .. }), "{refused}");
    let unknown = transaction.get_row(skein_store::ClassId(999), &key(1)).unwrap_err();
    assert!(matches!(unknown, StatementError::UnknownClass(_)));
}
