//! Properties of MQTT 5.0 packets: their identifiers, the loop that reads a block of them, and the ones a message
//! carries, which PUBLISH and the will share.
//!
//! Every packet has one `match` over the identifiers it allows and hands the rest to [`foreign`]; that a property
//! comes once only is checked here for all of them.

use bytestring::ByteString;
use skein_types::Properties;

use super::{DecodeError, reader::Reader, sink::Sink};

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(super) const RESPONSE_INFORMATION: u8 = 0x1A;
pub(super) const SERVER_REFERENCE: u8 = 0x1C;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const MAXIMUM_QOS: u8 = 0x24;
pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
pub(super) const USER: u8 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(super) const WILDCARD_AVAILABLE: u8 = 0x28;
pub(super) const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
pub(super) const SHARED_AVAILABLE: u8 = 0x2A;

/// Name and value pairs of the sender's own.
pub type UserProperties = Vec<(ByteString, ByteString)>;

/// Which of the parts that may be left out of a packet are written (MQTT-3.2.2-19, -20 and their like).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    All,
    /// Without user properties.
    ReasonString,
    /// Without user properties and reason string.
    None,
}

/// A walk over one block of properties.
#[derive(Debug)]
pub(super) struct PropertyReader<'f> {
    values: Reader<'f>,
    /// One bit for every identifier met so far.
    seen: u64,
}

impl<'f> PropertyReader<'f> {
    /// Takes the block `packet` stands at: its length and what that covers.
    pub(super) fn new(packet: &mut Reader<'f>) -> Result<Self, DecodeError> {
        let len = packet.varint()? as usize;
        Ok(Self { values: packet.part(len)?, seen: 0 })
    }

    /// The block of a packet that may end before it, which then has none (MQTT 5.0 section 3.4.2.2.1 and its like).
    pub(super) fn new_optional(packet: &mut Reader<'f>) -> Result<Self, DecodeError> {
        if packet.is_empty() { Ok(Self { values: packet.part(0)?, seen: 0 }) } else { Self::new(packet) }
    }

    /// The next property's identifier, or none at the end of the block.
    ///
    /// An identifier is a variable byte integer, yet all of them fit into one byte, so that a longer one is an
    /// unknown or an overlong one; both are malformed.
    pub(super) fn next_id(&mut self) -> Result<Option<u8>, DecodeError> {
        if self.values.is_empty() {
            return Ok(None);
        }
        let id = self.values.u8()?;
        let bit = 1_u64.checked_shl(u32::from(id)).ok_or_else(|| foreign(id))?;
        // A user property and, in a PUBLISH to a client, a subscription identifier may come more than once.
        if self.seen & bit != 0 && !matches!(id, USER | SUBSCRIPTION_ID) {
            return Err(DecodeError::protocol("a property comes twice"));
        }
        self.seen |= bit;
        Ok(Some(id))
    }

    /// The value of the property just met.
    pub(super) fn value(&mut self) -> &mut Reader<'f> {
        &mut self.values
    }

    /// A byte that must be 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.values.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::protocol("a property that is 0 or 1 has another value")),
        }
    }

    /// A two-byte number that must not be 0.
    pub(super) fn positive_u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        match self.values.u16()? {
            0 => Err(DecodeError::protocol(what)),
            value => Ok(value),
        }
    }

    /// A four-byte number that must not be 0.
    pub(super) fn positive_u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        match self.values.u32()? {
            0 => Err(DecodeError::protocol(what)),
            value => Ok(value),
        }
    }

    /// A subscription identifier, which is never 0 (MQTT 5.0 sections 3.3.2.3.8 and 3.8.2.1.2).
    pub(super) fn subscription_id(&mut self) -> Result<u32, DecodeError> {
        match self.values.varint()? {
            0 => Err(DecodeError::protocol("a subscription identifier is 0")),
            id => Ok(id),
        }
    }

    /// Takes a property a message carries into `properties`.
    pub(super) fn message_property(
        &mut self,
        id: u8,
        properties: &mut Option<Box<Properties>>,
    ) -> Result<(), DecodeError> {
        let properties = properties.get_or_insert_with(Box::default);
        match id {
            PAYLOAD_FORMAT => properties.payload_is_utf8 = Some(self.flag()?),
            CONTENT_TYPE => properties.content_type = Some(self.values.string()?),
            // MQTT-3.3.2-14.
            RESPONSE_TOPIC => properties.response_topic = Some(self.values.topic()?),
            CORRELATION_DATA => properties.correlation_data = Some(self.values.data()?),
            USER => properties.user.push(self.values.pair()?),
            _ => return Err(foreign(id)),
        }
        Ok(())
    }
}

/// The error for a property this packet must not have: malformed, whether the standard knows the identifier elsewhere
/// or not at all (MQTT 5.0 section 2.2.2.2).
pub(super) fn foreign(id: u8) -> DecodeError {
    match id {
        PAYLOAD_FORMAT..=CONTENT_TYPE
        | RESPONSE_TOPIC
        | CORRELATION_DATA
        | SUBSCRIPTION_ID
        | SESSION_EXPIRY..=SERVER_KEEP_ALIVE
        | AUTHENTICATION_METHOD..=RESPONSE_INFORMATION
        | SERVER_REFERENCE
        | REASON_STRING
        | RECEIVE_MAXIMUM..=SHARED_AVAILABLE => {
            DecodeError::malformed("a property that does not belong into this packet")
        }
        _ => DecodeError::malformed("an unknown property"),
    }
}

/// Writes what a message carries (MQTT-3.3.2-4 and -15 to -20: unaltered and in order).
pub(super) fn write_message_properties<S: Sink + ?Sized>(properties: &Properties, sink: &mut S) {
    if let Some(is_utf8) = properties.payload_is_utf8 {
        sink.put(&[PAYLOAD_FORMAT, u8::from(is_utf8)]);
    }
    if let Some(content_type) = &properties.content_type {
        sink.u8(CONTENT_TYPE);
        sink.string(content_type);
    }
    if let Some(topic) = &properties.response_topic {
        sink.u8(RESPONSE_TOPIC);
        sink.string(topic);
    }
    if let Some(data) = &properties.correlation_data {
        sink.u8(CORRELATION_DATA);
        sink.data(data);
    }
    write_user(&properties.user, sink);
}

/// Writes user properties in their order (MQTT-3.3.2-18).
pub(super) fn write_user<S: Sink + ?Sized>(user: &UserProperties, sink: &mut S) {
    for (name, value) in user {
        sink.u8(USER);
        sink.string(name);
        sink.string(value);
    }
}

/// Writes a string property when there is one.
pub(super) fn write_string(id: u8, text: Option<&ByteString>, sink: &mut dyn Sink) {
    if let Some(text) = text {
        sink.u8(id);
        sink.string(text);
    }
}

/// Writes a property of two bytes when there is one.
pub(super) fn write_u16(id: u8, value: Option<u16>, sink: &mut dyn Sink) {
    if let Some(value) = value {
        sink.u8(id);
        sink.u16(value);
    }
}

/// Writes a property of four bytes when there is one.
pub(super) fn write_u32(id: u8, value: Option<u32>, sink: &mut dyn Sink) {
    if let Some(value) = value {
        sink.u8(id);
        sink.u32(value);
    }
}

/// Writes a property of 0 or 1 unless it has the value that its absence means.
pub(super) fn write_flag(id: u8, value: bool, default: bool, sink: &mut dyn Sink) {
    if value != default {
        sink.put(&[id, u8::from(value)]);
    }
}

/// Writes the reason string and user properties as far as `detail` lets them.
pub(super) fn write_details(
    detail: Detail,
    reason_string: Option<&ByteString>,
    user: &UserProperties,
    sink: &mut dyn Sink,
) {
    if detail != Detail::None {
        write_string(REASON_STRING, reason_string, sink);
    }
    if detail == Detail::All {
        write_user(user, sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ReasonCode;

    #[test]
    fn mqtt_2_2_2_the_standard_has_27_properties() {
        let unknown = foreign(0).what;
        assert_eq!((0..=u8::MAX).filter(|id| foreign(*id).what != unknown).count(), 27);
        for id in [0x00, 0x04, 0x0A, 0x0C, 0x14, 0x1B, 0x1D, 0x1E, 0x20, 0x2B, 0x3F, 0x40, 0x81, 0xFF] {
            assert_eq!(foreign(id).what, unknown, "{id:#x}");
        }
    }

    #[test]
    fn mqtt_2_2_2_2_a_foreign_property_is_malformed() {
        for id in 0..=u8::MAX {
            assert_eq!(foreign(id).reason, ReasonCode::MalformedPacket, "{id:#x}");
        }
    }
}
