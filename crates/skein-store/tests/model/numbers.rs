//! Numbers that the store gives: none twice, whatever else is in the class, and none again after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use skein_store::{Access, Isolation, KeyRange, Mode, Object, Options, Outcome, Schema, Store};
use skein_wal::disk::FaultyDisk;

#[derive(Object, Clone, Debug, PartialEq)]
#[class(code = 3)]
struct Note {
    #[auto]
    id: u64,
    text: String,
}

fn open(disk: &FaultyDisk) -> Store {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    Store::open(Schema::builder("notes").object::<Note>().build().unwrap(), options).unwrap()
}

/// Adds a note that the store numbers.
fn add(store: &Store) -> u64 {
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    let number = transaction.insert_numbered(&mut Note { id: 0, text: String::new() }).unwrap();
    let outcome = transaction.commit().unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }), "number {number}: {outcome:?}");
    number
}

#[test]
fn threads_are_given_different_numbers() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let numbers: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..50).map(|_| add(&store)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn a_number_that_was_used_comes_not_again_after_a_restart() {
    let disk = FaultyDisk::new();
    for checkpoint in [false, true, false] {
        let store = open(&disk);
        let number = add(&store);
        // What is deleted has used its number up as well.
        let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
        assert!(transaction.delete::<Note>(&number).unwrap());
        assert!(matches!(transaction.commit().unwrap(), Outcome::Committed { .. }));
        if checkpoint {
            store.checkpoint().unwrap();
        }
        drop(store);
        assert!(add(&open(&disk)) > number);
    }
}

#[test]
fn numbers_that_were_chosen_are_passed_over() {
    let store = open(&FaultyDisk::new());
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    for id in [2, 3, 7] {
        transaction.insert(&Note { id, text: "chosen".to_owned() }).unwrap();
    }
    assert!(matches!(transaction.commit().unwrap(), Outcome::Committed { .. }));
    let mut batch = store.batch();
    batch.put_object(&Note { id: 9, text: "chosen".to_owned() }).unwrap();
    store.commit(batch).unwrap();
    for _ in 0..10 {
        add(&store);
    }
    let mut reader = store.begin(Mode::ReadOnly, Isolation::default());
    assert_eq!(reader.count::<Note>(Access::Primary, &KeyRange::all()).unwrap(), 14);
}
