//! Histories of concurrent threads on a real store, recorded and judged by the test kit's checker.
//!
//! The checker knows nothing of the store. So that it is not blind, the same histories are also judged at the next
//! stricter level, where the anomalies that the store's level allows must show.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that stated it")]

#[path = "histories/durable.rs"]
mod durable;
#[path = "histories/lists.rs"]
mod lists;
#[path = "histories/threads.rs"]
mod threads;

use skein_store::{Isolation, Options, Store};
use skein_testkit::history::{Level, Outcome, Phenomenon, Recorder};

use lists::{ElementPerRow, ListPerRow, Lists};
use threads::{Load, run};

/// In memory a round takes a fraction of a second.
const IN_MEMORY: Load = Load { threads: 6, transactions: 800 };

/// How many rounds may pass until threads have met in the way that shows an anomaly.
const ROUNDS_MAX: u64 = 40;

/// Each round's history is legal at `level`, and in one of them `phenomenon` shows at `stricter`.
fn check(isolation: Isolation, level: Level, stricter: Option<(Level, Phenomenon)>, lists: &dyn Lists) {
    let mut shown = stricter.is_none();
    for round in 0..ROUNDS_MAX {
        let store = Store::open(lists::schema(), Options::memory()).unwrap();
        let recorder = Recorder::new();
        run(&store, &recorder, isolation, lists, IN_MEMORY, round);
        let history = recorder.history();
        let committed = history.transactions.iter().filter(|t| t.outcome == Outcome::Committed).count();
        assert!(committed * 10 > history.transactions.len(), "only {committed} transactions were committed");
        history.check(level).assert_legal();
        if let Some((stricter, phenomenon)) = stricter {
            shown |= history.check(stricter).phenomena().contains(&phenomenon);
        }
        if shown && round > 0 {
            return;
        }
    }
    panic!("in {ROUNDS_MAX} rounds at {isolation:?} no history showed {stricter:?}: the threads never met");
}

#[test]
fn serializable_histories_are_strictly_serializable() {
    check(Isolation::Serializable, Level::StrictSerializable, None, &ListPerRow);
    check(Isolation::Serializable, Level::StrictSerializable, None, &ElementPerRow);
}

#[test]
fn repeatable_read_histories_are_snapshot_isolation_and_show_write_skew() {
    let stricter = Some((Level::Serializable, Phenomenon::G2Item));
    check(Isolation::RepeatableRead, Level::StrongSnapshotIsolation, stricter, &ListPerRow);
    check(Isolation::RepeatableRead, Level::StrongSnapshotIsolation, stricter, &ElementPerRow);
}

#[test]
fn read_committed_histories_are_that_and_show_read_skew() {
    let stricter = Some((Level::SnapshotIsolation, Phenomenon::GSingle));
    check(Isolation::ReadCommitted, Level::ReadCommitted, stricter, &ElementPerRow);
}
