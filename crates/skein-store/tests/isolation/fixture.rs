//! The classes, the stores and the words of the scenarios.

use std::sync::Arc;

use skein_store::{
    Access, Direction, Isolation, KeyRange, Mode, Object, ObjectKey, Options, Outcome, Schema, Store,
    Transaction,
};
use skein_wal::disk::FaultyDisk;

pub(crate) const LEVELS: [Isolation; 3] =
    [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

#[derive(Object, Clone, Debug, PartialEq)]
#[class(code = 1)]
pub(crate) struct Account {
    #[primary]
    pub(crate) id: u64,
    #[index]
    pub(crate) branch: u32,
    pub(crate) balance: i64,
}

#[derive(Object, Clone, Debug, PartialEq)]
#[class(code = 2)]
pub(crate) struct Person {
    #[primary]
    pub(crate) id: u64,
    #[index(unique)]
    pub(crate) mail: String,
}

/// The branch that both accounts belong to at first; nothing belongs to the other.
pub(crate) const BRANCH: u32 = 1;
pub(crate) const OTHER_BRANCH: u32 = 2;

/// What a scenario showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The anomaly.
    Possible,
    /// Everything was committed, and the anomaly did not show.
    Hidden,
    /// A commit that would have completed it was a conflict.
    Refused,
}

/// An interleaving that shows the anomaly where it is possible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// At read committed, repeatable read and serializable.
    pub(crate) expected: [Seen; 3],
    pub(crate) run: fn(&Store, Isolation) -> Seen,
}

/// A store in memory with accounts 1 and 2 of 100 each.
pub(crate) fn in_memory() -> Store {
    filled(Options::memory())
}

/// The same on a log, on a disk in memory.
pub(crate) fn on_a_log() -> Store {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(FaultyDisk::new());
    options.segment_bytes = 64 << 10;
    filled(options)
}

fn filled(options: Options) -> Store {
    let schema = Schema::builder("bank").object::<Account>().object::<Person>().build().unwrap();
    let store = Store::open(schema, options).unwrap();
    let mut transaction = begin(&store, Isolation::RepeatableRead);
    for id in [1, 2] {
        transaction.insert(&Account { id, branch: BRANCH, balance: 100 }).unwrap();
    }
    assert!(committed(transaction));
    store
}

pub(crate) fn begin(store: &Store, isolation: Isolation) -> Transaction {
    store.begin(Mode::ReadWrite, isolation)
}

/// Whether the transaction was committed; a conflict and a duplicate key are the other outcomes to be expected.
#[track_caller]
pub(crate) fn committed(transaction: Transaction) -> bool {
    match transaction.commit().unwrap() {
        Outcome::Committed { .. } => true,
        Outcome::Conflict { .. } | Outcome::DuplicateKey { .. } => false,
        other @ (Outcome::NoQuorum | Outcome::Indeterminate { .. }) => panic!("on one node: {other:?}"),
    }
}

/// `Possible` when both commits went through, which none may that relied on what the other changed.
#[track_caller]
pub(crate) fn both(one: Transaction, other: Transaction) -> Seen {
    assert!(committed(one), "the first to commit wins");
    if committed(other) { Seen::Possible } else { Seen::Refused }
}

pub(crate) fn shown(anomaly: bool) -> Seen {
    if anomaly { Seen::Possible } else { Seen::Hidden }
}

#[track_caller]
pub(crate) fn balance(transaction: &mut Transaction, id: u64) -> i64 {
    transaction.get::<Account>(&id).unwrap().unwrap().balance
}

#[track_caller]
pub(crate) fn set(transaction: &mut Transaction, id: u64, balance: i64) {
    assert!(transaction.update(&Account { id, branch: BRANCH, balance }).unwrap());
}

/// Another transaction that sets the balances and is committed at once.
#[track_caller]
pub(crate) fn set_apart(store: &Store, isolation: Isolation, balances: &[(u64, i64)]) {
    let mut transaction = begin(store, isolation);
    for (id, balance) in balances {
        set(&mut transaction, *id, *balance);
    }
    assert!(committed(transaction));
}

/// The number of accounts in a branch, by the index.
#[track_caller]
pub(crate) fn count(transaction: &mut Transaction, branch: u32) -> usize {
    let range = KeyRange::prefix(&branch.to_key());
    let accounts = transaction.scan::<Account>(Access::Index(0), range, Direction::Forward).unwrap();
    accounts.map(Result::unwrap).count()
}
