//! Recording a history while threads make it.
//!
//! The clock is one counter for all threads: a transaction whose begin reads a higher number than
//! another's end began after it. Nothing here talks to a store; the caller tells what it was told.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{History, Operation, Outcome, Transaction};

/// Shared by all threads of a test.
#[derive(Debug, Default)]
pub struct Recorder {
    clock: AtomicU64,
    transactions: Mutex<Vec<Transaction>>,
}

/// One transaction under way; it is not in the history before [`Recording::end`].
#[derive(Debug)]
pub struct Recording<'r> {
    recorder: &'r Recorder,
    process: u64,
    invoked: u64,
    operations: Vec<Operation>,
}

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called before the transaction begins.
    pub fn begin(&self, process: u64) -> Recording<'_> {
        let invoked = self.clock.fetch_add(1, Ordering::SeqCst);
        Recording { recorder: self, process, invoked, operations: Vec::new() }
    }

    /// Everything that ended so far.
    pub fn history(&self) -> History {
        History { transactions: self.transactions.lock().clone() }
    }
}

impl Recording<'_> {
    pub fn append(&mut self, key: u64, value: u64) {
        self.operations.push(Operation::Append { key, value });
    }

    /// Only reads that gave an answer are recorded.
    pub fn read(&mut self, key: u64, list: Vec<u64>) {
        self.operations.push(Operation::Read { key, list });
    }

    /// To be called after the answer came, or was given up.
    pub fn end(self, outcome: Outcome) {
        let completed = self.recorder.clock.fetch_add(1, Ordering::SeqCst);
        let Self { recorder, process, invoked, operations } = self;
        recorder.transactions.lock().push(Transaction { process, outcome, operations, invoked, completed });
    }
}
