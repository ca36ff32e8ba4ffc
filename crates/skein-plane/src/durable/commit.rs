//! Waiting for what a batch promised: whoever promised something waits until its changes are on disk, and until other nodes
//! have done their part.

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
use skein_cluster::Waits;
use skein_types::Moment;

use crate::{
    plane::Plane,
    publish::{Batch, Effects},
    session::{Epoch, Session},
};

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

/// What a batch promised, under way: its durable changes to the disk, and to other nodes what they must have done. It is said
/// only when all of it is done; then hand the commit to [`Plane::committed`], which sends the messages that waited for it.
#[derive(Debug)]
#[must_use]
pub struct Commit {
    /// None where nothing has to be on disk.
    flag: Option<Arc<CommitFlag>>,
    /// What other nodes must have done.
    waits: Mutex<Waits>,
    /// Sessions with QoS 2 messages that may be sent once they are on disk.
    pub(crate) sessions: Vec<Arc<Session>>,
    /// Connections whose clients are greeted then.
    pub(crate) held: Vec<(Arc<Session>, Epoch)>,
}

impl Commit {
    pub(crate) fn new(
        flag: Arc<CommitFlag>,
        sessions: Vec<Arc<Session>>,
        held: Option<(Arc<Session>, Epoch)>,
    ) -> Self {
        Self { flag: Some(flag), waits: Mutex::default(), sessions, held: held.into_iter().collect() }
    }

    /// Of a batch that has nothing to bring to the disk.
    fn of_nodes(waits: Waits, held: Option<(Arc<Session>, Epoch)>) -> Self {
        Self { flag: None, waits: Mutex::new(waits), sessions: Vec::new(), held: held.into_iter().collect() }
    }

    /// This one and one that was handed over after it, whose changes are therefore not on disk before its own.
    pub(crate) fn and(self, later: Self) -> Self {
        let Self { flag, waits, mut sessions, mut held } = self;
        if !later.sessions.is_empty() {
            sessions.extend(later.sessions);
            sessions.sort_unstable_by_key(|session| session.key());
            sessions.dedup_by_key(|session| session.key());
        }
        // A later connection of a session replaces the one before.
        held.retain(|(before, _)| !later.held.iter().any(|(session, _)| Arc::ptr_eq(before, session)));
        held.extend(later.held);
        let mut waits = waits.into_inner();
        waits.extend(later.waits.into_inner());
        Self { flag: later.flag.or(flag), waits: Mutex::new(waits), sessions, held }
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.flag.as_ref().is_none_or(|flag| flag.is_set()) && self.waits.lock().is_done()
    }

    /// Whether everything is done; if not, `waker` is called once more of it is.
    #[must_use]
    pub fn poll_done(&self, waker: &Waker) -> bool {
        self.flag.as_ref().is_none_or(|flag| flag.poll(waker)) && self.waits.lock().poll_done(waker)
    }
}

impl Plane {
    /// Hands the durable changes of a batch to the store, and says what is to be waited for, if anything. Called before
    /// anybody can be told of them.
    pub(crate) fn hand_over(&self, effects: &mut Effects) -> Option<Commit> {
        let kept = self.hand_over_rows(&mut effects.journal);
        if effects.waits.is_empty() {
            return kept;
        }
        let of_nodes = Commit::of_nodes(std::mem::take(&mut effects.waits), effects.held.take());
        Some(match kept {
            Some(kept) => kept.and(of_nodes),
            None => of_nodes,
        })
    }

    /// Leaves a commit to the plane, for callers that promised nothing to anybody.
    pub fn leave(&self, commit: Commit) {
        self.unattended.lock().add(commit);
    }

    /// Sends what waited for commits that were left to the plane.
    pub(crate) fn attend(&self, batch: &mut Batch, now: Moment) {
        let done = self.unattended.lock().take_done();
        if let Some(commit) = done {
            self.committed(commit, batch, now);
        }
    }
}

/// Commits nobody waits for, until their messages are sent. Two at most, whatever is left while the disk is slow: one
/// that is waited for, and all that came since, made one. It is bounded by the sessions they name, each once.
#[derive(Debug, Default)]
pub(crate) struct Unattended {
    first: Option<Commit>,
    rest: Option<Commit>,
}

impl Unattended {
    #[cfg(test)]
    pub(crate) fn is_none(&self) -> bool {
        self.first.is_none()
    }

    fn add(&mut self, commit: Commit) {
        if self.first.is_none() {
            self.first = Some(commit);
            return;
        }
        self.rest = Some(match self.rest.take() {
            Some(before) => before.and(commit),
            None => commit,
        });
    }

    fn take_done(&mut self) -> Option<Commit> {
        let done = self.first.take_if(|commit| commit.is_done());
        if done.is_some() {
            self.first = self.rest.take();
        }
        done
    }
}
