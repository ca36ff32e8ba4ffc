//! What the store costs in memory, beside a bare map behind a lock that does the same.
//!
//! `cargo bench -p skein-store --bench store` prints times and items per second. Writes and reads go through the public
//! API; rows have four fields of about forty bytes in all; classes hold a hundred thousand objects unless said otherwise.

use divan::{Bencher, black_box, counter::ItemsCount};
use parking_lot::{Mutex, RwLock};
use skein_store::{Isolation, KeyRange, Mode, Object, ObjectKey, Options, Outcome, Schema, Store};
use std::collections::BTreeMap;

const OBJECTS: u64 = 100_000;
/// Operations in one iteration.
const BATCH: u64 = 1000;

#[derive(Clone, Debug, PartialEq, Object)]
#[class(name = "account", code = 1)]
struct Account {
    #[primary]
    id: u64,
    owner: String,
    balance: i64,
    active: bool,
}

fn main() {
    divan::main();
}

fn account(id: u64) -> Account {
    Account { id, owner: "somebody with a name".to_owned(), balance: 1_000_000, active: true }
}

/// Scatters counting numbers over the keys.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % OBJECTS
}

fn filled() -> Store {
    let schema = Schema::builder("bench").object::<Account>().build().expect("the schema is sound");
    let store = Store::open(schema, Options::memory()).expect("memory needs no files");
    let mut batch = store.batch();
    (0..OBJECTS).for_each(|id| batch.put_object(&account(id)).expect("the class is in the schema"));
    store.commit(batch).expect("there is room");
    store
}

fn committed(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Committed { .. }));
}

/// Reads an object, changes it, commits: the small read-write transaction.
#[divan::bench]
fn read_change_commit(bencher: Bencher) {
    let store = filled();
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
            let mut object: Account =
                transaction.get(&scattered(number)).expect("it is readable").expect("it is there");
            object.balance += 1;
            transaction.update(&object).expect("it may be written");
            committed(transaction.commit().expect("there is room"));
        }
    });
}

/// Replaces an object without looking.
#[divan::bench]
fn upsert_commit(bencher: Bencher) {
    let store = filled();
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
            transaction.upsert(&account(scattered(number))).expect("it may be written");
            committed(transaction.commit().expect("there is room"));
        }
    });
}

/// The same for a map of bytes behind a lock.
#[divan::bench]
fn upsert_in_a_bare_map(bencher: Bencher) {
    let map = Mutex::new(BTreeMap::new());
    let row = |id| account(id).to_row().as_slice().to_vec();
    (0..OBJECTS).for_each(|id| drop(map.lock().insert(id.to_be_bytes().to_vec(), row(id))));
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            let id = scattered(number);
            map.lock().insert(id.to_be_bytes().to_vec(), row(id));
        }
    });
}

/// A batch of a thousand blind writes.
#[divan::bench]
fn batch_of_puts(bencher: Bencher) {
    let store = filled();
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let mut batch = store.batch();
        for _ in 0..BATCH {
            number += 1;
            batch.put_object(&account(scattered(number))).expect("the class is in the schema");
        }
        store.commit(batch).expect("there is room")
    });
}

/// Building such a batch alone.
#[divan::bench]
fn building_a_batch(bencher: Bencher) {
    let store = filled();
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let mut batch = store.batch();
        for _ in 0..BATCH {
            number += 1;
            batch.put_object(&account(scattered(number))).expect("the class is in the schema");
        }
        batch
    });
}

/// A snapshot for every read.
#[divan::bench]
fn point_read(bencher: Bencher) {
    let store = filled();
    let class = Account::class().id;
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            black_box(store.snapshot().get(class, &scattered(number).to_key()));
        }
    });
}

/// One snapshot for a thousand reads.
#[divan::bench]
fn point_read_in_a_snapshot(bencher: Bencher) {
    let store = filled();
    let class = Account::class().id;
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let snapshot = store.snapshot();
        for _ in 0..BATCH {
            number += 1;
            black_box(snapshot.get(class, &scattered(number).to_key()));
        }
    });
}

/// The same from a map of bytes behind a lock.
#[divan::bench]
fn point_read_from_a_bare_map(bencher: Bencher) {
    let row = |id| account(id).to_row().as_slice().to_vec();
    let map: BTreeMap<_, _> = (0..OBJECTS).map(|id: u64| (id.to_be_bytes().to_vec(), row(id))).collect();
    let map = RwLock::new(map);
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            black_box(map.read().get(&scattered(number).to_be_bytes()[..]).cloned());
        }
    });
}

/// Walking a class.
#[divan::bench]
fn scan_in_a_transaction(bencher: Bencher) {
    let store = filled();
    bencher.counter(ItemsCount::new(OBJECTS)).bench_local(|| {
        let mut transaction = store.begin(Mode::ReadOnly, Isolation::RepeatableRead);
        let scan = transaction.scan_rows(
            Account::class().id,
            skein_store::Access::Primary,
            KeyRange::all(),
            skein_store::Direction::Forward,
        );
        scan.expect("the class is in the schema").count()
    });
}
