//! Threads that append to lists and read them, and the history of what they were told.

use std::thread;

use skein_store::{CommitError, Isolation, Mode, Outcome, StatementError, Store, Transaction};
use skein_testkit::history::{self, Recorder, Recording};
use skein_testkit::{DEADLINE, Numbers, wait_until};

use super::lists::Lists;

/// Lists that are in use at one time: few, so that threads meet.
const LISTS: u64 = 5;

/// After so many transactions of a thread the next lists are taken, so that none becomes long.
const TRANSACTIONS_PER_LISTS: u64 = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) threads: u64,
    /// Of each thread.
    pub(crate) transactions: u64,
}

/// Every list that a load uses.
pub(crate) fn all_lists(load: Load) -> std::ops::Range<u64> {
    0..load.transactions.div_ceil(TRANSACTIONS_PER_LISTS) * LISTS
}

/// Runs the load, each thread until its store stops.
pub(crate) fn run(
    store: &Store,
    recorder: &Recorder,
    isolation: Isolation,
    lists: &dyn Lists,
    load: Load,
    seed: u64,
) {
    thread::scope(|scope| {
        for process in 0..load.threads {
            scope.spawn(move || {
                let numbers = Numbers::new(seed * 1_000 + process);
                let mut client =
                    Client { store, isolation, lists, recorder, process, numbers, seed, values: 0 };
                for number in 0..load.transactions {
                    if client.transaction(number) == history::Outcome::Unknown {
                        return;
                    }
                }
            });
        }
    });
}

struct Client<'a> {
    store: &'a Store,
    isolation: Isolation,
    lists: &'a dyn Lists,
    recorder: &'a Recorder,
    process: u64,
    numbers: Numbers,
    seed: u64,
    values: u64,
}

impl Client<'_> {
    fn transaction(&mut self, number: u64) -> history::Outcome {
        let mode = match self.numbers.below(20) {
            0 => Mode::Exclusive,
            1..=4 => Mode::ReadOnly,
            _ => Mode::ReadWrite,
        };
        let first_list = number / TRANSACTIONS_PER_LISTS * LISTS;
        let mut recording = self.recorder.begin(self.process);
        let mut transaction = self.store.begin(mode, self.isolation);
        for _ in 0..1 + self.numbers.below(4) {
            let key = first_list + self.numbers.below(LISTS);
            if self.step(&mut transaction, &mut recording, mode, key).is_err() {
                transaction.rollback();
                recording.end(history::Outcome::Aborted);
                return history::Outcome::Aborted;
            }
            // Threads meet between their steps even where there are fewer processors than threads.
            thread::yield_now();
        }
        let told = transaction.commit();
        let conflict = matches!(told, Ok(Outcome::Conflict { .. } | Outcome::DuplicateKey { .. }));
        assert!(!(conflict && mode == Mode::Exclusive), "an exclusive transaction ended as {told:?}");
        let read_only = matches!(told, Err(CommitError::ReadOnly { .. }));
        let outcome = outcome(told);
        recording.end(outcome);
        if read_only {
            wait_until("the store takes writes again", DEADLINE, || self.store.writable());
        }
        outcome
    }

    fn step(
        &mut self,
        transaction: &mut Transaction,
        recording: &mut Recording<'_>,
        mode: Mode,
        key: u64,
    ) -> Result<(), StatementError> {
        if mode == Mode::ReadOnly || self.numbers.one_in(2) {
            recording.read(key, self.lists.read(transaction, key)?);
            return Ok(());
        }
        // Unique over all threads and over all runs with other seeds.
        self.values += 1;
        let value = (self.seed * 1_000_000 + self.values) * 100 + self.process;
        recording.append(key, value);
        if self.numbers.one_in(8) {
            // What was rolled back in a transaction that goes on is as if it had not been.
            let savepoint = transaction.savepoint();
            self.lists.append(transaction, key, value + 50)?;
            transaction.rollback_to(&savepoint)?;
        }
        self.lists.append(transaction, key, value)
    }
}

fn outcome(told: Result<Outcome, CommitError>) -> history::Outcome {
    match told {
        Ok(Outcome::Committed { .. }) => history::Outcome::Committed,
        Ok(Outcome::Conflict { .. } | Outcome::DuplicateKey { .. } | Outcome::NoQuorum) => {
            history::Outcome::Aborted
        }
        Err(CommitError::ReadOnly { .. } | CommitError::MemoryFull { .. }) => history::Outcome::Aborted,
        Ok(Outcome::Indeterminate { .. }) | Err(CommitError::Stopped { .. }) => history::Outcome::Unknown,
    }
}
