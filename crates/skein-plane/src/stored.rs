//! What is known in memory of the stored row of a message: where it stands on its way to the disk, who refers to it, and
//! when it is not needed any more. Values that sessions hold and journals write; nothing here writes them.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
};

use parking_lot::Mutex;

/// Whether the changes of one batch are on disk.
#[derive(Debug, Default)]
pub(crate) struct CommitFlag {
    set: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl CommitFlag {
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Acquire)
    }

    /// Called once, by the store's log thread.
    pub(crate) fn set(&self) {
        self.set.store(true, Release);
        if let Some(waker) = self.waiting.lock().take() {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        if self.is_set() {
            return true;
        }
        *self.waiting.lock() = Some(waker.clone());
        // It may have been set before the waker was there.
        self.is_set()
    }
}

/// The row of a message that several sessions refer to.
#[derive(Debug)]
pub(crate) struct SharedRow {
    pub(crate) id: u64,
    references: AtomicUsize,
}

impl SharedRow {
    /// A row that so many sessions refer to.
    pub(crate) fn new(id: u64, references: usize) -> Arc<Self> {
        Arc::new(Self { id, references: AtomicUsize::new(references) })
    }

    /// One session more refers to it.
    pub(crate) fn add_reference(&self) {
        self.references.fetch_add(1, Relaxed);
    }

    /// One session less refers to it; true for the last.
    pub(crate) fn release(&self) -> bool {
        self.references.fetch_sub(1, Relaxed) == 1
    }
}

/// Where the stored row of a message in a session stands.
#[derive(Clone, Debug, Default)]
pub(crate) enum OnDisk {
    /// It has none.
    #[default]
    No,
    /// In a batch that is not handed to the store yet. If the message goes before that, the batch removes the row.
    Recorded,
    /// Handed to the store.
    Stored {
        /// Set once it is on disk; none when nothing waits for that.
        commit: Option<Arc<CommitFlag>>,
        /// The row of the message itself where several sessions refer to it.
        shared: Option<Arc<SharedRow>>,
    },
}

/// A stored row that changes because its message went on.
#[derive(Debug)]
pub(crate) struct Freed {
    /// The message's number.
    pub seq: u64,
    /// What is left to remember.
    pub rest: Rest,
    /// The row of the message itself, which this session does not refer to any more.
    pub shared: Option<Arc<SharedRow>>,
}

/// What is left to remember of a message that went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: the hand-over is complete or given up.
    Nothing,
    /// The client has a QoS 2 message; its release is under way.
    Released,
}

/// Notes that the row of message `seq` is not needed any more. One that is not handed to the store yet is left to its
/// batch.
pub(crate) fn free(freed: &mut Vec<Freed>, seq: u64, on_disk: OnDisk) {
    if let OnDisk::Stored { shared, .. } = on_disk {
        freed.push(Freed { seq, rest: Rest::Nothing, shared });
    }
}
