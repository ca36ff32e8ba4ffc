//! A published message, as the plane and every door see it.

use bytes::Bytes;
use bytestring::ByteString;

use crate::{Moment, SessionKey, Topic};

/// Quality of service: how often a message may arrive (MQTT 5.0 section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// Sent until acknowledged.
    AtLeastOnce = 1,
    /// Handed over by the four-part handshake, so that it arrives exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level written as 0, 1 or 2 on the wire; anything else is none.
    #[must_use]
    pub const fn from_u8(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A message on its way through the plane. Cloning it shares topic, payload and properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: Topic,
    /// Its bytes; the plane never looks inside.
    pub payload: Bytes,
    /// The quality of service its publisher asked for.
    pub qos: QoS,
    /// Whether the publisher asked the plane to retain it for later subscribers.
    pub retain: bool,
    /// When it is no longer wanted (MQTT 5.0 section 3.3.2.3.3).
    pub expires_at: Option<Moment>,
    /// The session that published it; the node itself is `SessionKey(0)`.
    pub origin: SessionKey,
    /// What it carries beside the payload; none for most messages, so that they stay small.
    pub properties: Option<Box<Properties>>,
    /// Nothing. A shared message takes 120 bytes with it, for which the allocator has blocks of 128 at hand; the 112 that it
    /// would be come from the same blocks by a slower way, 75 instructions more for every message that is kept.
    pub padding: u64,
}

/// What a message carries beside its payload. All of it is forwarded unaltered and in order (MQTT-3.3.2-4, -15 to -20).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The publisher's word that the payload is UTF-8 text (payload format indicator), when it gave one.
    pub payload_is_utf8: Option<bool>,
    /// What kind of content the payload is, such as a MIME type.
    pub content_type: Option<ByteString>,
    /// Where the receiver should answer to.
    pub response_topic: Option<Topic>,
    /// What an answer should repeat so that its receiver knows what it answers.
    pub correlation_data: Option<Bytes>,
    /// Pairs of the publisher's own; names may repeat and the order matters.
    pub user: Vec<(ByteString, ByteString)>,
}

impl Message {
    /// A message with no retain flag, expiry or properties.
    #[must_use]
    pub fn new(topic: Topic, payload: Bytes, qos: QoS) -> Self {
        Self {
            topic,
            payload,
            qos,
            retain: false,
            expires_at: None,
            origin: SessionKey(0),
            properties: None,
            padding: 0,
        }
    }

    /// Whether its expiry has passed at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    /// Bytes it is accounted with in queues: topic, payload, properties and the bookkeeping around them.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        const BOOKKEEPING_BYTES: usize = size_of::<Message>();
        BOOKKEEPING_BYTES
            + self.topic.len()
            + self.payload.len()
            + self.properties.as_deref().map_or(0, Properties::size_bytes)
    }

    /// The same message in memory of its own.
    ///
    /// A decoded message points into the read buffer it came from and keeps all of it alive; whoever stores a
    /// message for longer than one delivery detaches it first.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            topic: self.topic.detached(),
            payload: Bytes::copy_from_slice(&self.payload),
            properties: self.properties.as_deref().map(|properties| Box::new(properties.detached())),
            ..*self
        }
    }
}

impl Properties {
    /// Whether nothing is set, so that a message need not carry them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn size_bytes(&self) -> usize {
        let text = |value: &Option<ByteString>| value.as_ref().map_or(0, |text| text.len());
        size_of::<Self>()
            + text(&self.content_type)
            + self.response_topic.as_ref().map_or(0, |topic| topic.len())
            + self.correlation_data.as_ref().map_or(0, Bytes::len)
            + self
                .user
                .iter()
                .map(|(name, value)| name.len() + value.len() + size_of::<(ByteString, ByteString)>())
                .sum::<usize>()
    }

    /// The same properties in memory of their own.
    #[must_use]
    pub fn detached(&self) -> Self {
        let own = |text: &ByteString| ByteString::from(&**text);
        Self {
            payload_is_utf8: self.payload_is_utf8,
            content_type: self.content_type.as_ref().map(own),
            response_topic: self.response_topic.as_ref().map(Topic::detached),
            correlation_data: self.correlation_data.as_ref().map(|data| Bytes::copy_from_slice(data)),
            user: self.user.iter().map(|(name, value)| (own(name), own(value))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its two counts a shared one takes more than 112 and at most 128 bytes.
    #[test]
    fn a_message_has_the_size_that_the_allocator_is_quickest_at() {
        assert!((97..=112).contains(&size_of::<Message>()), "{}", size_of::<Message>());
    }
}
