//! The change feed: order, filtering, the bounded buffer, and following a class without a gap.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when something is not as it should be")]

#[path = "support/bank.rs"]
mod bank;

use bank::{ACCOUNT, LEDGER, account, key, ledger_row, open, row};
use skein_store::{Change, Feed, FeedError, Isolation, Mode, Options, Outcome, Store};
use skein_testkit::DEADLINE;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn rest(feed: &mut Feed) -> Vec<Change> {
    std::iter::from_fn(|| feed.try_next().unwrap()).collect()
}

fn ledger(store: &Store, id: u64, amount: u64) {
    let mut batch = store.batch();
    batch.put(LEDGER, ledger_row(store, id, amount)).unwrap();
    store.commit(batch).unwrap();
}

#[test]
fn a_feed_tells_every_change_of_its_classes_in_order_with_before_and_after() {
    let store = open();
    account(&store, 1, "ann", 10);
    let mut feed = store.watch(store.applied_index(), &[ACCOUNT]).unwrap();
    ledger(&store, 1, 1);
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.update_row(ACCOUNT, row(&store, 1, "ann", 11)).unwrap();
    transaction.insert_row(ACCOUNT, row(&store, 2, "bob", 20)).unwrap();
    let Outcome::Committed { index } = transaction.commit().unwrap() else { panic!("nobody else writes") };
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.delete_row(ACCOUNT, &key(2)).unwrap();
    assert!(matches!(transaction.commit().unwrap(), Outcome::Committed { .. }));
    let change = |index, id, before, after| Change { index, class: ACCOUNT, key: key(id), before, after };
    let (ann_before, ann, bob) =
        (row(&store, 1, "ann", 10), row(&store, 1, "ann", 11), row(&store, 2, "bob", 20));
    assert_eq!(
        rest(&mut feed),
        [
            change(index, 1, Some(ann_before), Some(ann)),
            change(index, 2, None, Some(bob.clone())),
            change(index + 1, 2, Some(bob), None),
        ]
    );
    assert_eq!(feed.next(Duration::from_millis(1)).unwrap(), None);
}

#[test]
fn a_second_feed_may_begin_where_the_first_one_did_and_not_before() {
    let store = open();
    ledger(&store, 1, 1);
    let start = store.applied_index();
    let mut first = store.watch(start, &[LEDGER]).unwrap();
    (2..5).for_each(|id| ledger(&store, id, 1));
    let mut second = store.watch(start + 1, &[LEDGER]).unwrap();
    assert_eq!(rest(&mut first).len(), 3);
    assert_eq!(rest(&mut second).len(), 2);
    assert_eq!(store.watch(start - 1, &[LEDGER]).unwrap_err(), FeedError::TooFarBehind { oldest: start });
    let now = store.applied_index();
    assert_eq!(
        store.watch(start, &[LEDGER, ACCOUNT]).unwrap_err(),
        FeedError::TooFarBehind { oldest: now },
        "nobody has watched accounts"
    );
}

#[test]
fn a_feed_that_falls_behind_the_buffer_is_told_to_take_a_snapshot() {
    let mut options = Options::memory();
    options.feed_changes_max = 10;
    let store = Store::open(bank::schema(), options).unwrap();
    let mut feed = store.watch(0, &[LEDGER]).unwrap();
    (1..=10).for_each(|id| ledger(&store, id, 1));
    assert_eq!(feed.try_next().unwrap().unwrap().index, 1);
    (11..=12).for_each(|id| ledger(&store, id, 1));
    assert_eq!(feed.try_next().unwrap_err(), FeedError::TooFarBehind { oldest: 2 });
    let mut again = store.watch(2, &[LEDGER]).unwrap();
    assert_eq!(rest(&mut again).len(), 10);
}

#[test]
fn a_snapshot_and_a_feed_taken_together_follow_writers_without_a_gap() {
    let store = open();
    let writers: Vec<_> = (0..2_u64)
        .map(|writer| {
            let store = store.clone();
            std::thread::spawn(move || {
                for number in 0..2000 {
                    ledger(&store, number % 50, writer * 10_000 + number);
                }
            })
        })
        .collect();
    let (snapshot, mut feed) = store.watch_from_now(&[LEDGER]).unwrap();
    let mut followed: BTreeMap<_, _> =
        snapshot.rows(LEDGER).map(|(key, row)| (key.clone(), row.clone())).collect();
    let mut last = snapshot.index();
    let mut take = |change: Change| {
        assert!(change.index > last, "changes come in order");
        last = change.index;
        assert_eq!(followed.insert(change.key, change.after.unwrap()), change.before);
        assert!(store.snapshot().index() >= change.index, "what is told is there");
    };
    while writers.iter().any(|writer| !writer.is_finished()) {
        if let Some(change) = feed.next(Duration::from_millis(1)).unwrap() {
            take(change);
        }
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    rest(&mut feed).into_iter().for_each(take);
    let now: BTreeMap<_, _> =
        store.snapshot().rows(LEDGER).map(|(key, row)| (key.clone(), row.clone())).collect();
    assert_eq!(followed, now);
}

#[test]
fn a_feed_ends_with_its_store() {
    let store = open();
    let mut feed = store.watch(0, &[LEDGER]).unwrap();
    ledger(&store, 1, 1);
    store.close();
    assert_eq!(feed.next(Duration::from_secs(5)).unwrap().unwrap().index, 1);
    assert_eq!(feed.next(Duration::from_secs(5)).unwrap_err(), FeedError::Stopped);
}

#[test]
fn commits_to_classes_of_others_do_not_stretch_the_timeout() {
    let store = open();
    let now = store.applied_index();
    let _others = store.watch(now, &[LEDGER]).unwrap();
    let mut quiet = store.watch(now, &[ACCOUNT]).unwrap();
    let (start, done) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) && start.elapsed() < DEADLINE {
                ledger(&store, 1, 1);
            }
        });
        assert_eq!(quiet.next(Duration::from_millis(50)).unwrap(), None);
        done.store(true, Ordering::Release);
    });
    assert!(start.elapsed() < DEADLINE, "it waited as long as others committed");
}
