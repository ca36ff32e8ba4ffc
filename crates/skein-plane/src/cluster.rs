//! The plane's side of the cluster (docs/adr/0010): what soft state means here, and how messages get to other nodes.
//!
//! A publish that other nodes have subscribers for goes to each of them once, encoded once (`forward.rs`); what comes from
//! them is delivered to this node's own sessions only (`inbound.rs`). What they say of themselves arrives through the
//! [`Host`](skein_cluster::Host) in `host.rs`. Nothing here waits: what must be true on other nodes before a client is
//! answered joins the batch's [`Commit`](crate::Commit). Without a cluster all of it costs a branch.

mod claims;
mod forward;
mod group;
mod host;
mod inbound;
mod retained;
mod telling;
mod wills;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use skein_cluster::{Claim, Cluster, Host, Key, Load, Peer, RemoteWill, Strategy, Value};
use skein_types::{ClientId, Moment, NodeId, Stamp, SubscriptionFilter, Topic};

pub(crate) use self::wills::RESTORED_WILL_SECS;
use self::{group::Tickets, host::PlaneHost, retained::Fetch, wills::Wills};
use crate::{own_names::is_own, plane::Plane, publish::Batch, ticket::Outstanding};

/// How often a node says how busy it is.
const LOAD_INTERVAL_MILLIS: u128 = 1000;

/// The cluster as the plane keeps it.
#[derive(Debug)]
pub(crate) struct Clustered {
    cluster: Arc<Cluster>,
    strategy: Arc<dyn Strategy>,
    /// What is known of each node that is up. No other lock is taken under it but leaves.
    nodes: Mutex<BTreeMap<NodeId, Node>>,
    /// Messages kept until a member of a group on another node has acknowledged them.
    tickets: Tickets,
    wills: Mutex<Wills>,
    digests_said_at: Mutex<Moment>,
    load_said: Mutex<LoadSaid>,
}

/// When this node said last how busy it is, and how many messages it had taken over then.
#[derive(Debug, Default)]
struct LoadSaid {
    at: Moment,
    accepted: u64,
}

/// What is known of another node.
#[derive(Debug)]
struct Node {
    peer: Arc<Peer>,
    routes: HashSet<SubscriptionFilter, RandomState>,
    claims: HashMap<ClientId, Claim, RandomState>,
    wills: BTreeMap<ClientId, RemoteWill>,
    /// Messages of groups that it keeps for members here.
    outstanding: Arc<Outstanding>,
    /// Retained messages that are fetched from it.
    fetch: Fetch,
    /// Messages lost on the way to it that the ledger knows of.
    lost_known: u64,
}

impl Node {
    fn new(peer: &Arc<Peer>, tickets: &Tickets) -> Self {
        Self {
            peer: peer.clone(),
            routes: HashSet::default(),
            claims: HashMap::default(),
            wills: BTreeMap::new(),
            outstanding: Outstanding::new(peer, tickets.any_done()),
            fetch: Fetch::default(),
            lost_known: 0,
        }
    }

    /// Messages lost on the way to it since the last call.
    fn newly_lost(&mut self) -> u64 {
        let lost = self.peer.figures().dropped_messages;
        lost - std::mem::replace(&mut self.lost_known, lost)
    }
}

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
            load_said: Mutex::default(),
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

    /// A client has a session here from now on.
    pub(crate) fn session_began(&self, client: &ClientId) {
        if let Some(Clustered { strategy, .. }) = self.clustered() {
            strategy.session_up(client);
        }
    }

    /// It has none any more.
    pub(crate) fn session_ended(&self, client: &ClientId) {
        if let Some(Clustered { strategy, .. }) = self.clustered() {
            strategy.session_down(client);
        }
    }

    /// The version of a message that is retained now, and whether there are others to be told of it.
    pub(crate) fn retained_version(&self, topic: &Topic) -> (Stamp, bool) {
        match self.clustered() {
            Some(Clustered { cluster, .. }) if !is_own(topic) => {
                (cluster.stamp(), !cluster.peers().is_empty())
            }
            _ => (Stamp::default(), false),
        }
    }

    /// Other nodes must know what this one says of itself before clients are answered.
    pub(crate) fn wait_for_nodes(&self, batch: &mut Batch) {
        if let Some(Clustered { cluster, .. }) = self.clustered() {
            batch.said = true;
            cluster.wait_for_all(&mut batch.waits);
        }
    }

    /// The end of a batch, towards other nodes: lets links write what waits for them.
    pub(crate) fn flush_cluster(&self, batch: &mut Batch) {
        let Some(clustered) = self.clustered() else { return };
        if clustered.tickets.take_flag() {
            self.say_done(batch);
        }
        for peer in batch.take_peers() {
            peer.flush();
        }
        if std::mem::take(&mut batch.said) {
            clustered.cluster.flush();
        }
    }

    /// What is to be done from time to time. Called about ten times a second.
    pub(crate) fn look_after_cluster(&self, batch: &mut Batch, now: Moment) {
        let Some(clustered) = self.clustered() else { return };
        let lost: u64 = clustered.nodes.lock().values_mut().map(Node::newly_lost).sum();
        batch.effects.tally.link_dropped += lost;
        self.publish_due_wills(batch, now);
        self.ask_for_tickets(batch, now);
        self.say_digests(batch, now);
        self.say_load(clustered, batch, now);
    }

    /// Once in a second, and only what is new.
    fn say_load(&self, clustered: &Clustered, batch: &mut Batch, now: Moment) {
        let accepted = self.ledger().figures().accepted;
        let messages = {
            let mut said = clustered.load_said.lock();
            let elapsed_millis = now.since(said.at).as_millis();
            if elapsed_millis < LOAD_INTERVAL_MILLIS {
                return;
            }
            let before = std::mem::replace(&mut *said, LoadSaid { at: now, accepted });
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
            batch.said = true;
        }
    }
}

impl Clustered {
    /// Says something to every node that is up.
    fn tell_all(&self, kind: u8, body: &bytes::Bytes, batch: &mut Batch) {
        for peer in self.cluster.peers().iter() {
            peer.tell(skein_cluster::Lane::Control, kind, body.clone());
            batch.touch_peer(peer);
        }
    }

    /// Does something with what is known of a node; nothing when it is not up, or not in this life.
    fn with_node<T>(&self, peer: &Arc<Peer>, act: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(&peer.id()).filter(|node| Arc::ptr_eq(&node.peer, peer))?;
        Some(act(node))
    }
}

#[cfg(test)]
mod tests;
