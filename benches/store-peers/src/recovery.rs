//! How long a start takes with a million records, from the log and from a snapshot. The files are in the page cache.

use crate::arguments::Arguments;
use crate::measure::{Series, processor_seconds};
use crate::report::{Column, Section, Table};
use crate::rows::{Account, Record, account, record, scattered, schema};
use skein_store::{
    WriteBatch, ClassId, Durability, Isolation, Mode, Object, Options, Outcome, Store, Transaction,
};
use std::path::Path;
use std::time::{Duration, Instant};

const OBJECTS: u64 = 1_000_000;
/// Objects of one commit when the log is made; one is the most work to read back.
const TOGETHER: [u64; 2] = [1, 1000];
/// Threads that commit objects one by one.
const CLIENTS: u64 = 32;

/// A kind of object, and how the object of a number is written.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    class: fn() -> ClassId,
    put: fn(&mut WriteBatch, u64),
    insert: fn(&mut Transaction, u64),
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "records of 256 bytes",
        class: || Record::class().id,
        put: |batch, id| batch.put_object(&record(id)).expect("the class is in the schema"),
        insert: |transaction, id| transaction.insert(&record(id)).expect("the record is new"),
    },
    Kind {
        name: "accounts of 40 bytes",
        class: || Account::class().id,
        put: |batch, id| batch.put_object(&account(id)).expect("the class is in the schema"),
        insert: |transaction, id| transaction.insert(&account(id)).expect("the account is new"),
    },
];

pub(crate) fn measure(arguments: &Arguments) -> Section {
    let place = arguments.dir.join("recovery");
    let mut rows = Vec::new();
    for kind in KINDS {
        for count in TOGETHER {
            let mut figures: [Series; 5] = Default::default();
            for round in 0..arguments.rounds.min(3) {
                let _ = std::fs::remove_dir_all(&place);
                std::fs::create_dir_all(&place).expect("the directory can be made");
                let seconds = started(&place, kind, count);
                eprintln!("recovery, {}, {count} to a commit, round {round}: {seconds:.2?}", kind.name);
                figures.iter_mut().zip(seconds).for_each(|(series, seconds)| series.push(seconds));
            }
            rows.push((format!("{}, {count} to a commit", kind.name), figures.map(Some).to_vec()));
        }
    }
    let _ = std::fs::remove_dir_all(&place);
    let column = |name| Column { name, decimals: 2 };
    let table = Table {
        title: "Start with a million objects, seconds",
        note: "Keys in scattered order; the files are in the page cache. Writing a snapshot is what the store does \
               beside its work when the log has grown enough."
            .to_owned(),
        columns: vec![
            column("from the log"),
            column("CPU"),
            column("from a snapshot"),
            column("CPU"),
            column("writing the snapshot"),
        ],
        rows,
    };
    Section { tables: vec![table], targets: Vec::new() }
}

/// One commit, and so one entry of the log, for every object.
fn one_by_one(store: &Store, insert: fn(&mut Transaction, u64)) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for number in (client..OBJECTS).step_by(CLIENTS as usize) {
                    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
                    insert(&mut transaction, scattered(number));
                    let outcome = transaction.commit().expect("the store takes commits");
                    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
                }
            });
        }
    });
}

fn together(store: &Store, put: fn(&mut WriteBatch, u64), count: u64) {
    for from in (0..OBJECTS).step_by(count as usize) {
        let mut batch = store.batch();
        (from..from + count).for_each(|number| put(&mut batch, scattered(number)));
        store.commit(batch).expect("the store takes batches");
    }
}

/// The store, and how long it took to open, by the clock and in processor time.
fn open(place: &Path) -> (Store, [f64; 2]) {
    let mut options = Options::durable(place.join("store"));
    // Snapshots are written when this program says so.
    options.snapshot_after_log_bytes = u64::MAX;
    // Only the bytes matter here, not when they are synced.
    options.durability = Durability::WalAsync { sync_interval: Duration::from_millis(100) };
    let (began, processor) = (Instant::now(), processor_seconds());
    let store = Store::open(schema(), options).expect("the files are sound");
    (store, [began.elapsed().as_secs_f64(), processor_seconds() - processor])
}

/// Seconds from the log, from a snapshot, each by the clock and of processor time, and to write the snapshot.
fn started(place: &Path, kind: Kind, count: u64) -> [f64; 5] {
    let (store, _) = open(place);
    if count == 1 {
        one_by_one(&store, kind.insert)
    } else {
        together(&store, kind.put, count)
    }
    drop(store);
    let objects = |store: &Store| store.snapshot().len((kind.class)()) as u64;
    let (store, from_log) = open(place);
    assert_eq!(objects(&store), OBJECTS, "objects after a start from the log");
    let began = Instant::now();
    store.checkpoint().expect("there is room");
    let written = began.elapsed().as_secs_f64();
    drop(store);
    let (store, from_snapshot) = open(place);
    assert_eq!(objects(&store), OBJECTS, "objects after a start from a snapshot");
    [from_log[0], from_log[1], from_snapshot[0], from_snapshot[1], written]
}
