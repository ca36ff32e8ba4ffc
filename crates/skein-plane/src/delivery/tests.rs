//! Window and queue against a model that is a plain list, and what the list cannot show: circles of numbers.

mod rows;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use skein_types::{Filter, GroupName, Message, Moment, QoS, SessionKey, SubscriptionFilter, Topic};

use super::{Acked, Delivery, Next, Offer, Phase, QueueLimits, Waiting, WindowLimits};
use crate::{
    matcher::{
        Matcher,
        tests::{PLAIN, session},
    },
    stored::{OnDisk, SharedRow},
    wire::{DeliveryOptions, SubscriptionIds},
};

const LIMITS: QueueLimits = QueueLimits { messages_max: 6, bytes_max: 2500 };
const UNBOUNDED: QueueLimits = QueueLimits { messages_max: usize::MAX, bytes_max: usize::MAX };

fn waiting(number: u32, qos: QoS, padding: usize, expires_at: Option<Moment>) -> Waiting {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(4 + padding, 0);
    let message =
        Message { expires_at, ..Message::new(Topic::try_from("t").unwrap(), Bytes::from(payload), qos) };
    let options = DeliveryOptions { qos, retain: false, ids: SubscriptionIds::None };
    Waiting::new(Arc::new(message), options, None, OnDisk::No)
}

fn number_of(waiting: &Waiting) -> u32 {
    u32::from_be_bytes(waiting.message.payload[..4].try_into().unwrap())
}

impl Delivery {
    /// Everything that is kept of it on disk: number, and message unless its release is under way.
    pub(crate) fn rows(&self) -> Vec<(u64, Option<Arc<Message>>)> {
        let window = self.window.iter().zip(self.front..).filter(|(entry, _)| entry.phase != Phase::Done);
        let window =
            window.map(|(entry, seq)| (seq, entry.waiting.as_ref().map(|waiting| waiting.message.clone())));
        let queue = self.queue.iter().filter(|waiting| waiting.is_numbered());
        window.chain(queue.map(|waiting| (waiting.seq, Some(waiting.message.clone())))).collect()
    }

    /// How many rows of messages that several sessions refer to it refers to, by where they are in memory.
    pub(crate) fn shared_rows(&self) -> Vec<*const SharedRow> {
        let on_disk = self.window.iter().map(|entry| &entry.on_disk);
        on_disk
            .chain(self.queue.iter().map(|waiting| &waiting.on_disk))
            .filter_map(|on_disk| match on_disk {
                OnDisk::Stored { shared: Some(shared), .. } => Some(Arc::as_ptr(shared)),
                _ => None,
            })
            .collect()
    }
}

/// A circle of numbers as MQTT has it.
const CIRCLE: u64 = 65_535;

fn limits(unacknowledged_max: u16) -> WindowLimits {
    WindowLimits { unacknowledged_max: unacknowledged_max.into(), span_max: CIRCLE as u32 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Queued,
    Published,
    Released,
}

/// One message the session holds.
#[derive(Clone, Debug)]
struct Held {
    number: u32,
    qos: QoS,
    bytes: usize,
    expires_at: Option<Moment>,
    stage: Stage,
    /// Given when the message came.
    seq: u64,
    /// Sent on the present connection.
    sent: bool,
}

/// What a session should do: all messages it holds, in the order in which they came.
#[derive(Debug)]
struct Model {
    held: Vec<Held>,
    next_seq: u64,
    receive_maximum: u16,
    online: bool,
    expired: u64,
}

/// What was sent, in a form that can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Message { seq: Option<u64>, number: u32, again: bool },
    Release(u64),
}

impl Model {
    fn unacknowledged(&self) -> usize {
        self.held.iter().filter(|held| held.sent).count()
    }

    fn queued(&self) -> (usize, usize) {
        let queued = || self.held.iter().filter(|held| held.stage == Stage::Queued);
        (queued().count(), queued().map(|held| held.bytes).sum())
    }

    fn has_window_room(&self) -> bool {
        let resent = self.held.iter().all(|held| held.stage == Stage::Queued || held.sent);
        self.online && resent && self.unacknowledged() < usize::from(self.receive_maximum)
    }

    fn admit(&mut self, index: usize) -> u64 {
        let held = &mut self.held[index];
        (held.stage, held.sent) = (Stage::Published, true);
        held.seq
    }

    fn push(&mut self, held: Held) -> u64 {
        let seq = self.next_seq;
        self.next_seq += u64::from(held.qos != QoS::AtMostOnce);
        self.held.push(Held { seq, ..held });
        seq
    }

    fn drop_expired(&mut self, now: Moment) {
        let before = self.held.len();
        self.held.retain(|held| {
            held.stage != Stage::Queued || held.expires_at.is_none_or(|deadline| deadline > now)
        });
        self.expired += (before - self.held.len()) as u64;
    }

    fn offer(&mut self, held: Held, now: Moment) -> Offer {
        if self.queued().0 == 0 && self.has_window_room() {
            let seq = self.push(held);
            self.admit(self.held.len() - 1);
            return Offer::Send { seq };
        }
        let fits = |(messages, bytes): (usize, usize)| {
            messages < LIMITS.messages_max && bytes + held.bytes <= LIMITS.bytes_max
        };
        if !fits(self.queued()) {
            self.drop_expired(now);
        }
        if !fits(self.queued()) {
            return Offer::Full;
        }
        Offer::Queued { seq: self.push(held) }
    }

    fn next(&mut self, now: Moment) -> Option<Sent> {
        let room = self.unacknowledged() < usize::from(self.receive_maximum);
        if let Some(again) = self.held.iter_mut().find(|held| held.stage != Stage::Queued && !held.sent) {
            if !room {
                return None;
            }
            again.sent = true;
            return Some(match again.stage {
                Stage::Released => Sent::Release(again.seq),
                _ => Sent::Message { seq: Some(again.seq), number: again.number, again: true },
            });
        }
        loop {
            let index = self.held.iter().position(|held| held.stage == Stage::Queued)?;
            if self.held[index].expires_at.is_some_and(|deadline| deadline <= now) {
                self.held.remove(index);
                self.expired += 1;
                continue;
            }
            let number = self.held[index].number;
            if self.held[index].qos == QoS::AtMostOnce {
                self.held.remove(index);
                return Some(Sent::Message { seq: None, number, again: false });
            }
            if !room {
                return None;
            }
            return Some(Sent::Message { seq: Some(self.admit(index)), number, again: false });
        }
    }

    /// The client acknowledges everything up to `seq`.
    fn acknowledge_up_to(&mut self, seq: u64) -> u64 {
        let before = self.held.len();
        self.held.retain(|held| !held.sent || held.seq > seq);
        (before - self.held.len()) as u64
    }

    fn acknowledge(&mut self, seq: u64, ack: Ack) -> Acked {
        let Some(index) = self.held.iter().position(|held| held.sent && held.seq == seq) else {
            return Acked::Unknown;
        };
        match (ack, self.held[index].qos, self.held[index].stage) {
            (Ack::Published, QoS::AtLeastOnce, Stage::Published)
            | (Ack::Refused, QoS::ExactlyOnce, Stage::Published)
            | (Ack::Completed, QoS::ExactlyOnce, Stage::Released) => {
                self.held.remove(index);
                Acked::Done
            }
            (Ack::Received, QoS::ExactlyOnce, _) | (Ack::Refused, QoS::ExactlyOnce, Stage::Released) => {
                self.held[index].stage = Stage::Released;
                Acked::Release
            }
            _ => Acked::WrongKind,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Ack {
    Published,
    Received,
    Refused,
    Completed,
}

fn acknowledge(delivery: &mut Delivery, seq: u64, ack: Ack) -> Acked {
    match ack {
        Ack::Published => delivery.published(seq),
        Ack::Received => delivery.received(seq, false),
        Ack::Refused => delivery.received(seq, true),
        Ack::Completed => delivery.completed(seq),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer {
        qos: QoS,
        padding: usize,
        life_millis: Option<u64>,
    },
    Enqueue,
    Next,
    /// Of one that was sent, or of any number.
    Acknowledge(prop::sample::Index, Ack),
    AcknowledgeAny(u64, Ack),
    /// Of one that was sent and all before it.
    AcknowledgeUpTo(prop::sample::Index),
    GiveUp,
    Connect(u16),
    Disconnect,
    Pass(u64),
    Shrink,
}

fn any_step() -> impl Strategy<Value = Step> {
    let ack = || prop::sample::select(vec![Ack::Published, Ack::Received, Ack::Refused, Ack::Completed]);
    let qos = prop::sample::select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let life = prop::option::weighted(0.3, 1_u64..40);
    prop_oneof![
        8 => (qos, 0_usize..800, life)
            .prop_map(|(qos, padding, life_millis)| Step::Offer { qos, padding, life_millis }),
        1 => Just(Step::Enqueue),
        5 => Just(Step::Next),
        8 => (any::<prop::sample::Index>(), ack()).prop_map(|(index, ack)| Step::Acknowledge(index, ack)),
        1 => (0_u64..70_000, ack()).prop_map(|(seq, ack)| Step::AcknowledgeAny(seq, ack)),
        1 => any::<prop::sample::Index>().prop_map(Step::AcknowledgeUpTo),
        1 => Just(Step::GiveUp),
        2 => (1_u16..5).prop_map(Step::Connect),
        1 => Just(Step::Disconnect),
        2 => (1_u64..30).prop_map(Step::Pass),
        1 => Just(Step::Shrink),
    ]
}

/// Delivery and model side by side.
struct Pair {
    delivery: Delivery,
    model: Model,
    now: Moment,
    numbers: u32,
    expired: u64,
}

impl Pair {
    fn step(&mut self, step: Step) {
        let online = self.model.online;
        match step {
            Step::Offer { qos, padding, life_millis } => {
                let expires_at = life_millis.map(|life| Moment::from_millis(self.now.as_millis() + life));
                let new = self.new_message(qos, padding, expires_at);
                let offered = self.delivery.offer(new, online, LIMITS, self.now, &mut self.expired);
                let held = self.held(qos, padding, expires_at);
                assert_eq!(offered, self.model.offer(held, self.now));
            }
            Step::Enqueue => {
                let new = self.new_message(QoS::AtMostOnce, 0, None);
                self.delivery.enqueue(new);
                let held = self.held(QoS::AtMostOnce, 0, None);
                self.model.push(held);
            }
            Step::Next if online => {
                let sent = self.delivery.next(self.now, &mut self.expired).map(|next| match next {
                    Next::Publish { seq, waiting, again } => {
                        Sent::Message { seq: Some(seq), number: number_of(waiting), again }
                    }
                    Next::Unacknowledged(waiting) => {
                        Sent::Message { seq: None, number: number_of(&waiting), again: false }
                    }
                    Next::Release(seq) => Sent::Release(seq),
                });
                assert_eq!(sent, self.model.next(self.now));
            }
            Step::Acknowledge(index, ack) if online => {
                let sent = self.sent();
                if !sent.is_empty() {
                    self.acknowledge(sent[index.index(sent.len())], ack);
                }
            }
            Step::AcknowledgeAny(seq, ack) if online => self.acknowledge(seq, ack),
            Step::AcknowledgeUpTo(index) if online => {
                let sent = self.sent();
                if !sent.is_empty() {
                    let seq = sent[index.index(sent.len())];
                    assert_eq!(self.delivery.completed_up_to(seq), self.model.acknowledge_up_to(seq));
                }
            }
            Step::GiveUp if online => {
                if let Some(index) = self.model.held.iter().rposition(|held| held.sent) {
                    let held = self.model.held.remove(index);
                    self.delivery.give_up(held.seq);
                }
            }
            Step::Connect(receive_maximum) => {
                self.delivery.connected(limits(receive_maximum));
                (self.model.online, self.model.receive_maximum) = (true, receive_maximum);
                self.model.held.iter_mut().for_each(|held| held.sent = false);
            }
            Step::Disconnect => self.model.online = false,
            Step::Pass(millis) => self.now = Moment::from_millis(self.now.as_millis() + millis),
            Step::Shrink => self.delivery.shrink(),
            Step::Next
            | Step::Acknowledge(..)
            | Step::AcknowledgeAny(..)
            | Step::AcknowledgeUpTo(_)
            | Step::GiveUp => {}
        }
        self.check();
    }

    fn sent(&self) -> Vec<u64> {
        self.model.held.iter().filter(|held| held.sent).map(|held| held.seq).collect()
    }

    fn acknowledge(&mut self, seq: u64, ack: Ack) {
        let acked = acknowledge(&mut self.delivery, seq, ack);
        assert_eq!(acked, self.model.acknowledge(seq, ack), "{ack:?} of {seq}");
    }

    fn new_message(&mut self, qos: QoS, padding: usize, expires_at: Option<Moment>) -> Waiting {
        self.numbers += 1;
        waiting(self.numbers, qos, padding, expires_at)
    }

    fn held(&self, qos: QoS, padding: usize, expires_at: Option<Moment>) -> Held {
        let bytes = waiting(self.numbers, qos, padding, expires_at).message.size_bytes();
        Held { number: self.numbers, qos, bytes, expires_at, stage: Stage::Queued, seq: 0, sent: false }
    }

    fn check(&self) {
        let Self { delivery, model, .. } = self;
        assert_eq!(delivery.queued(), model.queued());
        assert_eq!(self.expired, model.expired);
        let in_flight = model.held.iter().filter(|held| held.stage != Stage::Queued);
        let mut places: Vec<u64> = in_flight.map(|held| held.seq % CIRCLE).collect();
        assert_eq!(delivery.in_flight(), places.len());
        if model.online {
            assert!(model.unacknowledged() <= usize::from(model.receive_maximum));
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(delivery.in_flight(), places.len(), "a place on the circle is used twice");
    }
}

proptest! {
    #[test]
    fn delivery_does_what_the_list_does(steps in prop::collection::vec(any_step(), 1..150), first_id in 0_u16..) {
        // Some runs cross the end of the circle of ids.
        let first = if first_id % 2 == 0 { 65_530 } else { 0 };
        let model = Model { held: Vec::new(), next_seq: first, receive_maximum: u16::MAX, online: false, expired: 0 };
        let delivery = Delivery { next_seq: first, ..Delivery::default() };
        let mut pair = Pair { delivery, model, now: Moment::ZERO, numbers: 0, expired: 0 };
        for step in steps {
            pair.step(step);
        }
        let (waiting, held) = pair.delivery.drain();
        let found: Vec<u32> = waiting.iter().map(number_of).collect();
        let model = pair.model.held;
        let expect: Vec<u32> =
            model.iter().filter(|held| held.stage != Stage::Released).map(|held| held.number).collect();
        prop_assert_eq!(&found, &expect);
        prop_assert_eq!(held as usize, model.len() - expect.len());
        prop_assert_eq!((pair.delivery.queued(), pair.delivery.in_flight()), ((0, 0), 0));
    }
}

fn offer(delivery: &mut Delivery, number: u32, qos: QoS) -> Offer {
    delivery.offer(waiting(number, qos, 0, None), true, UNBOUNDED, Moment::ZERO, &mut 0)
}

fn sends(number: u32) -> Offer {
    Offer::Send { seq: u64::from(number) - 1 }
}

#[test]
fn a_circle_is_not_closed_as_long_as_its_first_message_is_under_way() {
    let mut delivery = Delivery::default();
    delivery.connected(limits(u16::MAX));
    assert_eq!(offer(&mut delivery, 1, QoS::ExactlyOnce), sends(1));
    for number in 2..=65_535 {
        assert_eq!(offer(&mut delivery, number, QoS::AtLeastOnce), sends(number));
        assert_eq!(delivery.published(u64::from(number) - 1), Acked::Done);
    }
    assert_eq!(offer(&mut delivery, 65_536, QoS::AtLeastOnce), Offer::Queued { seq: 65_535 });
    assert!(delivery.next(Moment::ZERO, &mut 0).is_none());
    assert_eq!(delivery.received(0, false), Acked::Release);
    assert!(delivery.next(Moment::ZERO, &mut 0).is_none());
    assert_eq!(delivery.completed(0), Acked::Done);
    match delivery.next(Moment::ZERO, &mut 0) {
        Some(Next::Publish { seq, waiting, again: false }) => {
            assert_eq!((seq, number_of(waiting)), (65_535, 65_536));
        }
        other => panic!("expected the queued message, got {other:?}"),
    }
}

#[test]
fn a_door_with_whole_numbers_has_no_circle() {
    let mut delivery = Delivery::default();
    delivery.connected(WindowLimits::unacknowledged(100_000));
    for number in 1..=70_000 {
        assert_eq!(offer(&mut delivery, number, QoS::AtLeastOnce), sends(number));
    }
    assert_eq!(delivery.completed_up_to(69_998), 69_999);
    assert_eq!((delivery.in_flight(), delivery.front()), (1, 69_999));
    assert_eq!(delivery.completed_up_to(u64::MAX), 1);
    assert_eq!(delivery.completed_up_to(5), 0);
}

#[test]
fn an_expired_message_does_not_take_the_room_of_a_living_one() {
    let mut delivery = Delivery::default();
    let mut expired = 0;
    let limits = QueueLimits { messages_max: 2, bytes_max: usize::MAX };
    let mut offer = |number, life, now| {
        let message = waiting(number, QoS::AtLeastOnce, 0, Some(Moment::from_millis(life)));
        delivery.offer(message, false, limits, Moment::from_millis(now), &mut expired)
    };
    assert_eq!(offer(1, 10, 0), Offer::Queued { seq: 0 });
    assert_eq!(offer(2, 20, 0), Offer::Queued { seq: 1 });
    assert_eq!(offer(3, 30, 9), Offer::Full);
    assert_eq!(offer(4, 30, 10), Offer::Queued { seq: 2 });
    assert_eq!(offer(5, 30, 15), Offer::Full);
    assert_eq!(offer(6, 30, 20), Offer::Queued { seq: 3 });
    assert_eq!(expired, 2);
    let (waiting, _) = delivery.drain();
    assert_eq!(waiting.iter().map(number_of).collect::<Vec<_>>(), [4, 6]);
}

/// MQTT-4.8.2-5: a QoS 2 message that one member was sent is never given to another.
#[test]
fn a_qos_2_message_that_was_sent_leaves_its_group() {
    let matcher = Matcher::default();
    let shared = SubscriptionFilter::new("$share/g/t").unwrap();
    matcher.subscribe(&shared, &session(1), PLAIN).unwrap();
    let group = matcher.group(&Filter::new("t").unwrap(), &GroupName::new("g"));
    assert!(group.is_some());
    let mut delivery = Delivery::default();
    delivery.connected(limits(2));
    for (number, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce), (3, QoS::ExactlyOnce)] {
        let entry = Waiting {
            group: group.as_ref().map(|group| group.key().clone()),
            ..waiting(number, qos, 0, None)
        };
        delivery.offer(entry, true, UNBOUNDED, Moment::ZERO, &mut 0);
    }
    let (waiting, held) = delivery.drain();
    let on_disk: Vec<(u32, bool)> =
        waiting.iter().map(|waiting| (number_of(waiting), waiting.group.is_some())).collect();
    assert_eq!((on_disk, held), (vec![(1, true), (2, false), (3, true)], 0));
    assert!(matcher.unsubscribe(&shared, SessionKey(1)));
}

#[test]
fn what_was_finished_before_a_reconnect_does_not_hold_back_what_follows() {
    let mut delivery = Delivery::default();
    delivery.connected(limits(5));
    for number in 1..=2 {
        assert_eq!(offer(&mut delivery, number, QoS::AtLeastOnce), sends(number));
    }
    assert_eq!(delivery.published(1), Acked::Done);
    delivery.connected(limits(5));
    assert!(matches!(delivery.next(Moment::ZERO, &mut 0), Some(Next::Publish { again: true, .. })));
    assert_eq!(offer(&mut delivery, 3, QoS::AtLeastOnce), sends(3));
}
