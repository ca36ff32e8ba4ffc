//! What a link costs per message, one way and in memory: taken from the peer, framed, sealed or not, moved, opened, read.
//!
//! `cargo bench -p skein-cluster --bench link` prints runs and bytes per second by payload size, with and without encryption,
//! and what it costs to hand a run to a peer.

use std::{sync::Arc, task::Waker};

use bytes::{Bytes, BytesMut};
use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use skein_cluster::{
    ForwardedRun, LinkSettings, NodeInfo, Peer, RunEncoder, Secret,
    link::{Arrived, Link, LinkConfig, Side},
};
use skein_types::{ByteString, Incarnation, Message, Moment, NodeId, QoS, Topic};

/// Runs in one iteration.
const BATCH: usize = 1000;
const PAYLOADS: [usize; 4] = [16, 100, 1000, 16_000];

fn main() {
    divan::main();
}

fn peer() -> Arc<Peer> {
    let peer = Peer::new(NodeInfo {
        id: NodeId(2),
        incarnation: Incarnation(1),
        name: "n".into(),
        advertise: ([127, 0, 0, 1], 5777).into(),
        qrank: 1,
        server_reference: None,
    });
    peer.link_opened(0, Waker::noop().clone());
    peer
}

struct Pair {
    from: Link,
    to: Link,
    peer: Arc<Peer>,
    wire: BytesMut,
    arrived: Vec<Arrived>,
}

impl Pair {
    fn open(secret: bool) -> Self {
        let secret = secret.then(|| Secret("geese".to_owned()));
        let config = LinkConfig::new(secret.as_ref(), &LinkSettings::default());
        let mut pair = Self {
            from: Link::new(Side::Dialled, &config, [1; 16], Moment::ZERO),
            to: Link::new(Side::Accepted, &config, [2; 16], Moment::ZERO),
            peer: peer(),
            wire: BytesMut::new(),
            arrived: Vec::new(),
        };
        while pair.carry() | pair.carry_back() {}
        pair
    }

    fn carry(&mut self) -> bool {
        self.from.write(Some(&self.peer), &mut self.wire).expect("the link is open");
        let any = !self.wire.is_empty();
        self.to.room().extend_from_slice(&self.wire);
        self.wire.clear();
        self.to.received(Moment::ZERO, &mut self.arrived).expect("the bytes are as they were sent");
        self.to.give_credit();
        any
    }

    fn carry_back(&mut self) -> bool {
        self.to.write(None, &mut self.wire).expect("the link is open");
        let any = !self.wire.is_empty();
        self.from.room().extend_from_slice(&self.wire);
        self.wire.clear();
        self.from.received(Moment::ZERO, &mut self.arrived).expect("the bytes are as they were sent");
        any
    }
}

fn message(payload: usize, qos: QoS) -> Message {
    let topic = Topic::new(ByteString::from_static("sensors/hall/temperature")).expect("it is a topic");
    Message::new(topic, Bytes::from(vec![7; payload]), qos)
}

fn one_way(bencher: Bencher<'_, '_>, payload: usize, secret: bool, qos: QoS) {
    let mut pair = Pair::open(secret);
    let message = message(payload, qos);
    bencher.counter(ItemsCount::new(BATCH)).counter(BytesCount::new(BATCH * payload)).bench_local(|| {
        for _ in 0..BATCH {
            let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
            encoder.push(&message);
            pair.peer.send(&encoder.finish());
        }
        while pair.carry() {
            for arrived in pair.arrived.drain(..) {
                if let Arrived::Run { number, bytes } = arrived {
                    pair.peer.note_handled(number.unwrap_or(0));
                    black_box(ForwardedRun::decode(bytes, Moment::ZERO).expect("it is a run"));
                }
            }
            pair.carry_back();
        }
    });
}

#[divan::bench(args = PAYLOADS)]
fn plain(bencher: Bencher<'_, '_>, payload: usize) {
    one_way(bencher, payload, false, QoS::AtMostOnce);
}

#[divan::bench(args = PAYLOADS)]
fn sealed(bencher: Bencher<'_, '_>, payload: usize) {
    one_way(bencher, payload, true, QoS::AtMostOnce);
}

#[divan::bench(args = PAYLOADS)]
fn sealed_and_kept(bencher: Bencher<'_, '_>, payload: usize) {
    one_way(bencher, payload, true, QoS::AtLeastOnce);
}

/// Encoding a run, for all peers it goes to.
#[divan::bench(args = PAYLOADS)]
fn encode(bencher: Bencher<'_, '_>, payload: usize) {
    let message = message(payload, QoS::AtMostOnce);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
            encoder.push(&message);
            black_box(encoder.finish());
        }
    });
}

/// Handing a run to one peer and waking its link, as the plane's threads do.
#[divan::bench]
fn send(bencher: Bencher<'_, '_>) {
    let peer = peer();
    let message = message(100, QoS::AtMostOnce);
    let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
    encoder.push(&message);
    let run = encoder.finish();
    let mut taken = skein_cluster::Taken::default();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            black_box(peer.send(&run));
            peer.flush();
        }
        peer.take(skein_cluster::Room { runs_bytes: usize::MAX, ..Default::default() }, &mut taken);
        taken.runs.clear();
    });
}

/// A whole handshake, both sides.
#[divan::bench]
fn handshake() -> Pair {
    Pair::open(true)
}
