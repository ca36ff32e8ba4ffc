//! Waiting for durable changes: whoever promised something waits until the changes of its batch are on disk.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    task::Waker,
};

use parking_lot::Mutex;

use crate::session::{Epoch, Session};

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

    fn poll(&self, waker: &Waker) -> bool {
        if self.is_set() {
            return true;
        }
        *self.waiting.lock() = Some(waker.clone());
        // It may have been set before the waker was there.
        self.is_set()
    }
}

/// The durable changes of a batch on their way to disk. What was promised in the batch is said only when it is done;
/// then hand it to [`Plane::committed`](crate::Plane::committed), which sends the messages that waited for it.
#[derive(Debug)]
#[must_use]
pub struct Commit {
    flag: Arc<CommitFlag>,
    /// Sessions with QoS 2 messages that may be sent once they are on disk.
    pub(crate) sessions: Vec<Arc<Session>>,
    /// A connection whose client is greeted then.
    pub(crate) held: Option<(Arc<Session>, Epoch)>,
}

impl Commit {
    pub(crate) fn new(
        flag: Arc<CommitFlag>,
        sessions: Vec<Arc<Session>>,
        held: Option<(Arc<Session>, Epoch)>,
    ) -> Self {
        Self { flag, sessions, held }
    }

    /// This one and one that was handed over after it, which is therefore not done before it.
    pub(crate) fn and(self, later: Self) -> Self {
        let mut sessions = self.sessions;
        sessions.extend(later.sessions);
        Self { flag: later.flag, sessions, held: self.held.or(later.held) }
    }

    /// Whether the changes are on disk.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.flag.is_set()
    }

    /// Whether the changes are on disk; if not, `waker` is called once they are.
    #[must_use]
    pub fn poll_done(&self, waker: &Waker) -> bool {
        self.flag.poll(waker)
    }
}
