//! Waiting for what a batch promised: whoever promised something waits until its changes are on disk, and until other nodes
//! have done their part.

use std::{sync::Arc, task::Waker};

use parking_lot::Mutex;
use skein_cluster::Waits;

use crate::{
    session::{Epoch, Session},
    stored::CommitFlag,
};

/// What a batch promised, under way: its durable changes to the disk, and to other nodes what they must have done. It is said
/// only when all of it is done; then hand the commit to `Plane::committed`, which sends the messages that waited for it.
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
    pub(crate) fn of_rows(flag: Arc<CommitFlag>, sessions: Vec<Arc<Session>>) -> Self {
        Self { flag: Some(flag), waits: Mutex::default(), sessions, held: Vec::new() }
    }

    /// Of a batch that has nothing to bring to the disk.
    pub(crate) fn of_nodes(waits: Waits) -> Self {
        Self { flag: None, waits: Mutex::new(waits), sessions: Vec::new(), held: Vec::new() }
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

    pub(crate) fn add(&mut self, commit: Commit) {
        if self.first.is_none() {
            self.first = Some(commit);
            return;
        }
        self.rest = Some(match self.rest.take() {
            Some(before) => before.and(commit),
            None => commit,
        });
    }

    pub(crate) fn take_done(&mut self) -> Option<Commit> {
        let done = self.first.take_if(|commit| commit.is_done());
        if done.is_some() {
            self.first = self.rest.take();
        }
        done
    }
}
