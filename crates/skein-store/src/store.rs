//! The store: open it, submit batches, take snapshots, begin transactions.
//!
//! This is the entry point. `newest.rs` keeps the newest state, `memory_path.rs` and `log_path.rs` are the two ways a
//! commit takes to it, `engine.rs` decides and carries out. It needs no runtime and calls back on the thread that carried
//! the commit out: such calls must be short.

mod memory_path;
mod options;
mod stats;
mod turn;

use crate::batch::Batch;
use crate::commit::Commit;
use crate::engine::{Root, Verdict};
use crate::error::{CommitError, OpenError, SubmitError};
use crate::newest::Newest;
use crate::schema::{ClassId, Schema};
use crate::snapshot::Snapshot;
use crate::transaction::{Isolation, Mode, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use options::{Durability, OnFatal, Options};
pub use stats::{ClassStats, Stats};

use stats::Counters;
use turn::Turn;

/// What is called with a batch's index, or with why it was not carried out.
pub(crate) type Done = Box<dyn FnOnce(Result<u64, SubmitError>) + Send>;

/// A handle to an open store; clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    schema: Schema,
    options: Options,
    newest: Newest,
    turn: Turn,
    /// Per class: the next automatic number.
    numbers: Vec<AtomicU64>,
    counters: Counters,
}

impl Store {
    /// Opens a store of this schema.
    ///
    /// # Errors
    /// The stored schema does not lead to this one, or the files cannot be opened or are damaged.
    pub fn open(schema: Schema, options: Options) -> Result<Store, OpenError> {
        if options.durability != Durability::Memory {
            return Err(OpenError::MemoryOnly);
        }
        let root = Root::new(schema.clone());
        let numbers = root.classes.iter().map(|class| AtomicU64::new(class.auto_next)).collect();
        Ok(Store(Arc::new(Inner {
            schema,
            options,
            newest: Newest::new(root),
            turn: Turn::default(),
            numbers,
            counters: Counters::default(),
        })))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.0.schema
    }

    /// An empty batch for this store.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch::new(self.0.schema.clone())
    }

    /// Hands over a batch. `done` is called with its index once it is carried out and, in the durable modes, written as
    /// the mode promises; or with why it was not. It runs on the thread that carried the batch out, in memory mode the
    /// caller's: it must be short and must not write to the store itself.
    pub fn submit(&self, batch: Batch, done: impl FnOnce(Result<u64, SubmitError>) + Send + 'static) {
        self.0.submit_now(batch, Box::new(done));
    }

    /// The same, waiting for it.
    ///
    /// # Errors
    /// The batch was not carried out.
    pub fn commit(&self, batch: Batch) -> Result<u64, SubmitError> {
        self.0.commit_batch_now(batch)
    }

    /// The state with everything that was answered before this call. It never waits for IO.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { root: self.0.newest.snapshot() }
    }

    /// Begins a transaction. An exclusive one waits here for its turn.
    #[must_use]
    pub fn begin(&self, mode: Mode, isolation: Isolation) -> Transaction {
        Transaction::begin(self.clone(), mode, isolation)
    }

    /// The next number of a class that is numbered by the store, for batches; 0 when the class is unknown. A number is
    /// never given twice, also when what it was taken for is not committed.
    #[must_use]
    pub fn next_id(&self, class: ClassId) -> u64 {
        self.position(class).map_or(0, |position| self.next_number(position))
    }

    /// What the store holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.stats(&self.0.newest.snapshot())
    }

    /// The index of the last commit that was answered.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.0.newest.answered()
    }

    /// Whether new transactions can commit.
    #[must_use]
    pub fn writable(&self) -> bool {
        true
    }

    pub(crate) fn position(&self, class: ClassId) -> Option<u16> {
        self.0.schema.position(class).and_then(|position| u16::try_from(position).ok())
    }

    pub(crate) fn next_number(&self, position: u16) -> u64 {
        self.0.numbers.get(usize::from(position)).map_or(0, |next| next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn commit_certified(&self, commit: Commit, turn: u64) -> Result<(u64, Verdict), CommitError> {
        Ok(self.0.commit_now(commit, turn)?)
    }

    /// Waits for the exclusive turn and takes it.
    pub(crate) fn take_turn(&self) -> u64 {
        let turn = self.0.turn.take();
        // A commit that looked before the turn was taken is carried out under the lock: wait for it.
        drop(self.0.newest.hold());
        turn
    }

    pub(crate) fn give_turn_back(&self, turn: u64) {
        self.0.turn.give_back(turn);
    }
}
