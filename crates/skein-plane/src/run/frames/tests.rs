//! Frames of a run appended to an outbox are the bytes every message would have on its own.

use bytes::Bytes;
use proptest::prelude::*;
use skein_types::{Code, Message, Moment, QoS, Topic};

use super::{Frames, FramesPool, SPARE_BYTES_MAX};
use crate::{
    outbox::{Outbox, SHARE_PAYLOAD_BYTES_MIN},
    wire::{DeliveryOptions, Encoded, Form, Frame, Recipient, SubscriptionIds, Wire},
};

/// Writes topic, number and length before the payload; or everything, with the number last. Refuses payloads above a
/// bound.
#[derive(Debug)]
struct PlainWire {
    payload_bytes_max: usize,
    whole: bool,
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
        if self.whole {
            // As if the protocol had to escape it.
            out.extend(frame.message.payload.iter().map(|byte| byte ^ 0x55));
        }
        let own_at = (frame.options.qos != QoS::AtMostOnce).then(|| out.len() - start);
        if let Recipient::One { seq, .. } = frame.recipient {
            self.own(seq, out);
        }
        match self.whole {
            true => out.extend_from_slice(b"end"),
            false => out.extend_from_slice(&(len as u32).to_be_bytes()),
        }
        if self.whole { Encoded::Whole { own_at } } else { Encoded::Head { own_at } }
    }

    fn own(&mut self, seq: Option<u64>, out: &mut Vec<u8>) {
        // Not always of the same length.
        out.extend(seq.map(|seq| seq.to_string()).unwrap_or_default().bytes());
    }

    fn release(&mut self, _: u64, _: &mut Vec<u8>) {}
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
        messages in prop::collection::vec(any_message(), 1..20), acknowledged in any::<bool>(),
        whole in any::<bool>(), first in 0_u64..2000
    ) {
        let qos = if acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let options = DeliveryOptions { qos, retain: false, ids: SubscriptionIds::None };
        let mut wire = PlainWire { payload_bytes_max: PAYLOAD_BYTES_MAX, whole, encoded: 0 };
        let mut pool = FramesPool::default();
        // Twice: the second time in memory that was used before.
        for _ in 0..2 {
            let frames = pool.of(Form(1), messages.iter(), &options, &mut wire, Moment::ZERO);
            let (mut all, mut single) = (Outbox::default(), Outbox::default());
            let mut sent = 0;
            for (index, message) in messages.iter().enumerate() {
                let seq = acknowledged.then_some(first + index as u64);
                let fits = message.payload.len() <= PAYLOAD_BYTES_MAX;
                if acknowledged {
                    prop_assert_eq!(frames.push_as(&mut all, &mut wire, index, seq, 0), fits);
                }
                if fits {
                    sent += 1;
                    let mut head = Vec::new();
                    let recipient = Recipient::One { seq, again: false };
                    let frame = Frame { message, options: &options, recipient, now: Moment::ZERO };
                    wire.publish(&frame, &mut head);
                    single.push(&head, u32::from(!acknowledged));
                    if !whole {
                        single.push(&message.payload, 0);
                    }
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
    let mut wire = PlainWire { payload_bytes_max: usize::MAX, whole: false, encoded: 0 };
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
