//! Runs come back as they were sent, whatever is in them, and nothing else is taken for a run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when something is not as it should be")]

use std::time::Duration;

use bolero::check;
use bytes::Bytes;
use proptest::{option::of, prelude::*};
use skein_cluster::{ForwardedRun, GroupTarget, RunEncoder};
use skein_types::{ByteString, Filter, GroupName, Message, Moment, NodeId, Properties, QoS, Stamp, Topic};

const TEST_TIME: Duration = Duration::from_millis(500);

fn text() -> impl Strategy<Value = ByteString> {
    // Longer than any text of MQTT, now and then: other doors have longer ones.
    prop_oneof![
        20 => "[a-z0-9é]{0,40}".prop_map(ByteString::from),
        1 => Just(ByteString::from("x".repeat(70_000))),
    ]
}

fn topic() -> impl Strategy<Value = Topic> {
    "[a-z]{1,9}(/[a-z]{0,9}){0,3}".prop_map(|text| Topic::new(ByteString::from(text)).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn properties() -> impl Strategy<Value = Properties> {
    let user = proptest::collection::vec((text(), text()), 0..4);
    (of(any::<bool>()), of(text()), of(topic()), of(bytes()), user).prop_map(
        |(payload_is_utf8, content_type, response_topic, correlation_data, user)| Properties {
            payload_is_utf8,
            content_type,
            response_topic,
            correlation_data,
            user,
        },
    )
}

fn run() -> impl Strategy<Value = ForwardedRun> {
    let qos = (0_u8..3).prop_map(|qos| QoS::from_u8(qos).unwrap());
    let version = of((any::<u64>(), any::<u16>()));
    let group = of(("[a-z]{1,9}", any::<u64>()));
    let message = (bytes(), of(0_u64..1_000_000_000), of(properties()));
    let messages = proptest::collection::vec(message, 1..8);
    (topic(), qos, any::<bool>(), version, group, messages).prop_map(
        |(topic, qos, retain, version, group, messages)| {
            let message = |(payload, life, properties): (Bytes, Option<u64>, Option<Properties>)| Message {
                retain,
                expires_at: life.map(|life| Moment::from_millis(1000 + life)),
                properties: properties.map(Box::new),
                ..Message::new(topic.clone(), payload, qos)
            };
            ForwardedRun {
                messages: messages.into_iter().map(message).collect(),
                version: version.map(|(counter, node)| Stamp { counter, node: NodeId(node) }),
                group: group.map(|(name, ticket)| GroupTarget {
                    filter: Filter::new("a/+/#").unwrap(),
                    name: GroupName::new(&name),
                    ticket,
                }),
            }
        },
    )
}

fn encode(run: &ForwardedRun) -> Bytes {
    let mut encoder =
        RunEncoder::new(&run.messages[0], run.version, run.group.as_ref(), Moment::from_millis(1000));
    run.messages.iter().for_each(|message| encoder.push(message));
    let encoded = encoder.finish();
    assert_eq!(encoded.messages as usize, run.messages.len());
    encoded.bytes
}

proptest! {
    #[test]
    fn comes_back(run in run()) {
        let bytes = encode(&run);
        prop_assert_eq!(ForwardedRun::decode(bytes, Moment::from_millis(1000)).unwrap(), run);
    }

    #[test]
    fn what_is_cut_off_is_never_taken_for_more_than_there_was(run in run(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&run);
        let cut = cut.index(bytes.len());
        if let Ok(shorter) = ForwardedRun::decode(bytes.slice(..cut), Moment::from_millis(1000)) {
            prop_assert!(shorter.messages.len() < run.messages.len());
            prop_assert_eq!(&shorter.messages[..], &run.messages[..shorter.messages.len()]);
        }
    }
}

/// Whatever is read as a run is written again as one that reads the same.
#[test]
fn fuzz_runs() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        let now = Moment::from_millis(1000);
        let Ok(run) = ForwardedRun::decode(Bytes::copy_from_slice(input), now) else { return };
        if !run.messages.is_empty() {
            assert_eq!(ForwardedRun::decode(encode(&run), now), Ok(run));
        }
    });
}
