//! Fuzz targets for every byte a stranger can send: packets, topics and filters.
//!
//! They run as ordinary tests, over their corpus under `__fuzz__` and for a while over random input; with
//! `cargo bolero test` a coverage-guided engine drives the same targets. What is found is kept beside the corpus.

use std::time::Duration;

use bolero::check;
use bytes::Bytes;
use skein_mqtt::codec::{DecodeContext, Packet, Side, Version, decode, frame_length};
use skein_types::{Filter, SubscriptionFilter, Topic};

/// How long one target runs on random input in an ordinary test run.
const TEST_TIME: Duration = Duration::from_millis(500);

/// The first byte chooses who reads, the rest is what arrives.
fn context(choice: u8) -> DecodeContext {
    let side = if choice & 1 == 0 { Side::Server } else { Side::Client };
    let version = match choice >> 1 & 0b11 {
        0 => None,
        1 => Some(Version::V31),
        2 => Some(Version::V311),
        _ => Some(Version::V5),
    };
    let packet_bytes_max = if choice & 0x80 == 0 { DecodeContext::server().packet_bytes_max } else { 64 };
    DecodeContext { side, version, packet_bytes_max }
}

/// Takes packets until the input ends or breaks a rule; each must come back from its own encoding.
fn take_packets(ctx: &mut DecodeContext, bytes: &[u8]) {
    let mut buf = Bytes::copy_from_slice(bytes);
    loop {
        let before = buf.clone();
        let Ok(Some(packet)) = decode(&mut buf, ctx) else { return };
        assert_eq!(frame_length(&before), Ok(Some(before.len() - buf.len())));
        if let Packet::Connect(connect) = &packet {
            ctx.version = Some(connect.version);
        }
        let version = ctx.version.expect("the first packet is a CONNECT");
        let mut again = Vec::new();
        packet.encode(version, &mut again);
        assert_eq!(again.len(), packet.encoded_len(version));
        let is_first = matches!(packet, Packet::Connect(_));
        let reader = DecodeContext {
            version: Some(version).filter(|_| !is_first),
            packet_bytes_max: DecodeContext::server().packet_bytes_max,
            ..*ctx
        };
        assert_eq!(decode(&mut Bytes::from(again), &reader), Ok(Some(packet)));
    }
}

#[test]
fn packets() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        if let Some((choice, bytes)) = input.split_first() {
            take_packets(&mut context(*choice), bytes);
        }
    });
}

#[test]
fn topics_and_filters() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let topic = Topic::try_from(text).ok();
        if let Ok(filter) = Filter::new(text) {
            assert_eq!(filter.as_str(), text);
            assert_eq!(filter.depth(), filter.levels().count());
            assert!(filter.covers(&filter) && filter.overlaps(&filter));
            // A filter without wildcards is a topic, and the only one it matches.
            assert_eq!(filter.is_literal(), topic.is_some());
            assert!(topic.iter().all(|topic| filter.matches(topic)));
        }
        match SubscriptionFilter::new(text) {
            Ok(shared) => assert_eq!(shared.to_string(), text),
            Err(_) => assert!(Filter::new(text).is_err() || text.starts_with("$share")),
        }
    });
}
