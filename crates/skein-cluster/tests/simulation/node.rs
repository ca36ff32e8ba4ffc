//! One simulated node: a real core and a real peer table, a toy plane, and what a link layer has to remember.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use skein_cluster::{Cluster, Core, JoinRefused, Key, LinkSettings, NodeInfo, Notification, Peer, Waits};
use skein_types::{ClientId, Incarnation, NodeId, Stamp};

use super::{
    gossip::Gossip,
    host::ToyHost,
    network::EndId,
    world::{Happening, Wire},
};

/// A process.
pub(crate) struct Node {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) host: Arc<ToyHost>,
    pub(crate) core: Core,
    pub(crate) gossip: Gossip,
    /// When the last of its news reaches the core.
    pub(crate) news_at: u64,
    /// Which process at this place: what happens to an earlier one happens to nobody.
    pub(crate) process: u64,
    pub(crate) ends: BTreeMap<EndId, EndState>,
    pub(crate) waits: Vec<(Promise, Waits)>,
    /// By life of this process: what the operator was told.
    pub(crate) notes: Vec<Vec<Notification>>,
    pub(crate) is_paused: bool,
    /// Its links gather what they write next.
    pub(crate) is_batching: bool,
    /// What happens to it while it is paused.
    pub(crate) inbox: VecDeque<Happening>,
    pub(crate) tick_at: u64,
    pub(crate) refused: Option<JoinRefused>,
    pub(crate) told: u64,
    /// By route: the number of its last change.
    pub(crate) routed: BTreeMap<Key, u64>,
    flushed: Arc<AtomicBool>,
}

/// What a link layer knows of one end of a connection.
#[derive(Default)]
pub(crate) struct EndState {
    /// Who is attached.
    pub(crate) peer: Option<Arc<Peer>>,
    /// What came before someone was.
    pub(crate) early: Vec<Wire>,
}

/// What a client is told once the waits are done, and what has to be true then.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    /// A SUBACK, and the number of the change that it stands for.
    Subscribed(Key, u64),
    /// A CONNACK.
    Connected(ClientId, Stamp),
    /// A PUBACK.
    Published,
}

/// Where the node of this number is.
pub(crate) fn address(place: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(place + 1).expect("few nodes")], 5777))
}

pub(crate) fn node_id(place: usize) -> NodeId {
    NodeId(u16::try_from(place + 1).expect("few nodes"))
}

impl Node {
    /// Starts a process; its incarnation is later than that of any before, as a clock would have it.
    pub(crate) fn start(place: usize, process: u64, now: u64, seed: u64) -> Self {
        let info = NodeInfo {
            id: node_id(place),
            incarnation: Incarnation(1_000_000 + now * 1000),
            name: Arc::from(format!("n{}", place + 1)),
            advertise: address(place),
            qrank: 1,
            server_reference: None,
        };
        let cluster = Cluster::new(info.clone());
        let host = ToyHost::new(cluster.clone());
        let flushed = Arc::new(AtomicBool::new(false));
        cluster.on_flush({
            let flushed = flushed.clone();
            move || flushed.store(true, Relaxed)
        });
        Self {
            core: Core::new(cluster.clone(), host.clone(), LinkSettings::default(), seed),
            cluster,
            host,
            gossip: Gossip::new(info, seed ^ 1),
            news_at: 0,
            process,
            ends: BTreeMap::new(),
            waits: Vec::new(),
            notes: vec![Vec::new()],
            is_paused: false,
            is_batching: false,
            inbox: VecDeque::new(),
            tick_at: u64::MAX,
            refused: None,
            told: 0,
            routed: BTreeMap::new(),
            flushed,
        }
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.cluster.me().incarnation.0
    }

    /// Whether its soft state changed since this was asked last.
    pub(crate) fn take_flushed(&self) -> bool {
        self.flushed.swap(false, Relaxed)
    }

    /// Whether clients may use it.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_paused && self.cluster.is_joined() && self.refused.is_none()
    }

    /// The node of this number is up here, in this life of it, and let in.
    pub(crate) fn has_up(&self, other: &Self) -> bool {
        let (id, incarnation) = (other.cluster.id(), other.incarnation());
        self.host.state.lock().up.get(&id) == Some(&incarnation)
            && self.cluster.peer(id).is_some_and(|peer| peer.info().incarnation.0 == incarnation)
    }
}
