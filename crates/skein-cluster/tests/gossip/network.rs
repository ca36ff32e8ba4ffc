//! Nodes with memberships and seals, the network between them, and links as far as gossip needs them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use skein_cluster::{GossipAction, GossipSettings, Membership, NodeInfo, Seal, Secret, Standing};
use skein_types::{Incarnation, Moment, NodeId};

use crate::checks::{Checks, End, life};

/// What a socket holds while its process is stopped.
const INBOX_MAX: usize = 500;
/// How often nodes that are not linked try to be, and how long a cut link may stay cut.
const LINK_INTERVAL: u64 = 500;
const LINK_TIMEOUT: u64 = 2000;

/// Numbers from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }
}

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
    /// Something that was recorded is sent again, to anybody.
    pub(crate) replay_permille: u64,
    pub(crate) delay_max: u64,
}

impl Weather {
    pub(crate) const FAIR: Self =
        Self { loss_permille: 0, duplicate_permille: 0, replay_permille: 0, delay_max: 5 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Paused,
    Stopped,
}

struct Node {
    info: NodeInfo,
    state: State,
    membership: Membership,
    seal: Seal,
    /// When its clock began: no two nodes have the same time.
    epoch: u64,
    /// The number of its process among all.
    process: usize,
    inbox: VecDeque<Datagram>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    number: u64,
    bytes: Vec<u8>,
}

/// All of it.
pub(crate) struct Network {
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) checks: Checks,
    pub(crate) now: u64,
    nodes: Vec<Node>,
    cut: BTreeSet<(usize, usize)>,
    cut_since: BTreeMap<(usize, usize), u64>,
    under_way: BinaryHeap<Reverse<(u64, u64, usize, Datagram)>>,
    recorded: Vec<Datagram>,
    processes: usize,
    sent: u64,
    links_at: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let mut network = Self {
            random: Random(seed),
            weather: Weather::FAIR,
            checks: Checks::default(),
            now: 1_000_000,
            nodes: Vec::new(),
            cut: BTreeSet::new(),
            cut_since: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            recorded: Vec::new(),
            processes: 0,
            sent: 0,
            links_at: 0,
        };
        for index in 0..nodes {
            let node = network.started(index, 1);
            network.nodes.push(node);
        }
        network
    }

    fn started(&mut self, index: usize, incarnation: u64) -> Node {
        let info = info(index, incarnation);
        self.checks.begins(&info);
        self.processes += 1;
        let settings = GossipSettings::default();
        Node {
            membership: Membership::new(info.clone(), settings, self.random.next()),
            seal: seal(&info, &mut self.random),
            info,
            state: State::Running,
            epoch: self.now - self.random.below(900_000),
            process: self.processes,
            inbox: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn state(&self, index: usize) -> State {
        self.nodes[index].state
    }

    pub(crate) fn crash(&mut self, index: usize) {
        self.stop(index, End::Crashed(self.now));
    }

    fn stop(&mut self, index: usize, end: End) {
        let node = &mut self.nodes[index];
        node.state = State::Stopped;
        node.inbox.clear();
        self.checks.ends(&node.info, end);
    }

    pub(crate) fn leave(&mut self, index: usize) {
        let end = End::Left(self.now);
        self.with(index, |node, now, out| node.membership.leave(now, out));
        self.stop(index, end);
    }

    pub(crate) fn start(&mut self, index: usize) {
        let incarnation = self.nodes[index].info.incarnation.0 + 1 + self.random.below(3);
        self.nodes[index] = self.started(index, incarnation);
    }

    pub(crate) fn pause(&mut self, index: usize) {
        self.nodes[index].state = State::Paused;
        self.checks.paused.insert(life(&self.nodes[index].info));
    }

    /// Goes on: what arrived is read before or after the clock is looked at.
    pub(crate) fn wake(&mut self, index: usize) {
        self.nodes[index].state = State::Running;
        let timers_first = self.random.permille(500);
        if timers_first {
            self.with(index, |node, now, out| node.membership.tick(now, out));
        }
        let waiting = std::mem::take(&mut self.nodes[index].inbox);
        for datagram in waiting {
            self.arrives(index, datagram);
        }
    }

    /// Cuts the way from one node to another.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Goes on to a moment.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.checks.fault.is_none() {
            let arrival = self.under_way.peek().map(|Reverse((at, ..))| *at);
            let due = (0..self.nodes.len()).filter_map(|index| Some((self.due(index)?, index))).min();
            let next = [arrival, due.map(|(at, _)| at), Some(self.links_at)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if self.links_at <= self.now {
                self.links_at = self.now + LINK_INTERVAL;
                self.links();
            } else if arrival == Some(next) {
                if let Some(Reverse((_, _, to, datagram))) = self.under_way.pop() {
                    self.arrives(to, datagram);
                }
            } else if let Some((_, index)) = due {
                self.with(index, |node, now, out| node.membership.tick(now, out));
            }
        }
        self.now = end;
    }

    /// All nodes that run have each other as members, and nobody else.
    pub(crate) fn all_agree(&mut self) {
        let running = || self.nodes.iter().filter(|node| node.state == State::Running);
        for node in running() {
            let expected: BTreeSet<_> = running()
                .filter(|other| other.info.id != node.info.id)
                .map(|other| life(&other.info))
                .collect();
            let members: BTreeSet<_> = node.membership.members().map(life).collect();
            if members != expected {
                let fault = format!("at the end node {} has {members:?}, not {expected:?}", node.info.id);
                self.checks.fail(fault);
                return;
            }
        }
    }

    fn due(&self, index: usize) -> Option<u64> {
        let node = &self.nodes[index];
        let due = node.membership.next_due().filter(|_| node.state == State::Running)?;
        Some((due.as_millis() + node.epoch).max(self.now))
    }

    fn arrives(&mut self, to: usize, datagram: Datagram) {
        let Some(node) = self.nodes.get_mut(to) else { return };
        match node.state {
            State::Stopped => {}
            State::Paused if node.inbox.len() < INBOX_MAX => node.inbox.push_back(datagram),
            State::Paused => {}
            State::Running => {
                let Ok(message) = node.seal.open(&datagram.bytes) else {
                    self.checks.replays_refused += 1;
                    return;
                };
                let mut result = Ok(());
                let me = node.info.clone();
                self.with(to, |node, now, out| result = node.membership.datagram(&message, now, out));
                if result.is_ok() {
                    self.checks.accepted(datagram.number, &me, self.now);
                }
            }
        }
    }

    /// Lets a node do something, then does what it asks.
    fn with(&mut self, index: usize, step: impl FnOnce(&mut Node, Moment, &mut Vec<GossipAction>)) {
        let mut out = Vec::new();
        let node = &mut self.nodes[index];
        let now = Moment::from_millis(self.now - node.epoch);
        step(node, now, &mut out);
        let mut told = false;
        for action in out {
            let node = &mut self.nodes[index];
            let (process, me, now) = (node.process, &node.info, self.now);
            match action {
                GossipAction::Send { to, bytes } => self.sends(index, to, &bytes),
                GossipAction::Alive(peer) => {
                    told = true;
                    self.checks.told_alive(process, me, &peer, now);
                }
                GossipAction::Down(peer, gone) => {
                    told = true;
                    self.checks.told_down(process, me, (&peer, gone), now);
                }
                GossipAction::GivenUp => {
                    self.checks.told_given_up(me, now);
                    self.renew(index);
                }
            }
        }
        let node = &self.nodes[index];
        let members: BTreeSet<_> = node.membership.members().map(life).collect();
        if told {
            self.checks.lists(node.process, &node.info, &members, self.now);
        }
        if self.checks.calm {
            self.checks.noticed(&node.info, &members, self.now);
        }
    }

    fn renew(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.info = info(index, node.info.incarnation.0 + 1);
        self.checks.begins(&node.info);
        node.seal.renew(&node.info, self.random.next().to_le_bytes());
        let me = node.info.clone();
        self.with(index, |node, now, out| node.membership.renew(me, now, out));
    }

    fn sends(&mut self, from: usize, to: SocketAddr, message: &[u8]) {
        let bytes = self.nodes[from].seal.seal(message);
        assert!(bytes.len() <= skein_cluster::DATAGRAM_BYTES_MAX);
        self.sent += 1;
        let datagram = Datagram { number: self.sent, bytes };
        let to = usize::from(to.port()) - 1;
        let weather = self.weather;
        if weather.replay_permille > 0 {
            if self.random.permille(200) {
                self.recorded.push(datagram.clone());
            }
            if self.random.permille(weather.replay_permille) && !self.recorded.is_empty() {
                let which = self.random.below(self.recorded.len() as u64) as usize;
                let anybody = self.random.below(self.nodes.len() as u64) as usize;
                // Two thirds go where a replay is likeliest to do something.
                let victim = if self.random.permille(660) { to } else { anybody };
                let again = self.recorded[which].clone();
                self.carry(victim, again);
            }
        }
        if self.cut.contains(&(from, to)) || self.random.permille(weather.loss_permille) {
            return;
        }
        if self.random.permille(weather.duplicate_permille) {
            self.carry(to, datagram.clone());
        }
        self.carry(to, datagram);
    }

    fn carry(&mut self, to: usize, datagram: Datagram) {
        let at = self.now + 1 + self.random.below(self.weather.delay_max);
        let order = self.random.next();
        self.under_way.push(Reverse((at, order, to, datagram)));
    }

    /// Links as the cluster's core makes them: nodes that are not members of each other say hello, and a link that stays cut
    /// ends membership.
    fn links(&mut self) {
        for from in 0..self.nodes.len() {
            for to in from + 1..self.nodes.len() {
                if [from, to].iter().any(|index| self.nodes[*index].state != State::Running) {
                    continue;
                }
                if self.cut.contains(&(from, to)) || self.cut.contains(&(to, from)) {
                    let since = *self.cut_since.entry((from, to)).or_insert(self.now);
                    if self.now - since >= LINK_TIMEOUT {
                        self.give_up(from, to);
                        self.give_up(to, from);
                    }
                } else {
                    self.cut_since.remove(&(from, to));
                    self.hello(from, to);
                }
            }
        }
    }

    fn give_up(&mut self, node: usize, other: usize) {
        let peer = self.nodes[other].info.clone();
        self.with(node, |node, now, out| node.membership.declare_down(&peer, now, out));
    }

    fn hello(&mut self, from: usize, to: usize) {
        let stands = |one: usize, other: usize| self.nodes[one].membership.standing(&self.nodes[other].info);
        if [stands(from, to), stands(to, from)] != [Standing::Alive; 2] {
            for (node, other) in [(from, to), (to, from)] {
                let peer = self.nodes[other].info.clone();
                self.with(node, |node, now, out| node.membership.meet(&peer, now, out));
            }
        }
    }
}

fn seal(info: &NodeInfo, random: &mut Random) -> Seal {
    Seal::new(&Secret("a secret".to_owned()), info, random.next().to_le_bytes())
}

fn info(index: usize, incarnation: u64) -> NodeInfo {
    let number = u16::try_from(index + 1).expect("few nodes");
    NodeInfo {
        id: NodeId(number),
        incarnation: Incarnation(incarnation),
        name: Arc::from(format!("node-{number}")),
        advertise: SocketAddr::from(([10, 0, 0, 1], number)),
        qrank: 1,
        server_reference: index.is_multiple_of(2).then(|| Arc::from(format!("mqtt.example:{number}"))),
    }
}
