//! What happened between this node and others, counted since the start.

use std::collections::BTreeMap;

/// Counters; the labels are a fixed small set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreFigures {
    /// Links on which both sides agreed.
    pub links_established: u64,
    /// Of those, how many were cut from below.
    pub links_cut: u64,
    /// Of those, how many gave way to another one to the same peer.
    pub links_replaced: u64,
    /// Dials that reached nobody.
    pub dials_failed: u64,
    /// Nodes that were refused here, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Refusals of this node elsewhere, by reason.
    pub refused_elsewhere: BTreeMap<&'static str, u64>,
    /// Links closed because what came made no sense.
    pub faulty_links: u64,
    /// Full copies of soft state that came.
    pub copies_received: u64,
    /// Digests that differed, each repaired by a copy.
    pub digest_repairs: u64,
    /// Peers declared down here because their link was not re-made in time.
    pub declared_down: u64,
    /// Lives this node has begun after it had been given up.
    pub renewals: u64,
}

impl CoreFigures {
    pub(super) fn refuse(&mut self, label: &'static str) {
        *self.refused.entry(label).or_default() += 1;
    }

    pub(super) fn refused_elsewhere(&mut self, label: &'static str) {
        *self.refused_elsewhere.entry(label).or_default() += 1;
    }
}
