//! Decoding and encoding PUBLISH, the packet that decides what a message costs.
//!
//! `cargo bench -p skein-mqtt --bench codec` prints the time per packet; each iteration decodes or encodes a batch as
//! it would lie in one read, so that the clock and the loop do not count.

use std::num::NonZeroU16;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use skein_mqtt::codec::{DecodeContext, Packet, Publish, PublishHead, Version, decode, encode_publish_head};
use skein_types::{Properties, QoS, Topic};

const TOPIC: &str = "bench/site-12/device-345";
/// Packets in one iteration.
const BATCH: usize = 100;

fn main() {
    divan::main();
}

fn batch(version: Version, publish: Publish) -> Bytes {
    let mut out = Vec::new();
    for _ in 0..BATCH {
        Packet::Publish(publish.clone()).encode(version, &mut out);
    }
    Bytes::from(out)
}

fn publish(payload_bytes: usize) -> Publish {
    Publish {
        topic: Some(Topic::try_from(TOPIC).expect("a topic")),
        payload: Bytes::from(vec![b'x'; payload_bytes]),
        ..Publish::default()
    }
}

fn bench_decode(bencher: Bencher<'_, '_>, version: Version, publish: Publish) {
    let bytes = batch(version, publish);
    let ctx = DecodeContext { version: Some(version), ..DecodeContext::server() };
    // A handle of its own makes the buffer shared, as one that comes out of a reader is.
    let _shared = bytes.clone();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let mut buf = bytes.clone();
        while let Ok(Some(packet)) = decode(&mut buf, &ctx) {
            black_box(packet);
        }
    });
}

#[divan::bench(args = [16, 256])]
fn decode_v311_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_decode(bencher, Version::V311, publish(payload_bytes));
}

#[divan::bench(args = [16, 256])]
fn decode_v311_qos1(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let id = NonZeroU16::new(7);
    bench_decode(
        bencher,
        Version::V311,
        Publish { qos: QoS::AtLeastOnce, packet_id: id, ..publish(payload_bytes) },
    );
}

#[divan::bench(args = [16, 256])]
fn decode_v5_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_decode(bencher, Version::V5, publish(payload_bytes));
}

#[divan::bench(args = [16, 256])]
fn decode_v5_properties(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let properties = Properties {
        content_type: Some("text/plain".into()),
        user: vec![("key".into(), "value".into())],
        ..Properties::default()
    };
    let publish =
        Publish { expiry_secs: Some(60), properties: Some(Box::new(properties)), ..publish(payload_bytes) };
    bench_decode(bencher, Version::V5, publish);
}

fn bench_encode(bencher: Bencher<'_, '_>, version: Version, payload_bytes: usize) {
    let payload = vec![b'x'; payload_bytes];
    let head = PublishHead { topic: TOPIC, ..PublishHead::default() };
    let mut out = Vec::with_capacity(BATCH * (payload_bytes + TOPIC.len() + 10));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        out.clear();
        for _ in 0..BATCH {
            encode_publish_head(black_box(&head), version, payload.len(), &mut out);
            out.extend_from_slice(&payload);
        }
        black_box(&out);
    });
}

#[divan::bench(args = [16, 256])]
fn encode_v311_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_encode(bencher, Version::V311, payload_bytes);
}

#[divan::bench(args = [16, 256])]
fn encode_v5_qos0(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    bench_encode(bencher, Version::V5, payload_bytes);
}
