//! Planes and the links between them, moved by hand: nothing happens on a link but what a test asks for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use bytes::Bytes;
use skein_cluster::{
    Announcement, Change, Cluster, Completion, ForwardedRun, Gone, Host, Inbound, Interest, NodeInfo, Peer,
};
use skein_store::{Store, Time};
use skein_types::{Code, Incarnation, Message, Moment, NodeId, QoS, SubscriptionFilter, Topic, UserName};

use crate::{
    Batch, Commit, Durability, Durable, Open, Plane, QueueLimits, RetainHandling, SessionLimits,
    SubscribeOptions, TaskHandle, WallClock, Will, WindowLimits,
    matcher::tests::PLAIN,
    plane::tests::{
        client::{Live, Memory, TestSocket, client_id, connection},
        world::{LIMITS, empty_plane, identity},
    },
};

/// Planes and their links.
pub(super) struct Net {
    pub(super) nodes: Vec<Node>,
    pub(super) links: BTreeMap<(usize, usize), Link>,
    pub(super) now: Moment,
    pub(super) clients: BTreeMap<usize, Client>,
    lives: u64,
}

/// One node.
pub(super) struct Node {
    pub(super) plane: Arc<Plane>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) host: Arc<dyn Host>,
    pub(super) batch: Batch,
    /// What is not said yet.
    pub(super) commits: Vec<Commit>,
    pub(super) up: bool,
}

/// One direction of a link.
pub(super) struct Link {
    /// The receiver as the sender sees it.
    pub(super) peer: Arc<Peer>,
    /// Soft state the receiver has in effect.
    soft: u64,
    inbound: Box<dyn Inbound>,
    /// Runs that are handled once this is done.
    unhandled: VecDeque<(u64, Option<Box<dyn Completion>>)>,
    handled: u64,
    pub(super) open: bool,
}

/// A client and where it is connected.
pub(super) struct Client {
    pub(super) node: usize,
    pub(super) live: Live,
    pub(super) memory: Memory,
    pub(super) handle: Arc<TaskHandle>,
}

pub(super) fn topic(text: &str) -> Topic {
    Topic::try_from(text).unwrap()
}

pub(super) fn at(qos: QoS) -> SubscribeOptions {
    SubscribeOptions { qos, ..PLAIN }
}

impl Net {
    /// So many nodes that know each other.
    pub(super) fn of(count: usize) -> Self {
        let mut net = Self {
            nodes: Vec::new(),
            links: BTreeMap::new(),
            now: Moment::from_millis(1000),
            clients: BTreeMap::new(),
            lives: 0,
        };
        for number in 0..count {
            net.start(number, None);
        }
        net.settle();
        net
    }

    /// Starts a node and lets it meet those that are up.
    pub(super) fn start(&mut self, number: usize, store: Option<Store>) {
        self.lives += 1;
        let info = NodeInfo {
            id: NodeId(u16::try_from(number).unwrap() + 1),
            incarnation: Incarnation(self.lives),
            name: format!("n{number}").into(),
            advertise: ([127, 0, 0, 1], 1).into(),
            qrank: 1,
            server_reference: None,
        };
        let cluster = Cluster::new(info);
        let mut plane = empty_plane();
        if let Some(store) = store {
            plane = plane.with_durable(Durable::new(store, WallClock::new(Time(0))));
        }
        let plane = plane.with_cluster(cluster.clone(), Arc::new(Interest));
        plane.retained().set_limits(10_000, usize::MAX);
        plane.restore(&limits(), &mut Batch::default(), self.now).unwrap();
        let plane = Arc::new(plane);
        let host = plane.host();
        let node = Node { plane, cluster, host, batch: Batch::default(), commits: Vec::new(), up: true };
        if number < self.nodes.len() {
            self.nodes[number] = node;
        } else {
            self.nodes.push(node);
        }
        for other in 0..self.nodes.len() {
            if other != number && self.nodes[other].up {
                self.join(number, other);
            }
        }
    }

    /// Two nodes meet: each gets a copy of what the other says of itself before it is up.
    pub(super) fn join(&mut self, one: usize, other: usize) {
        let peer = |of: usize| Peer::new(NodeInfo::clone(&self.nodes[of].cluster.me()));
        let peers = [(one, other, peer(other)), (other, one, peer(one))];
        for (at, of, peer) in &peers {
            peer.link_opened(0, Waker::noop().clone());
            let (soft, entries, _whole) =
                self.nodes[*of].cluster.own().entries_after(None, usize::MAX, usize::MAX);
            let copy: Vec<Change> =
                entries.into_iter().map(|(key, value)| Change { key, value: Some(value) }).collect();
            let host = &self.nodes[*at].host;
            host.apply(peer, &copy, self.now);
            // From `of` to `at`.
            let link = Link {
                peer: peers.iter().find(|(back, ..)| back == of).unwrap().2.clone(),
                soft,
                inbound: host.inbound(peer),
                unhandled: VecDeque::new(),
                handled: 0,
                open: true,
            };
            link.peer.note_confirmed(soft);
            self.links.insert((*of, *at), link);
        }
        for (at, _, peer) in &peers {
            self.nodes[*at].cluster.admit(peer);
            self.nodes[*at].host.node_up(peer, self.now);
        }
    }

    /// The sender as the receiver sees it.
    fn back(&self, from: usize, to: usize) -> Arc<Peer> {
        self.links[&(to, from)].peer.clone()
    }

    /// At most `count` changes of soft state go over the link; true if there were any.
    pub(super) fn move_soft(&mut self, from: usize, to: usize, count: usize) -> bool {
        let back = self.back(from, to);
        let link = self.links.get_mut(&(from, to)).unwrap();
        if !link.open {
            return false;
        }
        let own = self.nodes[from].cluster.own();
        let (changes, _digest) = own.changes_after(link.soft, count, usize::MAX).unwrap();
        if changes.is_empty() {
            return false;
        }
        self.nodes[to].host.apply(&back, &changes, self.now);
        // What the receiver says because of them comes before its confirmation.
        self.move_told(to, from);
        let link = self.links.get_mut(&(from, to)).unwrap();
        link.soft += changes.len() as u64;
        link.peer.note_confirmed(link.soft);
        true
    }

    /// At most `count` runs go over the link.
    pub(super) fn move_runs(&mut self, from: usize, to: usize, count: usize) -> bool {
        let back = self.back(from, to);
        let link = self.links.get_mut(&(from, to)).unwrap();
        let mut last = None;
        let mut moved = false;
        for _ in 0..count {
            if !link.open {
                break;
            }
            let Some((number, run)) = link.peer.take_run() else { break };
            moved = true;
            if number.is_none_or(|number| back.is_new(number)) {
                link.inbound.run(ForwardedRun::decode(run.bytes, self.now).unwrap(), self.now);
            }
            last = number.or(last);
        }
        if moved {
            let handled = link.inbound.finish(self.now);
            // What is not kept has nothing to be told of, and what it left behind is done all the same.
            let number = last.unwrap_or(link.unhandled.back().map_or(link.handled, |(last, _)| *last));
            link.unhandled.push_back((number, handled.kept));
        }
        moved
    }

    /// The receiver says what it has handled.
    pub(super) fn move_handled(&mut self, from: usize, to: usize) -> bool {
        let link = self.links.get_mut(&(from, to)).unwrap();
        let mut moved = false;
        while link.open
            && let Some((number, kept)) = link.unhandled.front_mut()
            && kept.as_mut().is_none_or(|kept| kept.poll_done(Waker::noop(), self.now))
        {
            link.handled = *number;
            link.unhandled.pop_front();
            link.peer.note_handled(link.handled);
            moved = true;
        }
        moved
    }

    /// What planes say to each other goes over the link.
    pub(super) fn move_told(&mut self, from: usize, to: usize) -> bool {
        let back = self.back(from, to);
        let link = &self.links[&(from, to)];
        let mut moved = false;
        while link.open
            && let Some(Announcement { lane, kind, body }) = link.peer.take_announcement()
        {
            self.nodes[to].host.received(&back, lane, kind, body, self.now);
            moved = true;
        }
        moved
    }

    /// Cuts the link between two nodes, in both directions.
    pub(super) fn cut(&mut self, one: usize, other: usize) {
        for way in [(one, other), (other, one)] {
            let link = self.links.get_mut(&way).unwrap();
            link.open = false;
            link.peer.link_closed();
        }
    }

    /// Makes it anew.
    pub(super) fn mend(&mut self, one: usize, other: usize) {
        for way in [(one, other), (other, one)] {
            let link = self.links.get_mut(&way).unwrap();
            if !link.open {
                link.open = true;
                link.peer.link_opened(link.handled, Waker::noop().clone());
            }
        }
    }

    /// A node is gone for another one.
    pub(super) fn lose(&mut self, at: usize, of: usize, gone: Gone) {
        let Some(Link { peer, .. }) = self.links.remove(&(at, of)) else { return };
        let node = &self.nodes[at];
        if node.up {
            node.cluster.dismiss(&peer);
            node.host.node_gone(&peer, gone, self.now);
        }
    }

    /// Two nodes lose sight of each other.
    pub(super) fn part(&mut self, one: usize, other: usize) {
        self.lose(one, other, Gone::Failed);
        self.lose(other, one, Gone::Failed);
    }

    /// A node ends without a word.
    pub(super) fn crash(&mut self, number: usize) {
        self.end(number, Gone::Failed);
    }

    /// A node ends.
    pub(super) fn end(&mut self, number: usize, gone: Gone) {
        self.nodes[number].up = false;
        self.clients.retain(|_, client| client.node != number);
        for other in 0..self.nodes.len() {
            self.links.remove(&(number, other));
            self.lose(other, number, gone);
        }
    }

    /// Ends the batch of a node; what it promised is said later.
    pub(super) fn finish(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let commit = node.plane.finish(&mut node.batch, self.now);
        node.commits.extend(commit);
        _ = node.batch.take_congestion();
    }

    /// Says what is done.
    pub(super) fn say(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let (done, open) = std::mem::take(&mut node.commits).into_iter().partition(Commit::is_done);
        node.commits = open;
        let done: Vec<Commit> = done;
        for commit in done {
            node.plane.committed(commit, &mut node.batch, self.now);
        }
        self.finish(number);
    }

    /// Moves everything over all open links until nothing is left, and says what is done.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            let mut moved = false;
            let ways: Vec<_> = self.links.keys().copied().collect();
            for number in 0..self.nodes.len() {
                if self.nodes[number].up {
                    self.say(number);
                }
            }
            for (from, to) in ways {
                moved |= self.move_soft(from, to, usize::MAX);
                moved |= self.move_told(from, to);
                moved |= self.move_runs(from, to, usize::MAX);
                moved |= self.move_handled(from, to);
            }
            if !moved {
                return;
            }
        }
        panic!("the nodes never come to rest");
    }

    /// Time passes everywhere.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now = Moment::from_millis(self.now.as_millis() + millis);
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if node.up {
                node.plane.expire(&mut node.batch, self.now);
            }
        }
    }

    /// A client connects to a node.
    pub(super) fn connect(&mut self, number: usize, client: usize, ask: Ask) {
        self.try_connect(number, client, ask).unwrap();
    }

    /// A client connects to a node, or is refused.
    pub(super) fn try_connect(&mut self, number: usize, client: usize, ask: Ask) -> Result<(), Code> {
        let Node { plane, batch, .. } = &mut self.nodes[number];
        let (socket, handle) = (Arc::<TestSocket>::default(), Arc::<TaskHandle>::default());
        socket.give_room(usize::MAX);
        let open = Open {
            client_id: client_id(client),
            clean_start: ask.clean,
            expiry_secs: ask.expiry_secs,
            window: WindowLimits::unacknowledged(u16::MAX.into()),
            will: ask.will,
            access: (ask.on_disk || ask.user.is_some()).then(|| {
                let identity = identity(client);
                let identity = match ask.user {
                    Some(user) => identity.vouched(UserName::new(user)),
                    None => identity,
                };
                Arc::new(plane.access().bind(identity))
            }),
            limits: limits(),
            durability: if ask.on_disk { Durability::Disk } else { Durability::Memory },
        };
        let connection = connection(1, Some(socket.clone()), handle.clone(), self.now);
        let opened = match plane.open(open, connection, batch, self.now) {
            Ok(opened) => opened,
            Err(code) => {
                self.finish(number);
                return Err(code);
            }
        };
        let live = Live::new(opened.session, opened.epoch, Some(socket));
        let memory = self.clients.remove(&client).map(|client| client.memory).unwrap_or_default();
        let memory = if opened.present { memory } else { Memory::default() };
        self.clients.insert(client, Client { node: number, live, memory, handle });
        self.finish(number);
        Ok(())
    }

    pub(super) fn subscribe(&mut self, client: usize, filter: &str, qos: QoS) {
        let Client { node, live, .. } = &self.clients[&client];
        let (number, filter) = (*node, SubscriptionFilter::new(filter).unwrap());
        let Node { plane, batch, .. } = &mut self.nodes[number];
        plane.subscribe(&live.session, live.epoch, filter, at(qos), RetainHandling::Always, batch).unwrap();
        plane.send_waiting(&live.session, live.epoch, self.now, &mut batch.effects);
        plane.reply(&live.session, live.epoch, &[], batch);
        self.finish(number);
    }

    pub(super) fn unsubscribe(&mut self, client: usize, filter: &str) -> bool {
        let Client { node, live, .. } = &self.clients[&client];
        let (number, filter) = (*node, SubscriptionFilter::new(filter).unwrap());
        let Node { plane, batch, .. } = &mut self.nodes[number];
        let found = plane.unsubscribe(&live.session, live.epoch, &filter, batch);
        self.finish(number);
        found
    }

    /// A message of a client; the batch goes on.
    pub(super) fn publish(&mut self, client: usize, mut message: Message) {
        let Client { node, live, .. } = self.clients.get_mut(&client).unwrap();
        let Node { plane, batch, .. } = &mut self.nodes[*node];
        message.properties = None;
        plane.publish(&mut live.publisher, batch, message, self.now);
    }

    /// The client reads what has come, and acknowledges all of it until nothing more comes.
    pub(super) fn read(&mut self, client: usize) {
        let Some(Client { live, memory, .. }) = self.clients.get_mut(&client) else { return };
        live.read(&[], memory);
    }

    pub(super) fn acknowledge(&mut self, client: usize) -> bool {
        self.read(client);
        let Some(Client { node, live, .. }) = self.clients.get_mut(&client) else { return false };
        let number = *node;
        let Node { plane, batch, .. } = &mut self.nodes[number];
        let some = !live.to_acknowledge.is_empty();
        while let Some((id, what, _)) = live.to_acknowledge.pop_front() {
            let acked = plane.acknowledge(&live.session, live.epoch, |_| id, what, batch, self.now);
            if acked == crate::Acked::Release {
                let mut release = vec![2];
                release.extend_from_slice(&id.to_be_bytes());
                plane.reply(&live.session, live.epoch, &release, batch);
            }
        }
        self.finish(number);
        some
    }

    /// Everybody reads and acknowledges until nothing is left anywhere.
    pub(super) fn drain(&mut self) {
        loop {
            self.settle();
            let all: Vec<usize> = self.clients.keys().copied().collect();
            let mut any = false;
            for client in all {
                any |= self.acknowledge(client);
            }
            if !any {
                return;
            }
        }
    }

    /// Serials a client has received, in order.
    pub(super) fn serials(&mut self, client: usize) -> Vec<u32> {
        self.read(client);
        let live = &self.clients[&client].live;
        live.received.iter().map(|received| received.serial).collect()
    }

    pub(super) fn is_greeted(&mut self, client: usize) -> bool {
        self.read(client);
        self.clients[&client].live.greeted
    }

    /// Why the server ended the client's connection, if it did.
    pub(super) fn parted(&self, client: usize) -> Option<skein_types::Code> {
        self.clients[&client].handle.take_closing().map(|closing| closing.code)
    }

    /// Forwarded messages are received, dropped, or on their way to nodes that are gone; and each plane's own sums.
    pub(super) fn check_ledgers(&mut self, lost_with_nodes: bool) {
        self.pass(0);
        let (mut forwarded, mut received) = (0, 0);
        for node in self.nodes.iter().filter(|node| node.up) {
            let figures = node.plane.ledger().figures();
            let ended = figures.delivered + figures.expired + figures.dropped_total();
            assert_eq!(figures.routed.cast_signed() - ended.cast_signed(), figures.pending, "{figures:?}");
            forwarded += figures.forwarded;
            received += figures.received + figures.link_dropped;
        }
        assert!(
            forwarded == received || (lost_with_nodes && forwarded >= received),
            "{forwarded} {received}"
        );
    }
}

fn limits() -> Arc<SessionLimits> {
    let queue = QueueLimits { messages_max: 10_000, bytes_max: 1 << 24 };
    Arc::new(SessionLimits { outbox_bytes_max: 1 << 20, queue, ..LIMITS })
}

/// What a client asks for when it connects.
#[derive(Default)]
pub(super) struct Ask {
    pub(super) clean: bool,
    pub(super) expiry_secs: u32,
    pub(super) will: Option<Will>,
    pub(super) on_disk: bool,
    pub(super) user: Option<&'static str>,
}

/// A message with a serial.
pub(super) fn message(to: &str, serial: u32, qos: QoS) -> Message {
    let payload = crate::plane::tests::client::payload(1, serial, 0);
    Message::new(topic(to), Bytes::from(payload), qos)
}

/// A retained one.
pub(super) fn retained(to: &str, serial: u32, qos: QoS) -> Message {
    Message { retain: true, ..message(to, serial, qos) }
}

/// The one that removes it.
pub(super) fn removal(to: &str) -> Message {
    Message { retain: true, ..Message::new(topic(to), Bytes::new(), QoS::AtLeastOnce) }
}
