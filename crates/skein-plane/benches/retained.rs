//! What retained messages cost: keeping one, and sending ten thousand to a new subscriber.
//!
//! `cargo bench -p skein-plane --bench retained` prints the time per message.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use divan::{Bencher, counter::ItemsCount};
use skein_access::{Access, AccessList, Anonymous};
use skein_plane::{
    Batch, Connection, ConnectionHandle, ConnectionInfo, DeliveredMessage, Durability, Open, Plane,
    PlaneLimits, QueueLimits, RetainHandling, SessionLimits, SubscribeOptions, TaskHandle, WindowLimits,
    Work, wire::MessageWire,
};
use skein_types::{ClientId, Message, Moment, QoS, SubscriptionFilter, Topic};

const TOPICS: usize = 10_000;

fn main() {
    divan::main();
}

fn plane() -> Plane {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    Plane::new(access, PlaneLimits { retained_messages_max: usize::MAX, ..PlaneLimits::default() })
}

fn messages(topics: usize) -> Vec<Message> {
    let topic =
        |number| Topic::try_from(&*format!("site/{}/{number}/temperature", number % 100)).expect("a topic");
    let payload = bytes::Bytes::from_static(&[0; 16]);
    (0..topics).map(|number| Message::new(topic(number), payload.clone(), QoS::AtMostOnce)).collect()
}

/// Another message of a topic that has one.
#[divan::bench(threads = [1, 2])]
fn replace(bencher: Bencher<'_, '_>) {
    let (plane, messages) = (plane(), messages(TOPICS));
    messages.iter().for_each(|message| plane.retained().set(message, Moment::ZERO));
    bencher.counter(ItemsCount::new(TOPICS)).bench(|| {
        messages.iter().for_each(|message| plane.retained().set(message, Moment::ZERO));
    });
}

/// Topics come and go.
#[divan::bench]
fn add_and_remove(bencher: Bencher<'_, '_>) {
    let (plane, messages) = (plane(), messages(TOPICS));
    bencher.counter(ItemsCount::new(TOPICS)).bench_local(|| {
        messages.iter().for_each(|message| plane.retained().set(message, Moment::ZERO));
        messages.iter().for_each(|message| _ = plane.retained().remove(&message.topic));
    });
}

fn subscribe(bencher: Bencher<'_, '_>, filter: &str, expected: usize) {
    let plane = plane();
    messages(TOPICS).iter().for_each(|message| plane.retained().set(message, Moment::ZERO));
    let info = ConnectionInfo {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        door: "bench",
        version: "0",
        listener: "bench".into(),
        keep_alive_secs: 0,
        connected_at: Moment::ZERO,
    };
    let limits = SessionLimits {
        outbox_bytes_max: 4 << 20,
        queue: QueueLimits { messages_max: 1000, bytes_max: 1 << 20 },
        slow_consumer_timeout: Duration::from_secs(10),
        subscriptions_max: usize::MAX,
        subscriptions_bytes_max: usize::MAX,
    };
    let open = Open {
        client_id: ClientId::new("subscriber"),
        clean_start: true,
        expiry_secs: 0,
        window: WindowLimits::unacknowledged(u16::MAX.into()),
        will: None,
        access: None,
        limits: Arc::new(limits),
        durability: Durability::Memory,
    };
    let connection = Connection::new(Box::new(MessageWire), None, Arc::new(TaskHandle::default()), info);
    let mut batch = Batch::default();
    let mut work = Work { plane: &plane, batch: &mut batch, now: Moment::ZERO };
    let (client, _present) =
        ConnectionHandle::open(open, connection, &mut work).expect("nobody else has its id");
    let options = SubscribeOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        id: None,
        partly_allowed: false,
    };
    let filter = SubscriptionFilter::new(filter).expect("a filter");
    let mut got: Vec<DeliveredMessage> = Vec::new();
    bencher.counter(ItemsCount::new(expected)).bench_local(|| {
        client
            .subscribe(filter.clone(), options, RetainHandling::Always, &mut work)
            .expect("nothing is forbidden");
        client.answer(&mut Vec::new(), &mut work);
        work.finish_unattended();
        got.clear();
        while got.len() < expected {
            client.take_messages(&mut got, &mut work);
            work.finish_unattended();
        }
    });
}

#[divan::bench]
fn send_all(bencher: Bencher<'_, '_>) {
    subscribe(bencher, "#", TOPICS);
}

/// One topic, behind a level that is not named.
#[divan::bench]
fn send_one(bencher: Bencher<'_, '_>) {
    subscribe(bencher, "site/+/4242/temperature", 1);
}
