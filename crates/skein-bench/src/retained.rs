//! How fast retained messages reach a new wildcard subscriber.
//!
//! One publisher stores the messages, each on its own topic; then one subscriber after the other asks for all of
//! them. Only the delivery is measured, from SUBSCRIBE to the last message. Afterwards the publisher clears
//! what it stored, so that the server is left as it was found.

use std::time::Duration;

use crate::{
    BenchError, Config, Report,
    codec::{Packet, Publish, PublishFields, write_pingreq, write_publish},
    driver::{Driver, Fault, Handler, Spec},
    handshake::{Inbox, PacketIds},
    histogram::Histogram,
    measure::Meter,
    report::Latency,
    sequence::SetCheck,
};

const TURN: Duration = Duration::from_millis(100);
/// Bytes the publisher leaves unwritten before it waits for its socket.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// Stores the messages, delivers them to each subscriber and clears them.
pub(crate) fn run(config: &Config, messages: u64, subscribers: usize) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let mut driver = Driver::new(config)?;
    let mut store = Store::new(config, messages, subscribers);
    let opened = driver.open(store.specs(subscribers), &mut store)?;
    report.publishers = 1;
    report.subscribers = subscribers;
    report.connections = opened.connections;
    report.connects_per_second = opened.connections as f64 / opened.elapsed.as_secs_f64();

    store.publish_all(&mut driver, Content::Message)?;
    meter.start()?;
    let mut measured_ns = 0;
    for subscriber in 0..subscribers {
        measured_ns += store.deliver(&mut driver, subscriber)?;
    }
    let delivered = store.received();
    report.set_measured(measured_ns as f64 / 1e9, delivered);
    report.latency_ms = Latency::from_histogram(&store.latency);
    meter.stop(&mut report, delivered, subscribers + 1)?;
    store.fill_counts(&mut report);
    store.is_clearing = true;
    store.publish_all(&mut driver, Content::Clear)?;
    driver.close();
    Ok(report)
}

/// What is stored under each topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Message,
    /// An empty payload, which removes the retained message (MQTT-3.3.1-10).
    Clear,
}

#[derive(Debug)]
struct Store<'a> {
    config: &'a Config,
    prefix: String,
    messages: u64,
    payload: Vec<u8>,
    ids: PacketIds,
    inboxes: Vec<Inbox>,
    checks: Vec<SetCheck>,
    latency: Histogram,
    subscribed_ns: u64,
    last_arrival_ns: u64,
    arrivals: u64,
    pings_answered: u64,
    pings_sent: u64,
    repeats: u64,
    corrupted: u64,
    is_clearing: bool,
    topic: String,
}

impl<'a> Store<'a> {
    fn new(config: &'a Config, messages: u64, subscribers: usize) -> Self {
        Self {
            config,
            prefix: crate::run_prefix(config),
            messages,
            payload: crate::payload(config.payload_bytes),
            ids: PacketIds::new(config.qos, 0),
            inboxes: (0..subscribers).map(|_| Inbox::default()).collect(),
            checks: (0..subscribers).map(|_| SetCheck::default()).collect(),
            latency: Histogram::new(),
            subscribed_ns: 0,
            last_arrival_ns: 0,
            arrivals: 0,
            pings_answered: 0,
            pings_sent: 0,
            repeats: 0,
            corrupted: 0,
            is_clearing: false,
            topic: String::new(),
        }
    }

    /// The publisher is connection 0; the subscribers subscribe later.
    fn specs(&self, subscribers: usize) -> Vec<Spec> {
        let publisher =
            Spec { client_id: format!("{}-pub0", self.prefix), node: 0, filter: None, publishes: true };
        let others = (0..subscribers).map(|index| Spec {
            client_id: format!("{}-sub{index}", self.prefix),
            node: 0,
            filter: None,
            publishes: false,
        });
        std::iter::once(publisher).chain(others).collect()
    }

    /// Publishes to every topic and returns when the server has handled all of it: it answers the ping behind
    /// the last publication after that, in order.
    fn publish_all(&mut self, driver: &mut Driver<'_>, content: Content) -> Result<(), BenchError> {
        let window = u16::try_from(self.config.window()).unwrap_or(u16::MAX);
        self.ids = PacketIds::new(self.config.qos, window.min(driver.receive_maximum(0)));
        let what = if content == Content::Message {
            "storing retained messages"
        } else {
            "clearing retained messages"
        };
        let mut next = 0;
        let mut quiet = Quiet::begin(driver);
        while next < self.messages {
            while next < self.messages && self.ids.available() > 0 && driver.pending(0) < PENDING_BYTES_MAX {
                self.write(driver.out(0), next, content);
                next += 1;
            }
            if !driver.is_blocked(0) {
                driver.flush(0)?;
            }
            let is_waiting = driver.is_blocked(0) || self.ids.available() == 0;
            driver.turn(if is_waiting { TURN } else { Duration::ZERO }, self)?;
            self.progress(next, what);
            quiet.check(driver, self.arrivals + next, self.config.quiet, what)?;
        }
        write_pingreq(driver.out(0));
        self.pings_sent += 1;
        driver.flush(0)?;
        while self.pings_answered < self.pings_sent || self.ids.waiting() > 0 {
            driver.turn(TURN, self)?;
            quiet.check(driver, self.arrivals, self.config.quiet, what)?;
        }
        Ok(())
    }

    fn write(&mut self, out: &mut Vec<u8>, number: u64, content: Content) {
        use std::fmt::Write as _;
        self.topic.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.topic, "{}/{number}", self.prefix);
        let fields = PublishFields {
            protocol: self.config.protocol,
            qos: self.config.qos,
            retain: true,
            topic: &self.topic,
        };
        self.payload[..8].copy_from_slice(&number.to_le_bytes());
        let payload = if content == Content::Message { self.payload.as_slice() } else { &[] };
        write_publish(out, fields, self.ids.take(), payload);
    }

    /// Subscribes and waits for all messages or the quiet deadline; returns the time to the last message.
    fn deliver(&mut self, driver: &mut Driver<'_>, subscriber: usize) -> Result<u64, BenchError> {
        let connection = subscriber + 1;
        self.subscribed_ns = driver.clock.now_ns();
        self.last_arrival_ns = self.subscribed_ns;
        driver.subscribe(connection, format!("{}/#", self.prefix))?;
        let mut last = (self.arrivals, self.subscribed_ns);
        while self.checks[subscriber].received() < self.messages || !driver.is_ready(connection) {
            driver.turn(TURN, self)?;
            let now_ns = driver.clock.now_ns();
            if self.arrivals != last.0 {
                last = (self.arrivals, now_ns);
            } else if u128::from(now_ns - last.1) > self.config.quiet.as_nanos() {
                break;
            }
            self.progress(self.received() / self.inboxes.len() as u64, "delivering retained messages");
        }
        Ok(self.last_arrival_ns - self.subscribed_ns)
    }

    fn received(&self) -> u64 {
        self.checks.iter().map(SetCheck::received).sum()
    }

    fn fill_counts(&self, report: &mut Report) {
        report.sent = self.messages;
        report.expected = self.messages * self.checks.len() as u64;
        report.delivered = self.received();
        report.lost = self.checks.iter().map(|check| check.lost(self.messages)).sum();
        report.duplicated = self.checks.iter().map(SetCheck::duplicated).sum::<u64>() + self.repeats;
        report.corrupted = self.corrupted;
        report.unacknowledged = self.ids.waiting();
    }

    fn progress(&self, done: u64, what: &str) {
        if self.config.progress && done.is_multiple_of(1000) {
            crate::progress::draw(done as f64 / self.messages as f64, what);
        }
    }

    /// Whether the message is one that was stored, with all its bytes.
    fn check(&mut self, subscriber: usize, publish: &Publish<'_>) -> Option<bool> {
        let (number, _) = publish.payload.split_first_chunk::<8>()?;
        let number = u64::from_le_bytes(*number);
        let topic_number = publish.topic.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b"/")?;
        let topic_number: u64 = std::str::from_utf8(topic_number).ok()?.parse().ok()?;
        let is_same = publish.payload.get(8..) == self.payload.get(8..) && topic_number == number;
        if !is_same || !publish.retain || number >= self.messages {
            return None;
        }
        Some(self.checks.get_mut(subscriber)?.record(number, self.messages).is_new)
    }
}

impl Handler for Store<'_> {
    fn packet(
        &mut self,
        connection: usize,
        packet: Packet<'_>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.arrivals += 1;
        match (packet, connection.checked_sub(1)) {
            (Packet::PingResp, None) => self.pings_answered += 1,
            (Packet::PingResp, Some(_)) => {}
            (answer, None) => drop(self.ids.answer(&answer, out)?),
            (Packet::PubRel { packet_id }, Some(subscriber)) => {
                self.inboxes[subscriber].release(packet_id, out)?
            }
            (Packet::Publish(publish), Some(subscriber)) => {
                if !self.inboxes[subscriber].acknowledge(publish.qos, publish.packet_id, out) {
                    self.repeats += 1;
                } else if !self.is_clearing {
                    self.arrived(subscriber, &publish, now_ns);
                }
            }
            (other, Some(_)) => return Err(Fault::Protocol(format!("{other:?} was sent to a subscriber"))),
        }
        Ok(())
    }

    fn writable(&mut self, _: usize) {}
}

impl Store<'_> {
    fn arrived(&mut self, subscriber: usize, publish: &Publish<'_>, now_ns: u64) {
        self.last_arrival_ns = now_ns;
        match self.check(subscriber, publish) {
            Some(true) if publish.qos == self.config.qos => {
                self.latency.record(now_ns.saturating_sub(self.subscribed_ns));
            }
            Some(_) if publish.qos == self.config.qos => {}
            _ => self.corrupted += 1,
        }
    }
}

/// Notices that a server stopped answering while messages are stored.
struct Quiet {
    count: u64,
    since_ns: u64,
}

impl Quiet {
    fn begin(driver: &Driver<'_>) -> Self {
        Self { count: 0, since_ns: driver.clock.now_ns() }
    }

    fn check(
        &mut self,
        driver: &Driver<'_>,
        count: u64,
        limit: Duration,
        what: &'static str,
    ) -> Result<(), BenchError> {
        let now_ns = driver.clock.now_ns();
        if count != self.count {
            (self.count, self.since_ns) = (count, now_ns);
        }
        if u128::from(now_ns - self.since_ns) <= limit.as_nanos() {
            return Ok(());
        }
        Err(driver.silent(0, what, limit))
    }
}
