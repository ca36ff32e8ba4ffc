//! What can go wrong with a store, grouped by what the caller can do about it.

use crate::key::Key;
use crate::row::RowFault;
use crate::schema::{ClassId, ValueFault};

/// Why a batch was not carried out. Nothing of it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Its puts might not fit into memory.
    #[error(
        "the batch needs up to {needed} bytes and the store holds {used} of the {max} it may: delete objects or \
         raise the memory limit"
    )]
    MemoryFull {
        /// What the batch might need.
        needed: u64,
        /// What the store holds.
        used: u64,
        /// What it may hold.
        max: u64,
    },
    /// The store has stopped.
    #[error("the store has stopped: {why}")]
    Stopped {
        /// What stopped it.
        why: String,
    },
}

/// Why a transaction's commit was neither carried out nor judged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The store takes no writes at present.
    #[error("the store is read-only: {why}; reads go on, and writes do when there is room again")]
    ReadOnly {
        /// What is in the way.
        why: String,
    },
    /// Its writes would not fit into memory.
    #[error(
        "the commit needs {needed} bytes more and the store holds {used} of the {max} it may: delete objects or \
         raise the memory limit"
    )]
    MemoryFull {
        /// What the commit needs more.
        needed: u64,
        /// What the store holds.
        used: u64,
        /// What it may hold.
        max: u64,
    },
    /// The store has stopped. Whether a commit that was on its way is in the log is then unknown until it is opened again.
    #[error("the store has stopped: {why}")]
    Stopped {
        /// What stopped it.
        why: String,
    },
}

impl From<SubmitError> for CommitError {
    fn from(error: SubmitError) -> CommitError {
        match error {
            SubmitError::MemoryFull { needed, used, max } => CommitError::MemoryFull { needed, used, max },
            SubmitError::Stopped { why } => CommitError::Stopped { why },
        }
    }
}

/// Why a statement of a transaction was not carried out. The transaction goes on as if it had not been made.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The schema has no such class.
    #[error("the schema has no class with code {}: declare it before the store is opened", .0.0)]
    UnknownClass(ClassId),
    /// The class has no such index.
    #[error("class {class} has no index number {index}")]
    UnknownIndex {
        /// The class.
        class: String,
        /// The number asked for.
        index: usize,
    },
    /// Another object has this key.
    #[error("class {class} has an object with this key in {index} already")]
    DuplicateKey {
        /// The class.
        class: String,
        /// The unique index, or the primary key's name.
        index: String,
    },
    /// The transaction was begun for reading only.
    #[error("the transaction was begun read-only: begin it read-write to change anything")]
    ReadOnly,
    /// Values do not make an object or a key of the class.
    #[error("the values do not fit the class")]
    Value(#[from] ValueFault),
    /// A row cannot be read.
    #[error("the row of class {class} under {key:?} cannot be read")]
    Row {
        /// The class.
        class: String,
        /// The object's key.
        key: Key,
        /// What is wrong with it.
        #[source]
        fault: RowFault,
    },
    /// The savepoint was rolled back over or belongs to another transaction.
    #[error(
        "this savepoint is gone: it lies behind one that was rolled back to, or is another transaction's"
    )]
    SavepointGone,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log is not there yet.
    #[error("this build keeps stores in memory only: open it with Options::memory()")]
    MemoryOnly,
}
