//! The seam between the plane and a door: how one connection's bytes are made.
//!
//! The plane decides what is sent to whom and when; a door's [`Wire`] only turns it into the bytes of its
//! protocol. A wire lives under its session's lock and must never wait, log or call back into the plane.
//!
//! A frame that many connections take in the same form is made once ([`Wire::form`], [`Recipient::Each`]) and copied
//! into each outbox; where it has a part that is each recipient's own (a number, an address), [`Wire::own`] writes that
//! part while it is copied. A protocol that puts the payload last and as it is writes the head only and large payloads
//! are never copied; one that escapes the payload or closes something behind it writes whole frames.

use std::num::NonZeroU32;
use std::sync::Arc;

use skein_types::{Code, Message, Moment, QoS};

/// Names one way of encoding a message, so that equal bytes are made once and shared by many connections.
///
/// Doors build it from their own number and whatever of protocol version and options changes the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form(pub u32);

/// Subscription identifiers that go out with a message (MQTT-3.3.4-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionIds {
    /// No matching subscription had an identifier.
    #[default]
    None,
    /// One did.
    One(NonZeroU32),
    /// Several overlapping ones did.
    Many(Arc<[NonZeroU32]>),
}

impl SubscriptionIds {
    /// The identifiers in order.
    pub fn iter(&self) -> impl Iterator<Item = NonZeroU32> {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => &ids[..],
        }
        .iter()
        .copied()
    }

    /// These identifiers and one more.
    #[must_use]
    pub fn with(&self, id: NonZeroU32) -> Self {
        match self {
            Self::None => Self::One(id),
            _ => Self::Many(self.iter().chain([id]).collect()),
        }
    }
}

/// How a message goes to one session: what its subscriptions asked for, combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// The quality of service of this delivery.
    pub qos: QoS,
    /// Whether the message goes out marked as retained.
    pub retain: bool,
    /// Identifiers of the subscriptions it matched.
    pub ids: SubscriptionIds,
}

/// One message to encode for one connection.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The message.
    pub message: &'a Message,
    /// How it goes out.
    pub options: &'a DeliveryOptions,
    /// Whom it is made for.
    pub recipient: Recipient,
    /// For the remaining expiry (MQTT-3.3.2-6).
    pub now: Moment,
}

/// Whom a frame is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// This connection alone.
    One {
        /// The message's number in its session, which counts messages at QoS 1 and 2 from the session's beginning and is
        /// the same after a reconnect and a restart; none at QoS 0.
        seq: Option<u64>,
        /// Whether it may have been sent before (MQTT-3.3.1-1).
        again: bool,
    },
    /// Every connection that takes this form. What differs between them is left out, and written by [`Wire::own`].
    Each,
}

/// What encoding a message came to. In both kinds of frame `own_at` is where, from the frame's start, the part belongs
/// that is each recipient's own; it counts only for [`Recipient::Each`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The head was written. The payload follows it as it is and ends the frame.
    Head {
        /// Place of the recipient's own part in the head.
        own_at: Option<usize>,
    },
    /// The whole frame was written, with the payload in whatever form the protocol wants and everything behind it.
    Whole {
        /// Place of the recipient's own part in the frame.
        own_at: Option<usize>,
    },
    /// Nothing was written: the client is in this process and takes the message itself.
    Message,
    /// The frame would be larger than the client accepts; nothing was written (MQTT-3.1.2-24).
    TooLarge,
}

/// The wire of a client in this process: it takes messages ([`ConnectionHandle::take_messages`]) and no bytes.
///
/// [`ConnectionHandle::take_messages`]: crate::ConnectionHandle::take_messages
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageWire;

impl Wire for MessageWire {
    fn form(&self, _: &DeliveryOptions, _: usize) -> Option<Form> {
        None
    }

    fn publish(&mut self, _: &Frame<'_>, _: &mut Vec<u8>) -> Encoded {
        Encoded::Message
    }

    fn own(&mut self, _: Option<u64>, _: &mut Vec<u8>) {}
    fn release(&mut self, _: u64, _: &mut Vec<u8>) {}
    fn greet(&mut self, _: bool, _: &mut Vec<u8>) {}
    fn farewell(&mut self, _: Code, _: &mut Vec<u8>) {}
}

/// Makes the bytes of one connection.
pub trait Wire: Send + std::fmt::Debug {
    /// The form in which this connection takes messages delivered with `options`, if it can share their bytes with
    /// other connections of the same form and has room for a frame with `size_bytes` of topic, payload and properties.
    fn form(&self, options: &DeliveryOptions, size_bytes: usize) -> Option<Form>;

    /// Writes a message, or everything of it before its payload.
    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded;

    /// Writes what [`Recipient::Each`] left out for this connection: whatever stands at `own_at` of the frame of message
    /// `seq`.
    fn own(&mut self, seq: Option<u64>, out: &mut Vec<u8>);

    /// Writes the second step of a QoS 2 hand-over: the publisher's release of message `seq` (PUBREL).
    fn release(&mut self, seq: u64, out: &mut Vec<u8>);

    /// Writes the answer to a client that was let in; `present` says whether it had a session (CONNACK). Nothing is
    /// written before it.
    fn greet(&mut self, present: bool, out: &mut Vec<u8>);

    /// Writes, in the place of the greeting, why a client that seemed to be let in is not. Called when nothing that
    /// [`Wire::greet`] wrote has left.
    fn refuse(&mut self, code: Code, out: &mut Vec<u8>) {
        self.farewell(code, out);
    }

    /// Writes what tells the client why its connection ends, where the protocol has words for it.
    fn farewell(&mut self, code: Code, out: &mut Vec<u8>);
}
