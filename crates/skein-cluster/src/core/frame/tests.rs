//! Frames come back from their bytes, and no bytes make a reader panic.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use skein_types::{ClientId, Incarnation, NodeId, Stamp, SubscriptionFilter, UserName};

use super::*;
use crate::{Change, Claim, Key, Value};

fn info(number: u16, name: &str) -> NodeInfo {
    NodeInfo {
        id: NodeId(number),
        incarnation: Incarnation(u64::from(number) << 40),
        name: Arc::from(name),
        advertise: if number.is_multiple_of(2) {
            ([10, 0, 0, 1], number).into()
        } else {
            ([1; 8], number).into()
        },
        qrank: 3,
        server_reference: number.is_multiple_of(3).then(|| Arc::from("other.example:1883")),
    }
}

fn infos() -> impl Strategy<Value = Vec<NodeInfo>> {
    vec((any::<u16>(), ".{0,12}").prop_map(|(number, name)| info(number, &name)), 0..5)
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<bool>(), "[a-z]{1,8}", proptest::option::of(any::<u64>())).prop_map(
        |(client, text, value)| {
            let user = client.then(|| UserName::new(&text));
            let stamp = Stamp { counter: 0, node: NodeId(3) };
            let stamp = |counter| {
                let (stamp, since) = (Stamp { counter, ..stamp }, stamp);
                Value::Claim(Claim { stamp, since, user, clean: client })
            };
            let key = match client {
                true => Key::Client(ClientId::new(&text)),
                false => Key::Route(SubscriptionFilter::new(&format!("$share/{text}/a/+")).unwrap()),
            };
            Change { key, value: value.map(stamp) }
        },
    );
    vec(change, 0..6)
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5777));
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(min, max)| Refusal::Version { min, max }),
        ".{0,9}".prop_map(move |name| Refusal::IdTaken { id: NodeId(4), name: Arc::from(name), address }),
        any::<u64>().prop_map(|incarnation| Refusal::GivenUp(Incarnation(incarnation))),
        any::<u32>().prop_map(|after_ms| Refusal::TryLater { after_ms }),
        Just(Refusal::UnreachableAddress { advertised: address, seen: address }),
        any::<bool>().prop_map(|established| Refusal::Linked { established }),
        Just(Refusal::Yourself),
        (7..=u8::MAX).prop_map(Refusal::Other),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let hello = (any::<(u16, u16, u64, u64, bool)>(), any::<u16>()).prop_map(
        |((version_min, version_max, features, dial, linked), number)| {
            let info = info(number, "n");
            Frame::Hello(Box::new(Hello { version_min, version_max, features, dial, linked, info }))
        },
    );
    let welcome =
        (any::<u64>(), proptest::option::of(any::<u64>()), infos()).prop_map(|(received, applied, nodes)| {
            Frame::Welcome(Box::new(Welcome { received, applied, nodes }))
        });
    let digest = any::<(u64, u64, u64)>().prop_map(|(number, count, sum)| Digest { number, count, sum });
    let changes_frame = (1..u64::MAX, changes(), proptest::option::of(digest))
        .prop_map(|(first, changes, digest)| Frame::Soft(SoftFrame::Changes { first, changes, digest }));
    let copy = (any::<(u64, bool, bool)>(), changes()).prop_map(|((as_of, begins, ends), changes)| {
        let entries = changes.into_iter().filter_map(|change| Some((change.key, change.value?))).collect();
        Frame::Soft(SoftFrame::Copy { as_of, begins, ends, entries })
    });
    prop_oneof![
        hello,
        welcome,
        refusal().prop_map(Frame::Refuse),
        changes_frame,
        copy,
        any::<(u64, u64)>().prop_map(|(number, frames)| Frame::Confirm { number, frames }),
        prop_oneof![Just(Frame::Insist), Just(Frame::CopyAgain), Just(Frame::Leaving), Just(Frame::Left)],
    ]
}

proptest! {
    #[test]
    fn frames_come_back_from_their_bytes(frame in frame()) {
        prop_assert_eq!(Frame::decode(frame.encode()), Ok(frame));
    }

    #[test]
    fn any_bytes_are_a_frame_or_not(bytes in vec(any::<u8>(), 0..200), kind in 0..12_u8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        if let Ok(frame) = Frame::decode(Bytes::from(bytes)) {
            prop_assert_eq!(Frame::decode(frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn damaged_frames_do_no_harm(frame in frame(), at in any::<usize>(), to in any::<u8>(), length in any::<usize>()) {
        let mut bytes = frame.encode().to_vec();
        let (at, length) = (at % bytes.len(), length % (bytes.len() + 1));
        bytes[at] = to;
        _ = Frame::decode(Bytes::copy_from_slice(&bytes));
        _ = Frame::decode(Bytes::copy_from_slice(&bytes[..length]));
    }
}

/// The bytes are what other versions read: they must not change.
#[test]
fn frames_have_the_bytes_they_have() {
    let confirm = Frame::Confirm { number: 258, frames: 3 };
    assert_eq!(confirm.encode()[..], [6, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    let refuse = Frame::Refuse(Refusal::GivenUp(Incarnation(1)));
    assert_eq!(refuse.encode()[..], [2, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
    let key = Key::Route(SubscriptionFilter::new("a/#").unwrap());
    let changes = SoftFrame::Changes { first: 1, changes: vec![Change { key, value: None }], digest: None };
    assert_eq!(Frame::Soft(changes).encode()[..], [4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'/', b'#', 0]);
}

/// A later version may say more in its greeting.
#[test]
fn greetings_may_be_longer_than_this_version_knows() {
    let hello = Hello {
        version_min: 1,
        version_max: 9,
        features: 1 << 63,
        dial: 1,
        linked: true,
        info: info(2, "n"),
    };
    let hello = Frame::Hello(Box::new(hello));
    for frame in [hello, Frame::Welcome(Box::default()), Frame::Refuse(Refusal::Other(99))] {
        let mut bytes = frame.encode().to_vec();
        bytes.extend([1, 2, 3]);
        assert_eq!(Frame::decode(bytes.into()), Ok(frame));
    }
}
