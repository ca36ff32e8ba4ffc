//! The ledger: what became of every message, so that a loss can always be explained.
//!
//! A publish that is accepted is routed to each session it matches; every such delivery ends in exactly one of
//! *delivered*, *expired* or *dropped* with a reason, and until then it is *pending* (in a queue, an outbox, or
//! waiting for its acknowledgement). At rest, `routed == delivered + expired + dropped + pending`.
//!
//! In a cluster a delivery is counted on the node of the session. Between nodes, messages are *forwarded* by one node, once
//! for each node they go to, and *received* by another; what was lost on the way, at QoS 0 or because a node went down, is
//! *dropped by the link*. Over all nodes, at rest, `forwarded == received + link_dropped + what was on its way to nodes that
//! are gone`, and `received` counts no message twice. `accepted` and `unmatched` count where a client published.
//!
//! The hot path counts into a plain [`Tally`] and adds it to the shared counters once per batch.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Messages and bytes that came into queues and went out of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueTally {
    pub(crate) messages: i64,
    pub(crate) bytes: i64,
}

/// Why a delivery ended without reaching its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// A QoS 0 message for a session whose client is away.
    ClientAway,
    /// The connection's outbox held as many bytes as it may.
    OutboxFull,
    /// The session's queue held as many messages or bytes as it may.
    QueueFull,
    /// The session ended with the message still waiting.
    SessionEnded,
    /// The connection ended before the message was written to it.
    ConnectionLost,
    /// The message is larger than the client accepts (MQTT-3.1.2-25).
    TooLarge,
    /// The client answered with an error (MQTT-4.4.0-2).
    Rejected,
    /// The queues of all sessions together held as many messages or bytes as they may.
    NodeQueueFull,
    /// Access rules do not let the session's user receive it any more.
    Forbidden,
}

impl DropReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 9] = [
        Self::ClientAway,
        Self::OutboxFull,
        Self::QueueFull,
        Self::SessionEnded,
        Self::ConnectionLost,
        Self::TooLarge,
        Self::Rejected,
        Self::NodeQueueFull,
        Self::Forbidden,
    ];

    /// The reason as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientAway => "client_away",
            Self::OutboxFull => "outbox_full",
            Self::QueueFull => "queue_full",
            Self::SessionEnded => "session_ended",
            Self::ConnectionLost => "connection_lost",
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
            Self::NodeQueueFull => "node_queue_full",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Counts of one batch, not yet in the ledger.
#[derive(Debug, Default)]
pub struct Tally {
    /// Publishes taken over from clients.
    pub accepted: u64,
    /// Accepted publishes that matched nobody.
    pub unmatched: u64,
    /// Deliveries started: one per accepted publish and session it matched.
    pub routed: u64,
    /// Deliveries that reached the client: written to its connection (QoS 0) or acknowledged by it (QoS 1 and 2).
    pub delivered: u64,
    /// Deliveries whose message expired first.
    pub expired: u64,
    dropped: [u64; DropReason::ALL.len()],
    /// Messages sent to other nodes, once for each.
    pub forwarded: u64,
    /// Messages taken over from other nodes.
    pub received: u64,
    /// Messages sent to other nodes that were lost on the way.
    pub link_dropped: u64,
    /// QoS 1 messages for groups that were not kept until acknowledged, because too many were.
    pub group_unkept: u64,
    /// Wills that were not published because their users may not any more.
    pub wills_forbidden: u64,
    /// Bytes and packets.
    pub traffic: TrafficTally,
    /// What came into queues and went out of them.
    pub(crate) queue: QueueTally,
}

/// Bytes and packets of one batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficTally {
    /// Bytes read from clients.
    pub received_bytes: u64,
    /// Packets read from clients.
    pub received_packets: u64,
    /// Bytes written to clients.
    pub sent_bytes: u64,
    /// Packets made for clients.
    pub sent_packets: u64,
}

impl Tally {
    /// Counts `count` deliveries as dropped.
    pub fn drop_messages(&mut self, reason: DropReason, count: u64) {
        self.dropped[reason as usize] += count;
    }
}

/// The node's counters of messages.
#[derive(Debug, Default)]
pub struct Ledger {
    accepted: AtomicU64,
    unmatched: AtomicU64,
    routed: AtomicU64,
    delivered: AtomicU64,
    expired: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    pending: AtomicI64,
    forwarded: AtomicU64,
    received: AtomicU64,
    link_dropped: AtomicU64,
    group_unkept: AtomicU64,
    wills_forbidden: AtomicU64,
}

/// The ledger's figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFigures {
    /// Publishes taken over from clients.
    pub accepted: u64,
    /// Accepted publishes that matched nobody.
    pub unmatched: u64,
    /// Deliveries started.
    pub routed: u64,
    /// Deliveries that reached their client.
    pub delivered: u64,
    /// Deliveries whose message expired first.
    pub expired: u64,
    /// Dropped deliveries by reason, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Deliveries still under way.
    pub pending: i64,
    /// Messages sent to other nodes, once for each.
    pub forwarded: u64,
    /// Messages taken over from other nodes.
    pub received: u64,
    /// Messages sent to other nodes that were lost on the way.
    pub link_dropped: u64,
    /// QoS 1 messages for groups that were not kept until acknowledged, because too many were.
    pub group_unkept: u64,
    /// Wills that were not published because their users may not any more.
    pub wills_forbidden: u64,
}

impl Ledger {
    /// Adds what a batch counted and empties the tally.
    pub(crate) fn add(&self, tally: &mut Tally) {
        let tally = std::mem::take(tally);
        let Tally { accepted, unmatched, routed, delivered, expired, dropped, .. } = tally;
        let Tally { forwarded, received, link_dropped, group_unkept, wills_forbidden, .. } = tally;
        let add = |counter: &AtomicU64, by: u64| {
            if by > 0 {
                counter.fetch_add(by, Relaxed);
            }
        };
        add(&self.accepted, accepted);
        add(&self.unmatched, unmatched);
        add(&self.routed, routed);
        add(&self.delivered, delivered);
        add(&self.expired, expired);
        add(&self.forwarded, forwarded);
        add(&self.received, received);
        add(&self.link_dropped, link_dropped);
        add(&self.group_unkept, group_unkept);
        add(&self.wills_forbidden, wills_forbidden);
        let mut ended = delivered + expired;
        for (counter, by) in self.dropped.iter().zip(dropped) {
            add(counter, by);
            ended += by;
        }
        if routed != ended {
            self.pending.fetch_add(routed.cast_signed() - ended.cast_signed(), Relaxed);
        }
    }

    /// The figures now. They add up when no batch is under way.
    #[must_use]
    pub fn figures(&self) -> LedgerFigures {
        LedgerFigures {
            accepted: self.accepted.load(Relaxed),
            unmatched: self.unmatched.load(Relaxed),
            routed: self.routed.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            expired: self.expired.load(Relaxed),
            dropped: std::array::from_fn(|index| self.dropped[index].load(Relaxed)),
            pending: self.pending.load(Relaxed),
            forwarded: self.forwarded.load(Relaxed),
            received: self.received.load(Relaxed),
            link_dropped: self.link_dropped.load(Relaxed),
            group_unkept: self.group_unkept.load(Relaxed),
            wills_forbidden: self.wills_forbidden.load(Relaxed),
        }
    }
}

impl LedgerFigures {
    /// Dropped deliveries over all reasons.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}
