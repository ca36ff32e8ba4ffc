//! The world of a schedule: places for nodes, the network between them, and one queue of what happens when.
//!
//! It plays the shell around each core (links with their numbered runs, gossip, timers) as plainly as can be. Time is a number,
//! and everything that looks like chance comes from the seed.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use skein_cluster::{Action, Announcement, Event, ForwardedRun, LinkId, Peer};
use skein_types::Moment;

use super::{
    gossip::Command,
    ledger::Ledger,
    network::{Carried, EndId, Network},
    node::{EndState, Node, Promise, address},
    random::{Dice, Trace},
};

/// What crosses a connection.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    Control(Bytes),
    Announcement(Announcement),
    Run(Option<u64>, Bytes),
    /// Kept runs up to this number are handled.
    Handled(u64),
    /// The end of what comes.
    Fin,
}

/// What happens to a process.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Opened {
        end: EndId,
        dialled: Option<SocketAddr>,
        remote: SocketAddr,
    },
    DialFailed(SocketAddr),
    Arrived(EndId, Wire),
    /// The other side reset the connection.
    Reset(EndId),
    /// Gossip has something to do.
    Gossip(Command),
    /// Gossip has something to say to the core.
    News(Box<Event>),
    Tick,
    /// Its links write what waits.
    Write,
    /// A message of this peer was written down.
    Written(EndId, u64, Arc<Peer>),
}

#[derive(Debug)]
enum Queued {
    At { place: usize, process: u64, what: Happening },
    Pulse,
}

const PULSE_MS: u64 = 100;

pub(crate) struct World {
    pub(crate) now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Queued>,
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) processes: u64,
    pub(crate) network: Network<Wire>,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Vec<String>,
    /// What processes that ended told their operators.
    pub(crate) old_notes: Vec<(usize, Vec<skein_cluster::Notification>)>,
    pub(crate) gossip_loss_percent: u64,
    pub(crate) promises_kept: u64,
    is_loud: bool,
}

/// The link of an end, as its core names it.
fn link_of(end: EndId) -> LinkId {
    LinkId(end.connection * 2 + end.side as u64)
}

fn end_of(link: LinkId) -> EndId {
    EndId { connection: link.0 / 2, side: usize::from(link.0 % 2 == 1) }
}

impl World {
    pub(crate) fn new(places: usize, seed: u64) -> Self {
        let mut world = Self {
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes: (0..places).map(|_| None).collect(),
            processes: 0,
            network: Network::new(),
            dice: Dice::new(seed),
            trace: Trace::default(),
            ledger: Ledger::default(),
            faults: Vec::new(),
            old_notes: Vec::new(),
            gossip_loss_percent: 0,
            promises_kept: 0,
            is_loud: std::env::var_os("SKEIN_SIM_TRACE").is_some(),
        };
        world.push(PULSE_MS, Queued::Pulse);
        world
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.is_loud {
            eprintln!("{:>7} {}", self.now, what());
        }
    }

    fn push(&mut self, at: u64, what: Queued) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), what);
    }

    pub(crate) fn happen_at(&mut self, at: u64, place: usize, what: Happening) {
        if let Some(node) = &self.nodes[place] {
            let process = node.process;
            self.push(at, Queued::At { place, process, what });
        }
    }

    /// Lets time pass up to `until`.
    pub(crate) fn run_until(&mut self, until: u64) {
        while let Some(((at, _), _)) = self.queue.first_key_value()
            && *at <= until
            && let Some(((at, _), what)) = self.queue.pop_first()
        {
            self.now = at;
            match what {
                Queued::Pulse => self.pulse(),
                Queued::At { place, process, what } => {
                    if self.nodes[place].as_ref().is_some_and(|node| node.process == process) {
                        self.happen(place, what);
                    } else if let Happening::Arrived(_, wire) = what {
                        self.lose(&wire);
                    }
                }
            }
        }
        self.now = until;
    }

    fn lose(&mut self, wire: &Wire) {
        if let Wire::Run(_, bytes) = wire {
            let run = ForwardedRun::decode(bytes.clone(), Moment::ZERO).expect("it was encoded here");
            for message in run.messages {
                self.ledger.lost(&message.payload);
            }
        }
    }

    pub(crate) fn start(&mut self, place: usize, seeds: &[usize]) {
        self.processes += 1;
        let seed = self.dice.next();
        self.nodes[place] = Some(Node::start(place, self.processes, self.now, seed));
        self.say(|| format!("n{} starts, seeds {seeds:?}", place + 1));
        self.gossip(place, Command::Tick);
        self.core(place, Event::Candidates(seeds.iter().map(|seed| address(*seed)).collect()));
    }

    /// The process is gone; others see its connections reset if the machine still runs.
    pub(crate) fn end_process(&mut self, place: usize, resets: bool) {
        let Some(node) = self.nodes[place].take() else { return };
        self.say(|| format!("n{} is gone", place + 1));
        self.ledger.end(node.process);
        self.old_notes.extend(node.notes.into_iter().map(|notes| (place, notes)));
        for what in node.inbox {
            if let Happening::Arrived(_, wire) = what {
                self.lose(&wire);
            }
        }
        for (end, state) in node.ends {
            state.early.iter().for_each(|wire| self.lose(wire));
            if let Some(end) = self.network.end_mut(end) {
                end.is_open = false;
            }
            if resets {
                self.reset_other(end);
            }
        }
    }

    fn reset_other(&mut self, end: EndId) {
        let other = end.other();
        if let Some(place) = self.network.end(other).map(|other| other.place) {
            let at = self.now + self.dice.range(1, 30);
            self.happen_at(at, place, Happening::Reset(other));
        }
    }

    /// A connection breaks: both ends notice, each in its own time, and what is on its way is lost.
    pub(crate) fn cut(&mut self, connection: u64) {
        let Some(cut) = self.network.connections.get_mut(&connection) else { return };
        cut.is_cut = true;
        for side in [0, 1] {
            self.reset_other(EndId { connection, side });
        }
    }

    pub(crate) fn resume(&mut self, place: usize) {
        let Some(node) = &mut self.nodes[place] else { return };
        node.is_paused = false;
        let inbox = std::mem::take(&mut node.inbox);
        self.say(|| format!("n{} wakes up", place + 1));
        for what in inbox {
            self.happen(place, what);
        }
        self.core(place, Event::Tick);
        self.gossip(place, Command::Tick);
    }

    /// Something happens to a process that is there.
    fn happen(&mut self, place: usize, what: Happening) {
        let Some(node) = &mut self.nodes[place] else { return };
        if node.is_paused {
            match what {
                // Its timers go off when it wakes up.
                Happening::Tick => node.tick_at = u64::MAX,
                Happening::Gossip(Command::Tick) => node.gossip.tick_at = u64::MAX,
                what => node.inbox.push_back(what),
            }
            return;
        }
        match what {
            Happening::Opened { end, dialled, remote } => {
                node.ends.insert(end, EndState::default());
                self.core(place, Event::LinkOpened { link: link_of(end), dialled, remote });
            }
            Happening::DialFailed(to) => self.core(place, Event::DialFailed { to }),
            Happening::Arrived(end, wire) => self.arrived(place, end, wire),
            Happening::Reset(end) => self.closed_from_below(place, end),
            Happening::Gossip(command) => self.gossip(place, command),
            Happening::News(event) => self.core(place, *event),
            Happening::Tick => {
                node.tick_at = u64::MAX;
                self.core(place, Event::Tick);
            }
            Happening::Write => self.write_what_waits(place),
            Happening::Written(end, number, peer) => {
                peer.note_received(number);
                self.send(place, end, Wire::Handled(number));
            }
        }
    }

    fn arrived(&mut self, place: usize, end: EndId, wire: Wire) {
        let is_open = self
            .network
            .connections
            .get(&end.connection)
            .is_some_and(|connection| !connection.is_cut && connection.ends[end.side].is_open);
        if !is_open {
            return self.lose(&wire);
        }
        if let Some(end) = self.network.end_mut(end) {
            end.heard_at = self.now;
        }
        let link = link_of(end);
        match wire {
            Wire::Control(frame) => self.core(place, Event::Control { link, frame }),
            Wire::Announcement(announcement) => self.core(place, Event::Announcement { link, announcement }),
            Wire::Fin => self.closed_from_below(place, end),
            Wire::Handled(number) => {
                if let Some(peer) = self.peer_at(place, end) {
                    peer.note_handled(number);
                    self.settle(place);
                }
            }
            Wire::Run(..) => match self.peer_at(place, end) {
                Some(peer) => self.take_run(place, end, &peer, &wire),
                None => {
                    let state = self.nodes[place].as_mut().and_then(|node| node.ends.get_mut(&end));
                    match state {
                        Some(state) => state.early.push(wire),
                        None => self.lose(&wire),
                    }
                }
            },
        }
    }

    fn peer_at(&self, place: usize, end: EndId) -> Option<Arc<Peer>> {
        self.nodes[place].as_ref()?.ends.get(&end)?.peer.clone()
    }

    fn take_run(&mut self, place: usize, end: EndId, peer: &Arc<Peer>, wire: &Wire) {
        let Wire::Run(number, bytes) = wire else { return };
        if peer.is_down() {
            return self.lose(wire);
        }
        if number.is_none_or(|number| peer.is_new(number))
            && let Some(node) = &self.nodes[place]
        {
            let run = ForwardedRun::decode(bytes.clone(), Moment::ZERO).expect("it was encoded here");
            node.host.receive(run);
            for payload in std::mem::take(&mut node.host.state.lock().received) {
                self.ledger.handled(&payload);
            }
        }
        if let Some(number) = number {
            // Its plane writes it down first.
            let slow = self.dice.chance(20);
            let at = self.now + if slow { self.dice.range(50, 400) } else { self.dice.range(0, 20) };
            self.happen_at(at, place, Happening::Written(end, *number, peer.clone()));
        }
    }

    pub(crate) fn closed_from_below(&mut self, place: usize, end: EndId) {
        let was_open =
            self.network.end_mut(end).is_some_and(|end| std::mem::replace(&mut end.is_open, false));
        if was_open {
            self.core(place, Event::LinkClosed { link: link_of(end) });
            self.forget_end(place, end);
        }
    }

    fn forget_end(&mut self, place: usize, end: EndId) {
        if let Some(state) = self.nodes[place].as_mut().and_then(|node| node.ends.remove(&end)) {
            assert!(state.peer.is_none(), "a peer is detached from each link that closes");
            state.early.iter().for_each(|wire| self.lose(wire));
        }
    }

    fn send(&mut self, place: usize, end: EndId, wire: Wire) {
        match self.network.send(end, wire, self.now, &mut self.dice) {
            Carried::At(at, wire) => {
                if let Some(to) = self.network.end(end.other()).map(|to| to.place) {
                    if self.nodes[to].is_none() {
                        return self.lose(&wire);
                    }
                    self.happen_at(at, to, Happening::Arrived(end.other(), wire));
                }
            }
            Carried::Held => {}
            Carried::Lost(wire) => self.lose(&wire),
        }
        let _ = place;
    }

    /// Gives a core an event, and does what it asks for.
    pub(crate) fn core(&mut self, place: usize, event: Event) {
        let now = Moment::from_millis(self.now);
        let Some(node) = &mut self.nodes[place] else { return };
        self.trace.note(self.now << 8 | place as u64);
        if let Event::Control { frame, .. } = &event {
            self.trace.note_bytes(frame);
        }
        let mut actions = Vec::new();
        node.core.handle(event, now, &mut actions);
        for action in actions {
            self.act(place, action);
        }
        self.settle(place);
    }

    fn act(&mut self, place: usize, action: Action) {
        let here = format!("n{}", place + 1);
        match action {
            Action::Dial { to } => self.dial(place, to),
            Action::Control { link, frame } => {
                self.trace.note_bytes(&frame);
                self.send(place, end_of(link), Wire::Control(frame));
            }
            Action::Close { link, why } => {
                self.say(|| format!("{here} closes {link:?}: {why:?}"));
                let end = end_of(link);
                self.send(place, end, Wire::Fin);
                if let Some(end) = self.network.end_mut(end) {
                    end.is_open = false;
                }
                self.forget_end(place, end);
            }
            Action::Attach { link, peer, handled } => {
                self.say(|| format!("{here} attaches {link:?}: {} from {handled}", peer.id()));
                peer.link_opened(handled, std::task::Waker::noop().clone());
                let end = end_of(link);
                let Some(state) = self.nodes[place].as_mut().and_then(|node| node.ends.get_mut(&end)) else {
                    return;
                };
                state.peer = Some(peer.clone());
                for wire in std::mem::take(&mut state.early) {
                    self.take_run(place, end, &peer, &wire);
                }
            }
            Action::Detach { link } => {
                let state = self.nodes[place].as_mut().and_then(|node| node.ends.get_mut(&end_of(link)));
                let peer = state.and_then(|state| state.peer.take());
                peer.expect("only who was attached is detached").link_closed();
            }
            Action::Meet(info) => self.ask_gossip(place, Command::Meet(info)),
            Action::DeclareDown(info) => self.ask_gossip(place, Command::DeclareDown(info)),
            Action::Renew(info) => {
                self.say(|| format!("{here} renews: {}", info.incarnation));
                let Some(node) = &mut self.nodes[place] else { return };
                node.notes.push(Vec::new());
                self.ask_gossip(place, Command::Renew(info));
            }
            Action::Notify(note) => {
                self.say(|| format!("{here} notifies {note:?}"));
                self.trace.note(0xF00D);
                if let Some(node) = &mut self.nodes[place]
                    && let Some(notes) = node.notes.last_mut()
                {
                    notes.push(note);
                }
            }
            Action::Joined => self.say(|| format!("{here} has joined")),
            Action::Refused(refused) => {
                self.say(|| format!("{here} is refused: {refused}"));
                if let Some(node) = &mut self.nodes[place] {
                    node.refused = Some(refused);
                }
            }
        }
    }

    fn dial(&mut self, place: usize, to: SocketAddr) {
        let there = (0..self.nodes.len()).find(|there| address(*there) == to);
        let delay = self.dice.range(1, 20);
        let at = self.now + delay;
        let Some(there) = there.filter(|there| self.nodes[*there].is_some()) else {
            return self.happen_at(at, place, Happening::DialFailed(to));
        };
        if !self.network.passes(place, there) || !self.network.passes(there, place) {
            return self.happen_at(self.now + 1000, place, Happening::DialFailed(to));
        }
        let connection = self.network.connect(place, there, self.now);
        let (dialler, dialled) = (EndId { connection, side: 0 }, EndId { connection, side: 1 });
        let back = at + self.dice.range(0, 10);
        let remote = address(place);
        self.happen_at(at, there, Happening::Opened { end: dialled, dialled: None, remote });
        self.happen_at(back, place, Happening::Opened { end: dialler, dialled: Some(to), remote: to });
    }

    /// After anything happened at a node: what changed is said, what waits is written, what is done is answered.
    pub(crate) fn settle(&mut self, place: usize) {
        while self.nodes[place].as_ref().is_some_and(Node::take_flushed) {
            self.core(place, Event::Flush);
        }
        // Links write in batches: what comes now and then waits for one, and for what else may happen until then.
        if self.nodes[place].as_ref().is_some_and(|node| !node.is_batching) {
            if self.dice.chance(80) {
                self.write_what_waits(place);
            } else {
                let at = self.now + self.dice.range(1, 100);
                self.happen_at(at, place, Happening::Write);
                if let Some(node) = &mut self.nodes[place] {
                    node.is_batching = true;
                }
            }
        }
        self.keep_promises(place);
        let Some(node) = &mut self.nodes[place] else { return };
        let due = node.core.next_due().map(Moment::as_millis);
        if let Some(due) = due.map(|due| due.max(self.now + 1)).filter(|due| *due < node.tick_at) {
            node.tick_at = due;
            self.happen_at(due, place, Happening::Tick);
        }
    }

    fn write_what_waits(&mut self, place: usize) {
        let Some(node) = &mut self.nodes[place] else { return };
        node.is_batching = false;
        let attached =
            node.ends.iter().filter_map(|(end, state)| state.peer.clone().map(|peer| (*end, peer)));
        for (end, peer) in attached.collect::<Vec<_>>() {
            while let Some(announcement) = peer.take_announcement() {
                self.send(place, end, Wire::Announcement(announcement));
            }
            while let Some((number, run)) = peer.take_run() {
                self.send(place, end, Wire::Run(number, run.bytes));
            }
        }
    }

    fn keep_promises(&mut self, place: usize) {
        let Some(node) = &mut self.nodes[place] else { return };
        let (done, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut node.waits).into_iter().partition(|(_, waits)| waits.is_done());
        node.waits = waiting;
        for (promise, _) in done {
            self.promises_kept += 1;
            self.trace.note(0xACC);
            self.check_promise(place, &promise);
        }
    }

    fn pulse(&mut self) {
        self.push(self.now + PULSE_MS, Queued::Pulse);
        for (end, at, wire) in self.network.release(self.now, &mut self.dice) {
            let place = self.network.end(end).map(|end| end.place);
            match place.filter(|place| self.nodes[*place].is_some()) {
                Some(place) => self.happen_at(at, place, Happening::Arrived(end, wire)),
                None => self.lose(&wire),
            }
        }
        let runs: Vec<_> =
            self.nodes.iter().map(|node| node.as_ref().is_some_and(|node| !node.is_paused)).collect();
        for end in self.network.pulse(self.now, |place| runs[place]) {
            if let Some(place) = self.network.end(end).map(|end| end.place) {
                self.closed_from_below(place, end);
            }
        }
        for wire in self.network.forget_closed() {
            self.lose(&wire);
        }
    }

    /// A planned leave: said over links and by gossip, then the process ends.
    pub(crate) fn leave(&mut self, place: usize) {
        self.core(place, Event::Leave);
        self.gossip(place, Command::Leave);
        self.end_process(place, false);
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|place| self.nodes[*place].is_some()).collect()
    }

    /// Nodes that clients can use.
    pub(crate) fn open(&self) -> Vec<usize> {
        let open = |place: &usize| self.nodes[*place].as_ref().is_some_and(Node::is_open);
        (0..self.nodes.len()).filter(open).collect()
    }

    pub(crate) fn wait(&mut self, place: usize, promise: Promise, waits: skein_cluster::Waits) {
        if let Some(node) = &mut self.nodes[place] {
            node.waits.push((promise, waits));
        }
        self.settle(place);
    }
}
