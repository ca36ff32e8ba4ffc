//! What it costs to find out whom a topic reaches.
//!
//! `cargo bench -p skein-plane --bench matcher` prints the time per route among a hundred thousand subscriptions, and
//! per publish whose route is in the publisher's cache.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use divan::{Bencher, black_box, counter::ItemsCount};
use skein_access::{Access, AccessList, Anonymous};
use skein_plane::{
    Batch, Connection, ConnectionHandle, ConnectionInfo, Open, Plane, PlaneLimits, Publisher, QueueLimits,
    RetainHandling, SessionLimits, SubscribeOptions, TaskHandle, WindowLimits, Work, wire::MessageWire,
};
use skein_types::{ClientId, Code, Message, Moment, QoS, SessionKey, SubscriptionFilter, Topic};

const FILTERS: usize = 100_000;
/// Routes in one iteration, each of another topic.
const BATCH: usize = 100;

fn main() {
    divan::main();
}

/// A plane with one session that has `filters`.
fn plane(filters: impl Iterator<Item = String>) -> Plane {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    let plane = Plane::new(access, PlaneLimits { retained_messages_max: 1, ..PlaneLimits::default() });
    let opened = open(&plane, "subscriber");
    for filter in filters {
        subscribe(&plane, &opened, &filter).expect("nothing is forbidden");
    }
    plane
}

fn open(plane: &Plane, client: &str) -> ConnectionHandle {
    let info = ConnectionInfo {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        door: "bench",
        version: "0",
        listener: "bench".into(),
        keep_alive_secs: 0,
        connected_at: Moment::ZERO,
    };
    let limits = SessionLimits {
        outbox_bytes_max: 1 << 20,
        queue: QueueLimits { messages_max: 1000, bytes_max: 1 << 20 },
        slow_consumer_timeout: Duration::from_secs(10),
        subscriptions_max: usize::MAX,
        subscriptions_bytes_max: usize::MAX,
    };
    let open = Open {
        client_id: ClientId::new(client),
        clean_start: true,
        expiry_secs: 0,
        window: WindowLimits::unacknowledged(u16::MAX.into()),
        will: None,
        access: None,
        limits: Arc::new(limits),
        durability: skein_plane::Durability::Memory,
    };
    let connection = Connection::new(Box::new(MessageWire), None, Arc::new(TaskHandle::default()), info);
    let mut work = Work { plane, batch: &mut Batch::default(), now: Moment::ZERO };
    ConnectionHandle::open(open, connection, &mut work).expect("nobody else has its id").0
}

fn subscribe(plane: &Plane, client: &ConnectionHandle, filter: &str) -> Result<(), Code> {
    let options = SubscribeOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        id: None,
        partly_allowed: false,
    };
    let filter = SubscriptionFilter::new(filter).expect("a filter");
    let mut work = Work { plane, batch: &mut Batch::default(), now: Moment::ZERO };
    client.subscribe(filter, options, RetainHandling::Never, &mut work)
}

fn topics() -> Vec<Topic> {
    let numbers = (0..BATCH).map(|number| number * FILTERS / BATCH);
    numbers.map(|number| Topic::try_from(&*format!("site/{number}/temperature")).expect("a topic")).collect()
}

fn bench_routes(bencher: Bencher<'_, '_>, plane: &Plane, expect: usize) {
    let topics = topics();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for topic in &topics {
            let route = plane.matcher().route(black_box(topic), SessionKey(0));
            assert_eq!(route.direct.len(), expect);
        }
    });
}

#[divan::bench]
fn literal(bencher: Bencher<'_, '_>) {
    bench_routes(bencher, &plane((0..FILTERS).map(|number| format!("site/{number}/temperature"))), 1);
}

#[divan::bench]
fn wildcard(bencher: Bencher<'_, '_>) {
    bench_routes(bencher, &plane((0..FILTERS).map(|number| format!("site/{number}/+"))), 1);
}

#[divan::bench]
fn no_match(bencher: Bencher<'_, '_>) {
    bench_routes(bencher, &plane((0..FILTERS).map(|number| format!("room/{number}/+"))), 0);
}

/// As many patterns of wildcards as the node takes, all of which match as far as the topic goes.
#[divan::bench(args = [8, 16, 32, 128])]
fn hostile(bencher: Bencher<'_, '_>, levels: usize) {
    let mut bits = 1_u64;
    let mut level = move |_| {
        // Knuth's MMIX generator.
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if bits >> 61 == 0 { "+" } else { "a" }
    };
    let mut filter = move |levels: usize| (0..levels).map(&mut level).collect::<Vec<_>>().join("/");
    let plane = plane(std::iter::empty());
    for client in 0..100 {
        let opened = open(&plane, &client.to_string());
        for _ in 0..200 {
            // What is too much is refused.
            let _refused = [8, levels].map(|levels| subscribe(&plane, &opened, &filter(levels)));
        }
    }
    let topic = Topic::try_from(&*vec!["a"; levels].join("/")).expect("a topic");
    bencher.bench_local(|| plane.matcher().route(black_box(&topic), SessionKey(0)));
}

/// A publish that nobody wants, so that the cached route is all there is to it.
#[divan::bench(args = [1, BATCH])]
fn cached(bencher: Bencher<'_, '_>, topics_used: usize) {
    let plane = plane((0..FILTERS).map(|number| format!("room/{number}/+")));
    let messages: Vec<Message> = topics()
        .into_iter()
        .cycle()
        .take(topics_used)
        .cycle()
        .take(BATCH)
        .map(|topic| Message::new(topic, bytes::Bytes::from_static(b"payload"), QoS::AtMostOnce))
        .collect();
    let (mut publisher, mut batch) = (Publisher::new(SessionKey(0), None), Batch::default());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for message in &messages {
            black_box(plane.publish(&mut publisher, &mut batch, message.clone(), Moment::ZERO));
        }
        plane.finish(&mut batch, Moment::ZERO);
    });
}
