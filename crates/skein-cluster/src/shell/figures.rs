//! What links and gossip did, for metrics: written by their threads, read by anyone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use skein_types::NodeId;

use crate::{
    core::CoreFigures,
    link::{FaultCounters, FaultCounts, LaneCount},
};

/// The figures at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Each node there was ever a link to, by id.
    pub links: Vec<LinkFigures>,
    /// How often connections were refused or links ended, by fault.
    pub faults: FaultCounts,
    /// Connections whose other side has not shown yet that it knows the secret.
    pub handshakes: u64,
    /// What happened between this node and others.
    pub core: CoreFigures,
    /// Runs that were received and could not be read.
    pub unreadable_runs: u64,
    /// Datagrams of gossip sent.
    pub datagrams_sent: u64,
    /// Datagrams of gossip received.
    pub datagrams_received: u64,
    /// Those of them that were refused.
    pub datagrams_refused: u64,
}

/// What went over the links to one node.
#[derive(Clone, Debug)]
pub struct LinkFigures {
    /// The node.
    pub node: NodeId,
    /// Sent, by lane.
    pub sent: [LaneCount; 4],
    /// Received, by lane.
    pub received: [LaneCount; 4],
    /// The last round trip of a keep-alive, if there was one.
    pub round_trip: Option<Duration>,
    /// How many links there were.
    pub links: u64,
}

/// Where they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) faults: FaultCounters,
    pub(super) handshakes: AtomicU64,
    pub(super) unreadable_runs: AtomicU64,
    pub(super) datagrams_sent: AtomicU64,
    pub(super) datagrams_received: AtomicU64,
    pub(super) datagrams_refused: AtomicU64,
    links: Mutex<BTreeMap<NodeId, Arc<LinkCounters>>>,
}

#[derive(Debug, Default)]
pub(super) struct LinkCounters {
    sent: [LaneCounter; 4],
    received: [LaneCounter; 4],
    round_trip_micros: AtomicU64,
    links: AtomicU64,
}

#[derive(Debug, Default)]
struct LaneCounter {
    frames: AtomicU64,
    bytes: AtomicU64,
    compressed: AtomicU64,
}

impl Counters {
    /// Those of a node, which has a new link.
    pub(super) fn of_new_link(&self, node: NodeId) -> Arc<LinkCounters> {
        let counters = self.links.lock().entry(node).or_default().clone();
        counters.links.fetch_add(1, Relaxed);
        counters
    }

    pub(super) fn figures(&self) -> Figures {
        let links = self.links.lock();
        Figures {
            links: links.iter().map(|(node, counters)| counters.figures(*node)).collect(),
            faults: self.faults.counts(),
            handshakes: self.handshakes.load(Relaxed),
            core: CoreFigures::default(),
            unreadable_runs: self.unreadable_runs.load(Relaxed),
            datagrams_sent: self.datagrams_sent.load(Relaxed),
            datagrams_received: self.datagrams_received.load(Relaxed),
            datagrams_refused: self.datagrams_refused.load(Relaxed),
        }
    }
}

impl LinkCounters {
    /// Adds what a link did since it said so the last time.
    pub(super) fn add(
        &self,
        sent: &[LaneCount; 4],
        received: &[LaneCount; 4],
        before: &mut [[LaneCount; 4]; 2],
    ) {
        let [sent_before, received_before] = before;
        for (counters, (now, before)) in
            [(&self.sent, (sent, sent_before)), (&self.received, (received, received_before))]
        {
            for ((counter, now), before) in counters.iter().zip(now).zip(before) {
                if now.frames != before.frames || now.bytes != before.bytes {
                    counter.frames.fetch_add(now.frames - before.frames, Relaxed);
                    counter.bytes.fetch_add(now.bytes - before.bytes, Relaxed);
                    counter.compressed.fetch_add(now.compressed - before.compressed, Relaxed);
                    *before = *now;
                }
            }
        }
    }

    pub(super) fn note_round_trip(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_micros.store(micros.max(1), Relaxed);
    }

    fn figures(&self, node: NodeId) -> LinkFigures {
        let round_trip = self.round_trip_micros.load(Relaxed);
        LinkFigures {
            node,
            sent: self.sent.each_ref().map(LaneCounter::count),
            received: self.received.each_ref().map(LaneCounter::count),
            round_trip: (round_trip > 0).then(|| Duration::from_micros(round_trip)),
            links: self.links.load(Relaxed),
        }
    }
}

impl LaneCounter {
    fn count(&self) -> LaneCount {
        LaneCount {
            frames: self.frames.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            compressed: self.compressed.load(Relaxed),
        }
    }
}
