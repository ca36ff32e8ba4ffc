//! Transactions: a view of the store, writes kept aside, and a commit that holds as a whole or not at all.
//!
//! Nothing is locked while a transaction runs (except in [`Mode::Exclusive`]): its reads come from a snapshot, its
//! writes stay with it, and at its end everything is certified at once against what was committed meanwhile. A
//! transaction that has not read holds no snapshot, and none is held while the commit is carried out, so that
//! the maps can be changed in place. Dropping a transaction rolls it back.
//!
//! | level | reads see | a conflict is |
//! |---|---|---|
//! | read committed | at each statement, all that is committed | an object changed since the statement that wrote it |
//! | repeatable read | one snapshot | an object it writes changed since the snapshot |
//! | serializable | one snapshot | an object or a range it read, or an object it writes, changed since the snapshot |

mod objects;
mod outcome;
mod overlay;
mod retry;
mod statement;

use crate::commit::{Commit, Expect, RangeRead, Read};
use crate::engine::{Root, Verdict};
use crate::error::{CommitError, StatementError};
use crate::store::Store;
use overlay::Overlay;
use parking_lot::Mutex;
use std::sync::Arc;

pub use objects::Objects;
pub use outcome::Outcome;
pub use retry::{TransactError, Transacted};

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read. It sees the state at its begin and can neither fail nor hold anybody up.
    ReadOnly,
    /// Read and write, beside others.
    ReadWrite,
    /// Read and write while all other commits wait from its begin to its end. It cannot conflict.
    Exclusive,
}

/// What a transaction is shielded from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what is committed by then.
    ReadCommitted,
    /// All statements see one snapshot, and no object it writes was changed by another since.
    #[default]
    RepeatableRead,
    /// As if it ran alone: nothing it read or scanned was changed by another since.
    Serializable,
}

/// A place in a transaction to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    mark: usize,
    number: u64,
}

/// What a serializable transaction has looked at.
#[derive(Debug, Default)]
struct Looked {
    reads: Vec<Read>,
    /// Shared with the scans that are still walking; made by the first one.
    ranges: Option<Arc<Mutex<Vec<RangeRead>>>>,
}

impl Looked {
    fn ranges(&mut self) -> &Arc<Mutex<Vec<RangeRead>>> {
        self.ranges.get_or_insert_default()
    }
}

/// A running transaction.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    mode: Mode,
    isolation: Isolation,
    view: Option<Arc<Root>>,
    overlay: Overlay,
    looked: Looked,
    /// The savepoints that can be gone back to, oldest first.
    savepoints: Vec<u64>,
    savepoints_made: u64,
    /// The newest state a statement has seen.
    seen: Option<u64>,
    /// The number under which it holds the exclusive turn; 0 when it does not.
    turn: u64,
}

impl Store {
    /// Begins a transaction. An exclusive one waits here for its turn.
    #[must_use]
    pub fn begin(&self, mode: Mode, isolation: Isolation) -> Transaction {
        Transaction::begin(self.clone(), mode, isolation)
    }
}

impl Transaction {
    pub(crate) fn begin(store: Store, mode: Mode, isolation: Isolation) -> Transaction {
        let turn = if mode == Mode::Exclusive { store.take_turn() } else { 0 };
        let mut transaction = Transaction {
            store,
            mode,
            isolation,
            view: None,
            overlay: Overlay::default(),
            looked: Looked::default(),
            savepoints: Vec::new(),
            savepoints_made: 0,
            seen: None,
            turn,
        };
        if mode == Mode::ReadOnly {
            transaction.view();
        }
        transaction
    }

    /// The isolation it was begun with.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The mode it was begun with.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Ends the transaction and makes its writes lasting, all or none.
    ///
    /// # Errors
    /// The store takes no writes at present, has no memory for these, or has stopped. Nothing was written, except
    /// when it stopped while the commit was on its way.
    pub fn commit(mut self) -> Result<Outcome, CommitError> {
        let overlay = std::mem::take(&mut self.overlay);
        if overlay.is_empty() {
            let index = self.seen.unwrap_or_else(|| self.store.applied_index());
            return Ok(Outcome::Committed { index });
        }
        // The snapshot is given up before the commit is carried out, or the maps could not be changed in place.
        self.view = None;
        let commit = Commit {
            snapshot: self.seen,
            reads: std::mem::take(&mut self.looked.reads),
            ranges: self
                .looked
                .ranges
                .take()
                .map(|ranges| std::mem::take(&mut *ranges.lock()))
                .unwrap_or_default(),
            writes: overlay.into_writes(),
        };
        let (index, verdict) = self.store.commit_certified(commit, self.turn)?;
        Ok(match verdict {
            Verdict::Committed => Outcome::Committed { index },
            refused => Outcome::refused(self.store.schema(), refused),
        })
    }

    /// Ends the transaction and forgets its writes, as dropping it does.
    pub fn rollback(self) {}

    /// Marks this place, to go back to with [`Transaction::rollback_to`].
    pub fn savepoint(&mut self) -> Savepoint {
        self.savepoints_made += 1;
        self.savepoints.push(self.savepoints_made);
        Savepoint { mark: self.overlay.mark(), number: self.savepoints_made }
    }

    /// Forgets what was written since the savepoint. What was read stays read. The savepoint stays, those made after it
    /// are gone.
    ///
    /// # Errors
    /// The savepoint is gone.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<(), StatementError> {
        let place = self.savepoints.iter().position(|number| *number == savepoint.number);
        let place = place.filter(|_| savepoint.mark <= self.overlay.undoable());
        let place = place.ok_or(StatementError::SavepointGone)?;
        self.savepoints.truncate(place + 1);
        for (position, key, row) in self.overlay.rollback_to(savepoint.mark) {
            self.note_write(position, &key, row.as_ref());
        }
        Ok(())
    }

    /// The state this statement sees.
    fn view(&mut self) -> Arc<Root> {
        if let Some(view) = &self.view {
            return Arc::clone(view);
        }
        let root = self.store.snapshot().root;
        self.seen = Some(root.index());
        // A read-only transaction that wants each statement to see the newest is served as any other.
        if self.isolation != Isolation::ReadCommitted {
            self.overlay.resolve(|position, key| expectation(&root, position, key));
            self.view = Some(Arc::clone(&root));
        }
        root
    }

    fn records(&self) -> bool {
        self.isolation == Isolation::Serializable && self.mode == Mode::ReadWrite
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.turn != 0 {
            self.store.give_turn_back(self.turn);
        }
    }
}

/// What the object is at in this state.
fn expectation(root: &Root, position: u16, key: &crate::key::Key) -> Expect {
    root.stored(usize::from(position), key).map_or(Expect::Absent, |stored| Expect::Version(stored.version))
}
