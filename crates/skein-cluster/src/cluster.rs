//! The cluster as the plane uses it: who is up, what this node says of itself, and the clock of changes.
//!
//! Shared by all threads; reading the peers takes no lock. The core puts peers in and takes them out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use skein_types::{Incarnation, Moment, NodeId, Stamp};

use crate::{Load, NodeInfo, NodeState, NodeStatus, OwnState, Peer, Peers, Waits};

/// What wakes whoever tells peers of changes.
type Notify = Arc<dyn Fn() + Send + Sync>;

/// One node's side of the cluster.
pub struct Cluster {
    me: ArcSwap<NodeInfo>,
    peers: ArcSwap<Peers>,
    own: OwnState,
    counter: AtomicU64,
    joined: AtomicBool,
    notify: Mutex<Option<Notify>>,
    /// Every node heard of since the start, this one too.
    nodes: Mutex<BTreeMap<NodeId, NodeStatus>>,
    /// How busy nodes that are up say they are, this one too.
    loads: Mutex<BTreeMap<NodeId, Load>>,
}

impl Cluster {
    /// A node that knows nobody yet.
    #[must_use]
    pub fn new(me: NodeInfo) -> Arc<Self> {
        let status = NodeStatus { info: me.clone(), state: NodeState::Up, since: Moment::ZERO };
        Arc::new(Self {
            nodes: Mutex::new(BTreeMap::from([(me.id, status)])),
            loads: Mutex::default(),
            me: ArcSwap::from_pointee(me),
            peers: ArcSwap::default(),
            own: OwnState::default(),
            counter: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            notify: Mutex::default(),
        })
    }

    /// This node as it is now; its incarnation is a new one after its peers have given it up.
    #[must_use]
    pub fn me(&self) -> Arc<NodeInfo> {
        self.me.load_full()
    }

    /// This node's number.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.me.load().id
    }

    /// Begins another life: whoever comes from a pause or a partition and was given up meanwhile is another node to its peers.
    pub fn renew(&self, incarnation: Incarnation) {
        self.me.rcu(|me| NodeInfo { incarnation, ..NodeInfo::clone(me) });
    }

    /// The peers that are up.
    pub fn peers(&self) -> Guard<Arc<Peers>> {
        self.peers.load()
    }

    /// One of them.
    #[must_use]
    pub fn peer(&self, id: NodeId) -> Option<Arc<Peer>> {
        self.peers.load().get(id).cloned()
    }

    /// What this node says of itself. Call [`Cluster::flush`] after changes.
    #[must_use]
    pub fn own(&self) -> &OwnState {
        &self.own
    }

    /// Lets peers be told what changed.
    pub fn flush(&self) {
        let notify = self.notify.lock().clone();
        if let Some(notify) = notify {
            notify();
        }
    }

    /// What is called by [`Cluster::flush`].
    pub fn on_flush(&self, notify: impl Fn() + Send + Sync + 'static) {
        *self.notify.lock() = Some(Arc::new(notify));
    }

    /// Adds to `waits` that every peer that is up has this node's soft state in effect as it is now.
    pub fn wait_for_all(&self, waits: &mut Waits) {
        let number = self.own.number();
        for peer in self.peers.load().iter().filter(|peer| !peer.has_confirmed(number)) {
            waits.confirmed(peer, number);
        }
    }

    /// Every node heard of since the start, this one too, by id.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.nodes.lock().values().cloned().collect()
    }

    /// Notes how a node stands; returns false when that is no news.
    pub fn set_status(&self, info: &NodeInfo, state: NodeState, since: Moment) -> bool {
        let status = NodeStatus { info: info.clone(), state, since };
        let before = self.nodes.lock().insert(info.id, status);
        before.is_none_or(|before| before.info.incarnation != info.incarnation || before.state != state)
    }

    /// How busy a node that is up says it is.
    #[must_use]
    pub fn load(&self, node: NodeId) -> Option<Load> {
        self.loads.lock().get(&node).copied()
    }

    /// Notes how busy a node says it is; nothing is known of one that is gone.
    pub fn note_load(&self, node: NodeId, load: Option<Load>) {
        let mut loads = self.loads.lock();
        match load {
            Some(load) => _ = loads.insert(node, load),
            None => _ = loads.remove(&node),
        }
    }

    /// A stamp above all that were made or heard of here.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { counter: self.counter.fetch_add(1, Relaxed) + 1, node: self.id() }
    }

    /// Takes note of another node's stamp.
    pub fn heard(&self, stamp: Stamp) {
        self.counter.fetch_max(stamp.counter, Relaxed);
    }

    /// Whether every node of which this one was told when it came is known or gone: before that its doors stay shut.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined.load(Relaxed)
    }

    pub(crate) fn set_joined(&self) {
        self.joined.store(true, Relaxed);
    }

    /// Puts a peer in; one of the same id goes. From here on it is sent messages and waited for.
    pub fn admit(&self, peer: &Arc<Peer>) {
        self.peers.rcu(|peers| peers.with(peer));
    }

    /// Takes a peer out and ends every wait for it.
    pub fn dismiss(&self, peer: &Arc<Peer>) {
        self.peers.rcu(|peers| peers.without(peer));
        peer.mark_down();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("me", &self.me.load()).finish_non_exhaustive()
    }
}
