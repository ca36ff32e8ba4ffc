//! The seam between the plane and a door: how one connection's bytes are made.
//!
//! The plane decides what is sent to whom and when; a door's [`Wire`] only turns it into the bytes of its
//! protocol. A wire lives under its session's lock and must never wait, log or call back into the plane.

use std::num::{NonZeroU16, NonZeroU32};
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
    /// Its id at QoS 1 and 2; for a shared form a placeholder that is overwritten per connection.
    pub id: Option<NonZeroU16>,
    /// Whether it was sent before and not acknowledged (MQTT-3.3.1-1).
    pub again: bool,
    /// For the remaining expiry (MQTT-3.3.2-6).
    pub now: Moment,
}

/// What encoding a message came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The head was written; the payload follows it. `id_at` is where the two bytes of the id stand in the head.
    Head {
        /// Offset of the id from the start of the head.
        id_at: Option<usize>,
    },
    /// The frame would be larger than the client accepts; nothing was written (MQTT-3.1.2-24).
    TooLarge,
}

/// Makes the bytes of one connection.
pub trait Wire: Send + std::fmt::Debug {
    /// The form in which this connection takes messages delivered with `options`, if it can share their bytes with
    /// other connections of the same form and has room for a frame with `size_bytes` of topic, payload and properties.
    fn form(&self, options: &DeliveryOptions, size_bytes: usize) -> Option<Form>;

    /// Writes the head of a message: everything before its payload.
    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded;

    /// Writes the second step of a QoS 2 hand-over: the publisher's release of `id` (PUBREL).
    fn release(&mut self, id: NonZeroU16, out: &mut Vec<u8>);

    /// Writes the answer to a client that was let in; `present` says whether it had a session (CONNACK). Nothing is
    /// written before it.
    fn greet(&mut self, present: bool, out: &mut Vec<u8>);

    /// Writes what tells the client why its connection ends, where the protocol has words for it.
    fn farewell(&mut self, code: Code, out: &mut Vec<u8>);
}
