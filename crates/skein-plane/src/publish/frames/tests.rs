//! Frames of a run appended to an outbox are the bytes every message would have on its own.

use std::num::NonZeroU16;

use bytes::Bytes;
use proptest::prelude::*;
use skein_types::{Code, Message, Moment, QoS, Topic};

use super::{Frames, FramesPool, SPARE_BYTES_MAX};
use crate::{
    outbox::{Outbox, SHARE_PAYLOAD_BYTES_MIN},
    wire::{DeliveryOptions, Encoded, Form, Frame, SubscriptionIds, Wire},
};

/// Writes topic, id and length; refuses payloads above a bound.
#[derive(Debug)]
struct PlainWire {
    payload_bytes_max: usize,
    encoded: usize,
}

impl Wire for PlainWire {
    fn form(&self, options: &DeliveryOptions, _: usize) -> Option<Form> {
        Some(Form(options.qos as u32))
    }

    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded {
        self.encoded += 1;
        let len = frame.message.payload.len();
        if len > self.payload_bytes_max {
            return Encoded::TooLarge;
        }
        let start = out.len();
        out.extend_from_slice(frame.message.topic.as_bytes());
        let id_at = frame.id.map(|id| {
            out.extend_from_slice(&id.get().to_be_bytes());
            out.len() - 2 - start
        });
        out.extend_from_slice(&(len as u32).to_be_bytes());
        Encoded::Head { id_at }
    }

    fn release(&mut self, _: NonZeroU16, _: &mut Vec<u8>) {}
    fn greet(&mut self, _: bool, _: &mut Vec<u8>) {}
    fn farewell(&mut self, _: Code, _: &mut Vec<u8>) {}
}

const PAYLOAD_BYTES_MAX: usize = 6000;

fn any_message() -> impl Strategy<Value = Message> {
    let payload = prop_oneof![
        4 => 0_usize..40,
        2 => SHARE_PAYLOAD_BYTES_MIN - 2..SHARE_PAYLOAD_BYTES_MIN + 2,
        1 => PAYLOAD_BYTES_MAX - 1..PAYLOAD_BYTES_MAX + 2,
    ];
    (payload, any::<u8>()).prop_map(|(len, byte)| {
        Message::new(Topic::try_from("t").unwrap(), Bytes::from(vec![byte; len]), QoS::AtLeastOnce)
    })
}

fn content(mut outbox: Outbox) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let messages = outbox.drain_into(&mut out);
    (out, messages)
}

proptest! {
    #[test]
    fn a_run_is_its_messages_one_after_another(
        messages in prop::collection::vec(any_message(), 1..20), acknowledged in any::<bool>(), first_id in 1_u16..60_000
    ) {
        let qos = if acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let options = DeliveryOptions { qos, retain: false, ids: SubscriptionIds::None };
        let mut wire = PlainWire { payload_bytes_max: PAYLOAD_BYTES_MAX, encoded: 0 };
        let mut pool = FramesPool::default();
        // Twice: the second time in memory that was used before.
        for _ in 0..2 {
            let frames = pool.of(Form(1), messages.iter(), &options, &mut wire, Moment::ZERO);
            let (mut all, mut single) = (Outbox::default(), Outbox::default());
            let mut sent = 0;
            for (index, message) in messages.iter().enumerate() {
                let id = NonZeroU16::new(first_id + index as u16).unwrap();
                let fits = message.payload.len() <= PAYLOAD_BYTES_MAX;
                if acknowledged {
                    prop_assert_eq!(frames.push_as(&mut all, index, id), fits);
                }
                if fits {
                    sent += 1;
                    let mut head = Vec::new();
                    let frame = Frame { message, options: &options, id: acknowledged.then_some(id), again: false, now: Moment::ZERO };
                    wire.publish(&frame, &mut head);
                    single.push(&head, u32::from(!acknowledged));
                    single.push(&message.payload, 0);
                }
            }
            if !acknowledged {
                frames.push_all(&mut all);
                prop_assert_eq!(frames.total_bytes(), single.len());
            }
            prop_assert_eq!(all.messages(), if acknowledged { 0 } else { sent });
            prop_assert_eq!(content(all), content(single));
            pool.clear();
        }
    }
}

#[test]
fn a_form_is_encoded_once_and_large_memory_is_given_back() {
    let mut wire = PlainWire { payload_bytes_max: usize::MAX, encoded: 0 };
    let mut pool = FramesPool::default();
    let options = DeliveryOptions { qos: QoS::AtMostOnce, retain: false, ids: SubscriptionIds::None };
    let payload = Bytes::from(vec![0; SHARE_PAYLOAD_BYTES_MIN - 1]);
    let message = Message::new(Topic::try_from("t").unwrap(), payload, QoS::AtMostOnce);
    let run: Vec<Message> = vec![message; SPARE_BYTES_MAX / SHARE_PAYLOAD_BYTES_MIN + 100];
    for _ in 0..3 {
        pool.of(Form(1), run.iter(), &options, &mut wire, Moment::ZERO);
    }
    assert_eq!(wire.encoded, run.len());
    pool.of(Form(2), run.iter().take(1), &options, &mut wire, Moment::ZERO);
    pool.clear();
    assert!(pool.present.is_empty());
    let spare: Vec<usize> = pool.spare.iter().map(|frames: &Frames| frames.bytes.capacity()).collect();
    assert!(spare.len() == 1 && spare[0] < SPARE_BYTES_MAX, "{spare:?}");
}
