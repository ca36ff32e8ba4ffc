//! PUBLISH, decoded and encoded (MQTT 5.0 section 3.3).
//!
//! This is the packet everything else is measured by. Decoding shares the memory of the read buffer: the packet's
//! own handle becomes the payload, so that only the topic costs another one. Encoding writes everything up to the
//! payload and leaves that to the caller, who shares it between recipients.

use std::num::NonZeroU16;

use bytes::{Buf, Bytes};
use skein_types::{Properties, QoS, Topic};

use super::{
    DecodeContext, DecodeError, ReasonCode, Side, Version,
    frame::PacketType,
    property::{self, PropertyReader, write_message_properties},
    reader::Reader,
    sink::{self, Length, Sink},
};

/// A message from a client to the server or the other way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Whether this may repeat an earlier attempt (MQTT-3.3.1-1).
    pub dup: bool,
    /// How often the message may arrive.
    pub qos: QoS,
    /// From a client: keep it for later subscribers. To a client: it was kept.
    pub retain: bool,
    /// The topic; none when an alias stands for it.
    pub topic: Option<Topic>,
    /// Present exactly when the quality of service is above 0 (MQTT-2.2.1-2).
    pub packet_id: Option<NonZeroU16>,
    /// The message itself.
    pub payload: Bytes,
    /// The alias that stands, or from now on stands, for the topic.
    pub alias: Option<NonZeroU16>,
    /// Seconds until nobody wants the message any more.
    pub expiry_secs: Option<u32>,
    /// The subscriptions that matched; only from the server to a client (MQTT-3.3.4-6).
    pub subscription_ids: Vec<u32>,
    /// What the message carries beside its payload, if anything.
    pub properties: Option<Box<Properties>>,
}

/// Everything of an outgoing PUBLISH but its payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishHead<'a> {
    /// The topic, or the empty text when `alias` stands for it.
    pub topic: &'a str,
    /// Quality of service of this delivery.
    pub qos: QoS,
    /// Whether this repeats an earlier attempt; never written for QoS 0 (MQTT-3.3.1-2).
    pub dup: bool,
    /// The retain flag.
    pub retain: bool,
    /// The packet id; without one a packet of QoS 1 or 2 gets two zero bytes for the caller to overwrite.
    pub packet_id: Option<NonZeroU16>,
    /// Topic alias, from version 5 on.
    pub alias: Option<NonZeroU16>,
    /// Seconds left until it expires, from version 5 on.
    pub expiry_secs: Option<u32>,
    /// Identifiers of the subscriptions that matched, from version 5 on.
    pub subscription_ids: &'a [u32],
    /// What the message carries beside its payload, from version 5 on.
    pub properties: Option<&'a Properties>,
}

/// Decodes the PUBLISH in `frame`, whose fixed header of `header_len` bytes has been checked.
#[inline]
pub(super) fn decode(
    mut frame: Bytes,
    first: u8,
    header_len: usize,
    ctx: &DecodeContext,
    version: Version,
) -> Result<Publish, DecodeError> {
    let mut packet = Reader::new(&frame, header_len);
    let topic = packet.topic_or_empty()?;
    let qos = match first & 0b0110 {
        0b0000 => QoS::AtMostOnce,
        0b0010 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(packet.packet_id()?) };
    let mut publish = Publish {
        dup: first & 0b1000 != 0,
        qos,
        retain: first & 1 != 0,
        topic,
        packet_id,
        ..Publish::default()
    };
    if version.is_v5() {
        // Most messages have no properties: one zero byte.
        match packet.peek_u8() {
            Some(0) => packet.skip_u8(),
            _ => decode_properties(&mut packet, ctx, &mut publish)?,
        }
    }
    if publish.topic.is_none() && publish.alias.is_none() {
        return Err(missing_topic(version));
    }
    let payload_at = packet.position();
    frame.advance(payload_at);
    publish.payload = frame;
    Ok(publish)
}

#[cold]
fn missing_topic(version: Version) -> DecodeError {
    if version.is_v5() {
        // MQTT 5.0 section 3.3.2.1.
        DecodeError::protocol("a PUBLISH has neither a topic nor a topic alias")
    } else {
        // MQTT-4.7.3-1.
        DecodeError::malformed("a topic name is empty")
    }
}

fn decode_properties(
    packet: &mut Reader<'_>,
    ctx: &DecodeContext,
    publish: &mut Publish,
) -> Result<(), DecodeError> {
    let mut properties = PropertyReader::new(packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            property::MESSAGE_EXPIRY => publish.expiry_secs = Some(properties.value().u32()?),
            property::TOPIC_ALIAS => {
                // MQTT-3.3.2-8.
                let alias = NonZeroU16::new(properties.value().u16()?)
                    .ok_or(DecodeError::new(ReasonCode::TopicAliasInvalid, "a topic alias is 0"))?;
                publish.alias = Some(alias);
            }
            property::SUBSCRIPTION_ID => {
                if ctx.side == Side::Server {
                    // MQTT-3.3.4-6.
                    return Err(DecodeError::protocol(
                        "a client must not send a subscription identifier in a PUBLISH",
                    ));
                }
                publish.subscription_ids.push(properties.subscription_id()?);
            }
            _ => properties.message_property(id, &mut publish.properties)?,
        }
    }
    Ok(())
}

/// Writes a PUBLISH up to its payload of `payload_len` bytes, which the caller writes after it.
///
/// Returns where the packet id lies, counted from the start of this packet, so that one encoded head can serve
/// recipients that differ in nothing else; none for QoS 0.
///
/// # Panics
/// When the whole packet is larger than [`PACKET_BYTES_MAX`](super::PACKET_BYTES_MAX); ask [`publish_length`] first.
pub fn encode_publish_head(
    head: &PublishHead<'_>,
    version: Version,
    payload_len: usize,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let topic = head.topic_within_bounds();
    let properties_len = head.properties_len(version);
    let remaining = head.remaining(topic, version, properties_len, payload_len);
    let (remaining_bytes, remaining_len) = sink::varint(remaining);
    let has_id = head.qos != QoS::AtMostOnce;
    out.reserve(sink::frame_len(remaining).saturating_sub(payload_len));
    out.push(head.first_byte());
    out.extend_from_slice(remaining_bytes.get(..remaining_len).unwrap_or_default());
    out.string(topic);
    if has_id {
        out.u16(head.packet_id.map_or(0, NonZeroU16::get));
    }
    if let Some(len) = properties_len {
        out.varint(len);
        if len > 0 {
            head.write_properties(out);
        }
    }
    // The fixed header, the length of the topic and the topic come before the packet id.
    has_id.then(|| remaining_len.saturating_add(3).saturating_add(topic.len()))
}

/// Bytes of the whole PUBLISH with a payload of `payload_len` bytes, for checking it against what the receiver
/// takes (MQTT-3.1.2-24).
#[must_use]
pub fn publish_length(head: &PublishHead<'_>, version: Version, payload_len: usize) -> usize {
    sink::frame_len(head.remaining(
        head.topic_within_bounds(),
        version,
        head.properties_len(version),
        payload_len,
    ))
}

impl PublishHead<'_> {
    fn first_byte(&self) -> u8 {
        let qos = self.qos as u8;
        let dup = self.dup && qos > 0;
        PacketType::Publish.first_byte() | u8::from(dup) << 3 | qos << 1 | u8::from(self.retain)
    }

    /// A [`Topic`] always fits; other text is cut as [`Sink::string`] cuts it.
    fn topic_within_bounds(&self) -> &str {
        self.topic.get(..self.topic.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default()
    }

    /// Length of the properties, without the length in front of them; none before version 5.
    #[inline]
    fn properties_len(&self, version: Version) -> Option<usize> {
        if !version.is_v5() {
            return None;
        }
        let has_some = self.alias.is_some()
            || self.expiry_secs.is_some()
            || !self.subscription_ids.is_empty()
            || self.properties.is_some();
        if !has_some {
            return Some(0);
        }
        let mut length = Length::default();
        self.write_properties(&mut length);
        Some(length.0)
    }

    #[inline]
    fn remaining(
        &self,
        topic: &str,
        version: Version,
        properties_len: Option<usize>,
        payload_len: usize,
    ) -> usize {
        debug_assert_eq!(version.is_v5(), properties_len.is_some());
        // The length of the topic and, above QoS 0, the packet id.
        let numbers = if self.qos == QoS::AtMostOnce { 2_usize } else { 4 };
        let properties = properties_len.map_or(0, |len| len.saturating_add(sink::varint_len(len)));
        numbers.saturating_add(topic.len()).saturating_add(properties).saturating_add(payload_len)
    }

    fn write_properties<S: Sink>(&self, sink: &mut S) {
        if let Some(expiry) = self.expiry_secs {
            sink.u8(property::MESSAGE_EXPIRY);
            sink.u32(expiry);
        }
        if let Some(alias) = self.alias {
            sink.u8(property::TOPIC_ALIAS);
            sink.u16(alias.get());
        }
        for id in self.subscription_ids {
            sink.u8(property::SUBSCRIPTION_ID);
            sink.varint(*id as usize);
        }
        if let Some(properties) = self.properties {
            write_message_properties(properties, sink);
        }
    }
}

impl Publish {
    /// The same packet without its payload, as the encoder takes it.
    #[must_use]
    pub fn head(&self) -> PublishHead<'_> {
        PublishHead {
            topic: self.topic.as_deref().unwrap_or_default(),
            qos: self.qos,
            dup: self.dup,
            retain: self.retain,
            packet_id: self.packet_id,
            alias: self.alias,
            expiry_secs: self.expiry_secs,
            subscription_ids: &self.subscription_ids,
            properties: self.properties.as_deref(),
        }
    }
}
