//! A cluster of memberships that all know each other, and a network that loses nothing.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use skein_cluster::{GossipAction, GossipSettings, Membership, NodeInfo, Seal, Secret};
use skein_types::{Incarnation, Moment, NodeId};

/// How long a datagram is under way.
const DELAY: u64 = 1;
/// UDP and IPv4.
const HEADER_BYTES: usize = 28;

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

/// A node that fell silent, and when the others were told, in milliseconds after it.
#[derive(Debug)]
pub(crate) struct Silent {
    id: NodeId,
    at: u64,
    noticed: usize,
    pub(crate) first_noticed: u64,
    pub(crate) last_noticed: u64,
}

#[derive(Debug)]
enum Event {
    Arrives(usize, Bytes),
    Wakes(usize),
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) now: u64,
    pub(crate) sent: Sent,
    pub(crate) silent: Vec<Silent>,
    nodes: Vec<Membership>,
    runs: Vec<bool>,
    wakes_at: Vec<u64>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    /// What the queue's numbers stand for, without copies in the heap.
    events: std::collections::HashMap<u64, Event>,
    queued: u64,
    seal_bytes: usize,
    seed: u64,
}

impl Cluster {
    /// A cluster that has been up for a while.
    pub(crate) fn new(size: usize, seed: u64) -> Self {
        let infos: Vec<Arc<NodeInfo>> = (0..size).map(|index| Arc::new(info(index))).collect();
        let seal = Seal::new(&Secret(String::new()), &infos[0], [0; 8]).seal(b"").len();
        let mut cluster = Self {
            now: 1000,
            sent: Sent::default(),
            silent: Vec::new(),
            nodes: build(&infos, seed),
            runs: vec![true; size],
            wakes_at: vec![u64::MAX; size],
            queue: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
            queued: 0,
            seal_bytes: seal,
            seed,
        };
        for index in 0..size {
            cluster.plan(index);
        }
        cluster
    }

    /// Stops a node that nobody has stopped yet.
    pub(crate) fn silence_one(&mut self) {
        let mut index = mixed(self.seed * 1000 + self.silent.len() as u64) as usize % self.nodes.len();
        while !self.runs[index] {
            index = (index + 1) % self.nodes.len();
        }
        self.runs[index] = false;
        let id = info(index).id;
        let silent = Silent { id, at: self.now, noticed: 0, first_noticed: 0, last_noticed: 0 };
        self.silent.push(silent);
    }

    /// Whether every node that runs was told of every silent one.
    pub(crate) fn all_noticed(&self) -> bool {
        let running = self.nodes.len() - self.silent.len();
        self.silent.iter().all(|silent| silent.noticed >= running)
    }

    /// Goes on for so many milliseconds.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(Reverse((at, number))) = self.queue.peek().copied().filter(|next| next.0.0 <= end) {
            self.queue.pop();
            self.now = at;
            let mut out = Vec::new();
            let now = Moment::from_millis(at);
            let index = match self.events.remove(&number) {
                Some(Event::Arrives(index, bytes)) if self.runs[index] => {
                    self.nodes[index].datagram(&bytes, now, &mut out).expect("nobody sends nonsense");
                    index
                }
                Some(Event::Wakes(index)) if self.runs[index] && self.wakes_at[index] == at => {
                    self.wakes_at[index] = u64::MAX;
                    self.nodes[index].tick(now, &mut out);
                    index
                }
                _ => continue,
            };
            self.take(out);
            self.plan(index);
        }
        self.now = end;
    }

    fn take(&mut self, out: Vec<GossipAction>) {
        for action in out {
            match action {
                GossipAction::Send { to, bytes } => {
                    self.sent.datagrams += 1;
                    self.sent.bytes += (bytes.len() + self.seal_bytes + HEADER_BYTES) as u64;
                    self.queue_at(self.now + DELAY, Event::Arrives(index_of(to), bytes));
                }
                GossipAction::Down(peer, _) => {
                    let silent = self.silent.iter_mut().find(|silent| silent.id == peer.id);
                    let silent = silent.expect("only who is silent is taken for it");
                    let after = self.now - silent.at;
                    if silent.noticed == 0 {
                        silent.first_noticed = after;
                    }
                    silent.noticed += 1;
                    silent.last_noticed = after;
                }
                GossipAction::Alive(peer) => unreachable!("{peer:?} was known before"),
                GossipAction::GivenUp => unreachable!("a node that runs was given up"),
            }
        }
    }

    fn plan(&mut self, index: usize) {
        let due = self.nodes[index].next_due().map_or(u64::MAX, |due| due.as_millis().max(self.now));
        if due < self.wakes_at[index] {
            self.wakes_at[index] = due;
            self.queue_at(due, Event::Wakes(index));
        }
    }

    fn queue_at(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued)));
        self.events.insert(self.queued, event);
    }
}

/// Building costs the square of the size for each node, because foca looks members up one after another: on all processors.
fn build(infos: &[Arc<NodeInfo>], seed: u64) -> Vec<Membership> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = infos.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts = infos.chunks(each).map(|part| {
            scope.spawn(move || part.iter().map(|me| built(me, infos, seed)).collect::<Vec<_>>())
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().expect("building does not fail")).collect()
    })
}

fn built(me: &Arc<NodeInfo>, infos: &[Arc<NodeInfo>], seed: u64) -> Membership {
    let random = mixed(seed << 32 | u64::from(me.id.0));
    let mut node = Membership::new(NodeInfo::clone(me), GossipSettings::default(), random);
    // Nodes do not probe in step, nor ask for feeds all at once.
    let began = Moment::from_millis(random % 1000);
    node.recall(infos.iter().cloned(), began, &mut Vec::new());
    node
}

fn mixed(seed: u64) -> u64 {
    let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

fn info(index: usize) -> NodeInfo {
    let number = u16::try_from(index + 1).expect("ids are u16");
    let [high, low] = number.to_be_bytes();
    NodeInfo {
        id: NodeId(number),
        incarnation: Incarnation(1),
        name: Arc::from(format!("node-{number}")),
        advertise: SocketAddr::from((Ipv4Addr::new(10, 0, high, low), 5777)),
        qrank: 1,
        server_reference: None,
    }
}

fn index_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => {
            let [_, _, high, low] = address.ip().octets();
            usize::from(u16::from_be_bytes([high, low])) - 1
        }
        SocketAddr::V6(_) => unreachable!("all addresses are IPv4"),
    }
}
