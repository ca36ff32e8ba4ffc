//! Publishers and subscribers of a flow workload, and what they do with each packet.

use super::{
    is_acknowledged,
    ledger::Ledger,
    nodes::Nodes,
    publisher::{Publisher, split},
};
use crate::{
    BenchError, Config, Qos, Report, Workload,
    codec::{Packet, Publish, PublishFields, PublishTemplate},
    driver::{Driver, Fault, Handler, Spec},
    handshake::Inbox,
    histogram::Histogram,
    sequence::{Noted, OrderCheck, SequenceCheck, SetCheck},
};

/// Time between two drawings of the progress line.
const PROGRESS_NS: u64 = 200_000_000;

/// Everything that is published and delivered. Publisher `n` is connection `n`; the subscribers follow.
#[derive(Debug)]
pub(super) struct Traffic {
    prefix: String,
    qos: Qos,
    filters: Vec<String>,
    publishers: Vec<Publisher>,
    /// Deliveries of each publication.
    fan: u64,
    ledger: Ledger,
    inboxes: Vec<Inbox>,
    /// Publishers whose allowance may have grown.
    listed: Vec<usize>,
    next_paced: usize,
    payload: Vec<u8>,
    nodes: Nodes,
    pub(super) latency: Histogram,
    pub(super) last_arrival_ns: u64,
    delivered: u64,
    /// Packets of any kind that move the run on.
    arrivals: u64,
    /// Handshakes that ended.
    acks: u64,
    /// QoS 2 messages sent again while their first copy was held.
    repeats: u64,
    corrupted: u64,
    sent: u64,
    is_limited: bool,
    next_progress_ns: u64,
}

impl Traffic {
    pub(super) fn new(config: &Config) -> Self {
        let prefix = crate::run_prefix(config);
        let shape = Shape::new(&config.workload, &prefix);
        let payload = crate::payload(config.payload_bytes);
        let publishers = shape.topics.into_iter().enumerate().map(|(index, topic)| {
            let fields =
                PublishFields { protocol: config.protocol, qos: config.qos, retain: false, topic: &topic };
            let template = PublishTemplate::new(fields, &payload);
            Publisher::new(index, topic, template, config.qos, config.window(), shape.fan)
        });
        Self {
            prefix,
            qos: config.qos,
            publishers: publishers.collect(),
            fan: shape.fan,
            ledger: shape.ledger,
            inboxes: shape.filters.iter().map(|_| Inbox::default()).collect(),
            filters: shape.filters,
            listed: Vec::new(),
            next_paced: 0,
            payload,
            nodes: Nodes::new(config),
            latency: Histogram::new(),
            last_arrival_ns: 0,
            delivered: 0,
            arrivals: 0,
            acks: 0,
            repeats: 0,
            corrupted: 0,
            sent: 0,
            is_limited: false,
            next_progress_ns: 0,
        }
    }

    pub(super) fn specs(&self) -> Vec<Spec> {
        let publishers = (0..self.publishers.len()).map(|index| Spec {
            client_id: format!("{}-pub{index}", self.prefix),
            node: self.nodes.of_publisher(index),
            filter: None,
            publishes: true,
        });
        let subscribers = self.filters.iter().enumerate().map(|(index, filter)| Spec {
            client_id: format!("{}-sub{index}", self.prefix),
            node: self.nodes.of_subscriber(index),
            filter: Some(filter.clone()),
            publishes: false,
        });
        publishers.chain(subscribers).collect()
    }

    /// Takes the limits the server named when the connections were opened.
    pub(super) fn opened(&mut self, driver: &Driver<'_>) {
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.opened(driver.receive_maximum(index));
        }
    }

    pub(super) fn publishers(&self) -> usize {
        self.publishers.len()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.filters.len()
    }

    /// Lets each publisher send `more` messages, or any number.
    pub(super) fn set_limits(&mut self, more: Option<u64>) {
        self.is_limited = more.is_some();
        for index in 0..self.publishers.len() {
            let publisher = &mut self.publishers[index];
            publisher.limit = more.map_or(u64::MAX, |more| publisher.sent + more);
            self.list(index);
        }
    }

    /// Publishes by every publisher whose window may have opened since the last call.
    pub(super) fn publish_allowed(&mut self, driver: &mut Driver<'_>) -> Result<(), BenchError> {
        let mut listed = std::mem::take(&mut self.listed);
        for &index in &listed {
            let publisher = &mut self.publishers[index];
            publisher.is_listed = false;
            self.sent += publisher.publish_allowed(driver)?;
        }
        listed.clear();
        self.listed = listed;
        Ok(())
    }

    /// Publishes one message by the next publisher; returns whether its window and limit allowed it.
    pub(super) fn publish_one(&mut self, driver: &mut Driver<'_>, due_ns: u64) -> Result<bool, BenchError> {
        let publisher = &mut self.publishers[self.next_paced];
        if publisher.allowance() == 0 {
            return Ok(false);
        }
        publisher.publish_one(driver, due_ns)?;
        self.next_paced = (self.next_paced + 1) % self.publishers.len();
        self.sent += 1;
        Ok(true)
    }

    pub(super) fn expected(&self) -> u64 {
        self.sent * self.fan
    }

    /// Different messages delivered so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Packets seen so far; as long as it grows the run is not quiet.
    pub(super) fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Whether something is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        self.delivered() < self.expected() || !self.is_acknowledged()
    }

    /// Whether all that may be published was published, delivered and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.is_limited
            && !self.is_waiting()
            && self.publishers.iter().all(|publisher| publisher.sent >= publisher.limit)
    }

    fn is_acknowledged(&self) -> bool {
        !is_acknowledged(self.qos) || self.acks == self.sent
    }

    pub(super) fn progress_is_due(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.next_progress_ns;
        if is_due {
            self.next_progress_ns = now_ns + PROGRESS_NS;
        }
        is_due
    }

    pub(super) fn fill_counts(&self, report: &mut Report) {
        report.sent = self.sent;
        report.expected = self.expected();
        report.corrupted = self.corrupted;
        report.unacknowledged = self.publishers.iter().map(Publisher::unacknowledged).sum();
        self.ledger.fill(&self.publishers, report);
        report.duplicated += self.repeats;
    }

    fn list(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        if !publisher.is_listed {
            publisher.is_listed = true;
            self.listed.push(index);
        }
    }
}

impl Handler for Traffic {
    #[inline]
    fn packet(
        &mut self,
        connection: usize,
        packet: Packet<'_>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.arrivals += 1;
        match (packet, connection.checked_sub(self.publishers.len())) {
            (Packet::Publish(publish), Some(subscriber)) => self.publish(subscriber, &publish, now_ns, out),
            (Packet::PubRel { packet_id }, Some(subscriber)) => {
                self.inboxes[subscriber].release(packet_id, out)
            }
            (Packet::PingResp, _) => Ok(()),
            (answer, None) => {
                if self.publishers[connection].answer(&answer, out)? {
                    self.acks += 1;
                    self.list(connection);
                }
                Ok(())
            }
            (other, Some(_)) => Err(Fault::Protocol(format!("{other:?} was sent to a subscriber"))),
        }
    }

    fn writable(&mut self, connection: usize) {
        if connection < self.publishers.len() {
            self.list(connection);
        }
    }
}

impl Traffic {
    fn publish(
        &mut self,
        subscriber: usize,
        publish: &Publish<'_>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if !self.inboxes[subscriber].acknowledge(publish.qos, publish.packet_id, out) {
            self.repeats += 1;
            return Ok(());
        }
        if publish.qos != self.qos {
            let (is, wanted) = (publish.qos.bits(), self.qos.bits());
            return Err(Fault::Protocol(format!(
                "a message published and subscribed at QoS {wanted} came at QoS {is}"
            )));
        }
        let Some((publisher, sent_ns, noted)) = self.check(subscriber, publish) else {
            self.corrupted += 1;
            return Ok(());
        };
        self.last_arrival_ns = now_ns;
        if noted.is_new {
            self.delivered += 1;
            self.latency.record(now_ns.saturating_sub(sent_ns));
        }
        if noted.settled > 0 {
            self.publishers[publisher].settled += noted.settled;
            self.list(publisher);
        }
        Ok(())
    }

    /// Compares every byte with what was published and notes the message's number.
    #[inline]
    fn check(&mut self, subscriber: usize, publish: &Publish<'_>) -> Option<(usize, u64, Noted)> {
        let (value, rest) = publish.payload.split_first_chunk::<8>()?;
        let (sent_ns, rest) = rest.split_first_chunk::<8>()?;
        let (index, number) = split(u64::from_le_bytes(*value));
        let publisher = self.publishers.get(index)?;
        let is_sent = number < publisher.sent && publish.topic == publisher.topic.as_bytes();
        if !is_sent || self.payload.get(16..) != Some(rest) {
            return None;
        }
        let noted = self.ledger.record(subscriber, index, number, publisher.sent)?;
        Some((index, u64::from_le_bytes(*sent_ns), noted))
    }
}

/// Topics, filters and checks of a workload.
struct Shape {
    topics: Vec<String>,
    filters: Vec<String>,
    fan: u64,
    ledger: Ledger,
}

impl Shape {
    fn new(workload: &Workload, prefix: &str) -> Self {
        let topics = |count: usize| (0..count).map(|index| format!("{prefix}/{index}")).collect::<Vec<_>>();
        let checks = |count: usize| (0..count).map(|_| SequenceCheck::default()).collect::<Vec<_>>();
        match *workload {
            Workload::Fanout { subscribers } => Self {
                topics: topics(1),
                filters: vec![format!("{prefix}/0"); subscribers],
                fan: subscribers as u64,
                ledger: Ledger::Fanout(checks(subscribers)),
            },
            Workload::Fanin { publishers } => Self {
                topics: topics(publishers),
                filters: vec![format!("{prefix}/+")],
                fan: 1,
                ledger: Ledger::Fanin(checks(publishers)),
            },
            Workload::Shared { publishers, members } => Self {
                topics: topics(publishers),
                filters: vec![format!("$share/{prefix}/{prefix}/+"); members],
                fan: 1,
                ledger: Ledger::Shared {
                    sets: (0..publishers).map(|_| SetCheck::default()).collect(),
                    orders: (0..members)
                        .map(|_| (0..publishers).map(|_| OrderCheck::default()).collect())
                        .collect(),
                },
            },
            Workload::Pairs { pairs: count }
            | Workload::Paced { pairs: count, .. }
            | Workload::Cross { pairs: count, .. }
            | Workload::Idle { connections: count }
            | Workload::Retained { subscribers: count, .. }
            | Workload::Visible { parallel: count, .. }
            | Workload::Takeover { parallel: count, .. }
            | Workload::Storm { clients: count, .. } => Self {
                topics: topics(count),
                filters: topics(count),
                fan: 1,
                ledger: Ledger::Pairs(checks(count)),
            },
        }
    }
}
