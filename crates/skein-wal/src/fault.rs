//! What can be wrong with files, grouped by what the caller can do, and said so that a person can act on it.
//!
//! Every text has what failed, with file and offset, why, and what to do. A text never repeats its source.

use std::{io, path::PathBuf};

use crate::disk::{is_exhausted, is_full};

/// Why files cannot be read or written. The store must not go on with what it has; only [`Fault::Full`] and
/// [`Fault::Exhausted`] pass by themselves.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file system refused.
    #[error("cannot {action} {}. Check the disk and the permissions of the directory.", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "no room to {action} {}: {needed} bytes are needed, {free} are free. Make room; nothing was lost and it may \
         be tried again.",
        path.display()
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Bytes that are needed, as far as known.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The process or the machine has no file descriptor or memory left.
    #[error(
        "cannot {action} {}: {source}. Raise the limit of open files or of memory, or close what takes them; nothing \
         was lost and it may be tried again.",
        path.display()
    )]
    Exhausted {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said; part of the text, which alone tells what there is too little of.
        source: io::Error,
    },
    /// Bytes are not what was written.
    #[error(
        "{} is damaged at offset {offset}: {expected} expected, {found} found. Nothing was changed. Run `skein store \
         verify` to see all faults, then restore the data directory from a snapshot or a dump.",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Entries are needed that no file has.
    #[error(
        "the log in {} lacks the entries from {from} up to {until}: {why}. Nothing was changed. Bring the missing \
         file back, or restore the data directory from a snapshot or a dump.",
        path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The first entry that is missing.
        from: u64,
        /// The first entry that is there again.
        until: u64,
        /// How that is known.
        why: String,
    },
    /// Another release wrote the file.
    #[error(
        "{} has format version {version}, this program reads {oldest} to {newest}. Use a program that reads it; one \
         that reads both versions moves the store from one to the other.",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
        /// The oldest version this program reads.
        oldest: u16,
        /// The newest version this program reads.
        newest: u16,
    },
    /// The file is of another store, or of no store at all.
    #[error("{} does not belong to this store: {why}. Move it elsewhere.", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What tells.
        why: String,
    },
    /// Somebody else has the directory.
    #[error(
        "{} is in use by another process. Stop it, or give this one a directory of its own.",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

impl AppendFault {
    /// Whether the same may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(self, AppendFault::Full { .. } | AppendFault::Exhausted(_))
    }
}

impl Fault {
    /// An IO error with what was tried; what may pass is told apart.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Fault {
        let path = path.into();
        if is_full(&source) {
            return Fault::Full { action, path, needed: 0, free: 0 };
        }
        if is_exhausted(&source) {
            return Fault::Exhausted { action, path, source };
        }
        Fault::Io { action, path, source }
    }

    /// Whether there is just no room, so that the same may succeed later.
    pub fn is_full(&self) -> bool {
        matches!(self, Fault::Full { .. })
    }
}

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault<E> {
    /// The files are not in order.
    #[error(transparent)]
    Files(#[from] Fault),
    /// The caller refused an entry.
    #[error("entry {index} of the log cannot be taken")]
    Entry {
        /// The entry.
        index: u64,
        /// What the caller said.
        source: E,
    },
}

/// Why entries are not in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendFault {
    /// There is no room. None of the entries is in the log, and they may be tried again.
    #[error(
        "no room in the log: {needed} bytes are needed, {free} are free. Make room, the log goes on by itself."
    )]
    Full {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// There is no file descriptor or no memory left. None of the entries is in the log, and they may be tried again.
    #[error("the log has to wait: {0}")]
    Exhausted(String),
    /// More bytes than one frame can hold. None of the entries is in the log.
    #[error(
        "{bytes} bytes of entries at once are more than the log takes, {bytes_max}. Append fewer at a time."
    )]
    TooLarge {
        /// Bytes given.
        bytes: u64,
        /// Bytes taken at most.
        bytes_max: u64,
    },
    /// The entries do not follow the last one. None of them is in the log.
    #[error("entry {given} cannot be appended, the next one is {expected}")]
    OutOfOrder {
        /// The index that must come.
        expected: u64,
        /// The index that came.
        given: u64,
    },
    /// What is on the disk is unknown; the store must stop and recover.
    #[error("the log is broken and takes nothing more: {0}. Stop; the next start recovers what was synced.")]
    Broken(String),
}

/// A sync failed, so that nobody knows what is on the disk; the store must stop and recover.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be synced: {0}. Stop; the next start recovers what was synced.")]
pub struct SyncFault(pub String);
