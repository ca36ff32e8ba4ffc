//! The plane's side of the cluster (docs/adr/0010): what soft state means here, and how messages get to other nodes.
//!
//! A publish that other nodes have subscribers for goes to each of them once, encoded once (`announce/forward.rs`);
//! what comes from
//! them is delivered to this node's own sessions only (`inbound.rs`). What they say of themselves arrives through the
//! [`Host`] in `host.rs`. Nothing here waits: what must be true on other nodes before a client is
//! answered joins the batch's [`Commit`](crate::Commit). Without a cluster all of it costs a branch.

mod claims;
mod group;
mod host;
mod inbound;
mod retained;
mod wills;

use std::sync::Arc;

use parking_lot::Mutex;
use skein_cluster::{Cluster, Host, Key, Load, Strategy, Value};
use skein_types::Moment;

use self::host::PlaneHost;
use crate::{
    batch::Batch,
    clustered::{Clustered, KnownNode, LoadAnnounced, Tickets},
    plane::Plane,
};

/// How often a node says how busy it is.
const LOAD_INTERVAL_MILLIS: u128 = 1000;

impl Plane {
    /// Makes the plane part of a cluster. Before sessions are restored and doors open.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Arc<Cluster>, strategy: Arc<dyn Strategy>) -> Self {
        self.retained().join();
        self.matcher_mut().join(cluster.clone(), strategy.clone());
        self.set_clustered(Clustered {
            cluster,
            strategy,
            nodes: Mutex::default(),
            tickets: Tickets::default(),
            wills: Mutex::default(),
            digests_said_at: Mutex::default(),
            load_announced: Mutex::default(),
        });
        self
    }

    /// The cluster this node is part of, if it is.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.clustered().map(|clustered| &clustered.cluster)
    }

    /// What the cluster calls, of a plane that is part of one.
    #[must_use]
    pub fn host(self: &Arc<Self>) -> Arc<dyn Host> {
        Arc::new(PlaneHost::new(self.clone()))
    }

    /// The end of a batch, towards other nodes: lets links write what waits for them.
    pub(crate) fn flush_cluster(&self, batch: &mut Batch) {
        let Some(clustered) = self.clustered() else { return };
        if clustered.tickets.take_flag() {
            self.announce_done(batch);
        }
        for peer in batch.take_peers() {
            peer.flush();
        }
        if std::mem::take(&mut batch.announces) {
            clustered.cluster.flush();
        }
    }

    /// What is to be done from time to time. Called about ten times a second.
    pub(crate) fn look_after_cluster(&self, batch: &mut Batch, now: Moment) {
        let Some(clustered) = self.clustered() else { return };
        let lost: u64 = clustered.nodes.lock().values_mut().map(KnownNode::newly_lost).sum();
        batch.effects.tally.link_dropped += lost;
        self.publish_due_wills(batch, now);
        self.ask_for_tickets(batch, now);
        self.announce_digests(batch, now);
        self.announce_load(clustered, batch, now);
    }

    /// Once in a second, and only what is new.
    fn announce_load(&self, clustered: &Clustered, batch: &mut Batch, now: Moment) {
        let accepted = self.ledger().figures().accepted;
        let messages = {
            let mut said = clustered.load_announced.lock();
            let elapsed_millis = now.since(said.at).as_millis();
            if elapsed_millis < LOAD_INTERVAL_MILLIS {
                return;
            }
            let before = std::mem::replace(&mut *said, LoadAnnounced { at: now, accepted });
            u128::from(accepted - before.accepted) * 1000 / elapsed_millis
        };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let load = Load {
            clients: count(self.sessions().connected()),
            sessions: count(self.sessions().len()),
            messages_per_sec: u32::try_from(messages).unwrap_or(u32::MAX),
        };
        let Clustered { cluster, .. } = clustered;
        if cluster.load(cluster.id()) != Some(load) {
            cluster.note_load(cluster.id(), Some(load));
            cluster.own().set(Key::Load, Some(Value::Load(load)));
            batch.announces = true;
        }
    }
}

#[cfg(test)]
mod tests;
