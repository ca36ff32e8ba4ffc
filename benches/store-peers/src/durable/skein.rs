//! The store: by transactions, by blind batches, and with the log synced later.

use super::{Ids, Way};
use crate::rows::{Record, body, record, schema};
use skein_store::{Durability, Isolation, Mode, Object, Options, Outcome, Store};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// As in the server.
const SYNC_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
enum By {
    Transactions,
    Batches,
}

struct Skein {
    store: Store,
    by: By,
}

fn options(place: &Path) -> Options {
    Options::durable(place.join("store"))
}

fn start(options: Options, by: By) -> Box<dyn Way> {
    Box::new(Skein { store: Store::open(schema(), options).expect("the directory is free"), by })
}

pub(super) fn transactions(place: &Path) -> Box<dyn Way> {
    start(options(place), By::Transactions)
}

pub(super) fn batches(place: &Path) -> Box<dyn Way> {
    start(options(place), By::Batches)
}

pub(super) fn asynchronous(place: &Path) -> Box<dyn Way> {
    let mut options = options(place);
    options.durability = Durability::WalAsync { sync_interval: SYNC_INTERVAL };
    start(options, By::Transactions)
}

fn insert(store: &Store, id: u64) {
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.insert(&record(id)).expect("the record is new");
    let outcome = transaction.commit().expect("the store takes commits");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

fn put(store: &Store, id: u64) {
    let mut batch = store.batch();
    batch.put_object(&record(id)).expect("the class is in the schema");
    store.commit(batch).expect("the store takes batches");
}

impl Way for Skein {
    fn fill(&self, ids: Range<u64>) {
        const TOGETHER: usize = 5000;
        for from in ids.clone().step_by(TOGETHER) {
            let mut batch = self.store.batch();
            for id in from..ids.end.min(from + TOGETHER as u64) {
                batch.put_object(&record(id)).expect("the class is in the schema");
            }
            self.store.commit(batch).expect("the store takes batches");
        }
    }

    fn client(&self, ids: &mut Ids<'_>) {
        match self.by {
            By::Transactions => ids.each(|id| insert(&self.store, id)),
            By::Batches => ids.each(|id| put(&self.store, id)),
        }
    }

    fn close(self: Box<Self>) {
        self.store.close();
    }
}

pub(super) fn kept(place: &Path, taken: u64) -> u64 {
    let store = Store::open(schema(), options(place)).expect("the files are sound");
    let snapshot = store.snapshot();
    let rows = snapshot.rows(Record::class().id);
    let records = rows.map(|(_, row)| Record::from_row(row).expect("it was written by this program"));
    records.filter(|record| record.id < taken && record.body[..] == body(record.id)).count() as u64
}

/// What one commit of a single client takes in the log.
pub(super) fn frame_bytes(dir: &Path) -> usize {
    const COMMITS: u64 = 1000;
    let place = dir.join("frame");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the directory can be made");
    let store = Store::open(schema(), options(&place)).expect("the directory is free");
    // Numbers as long as those of the turns.
    (super::FILLED..super::FILLED + COMMITS).for_each(|id| insert(&store, id));
    drop(store);
    let log = place.join("store").join(format!("log-{:020}", 1));
    let bytes = std::fs::read(log).expect("the first segment has room for these commits");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("the log is not empty");
    std::fs::remove_dir_all(&place).expect("it was made above");
    (used / COMMITS as usize).next_multiple_of(8)
}
