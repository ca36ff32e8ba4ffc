//! A toy plane: route tables, claims of client ids with their connections, and a record of every call for the checkers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use skein_cluster::{Change, Claim, Cluster, ForwardedRun, Gone, Host, Inbound, Key, Lane, Peer, Value};
use skein_types::{ClientId, Moment, NodeId, Stamp};

/// What one node's plane knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// By node: what it says of itself.
    pub(crate) said: BTreeMap<NodeId, BTreeMap<Key, Value>>,
    /// Nodes that are up, as incarnations.
    pub(crate) up: BTreeMap<NodeId, u64>,
    /// The connections of clients here; true: the client was answered.
    pub(crate) connections: BTreeMap<ClientId, (Stamp, bool)>,
    /// Payloads of messages that came and were not collected yet.
    pub(crate) received: Vec<Bytes>,
    /// What planes told each other: the last number by node and incarnation.
    told: BTreeMap<(NodeId, u64), u64>,
    /// Peers that were said to be up, and gone; by address, which the record keeps alive.
    ups: BTreeSet<usize>,
    gones: BTreeSet<usize>,
    kept_alive: Vec<Arc<Peer>>,
    /// Calls that must not be.
    pub(crate) faults: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct ToyHost {
    pub(crate) state: Mutex<State>,
    cluster: Arc<Cluster>,
}

fn address(peer: &Arc<Peer>) -> usize {
    Arc::as_ptr(peer).addr()
}

impl ToyHost {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), cluster })
    }

    /// A client connects here; returns its claim.
    pub(crate) fn connect(&self, client: &ClientId) -> Stamp {
        let stamp = self.cluster.stamp();
        self.state.lock().connections.insert(client.clone(), (stamp, false));
        self.cluster.own().set(Key::Client(client.clone()), Some(Value::Claim(Claim::of(stamp))));
        self.cluster.flush();
        stamp
    }

    /// The client's connection here is the one of this claim.
    pub(crate) fn owns(&self, client: &ClientId, claim: Stamp) -> bool {
        self.state.lock().connections.get(client).is_some_and(|(own, _)| *own == claim)
    }

    pub(crate) fn disconnect(&self, client: &ClientId) {
        if self.state.lock().connections.remove(client).is_some() {
            self.cluster.own().set(Key::Client(client.clone()), None);
            self.cluster.flush();
        }
    }

    /// A claim heard from elsewhere: the older connection yields.
    fn yield_to(&self, state: &mut State, client: &ClientId, claim: Stamp) {
        if state.connections.get(client).is_some_and(|(own, _)| *own < claim) {
            state.connections.remove(client);
            self.cluster.own().set(Key::Client(client.clone()), None);
            self.cluster.flush();
        }
    }
}

impl Host for ToyHost {
    fn node_up(&self, peer: &Arc<Peer>, _now: Moment) {
        let mut state = self.state.lock();
        if !state.ups.insert(address(peer)) || state.gones.contains(&address(peer)) {
            state.faults.push(format!("node {} is up twice, or after it went", peer.id()));
        }
        state.kept_alive.push(peer.clone());
        state.up.insert(peer.id(), peer.info().incarnation.0);
    }

    fn node_gone(&self, peer: &Arc<Peer>, _gone: Gone, _now: Moment) {
        let mut state = self.state.lock();
        if !state.gones.insert(address(peer)) {
            state.faults.push(format!("node {} went twice", peer.id()));
        }
        if self.cluster.peers().iter().any(|present| Arc::ptr_eq(present, peer)) {
            state.faults.push(format!("node {} went and is still a peer", peer.id()));
        }
        state.kept_alive.push(peer.clone());
        state.said.remove(&peer.id());
        state.up.remove(&peer.id());
    }

    fn apply(&self, from: &Arc<Peer>, changes: &[Change], _now: Moment) {
        let mut state = self.state.lock();
        if state.gones.contains(&address(from)) {
            state.faults.push(format!("node {} says something after it went", from.id()));
        }
        for Change { key, value } in changes {
            let said = state.said.entry(from.id()).or_default();
            let before = match value {
                Some(value) => said.insert(key.clone(), value.clone()),
                None => said.remove(key),
            };
            if before == *value {
                state.faults.push(format!("node {} says {key:?} again", from.id()));
            }
            if let (Key::Client(client), Some(Value::Claim(claim))) = (key, value) {
                self.yield_to(&mut state, client, claim.stamp);
            }
        }
    }

    fn received(&self, from: &Arc<Peer>, _lane: Lane, _kind: u8, body: Bytes, _now: Moment) {
        let number = u64::from_le_bytes(body[..].try_into().expect("planes tell each other numbers"));
        let mut state = self.state.lock();
        let last = state.told.insert((from.id(), from.info().incarnation.0), number);
        if last.is_some_and(|last| last >= number) {
            state.faults.push(format!("node {} told {number} behind {last:?}", from.id()));
        }
    }

    fn inbound(&self, _from: &Arc<Peer>) -> Box<dyn Inbound> {
        unreachable!("the simulated link hands messages over itself")
    }
}

impl ToyHost {
    /// Messages that came.
    pub(crate) fn receive(&self, run: ForwardedRun) {
        self.state.lock().received.extend(run.messages.into_iter().map(|message| message.payload));
    }
}
