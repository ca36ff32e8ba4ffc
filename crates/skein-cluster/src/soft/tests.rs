//! Streams of soft state against each other, as properties: whatever is said, cut and lost, the receiver ends equal.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use skein_types::{ClientId, Moment, NodeId, Stamp, SubscriptionFilter, UserName};

use super::*;
use crate::{Claim, DoorKind, Load, OwnState};

const NOW: Moment = Moment::from_millis(1);

fn change() -> impl Strategy<Value = (Key, Option<Value>)> {
    let route = (0..30_u32, 0..4_u32).prop_map(|(route, members)| {
        let filter = SubscriptionFilter::new(&format!("t/{route}")).unwrap();
        (Key::Route(filter), Some(Value::Members(members)).filter(|_| members > 0))
    });
    let claim = (0..9_u64, 0..5_u64, any::<bool>()).prop_map(|(client, counter, clean)| {
        let user = (counter > 2).then(|| UserName::new("ann"));
        let since = Stamp { counter: counter / 2, node: NodeId(2) };
        let claim = Claim { stamp: Stamp { counter, node: NodeId(1) }, since, user, clean };
        (Key::Client(ClientId::new(&format!("c{client}"))), Some(Value::Claim(claim)).filter(|_| counter > 0))
    });
    let load =
        any::<u32>().prop_map(|clients| (Key::Load, Some(Value::Load(Load { clients, ..Load::default() }))));
    let door =
        (DoorKind::FIRST..=u8::MAX, 0..3_u8, any::<Option<[u8; 3]>>()).prop_map(|(kind, name, value)| {
            let key = Key::Door(DoorKind::new(kind).unwrap(), format!("name {name}").into());
            (key, value.map(|value| Value::Door(Bytes::copy_from_slice(&value))))
        });
    prop_oneof![5 => route, 3 => claim, 1 => load, 2 => door]
}

#[derive(Clone, Debug)]
enum Step {
    Set(Key, Option<Value>),
    /// So many frames cross.
    Carry(usize),
    /// The link is cut, with what is on its way.
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => change().prop_map(|(key, value)| Step::Set(key, value)),
        2 => (1..4_usize).prop_map(Step::Carry),
        1 => Just(Step::Cut),
    ]
}

/// A receiver, and what its plane was told.
#[derive(Default)]
struct There {
    incoming: Incoming,
    plane: BTreeMap<Key, Value>,
    repairs: usize,
}

impl There {
    fn take(&mut self, frame: SoftFrame, outgoing: &mut Outgoing) {
        let Applied { changes, needs_copy, differs } = self.incoming.take(frame);
        self.repairs += usize::from(differs);
        for Change { key, value } in changes {
            let before = match value.clone() {
                Some(value) => self.plane.insert(key, value),
                None => self.plane.remove(&key),
            };
            assert_ne!(before, value, "only differences are told");
        }
        if needs_copy {
            outgoing.copy_again();
        }
        outgoing.answered(self.incoming.frames(), self.incoming.applied().unwrap_or(0));
    }

    fn take_all(&mut self, own: &OwnState, outgoing: &mut Outgoing, now: Moment) {
        while let Some(frame) = outgoing.next_frame(own, now) {
            self.take(frame, outgoing);
        }
    }
}

fn entries(own: &OwnState) -> BTreeMap<Key, Value> {
    own.entries_after(None, usize::MAX, usize::MAX).1.into_iter().collect()
}

proptest! {
    #[test]
    fn the_receiver_ends_equal(steps in vec(step(), 0..120)) {
        let own = OwnState::default();
        let mut there = There::default();
        let mut outgoing = Outgoing::new(None, NOW);
        for step in steps {
            match step {
                Step::Set(key, value) => _ = own.set(key, value),
                Step::Carry(count) => {
                    for _ in 0..count {
                        if let Some(frame) = outgoing.next_frame(&own, NOW) {
                            there.take(frame, &mut outgoing);
                        }
                    }
                }
                Step::Cut => {
                    _ = outgoing.next_frame(&own, NOW);
                    there.incoming.link_opened();
                    outgoing = Outgoing::new(there.incoming.applied(), NOW);
                }
            }
        }
        let later = NOW.after_secs(60);
        there.take_all(&own, &mut outgoing, later);
        prop_assert_eq!(there.incoming.applied(), Some(own.number()));
        prop_assert_eq!(&there.plane, &entries(&own));
        prop_assert_eq!(there.repairs, 0, "a digest was said, and agreed");
    }

    #[test]
    fn entries_come_back_from_their_bytes(changes in vec(change(), 0..20)) {
        let mut out = bytes::BytesMut::new();
        let changes: Vec<_> = changes.into_iter().map(|(key, value)| Change { key, value }).collect();
        changes.iter().for_each(|change| put_change(&mut out, change));
        let mut reader = crate::forward::fields::Reader::new(out.freeze());
        for change in changes {
            prop_assert_eq!(get_change(&mut reader), Ok(change));
        }
        prop_assert!(reader.is_empty());
    }
}

fn route(number: usize) -> Key {
    Key::Route(SubscriptionFilter::new(&format!("r/{number}")).unwrap())
}

#[test]
fn a_copy_goes_in_parts_and_removes_what_is_not_there_any_more() {
    let own = OwnState::default();
    let mut there = There::default();
    for number in 0..3000 {
        own.set(route(number), Some(Value::Members(1)));
    }
    let mut outgoing = Outgoing::new(None, NOW);
    there.take_all(&own, &mut outgoing, NOW);
    assert_eq!(there.incoming.frames(), 3);
    for number in (0..3000).step_by(2) {
        own.set(route(number), None);
    }
    outgoing.copy_again();
    there.take_all(&own, &mut outgoing, NOW);
    assert_eq!(there.plane, entries(&own));
    assert_eq!(there.plane.len(), 1500);
}

#[test]
fn what_changes_while_a_copy_is_under_way_is_not_missed() {
    let own = OwnState::default();
    let mut there = There::default();
    for number in 0..3000 {
        own.set(route(number), Some(Value::Members(1)));
    }
    let mut outgoing = Outgoing::new(None, NOW);
    let first = outgoing.next_frame(&own, NOW).unwrap();
    there.take(first, &mut outgoing);
    // One before and one behind where the copy is.
    own.set(route(0), None);
    own.set(route(2999), Some(Value::Members(7)));
    assert_eq!(there.incoming.applied(), None, "nothing is confirmed before the copy is whole");
    there.take_all(&own, &mut outgoing, NOW);
    assert_eq!(there.plane, entries(&own));
    assert_eq!(there.incoming.applied(), Some(own.number()));
}

#[test]
fn a_digest_finds_what_went_wrong_and_a_copy_repairs_it() {
    let own = OwnState::default();
    let mut there = There::default();
    for number in 0..10 {
        own.set(route(number), Some(Value::Members(1)));
    }
    let mut outgoing = Outgoing::new(None, NOW);
    there.take_all(&own, &mut outgoing, NOW);
    let before = there.incoming.take(SoftFrame::Changes {
        first: 11,
        changes: Vec::new(),
        digest: Some(own.digest()),
    });
    assert!(!before.differs && !before.needs_copy);
    // A change that was never said, as a fault of memory or of the program would make one.
    there.incoming.note(&Change { key: route(3), value: None });
    there.plane.remove(&route(3));
    let wrong = there.incoming.take(SoftFrame::Changes {
        first: 11,
        changes: Vec::new(),
        digest: Some(own.digest()),
    });
    assert!(wrong.differs && wrong.needs_copy);
    let again = there.incoming.take(SoftFrame::Changes {
        first: 11,
        changes: Vec::new(),
        digest: Some(own.digest()),
    });
    assert!(!again.needs_copy, "it was asked for already");
    outgoing.copy_again();
    there.take_all(&own, &mut outgoing, NOW.after_secs(60));
    assert_eq!(there.incoming.digest(), own.digest());
}

#[test]
fn who_does_not_answer_is_not_flooded() {
    let own = OwnState::default();
    for number in 0..100_000 {
        own.set(route(number), Some(Value::Members(1)));
    }
    let mut outgoing = Outgoing::new(None, NOW);
    let frames = std::iter::from_fn(|| outgoing.next_frame(&own, NOW)).count();
    assert_eq!(frames, 32);
    assert_eq!(outgoing.answered(1000, u64::MAX), 0, "nothing can be confirmed before it is said");
    assert!(outgoing.next_frame(&own, NOW).is_some());
}

#[test]
fn who_is_too_far_behind_gets_a_copy() {
    let own = OwnState::default();
    for number in 0..70_000 {
        own.set(route(number % 7), Some(Value::Members(number as u32)));
    }
    let mut outgoing = Outgoing::new(Some(1), NOW);
    let frame = outgoing.next_frame(&own, NOW);
    assert!(matches!(frame, Some(SoftFrame::Copy { begins: true, ends: true, .. })), "{frame:?}");
}
