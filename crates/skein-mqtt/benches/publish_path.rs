//! The whole path of a message on one thread: bytes in at the publisher's connection, bytes out at every subscriber's
//! socket, acknowledgements of both sides included. The sockets take everything and keep nothing.
//!
//! `cargo bench -p skein-mqtt --bench publish_path` prints the time per delivered message; each iteration handles a
//! batch as it would lie in one read.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use skein_access::{Access, AccessList, Anonymous};
use skein_mqtt::{
    Context, MqttConnection, Origin, Settings, Step,
    codec::{Ack, Connect, Packet, Publish, RetainHandling, Subscribe, SubscribeItem, Version},
};
use skein_plane::{Batch, Plane, PlaneLimits, Socket, TaskHandle};
use skein_types::{Moment, QoS, SubscriptionFilter, Topic};

const TOPIC: &str = "bench/site-12/device-345";
const VERSION: Version = Version::V311;
/// Publishes in one iteration of one publisher to one subscriber.
const BATCH: u16 = 100;
/// Subscribers of the fan-out, and publishes in its iteration.
const FAN_OUT: u16 = 1000;
const FAN_OUT_BATCH: u16 = 10;

fn main() {
    divan::main();
}

#[derive(Debug, Default)]
struct Sink {
    bytes: AtomicU64,
}

impl Socket for Sink {
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = buffers.iter().map(|buffer| buffer.len()).sum();
        self.bytes.fetch_add(bytes as u64, Relaxed);
        Ok(bytes)
    }

    fn shutdown(&self) {}
}

/// A client's connection.
struct Client {
    mqtt: MqttConnection,
    sink: Arc<Sink>,
}

/// What all connections of a thread share.
struct World {
    plane: Plane,
    batch: Batch,
    out: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
        let plane = Plane::new(access, PlaneLimits { retained_messages_max: 1, ..PlaneLimits::default() });
        Self { plane, batch: Batch::default(), out: Vec::new() }
    }

    fn connect(&mut self, name: &str, settings: &Arc<Settings>, first: &[Packet]) -> Client {
        let sink = Arc::<Sink>::default();
        let origin = Origin {
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            certificate_user: None,
            socket: Some(sink.clone()),
            handle: Arc::new(TaskHandle::default()),
        };
        let mut client = Client { mqtt: MqttConnection::new(settings.clone(), origin), sink };
        let mut connect = Connect::new(VERSION, name.into());
        connect.clean_start = true;
        let packets = std::iter::once(Packet::Connect(Box::new(connect))).chain(first.iter().cloned());
        self.receive(&mut client, encode(packets));
        assert!(client.mqtt.handle().is_some());
        client
    }

    fn receive(&mut self, client: &mut Client, mut bytes: Bytes) {
        let Self { plane, batch, out } = self;
        let mut cx = Context { plane, batch, now: Moment::ZERO, out, random: |bytes| bytes.fill(1) };
        let step = client.mqtt.receive(&mut bytes, &mut cx);
        assert!(client.mqtt.flush(&mut cx).is_none(), "nothing is kept on disk here");
        assert!(matches!(step, Step::Read) && bytes.is_empty());
        drop(batch.take_congestion());
    }

    fn delivered(&self) -> u64 {
        self.plane.ledger().figures().delivered
    }
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings::default())
}

fn encode(packets: impl IntoIterator<Item = Packet>) -> Bytes {
    let mut out = Vec::new();
    for packet in packets {
        packet.encode(VERSION, &mut out);
    }
    Bytes::from(out)
}

fn subscribe(qos: QoS) -> Packet {
    let item = SubscribeItem {
        filter: SubscriptionFilter::new(TOPIC).expect("a filter"),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let packet_id = NonZeroU16::MIN;
    Packet::Subscribe(Box::new(Subscribe {
        packet_id,
        subscription_id: None,
        items: vec![item],
        user: Vec::new(),
    }))
}

fn publishes(count: u16, qos: QoS, payload_bytes: usize) -> Bytes {
    encode((1..=count).map(|id| {
        Packet::Publish(Publish {
            topic: Some(Topic::try_from(TOPIC).expect("a topic")),
            qos,
            packet_id: NonZeroU16::new(id).filter(|_| qos != QoS::AtMostOnce),
            payload: Bytes::from(vec![b'x'; payload_bytes]),
            ..Publish::default()
        })
    }))
}

/// Acknowledgements of a batch whose first message had the id behind `last_id` on its circle.
fn acks(kind: fn(Ack) -> Packet, last_id: &mut u16, out: &mut Vec<u8>) {
    for _ in 0..BATCH {
        *last_id = *last_id % u16::MAX + 1;
        kind(Ack::success(NonZeroU16::new(*last_id).expect("ids start at 1"))).encode(VERSION, out);
    }
}

fn bench_pair(bencher: Bencher<'_, '_>, qos: QoS, payload_bytes: usize) {
    let (mut world, settings) = (World::new(), settings());
    let mut subscriber = world.connect("subscriber", &settings, &[subscribe(qos)]);
    let mut publisher = world.connect("publisher", &settings, &[]);
    let publishes = publishes(BATCH, qos, payload_bytes);
    let mut released = Vec::new();
    acks(Packet::PubRel, &mut 0, &mut released);
    let released = Bytes::from(released);
    let mut last_id = 0;
    let mut answers = Vec::new();
    let mut batches = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        batches += 1;
        world.receive(&mut publisher, publishes.clone());
        answers.clear();
        match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => acks(Packet::PubAck, &mut last_id, &mut answers),
            QoS::ExactlyOnce => {
                world.receive(&mut publisher, released.clone());
                let mut received_id = last_id;
                acks(Packet::PubRec, &mut received_id, &mut answers);
                acks(Packet::PubComp, &mut last_id, &mut answers);
            }
        }
        world.receive(&mut subscriber, Bytes::copy_from_slice(&answers));
    });
    assert_eq!(world.delivered(), batches * u64::from(BATCH), "every message was delivered");
}

#[divan::bench(args = [16, 256])]
fn one_to_one_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_pair(bencher, QoS::AtMostOnce, payload_bytes);
}

#[divan::bench(args = [16, 256])]
fn one_to_one_qos1(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_pair(bencher, QoS::AtLeastOnce, payload_bytes);
}

#[divan::bench(args = [16, 256])]
fn one_to_one_qos2(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_pair(bencher, QoS::ExactlyOnce, payload_bytes);
}

#[divan::bench(args = [16, 256])]
fn fan_out_1000_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let (mut world, settings) = (World::new(), settings());
    let subscribers: Vec<Client> = (0..FAN_OUT)
        .map(|number| {
            world.connect(&format!("subscriber-{number}"), &settings, &[subscribe(QoS::AtMostOnce)])
        })
        .collect();
    let mut publisher = world.connect("publisher", &settings, &[]);
    let publishes = publishes(FAN_OUT_BATCH, QoS::AtMostOnce, payload_bytes);
    let messages = u64::from(FAN_OUT) * u64::from(FAN_OUT_BATCH);
    let mut batches = 0;
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        batches += 1;
        world.receive(&mut publisher, publishes.clone());
    });
    assert_eq!(world.delivered(), batches * messages, "every message was delivered");
    assert!(subscribers.iter().all(|subscriber| subscriber.sink.bytes.load(Relaxed) > 0));
}
