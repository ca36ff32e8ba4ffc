//! Whether a subscription is in effect on other nodes when its SUBACK comes, and how long that takes.
//!
//! Each slot has a subscriber on one node and a publisher on another. It subscribes to a filter nobody used
//! before, publishes as soon as the SUBACK was read, waits for that one message and unsubscribes. As everything
//! happens on one thread, no PUBLISH is sent before its SUBACK came. A message that does not come within the
//! quiet time is a miss at any QoS: nothing else is published that could fill a queue.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    BenchError, Config, Report,
    codec::{Packet, Publish, PublishFields, write_publish, write_unsubscribe},
    driver::{ANSWER_TIMEOUT, Driver, Fault, Handler, Spec},
    handshake::{Inbox, PacketIds},
    histogram::Histogram,
    measure::Meter,
    report::{Latency, Visible},
};

/// The longest wait in epoll; deadlines are looked at this often.
const TURN: Duration = Duration::from_millis(50);
/// A run that missed this many messages has shown what it can show.
const MISSES_MAX: u64 = 100;
/// Publications of one slot whose acknowledgement may be on its way.
const PACKET_IDS: u16 = 16;
const UNSUBSCRIBE_ID: u16 = 2;

/// Subscribes and publishes `times` times over `parallel` slots.
pub(crate) fn run(config: &Config, times: u64, parallel: usize) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let mut driver = Driver::new(config)?;
    let mut trials = Trials::new(config, times, parallel);
    let opened = driver.open(trials.specs(), &mut trials)?;
    for (slot, state) in trials.slots.iter_mut().enumerate() {
        let count = PACKET_IDS.min(driver.receive_maximum(publisher_of(slot)));
        state.ids = PacketIds::new(config.qos, count);
    }
    report.publishers = parallel;
    report.subscribers = parallel;
    report.connections = opened.connections;
    report.connects_per_second = opened.connections as f64 / opened.elapsed.as_secs_f64();

    meter.start()?;
    let start_ns = driver.clock.now_ns();
    trials.run(&mut driver)?;
    let measured_ns = driver.clock.now_ns() - start_ns;
    report.set_measured(measured_ns as f64 / 1e9, trials.delivered);
    meter.stop(&mut report, trials.delivered, opened.connections)?;
    trials.drain(&mut driver)?;
    driver.close();
    trials.fill(&mut report);
    Ok(report)
}

fn subscriber_of(slot: usize) -> usize {
    slot * 2
}

fn publisher_of(slot: usize) -> usize {
    slot * 2 + 1
}

/// The nodes of a slot's subscriber and publisher: every ordered pair of different nodes comes in turn.
fn nodes_of(slot: usize, nodes: usize) -> (usize, usize) {
    let subscriber = slot % nodes;
    match nodes {
        1 => (0, 0),
        _ => (subscriber, (subscriber + 1 + (slot / nodes) % (nodes - 1)) % nodes),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    AwaitSubAck,
    AwaitMessage,
    AwaitUnsubAck,
}

#[derive(Debug)]
struct Slot {
    phase: Phase,
    /// When the phase began.
    since_ns: u64,
    subscribed_ns: u64,
    number: u64,
    filter: String,
    topic: String,
    ids: PacketIds,
    inbox: Inbox,
    missed: BTreeSet<u64>,
}

#[derive(Debug)]
struct Trials<'a> {
    config: &'a Config,
    prefix: String,
    payload: Vec<u8>,
    times: u64,
    slots: Vec<Slot>,
    /// Slots whose SUBACK came in this turn.
    granted: Vec<usize>,
    /// Slots whose message came in this turn.
    arrived: Vec<usize>,
    started: u64,
    ended: u64,
    published: u64,
    delivered: u64,
    misses: u64,
    late: u64,
    duplicated: u64,
    corrupted: u64,
    suback: Histogram,
    message: Histogram,
}

impl<'a> Trials<'a> {
    fn new(config: &'a Config, times: u64, parallel: usize) -> Self {
        let slot = |_| Slot {
            phase: Phase::Idle,
            since_ns: 0,
            subscribed_ns: 0,
            number: 0,
            filter: String::new(),
            topic: String::new(),
            ids: PacketIds::new(config.qos, 0),
            inbox: Inbox::default(),
            missed: BTreeSet::new(),
        };
        Self {
            config,
            prefix: crate::run_prefix(config),
            payload: crate::payload(config.payload_bytes),
            times,
            slots: (0..parallel).map(slot).collect(),
            granted: Vec::new(),
            arrived: Vec::new(),
            started: 0,
            ended: 0,
            published: 0,
            delivered: 0,
            misses: 0,
            late: 0,
            duplicated: 0,
            corrupted: 0,
            suback: Histogram::new(),
            message: Histogram::new(),
        }
    }

    fn specs(&self) -> Vec<Spec> {
        let spec = |slot: usize, what: &str, node: usize| Spec {
            client_id: format!("{}-{what}{slot}", self.prefix),
            node,
            filter: None,
            publishes: true,
        };
        let both = |slot: usize| {
            let (subscriber, publisher) = nodes_of(slot, self.config.nodes());
            [spec(slot, "sub", subscriber), spec(slot, "pub", publisher)]
        };
        (0..self.slots.len()).flat_map(both).collect()
    }

    fn run(&mut self, driver: &mut Driver<'_>) -> Result<(), BenchError> {
        let mut next_look_ns = 0;
        while self.ended < self.started || self.goes_on() {
            for slot in 0..self.slots.len() {
                self.start_if_idle(driver, slot)?;
            }
            driver.turn(TURN, self)?;
            for slot in std::mem::take(&mut self.granted) {
                self.publish(driver, slot)?;
            }
            for slot in std::mem::take(&mut self.arrived) {
                self.unsubscribe(driver, slot)?;
            }
            let now_ns = driver.clock.now_ns();
            if now_ns >= next_look_ns {
                next_look_ns = now_ns + TURN.as_nanos() as u64;
                self.look_at_deadlines(driver, now_ns)?;
                self.progress();
            }
        }
        Ok(())
    }

    /// Waits for the acknowledgements of the last publications, no longer than the quiet time.
    fn drain(&mut self, driver: &mut Driver<'_>) -> Result<(), BenchError> {
        let start_ns = driver.clock.now_ns();
        while self.slots.iter().any(|slot| slot.ids.waiting() > 0)
            && Duration::from_nanos(driver.clock.now_ns() - start_ns) < self.config.quiet
        {
            driver.turn(TURN, self)?;
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        self.started < self.times && self.misses < MISSES_MAX
    }

    fn start_if_idle(&mut self, driver: &mut Driver<'_>, slot: usize) -> Result<(), BenchError> {
        let goes_on = self.goes_on();
        let state = &mut self.slots[slot];
        if !goes_on || state.phase != Phase::Idle || state.ids.available() == 0 {
            return Ok(());
        }
        state.number = self.started;
        self.started += 1;
        let number = state.number;
        // Exact filters and filters with a wildcard take different ways through a matcher.
        let (filter, topic) = if number.is_multiple_of(2) { ("", "") } else { ("+/", "any/") };
        state.filter = format!("{}/{slot}/{filter}{number}", self.prefix);
        state.topic = format!("{}/{slot}/{topic}{number}", self.prefix);
        let filter = state.filter.clone();
        let now_ns = driver.clock.now_ns();
        state.enter(Phase::AwaitSubAck, now_ns);
        state.subscribed_ns = now_ns;
        driver.subscribe(subscriber_of(slot), filter)
    }

    fn publish(&mut self, driver: &mut Driver<'_>, slot: usize) -> Result<(), BenchError> {
        let state = &mut self.slots[slot];
        let connection = publisher_of(slot);
        self.payload[..8].copy_from_slice(&state.number.to_le_bytes());
        let fields = PublishFields {
            protocol: self.config.protocol,
            qos: self.config.qos,
            retain: false,
            topic: &state.topic,
        };
        write_publish(driver.out(connection), fields, state.ids.take(), &self.payload);
        state.enter(Phase::AwaitMessage, driver.clock.now_ns());
        self.published += 1;
        driver.flush(connection)
    }

    fn unsubscribe(&mut self, driver: &mut Driver<'_>, slot: usize) -> Result<(), BenchError> {
        let state = &mut self.slots[slot];
        state.enter(Phase::AwaitUnsubAck, driver.clock.now_ns());
        let connection = subscriber_of(slot);
        write_unsubscribe(driver.out(connection), self.config.protocol, UNSUBSCRIBE_ID, &state.filter);
        driver.flush(connection)
    }

    fn look_at_deadlines(&mut self, driver: &mut Driver<'_>, now_ns: u64) -> Result<(), BenchError> {
        for slot in 0..self.slots.len() {
            let state = &mut self.slots[slot];
            let waited = Duration::from_nanos(now_ns.saturating_sub(state.since_ns));
            let step = match state.phase {
                Phase::AwaitMessage if waited >= self.config.quiet => {
                    state.missed.insert(state.number);
                    self.misses += 1;
                    self.unsubscribe(driver, slot)?;
                    continue;
                }
                Phase::Idle | Phase::AwaitMessage => continue,
                Phase::AwaitSubAck => "waiting for the answer to SUBSCRIBE",
                Phase::AwaitUnsubAck => "waiting for the answer to UNSUBSCRIBE",
            };
            if waited >= ANSWER_TIMEOUT {
                return Err(driver.silent(subscriber_of(slot), step, ANSWER_TIMEOUT));
            }
        }
        Ok(())
    }

    fn progress(&self) {
        if self.config.progress {
            let text = format!("{} subscriptions, {} missed", self.ended, self.misses);
            crate::progress::draw(self.ended as f64 / self.times as f64, &text);
        }
    }

    fn fill(&self, report: &mut Report) {
        report.latency_ms = Latency::from_histogram(&self.message);
        report.sent = self.published;
        report.expected = self.published;
        report.delivered = self.delivered + self.late;
        report.lost = self.misses - self.late;
        report.duplicated = self.duplicated;
        report.corrupted = self.corrupted;
        report.unacknowledged = self.slots.iter().map(|slot| slot.ids.waiting()).sum();
        report.visible = Some(Visible {
            times: self.ended,
            misses: self.misses,
            late: self.late,
            suback_ms: Latency::from_histogram(&self.suback),
        });
    }
}

impl Slot {
    fn enter(&mut self, phase: Phase, now_ns: u64) {
        self.phase = phase;
        self.since_ns = now_ns;
    }
}

impl Handler for Trials<'_> {
    fn packet(
        &mut self,
        connection: usize,
        packet: Packet<'_>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let slot = connection / 2;
        let state = &mut self.slots[slot];
        if matches!(packet, Packet::PingResp) {
            return Ok(());
        }
        if connection == publisher_of(slot) {
            return state.ids.answer(&packet, out).map(drop);
        }
        match packet {
            Packet::Publish(publish) => {
                if state.inbox.acknowledge(publish.qos, publish.packet_id, out) {
                    self.message_came(slot, &publish, now_ns);
                } else {
                    self.duplicated += 1;
                }
                Ok(())
            }
            Packet::PubRel { packet_id } => state.inbox.release(packet_id, out),
            Packet::UnsubAck { packet_id: UNSUBSCRIBE_ID } if state.phase == Phase::AwaitUnsubAck => {
                state.enter(Phase::Idle, now_ns);
                self.ended += 1;
                Ok(())
            }
            other => Err(Fault::Protocol(format!("{other:?} was sent to a subscriber"))),
        }
    }

    fn subscribed(&mut self, connection: usize, now_ns: u64) {
        let slot = connection / 2;
        self.suback.record(now_ns.saturating_sub(self.slots[slot].subscribed_ns));
        self.granted.push(slot);
    }

    fn writable(&mut self, _: usize) {}
}

impl Trials<'_> {
    fn message_came(&mut self, slot: usize, publish: &Publish<'_>, now_ns: u64) {
        let state = &mut self.slots[slot];
        let number = publish.payload.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        let is_whole = publish.payload.get(8..) == self.payload.get(8..) && publish.qos == self.config.qos;
        match number {
            Some(number) if is_whole && number == state.number => {
                if state.phase == Phase::AwaitMessage && publish.topic == state.topic.as_bytes() {
                    self.message.record(now_ns.saturating_sub(state.subscribed_ns));
                    self.delivered += 1;
                    // Until the turn is over a second copy must be seen as one.
                    state.phase = Phase::AwaitUnsubAck;
                    self.arrived.push(slot);
                } else if state.missed.remove(&number) {
                    self.late += 1;
                } else {
                    self.duplicated += 1;
                }
            }
            Some(number) if is_whole && state.missed.remove(&number) => self.late += 1,
            Some(number) if is_whole && number < state.number => self.duplicated += 1,
            _ => self.corrupted += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nodes_of;

    #[test]
    fn every_ordered_pair_of_nodes_comes() {
        assert_eq!(nodes_of(5, 1), (0, 0));
        let mut pairs: Vec<_> = (0..6).map(|slot| nodes_of(slot, 3)).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]);
        assert_eq!((0..2).map(|slot| nodes_of(slot, 2)).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
    }
}
