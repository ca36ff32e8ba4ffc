//! What a plane knows of the cluster it is part of: the other nodes, and what is kept on their behalf. Changed by
//! `cluster.rs`, which hears of them, and `announce.rs`, which tells them.

mod tickets;
mod wills;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use skein_cluster::{Claim, Cluster, DoorKind, Peer, RemoteWill, Strategy};
use skein_types::{ByteString, ClientId, Moment, NodeId, SubscriptionFilter};

pub(crate) use self::{
    tickets::{KeptMessage, Tickets},
    wills::{Life, Orphan, RESTORED_WILL_SECS, TAKEN_MAX, Wills},
};
use crate::{batch::Batch, ticket::Outstanding};

/// The cluster as the plane keeps it.
#[derive(Debug)]
pub(crate) struct Clustered {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) strategy: Arc<dyn Strategy>,
    /// What is known of each node that is up. No other lock is taken under it but leaves.
    pub(crate) nodes: Mutex<BTreeMap<NodeId, KnownNode>>,
    /// Messages kept until a member of a group on another node has acknowledged them.
    pub(crate) tickets: Tickets,
    pub(crate) wills: Mutex<Wills>,
    pub(crate) digests_said_at: Mutex<Moment>,
    pub(crate) load_announced: Mutex<LoadAnnounced>,
}

/// When this node said last how busy it is, and how many messages it had taken over then.
#[derive(Debug, Default)]
pub(crate) struct LoadAnnounced {
    pub(crate) at: Moment,
    pub(crate) accepted: u64,
}

/// What is known of another node.
#[derive(Debug)]
pub(crate) struct KnownNode {
    pub(crate) peer: Arc<Peer>,
    pub(crate) routes: HashSet<SubscriptionFilter, RandomState>,
    pub(crate) claims: HashMap<ClientId, Claim, RandomState>,
    pub(crate) wills: BTreeMap<ClientId, RemoteWill>,
    /// What its doors say.
    pub(crate) of_doors: BTreeMap<(DoorKind, ByteString), Bytes>,
    /// Messages of groups that it keeps for members here.
    pub(crate) outstanding: Arc<Outstanding>,
    /// Retained messages that are fetched from it.
    pub(crate) fetch: Fetch,
    /// Messages lost on the way to it that the ledger knows of.
    pub(crate) lost_known: u64,
}

impl KnownNode {
    pub(crate) fn new(peer: &Arc<Peer>, tickets: &Tickets) -> Self {
        Self {
            peer: peer.clone(),
            routes: HashSet::default(),
            claims: HashMap::default(),
            wills: BTreeMap::new(),
            of_doors: BTreeMap::new(),
            outstanding: Outstanding::new(peer, tickets.any_done()),
            fetch: Fetch::default(),
            lost_known: 0,
        }
    }

    /// Messages lost on the way to it since the last call.
    pub(crate) fn newly_lost(&mut self) -> u64 {
        let lost = self.peer.figures().dropped_messages;
        lost - std::mem::replace(&mut self.lost_known, lost)
    }
}

/// What is being fetched from a node.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    pub(crate) rest: VecDeque<u8>,
    pub(crate) under_way: usize,
    pub(crate) heard_at: Moment,
}

impl Clustered {
    /// Says something to every node that is up.
    pub(crate) fn tell_all(&self, kind: u8, body: &Bytes, batch: &mut Batch) {
        for peer in self.cluster.peers().iter() {
            peer.announce(skein_cluster::Lane::Control, kind, body.clone());
            batch.touch_peer(peer);
        }
    }

    /// Does something with what is known of a node; nothing when it is not up, or not in this life.
    pub(crate) fn with_node<T>(&self, peer: &Arc<Peer>, act: impl FnOnce(&mut KnownNode) -> T) -> Option<T> {
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(&peer.id()).filter(|node| Arc::ptr_eq(&node.peer, peer))?;
        Some(act(node))
    }
}
