//! Everybody at work: connects the clients, carries packets between them and their sockets, lets them follow their
//! habits, and stops at the moment it is told.
//!
//! One thread drives all clients, so that "seen before" has a meaning for the ledger; it never waits for anything but
//! the next event or a deadline.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::cast::{self, Habit, Role};
use super::client::{Client, Line};
use super::connection::{Connection, Event, News, Origin};
use super::ledger::{Figures, Ledger};
use super::packet::{Packet, Step};
use super::random::Random;
use super::{Violation, retained};

/// Batches of packets that wait for the driving thread; readers wait when it is full.
const EVENTS_MAX: usize = 10_000;
/// How long the load may take to settle, or to see that the server is gone.
const SETTLE_DEADLINE: Duration = Duration::from_secs(30);

/// Something clients see, of which [`Moment`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sight {
    /// CONNACK.
    Greeting,
    /// CONNACK without "session present".
    NewSession,
    /// PUBACK or PUBREC.
    Acknowledgement,
    /// PUBCOMP.
    Completion,
    /// PUBLISH.
    Delivery,
    /// PUBREL.
    Release,
    /// SUBACK or UNSUBACK.
    SubscriptionChange,
}

/// When to stop: a while after something was seen for the n-th time, or at the latest after some time.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// What is counted.
    pub sight: Sight,
    /// How many of it.
    pub count: u64,
    /// How long after the last of them.
    pub then: Duration,
    /// The time after which it stops without having seen them.
    pub latest: Duration,
}

/// Forty durable clients and what they know.
#[derive(Debug)]
pub struct Load {
    members: Vec<Member>,
    ledger: Ledger,
    random: Random,
    events: Receiver<Event>,
    /// For the threads of new connections; also keeps the channel open while there are none.
    reporting: SyncSender<Event>,
    seen: HashMap<Sight, u64>,
    /// Packets seen by all clients: the clock of their habits.
    tick: u64,
    address: Option<SocketAddr>,
    winding_down: bool,
}

#[derive(Debug)]
struct Member {
    client: Client,
    habit: Habit,
    connection: Option<Connection>,
    /// The connection from which the session is taken over; nobody reads it any more.
    former: Option<Connection>,
    /// Counts the client's connections: late news of an earlier one are not heard.
    number: u64,
    act_at: u64,
    /// By its own will, so it does not come back because the server does.
    is_away: bool,
}

impl Load {
    /// The clients of `seed`, without a server.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut ledger = Ledger::default();
        let roles = cast::cast(&mut random, &mut ledger);
        let (reporting, events) = sync_channel(EVENTS_MAX);
        let mut members: Vec<_> = roles.into_iter().map(Member::new).collect();
        for member in &mut members {
            member.plan(0, &mut random);
        }
        Self {
            members,
            ledger,
            random,
            events,
            reporting,
            seen: HashMap::new(),
            tick: 0,
            address: None,
            winding_down: false,
        }
    }

    /// How many clients there are.
    pub fn client_count(&self) -> usize {
        self.members.len()
    }

    /// What happened so far.
    pub fn figures(&self) -> Figures {
        self.ledger.figures
    }

    /// A server answers at `address`: checks its retained messages and lets all clients connect that are not away.
    ///
    /// # Errors
    /// A broken promise.
    pub fn start(&mut self, address: SocketAddr) -> Result<(), Violation> {
        self.address = Some(address);
        self.check_retained()?;
        let mut order: Vec<usize> = (0..self.members.len()).filter(|at| !self.members[*at].is_away).collect();
        self.random.shuffle(&mut order);
        order.into_iter().try_for_each(|at| self.connect(at))
    }

    /// Works until `moment`.
    ///
    /// # Errors
    /// A broken promise.
    pub fn run(&mut self, moment: &Moment) -> Result<(), Violation> {
        self.seen.clear();
        let latest = Instant::now() + moment.latest;
        while self.seen.get(&moment.sight).copied().unwrap_or(0) < moment.count && Instant::now() < latest {
            self.pump(latest)?;
        }
        let end = Instant::now() + moment.then;
        while !moment.then.is_zero() && Instant::now() < end {
            self.pump(end)?;
        }
        Ok(())
    }

    /// Lets everything that was begun come to its end and checks that nothing is missing. Then the load goes on.
    ///
    /// # Errors
    /// A broken promise.
    pub fn drain(&mut self) -> Result<(), Violation> {
        self.winding_down = true;
        let end = Instant::now() + SETTLE_DEADLINE;
        loop {
            self.everybody_acts()?;
            if self.members.iter().all(Member::is_settled) && self.ledger.missing().is_empty() {
                break;
            }
            if Instant::now() >= end {
                return Err(self.unsettled());
            }
            self.pump(end.min(Instant::now() + Duration::from_millis(20)))?;
        }
        self.check_retained()?;
        self.winding_down = false;
        for member in &mut self.members {
            member.speak(false, &mut self.random, &mut self.ledger);
        }
        Ok(())
    }

    /// The server was killed: hears what it had said, until every connection has ended.
    ///
    /// # Errors
    /// A broken promise.
    pub fn server_died(&mut self) -> Result<(), Violation> {
        self.address = None;
        let end = Instant::now() + SETTLE_DEADLINE;
        while let Some(member) = self.members.iter().find(|member| member.connection.is_some()) {
            if Instant::now() >= end {
                let name = &member.client.name;
                return Err(Violation::new(format!("{name} is still connected to a dead server")));
            }
            self.pump(end)?;
        }
        Ok(())
    }

    /// Lets time pass for somebody who counts it; the clients have no server meanwhile.
    pub fn pass_time(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(_late) = self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {}
    }

    fn check_retained(&mut self) -> Result<(), Violation> {
        let Some(address) = self.address else { return Ok(()) };
        let topics = self.ledger.retained_topics();
        let wanted = topics.into_iter().filter_map(|(topic, must)| must.then_some(topic)).collect();
        let got = retained::ask(address, "kept/#", wanted)?;
        self.ledger.check_retained(&got)
    }

    /// Handles the next event, or returns at `end`.
    fn pump(&mut self, end: Instant) -> Result<(), Violation> {
        match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(event) => self.handle(event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the load holds a sender itself"),
        }
        self.everybody_acts()
    }

    fn handle(&mut self, Event { origin, news }: Event) -> Result<(), Violation> {
        let member = &mut self.members[origin.client];
        if member.connection.is_none() || member.number != origin.number {
            return Ok(());
        }
        match news {
            News::Packets(packets) => {
                for packet in packets {
                    self.tick += 1;
                    for sight in sights(&packet).into_iter().flatten() {
                        *self.seen.entry(sight).or_default() += 1;
                    }
                    member.client.handle(packet, &mut self.ledger)?;
                }
                member.speak(self.winding_down, &mut self.random, &mut self.ledger);
                Ok(())
            }
            News::Nonsense(fault) => Err(Violation::new(format!("{} got {fault}", member.client.name))),
            News::Closed => {
                member.disconnect();
                match self.address {
                    None => Ok(()),
                    Some(_) => Err(Violation::new(format!("the server closed {}", member.client.name))),
                }
            }
        }
    }

    /// Whoever's time has come follows its habit.
    fn everybody_acts(&mut self) -> Result<(), Violation> {
        if self.address.is_none() {
            return Ok(());
        }
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            if self.winding_down {
                member.speak(true, &mut self.random, &mut self.ledger);
            }
            if member.is_away && member.comes_back(self.tick, self.winding_down, &self.ledger) {
                member.is_away = false;
                member.plan(self.tick, &mut self.random);
                self.connect(at)?;
            } else if self.tick >= member.act_at && !self.winding_down && member.client.line == Line::On {
                member.act(self.tick, &mut self.random, &mut self.ledger);
            }
        }
        Ok(())
    }

    fn connect(&mut self, at: usize) -> Result<(), Violation> {
        let Some(address) = self.address else { return Ok(()) };
        let member = &mut self.members[at];
        member.number += 1;
        let origin = Origin { client: at, number: member.number };
        let version = member.client.version;
        let opened = Connection::open(address, version, origin, self.reporting.clone());
        let name = &member.client.name;
        let connection =
            opened.map_err(|error| Violation::new(format!("{name} cannot connect to {address}: {error}")))?;
        member.connection = Some(connection);
        member.client.connected(&mut self.ledger);
        member.flush();
        Ok(())
    }

    fn unsettled(&mut self) -> Violation {
        let busy: Vec<_> =
            self.members.iter().filter(|member| !member.is_settled()).map(Member::state).collect();
        let missing = self.ledger.missing();
        Violation::new(format!(
            "after {SETTLE_DEADLINE:?} without new messages these are missing: {missing:?}, and these clients wait \
             for answers: {busy:#?}"
        ))
    }
}

fn sights(packet: &Packet) -> [Option<Sight>; 2] {
    let sight = match packet {
        Packet::ConnAck { session_present: false, .. } => {
            return [Some(Sight::Greeting), Some(Sight::NewSession)];
        }
        Packet::ConnAck { session_present: true, .. } => Sight::Greeting,
        Packet::Publish(_) => Sight::Delivery,
        Packet::Step { step: Step::Ack | Step::Rec, .. } => Sight::Acknowledgement,
        Packet::Step { step: Step::Rel, .. } => Sight::Release,
        Packet::Step { step: Step::Comp, .. } => Sight::Completion,
        Packet::SubAck { .. } | Packet::UnsubAck { .. } => Sight::SubscriptionChange,
        Packet::PingResp | Packet::Disconnect { .. } => return [None, None],
    };
    [Some(sight), None]
}

impl Member {
    fn new(role: Role) -> Self {
        let Role { client, habit } = role;
        Self { client, habit, connection: None, former: None, number: 0, act_at: 0, is_away: false }
    }

    /// Sets the tick of the next act.
    fn plan(&mut self, tick: u64, random: &mut Random) {
        self.act_at = match &self.habit {
            Habit::Stays => u64::MAX,
            Habit::Leaves { stay, .. } => tick + random.within(stay.clone()),
            Habit::Moves { every }
            | Habit::Changes { every }
            | Habit::Renews { every }
            | Habit::Dies { every } => tick + random.within(every.clone()),
        };
    }

    fn act(&mut self, tick: u64, random: &mut Random, ledger: &mut Ledger) {
        match &self.habit {
            Habit::Stays => {}
            Habit::Leaves { away, .. } => {
                let back_at = tick + random.within(away.clone());
                if random.once_in(2) {
                    self.client.say_goodbye();
                    self.flush();
                }
                self.leave();
                self.act_at = back_at;
            }
            Habit::Changes { .. } => {
                if let Some(subscriber) = &mut self.client.subscriber {
                    subscriber.is_wanted = !subscriber.is_wanted;
                }
                self.speak(false, random, ledger);
                self.plan(tick, random);
            }
            Habit::Moves { .. } => {
                self.former = self.connection.take();
                self.client.disconnected();
                self.is_away = true;
                self.act_at = tick;
            }
            Habit::Renews { .. } => {
                self.client.renews = true;
                self.leave();
                self.act_at = tick;
            }
            Habit::Dies { .. } => {
                let will = self.client.will.as_ref().and_then(|will| Some((will.stream, will.place?)));
                if let Some((stream, place)) = will.filter(|(stream, _)| ledger.is_watched(*stream)) {
                    // The server was told to publish it and will not be told otherwise: it is due.
                    ledger.acknowledged(stream, place);
                    self.leave();
                }
            }
        }
    }

    fn leave(&mut self) {
        self.is_away = true;
        self.disconnect();
    }

    fn comes_back(&self, tick: u64, winding_down: bool, ledger: &Ledger) -> bool {
        let will = self.client.will.as_ref().and_then(|will| Some((will.stream, will.place?)));
        match (&self.habit, will) {
            (Habit::Dies { .. }, Some((stream, place))) => ledger.is_received(stream, place),
            _ => winding_down || tick >= self.act_at,
        }
    }

    fn speak(&mut self, winding_down: bool, random: &mut Random, ledger: &mut Ledger) {
        self.client.speak(winding_down, random, ledger);
        self.flush();
    }

    fn flush(&mut self) {
        let output = self.client.take_output();
        if let Some(connection) = self.connection.as_mut().filter(|_| !output.is_empty()) {
            connection.write(&output);
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.former = None;
        self.client.disconnected();
    }

    /// What it waits for, for a message.
    fn state(&self) -> String {
        let Client { name, line, publisher, subscriber, .. } = &self.client;
        let away = if self.is_away { "away" } else { "not away" };
        format!("{name}: {line:?}, {away}, {publisher:?}, {subscriber:?}")
    }

    fn is_settled(&self) -> bool {
        !self.is_away && self.client.is_settled()
    }
}
