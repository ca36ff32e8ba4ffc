//! The plane: what every door shares.
//!
//! One value per node, reached by reference from everywhere. It owns the subscriptions, sessions, retained
//! messages, access rules and the ledger, and knows no protocol.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use skein_access::Access;

use crate::{
    clustered::Clustered,
    delivery::NodeQueue,
    durable::{Durable, Unattended},
    ledger::{Ledger, Tally, TrafficTally},
    matcher::Matcher,
    retained::Retained,
    session::Sources,
    session_table::Sessions,
};

/// The message plane of one node.
#[derive(Debug)]
pub struct Plane {
    matcher: Matcher,
    sessions: Sessions,
    retained: Retained,
    access: Arc<Access>,
    ledger: Ledger,
    traffic: Traffic,
    queue: NodeQueue,
    durable: Option<Durable>,
    clustered: Option<Box<Clustered>>,
    pub(crate) unattended: Mutex<Unattended>,
}

/// Bytes and packets over all doors.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes read from clients.
    pub received_bytes: AtomicU64,
    /// Bytes written to clients.
    pub sent_bytes: AtomicU64,
    /// Protocol packets read from clients.
    pub received_packets: AtomicU64,
    /// Protocol packets written for clients, deliveries among them.
    pub sent_packets: AtomicU64,
}

impl Traffic {
    fn add(&self, tally: TrafficTally) {
        let TrafficTally { received_bytes, received_packets, sent_bytes, sent_packets } = tally;
        for (counter, by) in [
            (&self.received_bytes, received_bytes),
            (&self.received_packets, received_packets),
            (&self.sent_bytes, sent_bytes),
            (&self.sent_packets, sent_packets),
        ] {
            if by > 0 {
                counter.fetch_add(by, Relaxed);
            }
        }
    }
}

/// Bounds of the whole plane.
#[derive(Clone, Copy, Debug)]
pub struct PlaneLimits {
    /// Topics with a retained message.
    pub retained_messages_max: usize,
    /// Bytes of memory that retained messages take.
    pub retained_bytes_max: usize,
}

impl Default for PlaneLimits {
    /// No bounds.
    fn default() -> Self {
        Self { retained_messages_max: usize::MAX, retained_bytes_max: usize::MAX }
    }
}

impl Plane {
    /// An empty plane.
    #[must_use]
    pub fn new(access: Arc<Access>, limits: PlaneLimits) -> Self {
        Self {
            matcher: Matcher::default(),
            sessions: Sessions::default(),
            retained: Retained::new(limits.retained_messages_max, limits.retained_bytes_max),
            access,
            ledger: Ledger::default(),
            traffic: Traffic::default(),
            queue: NodeQueue::default(),
            durable: None,
            clustered: None,
            unattended: Mutex::default(),
        }
    }

    /// Subscriptions of all sessions.
    #[must_use]
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    pub(crate) fn matcher_mut(&mut self) -> &mut Matcher {
        &mut self.matcher
    }

    /// The cluster, if the node is part of one.
    pub(crate) fn clustered(&self) -> Option<&Clustered> {
        self.clustered.as_deref()
    }

    pub(crate) fn set_clustered(&mut self, clustered: Clustered) {
        self.clustered = Some(Box::new(clustered));
    }

    /// Sessions of all clients.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Makes the plane remember what must be remembered in `durable`. What is there already is read back by
    /// [`Plane::restore`].
    #[must_use]
    pub fn with_durable(self, durable: Durable) -> Self {
        Self { durable: Some(durable), ..self }
    }

    /// Where sessions and retained messages are kept, if they are.
    #[must_use]
    pub fn durable(&self) -> Option<&Durable> {
        self.durable.as_ref()
    }

    /// Whether the store takes more; without one there is nothing to fill.
    #[must_use]
    pub fn has_room_for_more(&self) -> bool {
        self.durable.as_ref().is_none_or(Durable::has_room)
    }

    /// What sessions need to send what waits.
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources { retained: &self.retained, rows: self.durable.as_ref().map(Durable::rows) }
    }

    /// Retained messages.
    #[must_use]
    pub fn retained(&self) -> &Retained {
        &self.retained
    }

    /// Users and rules.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Brings the counters up to date with what a batch counted.
    pub fn account(&self, tally: &mut Tally) {
        self.traffic.add(tally.traffic);
        self.queue.add(tally);
        self.ledger.add(tally);
    }

    /// What became of every message.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What waits in the queues of all sessions.
    #[must_use]
    pub fn queue(&self) -> &NodeQueue {
        &self.queue
    }

    /// Bytes and packets.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

#[cfg(test)]
pub(crate) mod tests;
