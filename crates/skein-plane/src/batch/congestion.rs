//! Who does not keep up with a publisher: sessions of this node, and other nodes.
//!
//! Gathered while a batch is delivered; the publisher's door waits for them before it reads on. Nothing here waits itself.

use std::{sync::Arc, task::Waker};

use skein_cluster::Peer;
use skein_types::Moment;

use crate::session::Session;

/// Recipients that do not keep up.
#[derive(Debug, Default)]
pub struct Congestion(Vec<Slow>);

#[derive(Debug)]
enum Slow {
    Session(Arc<Session>),
    Peer(Arc<Peer>),
}

impl Congestion {
    /// Whether everybody keeps up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the publisher may go on; if not, `waker` is called once one of them has drained.
    pub fn poll_drained(&mut self, waker: &Waker, now: Moment) -> bool {
        self.0.retain(|slow| match slow {
            Slow::Session(session) => !session.poll_drained(waker, now),
            Slow::Peer(peer) => !peer.poll_drained(waker),
        });
        self.is_empty()
    }

    pub(crate) fn note_session(&mut self, session: &Arc<Session>) {
        let is_known = |slow: &Slow| matches!(slow, Slow::Session(known) if Arc::ptr_eq(known, session));
        if !self.0.iter().any(is_known) {
            self.0.push(Slow::Session(session.clone()));
        }
    }

    pub(crate) fn note_peer(&mut self, peer: &Arc<Peer>) {
        let is_known = |slow: &Slow| matches!(slow, Slow::Peer(known) if Arc::ptr_eq(known, peer));
        if peer.is_congested() && !self.0.iter().any(is_known) {
            self.0.push(Slow::Peer(peer.clone()));
        }
    }
}
