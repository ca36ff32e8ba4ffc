//! What the matcher knows of other nodes: which have subscribers of a filter, and how it tells them of its own.
//!
//! Changes come from the host of the cluster, whose calls for one node come one after another.

use std::sync::Arc;

use skein_cluster::{Cluster, Key, Outgoing, Peer, Strategy, Targets, Value, View};
use skein_types::{ClientId, NodeId, SubscriptionFilter, Topic};

use super::{Matcher, Subscribers};
use crate::own_names::{is_own, is_own_filter};

/// The cluster, as the matcher sees it.
#[derive(Debug)]
pub(super) struct Nodes {
    cluster: Arc<Cluster>,
    strategy: Arc<dyn Strategy>,
}

/// A node with members of a group.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) peer: Arc<Peer>,
    pub(crate) members: u32,
}

impl Nodes {
    pub(super) fn new(cluster: Arc<Cluster>, strategy: Arc<dyn Strategy>) -> Self {
        Self { cluster, strategy }
    }

    pub(super) fn generation(&self) -> u64 {
        self.strategy.generation()
    }

    /// Who gets messages on `topic`, of the nodes in `interested` and the others.
    pub(super) fn targets(
        &self,
        topic: &Topic,
        publisher: Option<&ClientId>,
        mut interested: Vec<Arc<Peer>>,
    ) -> Vec<Arc<Peer>> {
        let peers = self.cluster.peers();
        if (peers.is_empty() && interested.is_empty()) || is_own(topic) {
            return Vec::new();
        }
        interested.sort_by_key(|peer| peer.id());
        interested.dedup_by_key(|peer| peer.id());
        let ids = |peers: &mut dyn Iterator<Item = &Arc<Peer>>| peers.map(|peer| peer.id()).collect();
        let (known, live): (Vec<NodeId>, Vec<NodeId>) = (ids(&mut interested.iter()), ids(&mut peers.iter()));
        let view = View { interested: &known, live: &live };
        match self.strategy.targets(&Outgoing { topic, publisher }, &view) {
            Targets::Interested => interested,
            Targets::All => peers.iter().cloned().collect(),
            Targets::Only(only) => peers.iter().filter(|peer| only.contains(&peer.id())).cloned().collect(),
        }
    }

    /// Tells the others how many subscribers there are here, when that is news to them.
    pub(super) fn announce(&self, filter: &SubscriptionFilter, before: u32, now: u32) {
        if before != now && !is_own_filter(&filter.filter) {
            let value = (now > 0).then_some(Value::Members(now));
            self.cluster.own().set(Key::Route(filter.clone()), value);
        }
    }
}

impl Matcher {
    /// Tells other nodes what is subscribed here, and sends them what `strategy` says.
    pub(crate) fn join(&mut self, cluster: Arc<Cluster>, strategy: Arc<dyn Strategy>) {
        self.nodes = Some(Nodes::new(cluster, strategy));
    }

    /// A node has so many members of a group, or subscribers, 1 standing for any number of them.
    pub(crate) fn subscribe_node(&self, peer: &Arc<Peer>, filter: &SubscriptionFilter, members: u32) {
        self.change(&filter.filter, |subscribers| subscribers.with_node(filter, peer, members));
    }

    /// It has none any more.
    pub(crate) fn unsubscribe_node(&self, peer: &Arc<Peer>, filter: &SubscriptionFilter) {
        self.change(&filter.filter, |subscribers| subscribers.without_node(filter, peer));
    }
}

impl Subscribers {
    /// How many the node says it has: of a group, its members; otherwise whether there is any.
    pub(super) fn said_of(&self, filter: &SubscriptionFilter) -> u32 {
        match &filter.group {
            None => u32::from(self.direct().next().is_some()),
            Some(name) => {
                self.group(name).map_or(0, |group| u32::try_from(group.members().len()).unwrap_or(u32::MAX))
            }
        }
    }
}
