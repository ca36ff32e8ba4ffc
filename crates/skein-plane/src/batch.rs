//! The work of one read batch: what was published and is not delivered yet, whom it touched, and what has to be done before
//! clients are answered.

mod congestion;

use std::sync::Arc;

use skein_cluster::{EncodedRun, Peer, Sent, Waits};

pub use self::congestion::Congestion;
use crate::{
    matcher::Route,
    run::Run,
    session::{Effects, Epoch, Session, deliver::Delivered},
};

/// The work of one read batch; one per thread, lent to whichever connection is being handled.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) run: Run,
    /// Whom the run reaches.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) touched: Vec<Arc<Session>>,
    /// Other nodes that were sent something.
    peers: Vec<Arc<Peer>>,
    /// Who does not keep up; the publisher waits for them before it reads on.
    congestion: Congestion,
    /// What it changes beside sessions.
    pub effects: Effects,
    /// What other nodes must have done before clients are answered.
    pub(crate) waits: Waits,
    /// A connection whose client is greeted when what the batch promises is done.
    pub(crate) held: Option<(Arc<Session>, Epoch)>,
    /// The node has something new to say of itself to the others.
    pub(crate) announces: bool,
}

impl Batch {
    /// Says how large the buffer is that the messages to come were read into. Who does not say so has every payload copied
    /// that is to be kept.
    pub fn read_from(&mut self, buffer_bytes: usize) {
        self.run.read_from(buffer_bytes);
    }

    /// Remembers that `session`'s outbox has something to flush.
    pub fn touch(&mut self, session: &Arc<Session>) {
        self.touched.push(session.clone());
    }

    /// Who does not keep up, for the publisher to wait for.
    pub fn take_congestion(&mut self) -> Congestion {
        std::mem::take(&mut self.congestion)
    }

    /// Whether what was asked for in this batch may only be answered once its commit is done.
    #[must_use]
    pub fn is_promise(&self) -> bool {
        self.effects.journal.is_promised() || !self.waits.is_empty()
    }

    /// Whether messages taken over and not delivered yet may make this batch one that promises something.
    #[must_use]
    pub fn may_promise(&self) -> bool {
        let may_wait = |route: &Arc<Route>| {
            route.has_durable_sessions() || route.goes_further() || self.run.version().is_some()
        };
        self.run.is_acknowledged() && self.route.as_ref().is_some_and(may_wait)
    }

    /// Sends the present run, or a message of it, to another node.
    pub(crate) fn send(&mut self, peer: &Arc<Peer>, run: &EncodedRun, acknowledged: bool) -> Sent {
        let sent = peer.send(run);
        self.effects.tally.forwarded += u64::from(run.messages);
        match sent {
            Sent::Kept(number) if acknowledged => self.waits.handled(peer, number),
            Sent::Down => self.effects.tally.link_dropped += u64::from(run.messages),
            _ => {}
        }
        self.touch_peer(peer);
        self.congestion.note_peer(peer);
        sent
    }

    /// Remembers that something waits for the link to `peer`.
    pub(crate) fn touch_peer(&mut self, peer: &Arc<Peer>) {
        if !self.peers.iter().any(|known| Arc::ptr_eq(known, peer)) {
            self.peers.push(peer.clone());
        }
    }

    pub(crate) fn take_peers(&mut self) -> std::vec::Drain<'_, Arc<Peer>> {
        self.peers.drain(..)
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    pub(crate) fn note(&mut self, session: &Arc<Session>, delivered: Delivered) {
        if delivered.touched {
            self.touched.push(session.clone());
        }
        if delivered.congested {
            self.congestion.note_session(session);
        }
    }
}
