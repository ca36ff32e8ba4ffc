//! What can go wrong with a store, grouped by what the caller can do about it.

use crate::commit::encoding::EntryFault;
use crate::image::ImageFault;
use crate::key::Key;
use crate::row::RowFault;
use crate::schema::{ClassId, EvolveFault, ValueFault};
use skein_wal::{AppendFault, Fault, OpenFault, SyncFault};

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

/// Why a store cannot be opened. Nothing in its directory was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The files cannot be read or are not in order.
    #[error(transparent)]
    Files(#[from] Fault),
    /// An entry of the log cannot be taken.
    #[error(transparent)]
    Log(#[from] OpenFault<EntryFault>),
    /// The snapshot holds what is no state.
    #[error("the snapshot at index {index} cannot be taken: restore the data directory from a dump")]
    Image {
        /// The snapshot's index.
        index: u64,
        /// What is wrong with it.
        #[source]
        fault: ImageFault,
    },
    /// The stored schema does not lead to the one given.
    #[error(transparent)]
    Schema(#[from] EvolveFault),
    /// A new unique index does not fit the rows that are there.
    #[error(
        "the rows of class {class} do not have unique keys for the new index {index}: declare it without unique, \
             or open with the old schema and remove the objects that share a key"
    )]
    NotUnique {
        /// The class.
        class: String,
        /// The index.
        index: String,
    },
    /// The schema could not be written to the log.
    #[error(transparent)]
    Append(#[from] AppendFault),
    /// The log could not be synced.
    #[error(transparent)]
    Sync(#[from] SyncFault),
    /// The log thread could not be started.
    #[error("the log's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Why no snapshot file was written. The store goes on; its log grows until one is.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be written.
    #[error(transparent)]
    Files(#[from] Fault),
    /// The store is being closed.
    #[error("the store is being closed")]
    Closing,
    /// The store keeps nothing over a restart.
    #[error("the store is kept in memory only: open it with Options::durable to have files")]
    MemoryOnly,
}
