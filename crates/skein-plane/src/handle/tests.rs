//! A client in this process: it gets messages, not bytes, acknowledges cumulatively and comes back to what it missed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use skein_access::{Access, AccessList, Anonymous};
use skein_types::{ClientId, Message, Moment, QoS, SubscriptionFilter, Topic};

use super::*;
use crate::{
    ConnectionInfo, Durability, PlaneLimits, QueueLimits, SessionLimits, TaskHandle, WindowLimits,
    matcher::tests::PLAIN, wire::MessageWire,
};

const NOW: Moment = Moment::from_millis(1000);

struct Fixture {
    plane: Plane,
    batch: Batch,
}

impl Fixture {
    fn new() -> Self {
        let plane = Plane::new(
            Arc::new(Access::new(AccessList::open(), Anonymous::Always)),
            PlaneLimits { retained_messages_max: 10, ..PlaneLimits::default() },
        );
        Self { plane, batch: Batch::default() }
    }

    fn work(&mut self) -> Work<'_> {
        Work { plane: &self.plane, batch: &mut self.batch, now: NOW }
    }

    fn connect(&mut self, name: &str, window: u32, outbox_bytes_max: usize) -> (ConnectionHandle, bool) {
        let limits = SessionLimits {
            outbox_bytes_max,
            queue: QueueLimits { messages_max: 100, bytes_max: 1 << 20 },
            slow_consumer_timeout: Duration::from_secs(10),
            subscriptions_max: 10,
            subscriptions_bytes_max: usize::MAX,
        };
        let open = Open {
            client_id: ClientId::new(name),
            clean_start: false,
            expiry_secs: 60,
            window: WindowLimits::unacknowledged(window),
            will: None,
            access: None,
            limits: Arc::new(limits),
            durability: Durability::Memory,
        };
        let info = ConnectionInfo {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            door: "test",
            version: "0",
            listener: "test".into(),
            keep_alive_secs: 0,
            connected_at: NOW,
        };
        let connection = Connection::new(Box::new(MessageWire), None, Arc::<TaskHandle>::default(), info);
        let opened = ConnectionHandle::open(open, connection, &mut self.work()).unwrap();
        self.work().finish_unattended();
        opened
    }

    fn subscribe(&mut self, client: &ConnectionHandle, filter: &str, qos: QoS) {
        let filter = SubscriptionFilter::new(filter).unwrap();
        let options = SubscribeOptions { qos, ..PLAIN };
        client.subscribe(filter, options, RetainHandling::Always, &mut self.work()).unwrap();
        self.work().finish_unattended();
    }

    fn publish(&mut self, client: &mut ConnectionHandle, topic: &str, payload: &str, qos: QoS) {
        let message =
            Message::new(Topic::try_from(topic).unwrap(), Bytes::copy_from_slice(payload.as_bytes()), qos);
        client.publish(message, &mut self.work());
        self.work().finish_unattended();
    }

    /// What the client is given now: number, whether again, payload.
    fn take(&mut self, client: &ConnectionHandle) -> Vec<(Option<u64>, bool, String)> {
        let mut out = Vec::new();
        assert_eq!(client.take_messages(&mut out, &mut self.work()), Flushed::Clear);
        self.work().finish_unattended();
        let text = |message: &Message| String::from_utf8(message.payload.to_vec()).unwrap();
        out.iter().map(|given| (given.seq, given.again, text(&given.message))).collect()
    }

    fn acknowledge_up_to(&mut self, client: &ConnectionHandle, seq: u64) -> u64 {
        let count = client.acknowledge_up_to(seq, &mut self.work());
        self.work().finish_unattended();
        count
    }
}

fn given(seq: u64, again: bool, payload: &str) -> (Option<u64>, bool, String) {
    (Some(seq), again, payload.to_owned())
}

#[test]
fn messages_are_handed_over_and_acknowledged_cumulatively() {
    let mut node = Fixture::new();
    let (reader, present) = node.connect("reader", 3, 1 << 20);
    assert!(!present);
    let (mut writer, _) = node.connect("writer", 3, 1 << 20);
    node.subscribe(&reader, "a/#", QoS::AtLeastOnce);
    for payload in ["0", "1", "2", "3", "4"] {
        node.publish(&mut writer, "a/b", payload, QoS::AtLeastOnce);
    }
    assert_eq!(node.take(&reader), [given(0, false, "0"), given(1, false, "1"), given(2, false, "2")]);
    assert_eq!(node.acknowledge_up_to(&reader, 1), 2);
    assert_eq!(node.take(&reader), [given(3, false, "3"), given(4, false, "4")]);
    // It comes back and is given again what it did not acknowledge, under the same numbers.
    let (reader, present) = node.connect("reader", 3, 1 << 20);
    assert!(present);
    assert_eq!(node.take(&reader), [given(2, true, "2"), given(3, true, "3"), given(4, true, "4")]);
    assert_eq!(node.acknowledge_up_to(&reader, 4), 3);
    assert_eq!(node.acknowledge_up_to(&reader, 4), 0);
    let figures = node.plane.ledger().figures();
    assert_eq!((figures.delivered, figures.pending), (5, 0), "{figures:?}");
}

#[test]
fn what_is_not_taken_is_bounded_and_counted() {
    let mut node = Fixture::new();
    let (reader, _) = node.connect("reader", 10, 1000);
    let (mut writer, _) = node.connect("writer", 10, 1000);
    node.subscribe(&reader, "#", QoS::AtMostOnce);
    for _ in 0..10 {
        node.publish(&mut writer, "a", &"x".repeat(200), QoS::AtMostOnce);
    }
    let taken = node.take(&reader).len() as u64;
    let figures = node.plane.ledger().figures();
    assert!((1..10).contains(&taken), "{taken}");
    assert_eq!((figures.delivered, figures.dropped_total()), (taken, 10 - taken));
}

#[test]
fn a_handle_whose_session_went_to_another_connection_changes_nothing() {
    let mut node = Fixture::new();
    let (stale, _) = node.connect("reader", 10, 1000);
    let (present, _) = node.connect("reader", 10, 1000);
    let filter = SubscriptionFilter::new("#").unwrap();
    let refused = stale.subscribe(filter, PLAIN, RetainHandling::Always, &mut node.work());
    assert_eq!(refused, Err(Code::SessionTakenOver));
    assert_eq!(stale.flushed(), Flushed::Lost);
    assert!(stale.close(Ending::Graceful, Some(0), &mut node.work()).is_none());
    assert_eq!(present.flushed(), Flushed::Clear);
}
