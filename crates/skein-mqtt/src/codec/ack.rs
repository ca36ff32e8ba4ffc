//! PUBACK, PUBREC, PUBREL and PUBCOMP, which share one form (MQTT 5.0 sections 3.4 to 3.7).

use std::num::NonZeroU16;

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    DecodeError, ReasonCode, Side, Version,
    frame::PacketType,
    property::{self, Detail, PropertyReader, UserProperties, foreign},
    reader::Reader,
    sink::{self, Sink},
};

/// One step of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The message it is about.
    pub packet_id: NonZeroU16,
    /// What became of it; always success before version 5.
    pub reason: ReasonCode,
    /// More about the reason; none for nearly every packet.
    pub properties: Option<Box<AckProperties>>,
}

/// What an acknowledgement may say beside its reason code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckProperties {
    /// What happened, in words.
    pub reason_string: Option<ByteString>,
    /// Pairs of the sender's own.
    pub user: UserProperties,
}

impl Ack {
    /// Says that all went well.
    #[must_use]
    pub const fn success(packet_id: NonZeroU16) -> Self {
        Self { packet_id, reason: ReasonCode::Success, properties: None }
    }

    /// Says `reason` and no more.
    #[must_use]
    pub const fn with_reason(packet_id: NonZeroU16, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: None }
    }
}

pub(super) fn decode(
    frame: &Bytes,
    header_len: usize,
    kind: PacketType,
    version: Version,
) -> Result<Ack, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let mut ack = Ack::success(packet.packet_id()?);
    // MQTT 5.0 section 3.4.2.1: success without properties may be left out.
    if version.is_v5() && !packet.is_empty() {
        ack.reason = ReasonCode::from_u8(packet.u8()?)
            // The four packets have the same codes in both directions.
            .filter(|reason| reason.is_allowed(kind, Side::Client))
            .ok_or(DecodeError::protocol(
                "an acknowledgement has a reason code that is not one of its own",
            ))?;
        ack.properties = decode_properties(&mut packet)?;
    }
    packet.finish()?;
    Ok(ack)
}

/// Reads a block that can hold a reason string and user properties only, and may be missing.
pub(super) fn decode_properties(packet: &mut Reader<'_>) -> Result<Option<Box<AckProperties>>, DecodeError> {
    let mut properties = PropertyReader::new_optional(packet)?;
    let mut ack = None;
    while let Some(id) = properties.next_id()? {
        let ack: &mut Box<AckProperties> = ack.get_or_insert_with(Box::default);
        match id {
            property::REASON_STRING => ack.reason_string = Some(properties.value().string()?),
            property::USER => ack.user.push(properties.value().pair()?),
            _ => return Err(foreign(id)),
        }
    }
    Ok(ack)
}

/// Writes everything after the fixed header.
pub(super) fn write(ack: &Ack, version: Version, detail: Detail, sink: &mut dyn Sink) {
    sink.u16(ack.packet_id.get());
    if !version.is_v5() {
        return;
    }
    let has_properties =
        sink::length_of(|sink| write_properties(ack.properties.as_deref(), detail, sink)) > 0;
    if has_properties || ack.reason != ReasonCode::Success {
        sink.u8(ack.reason.value());
    }
    if has_properties {
        sink::properties(sink, |sink| write_properties(ack.properties.as_deref(), detail, sink));
    }
}

pub(super) fn write_properties(properties: Option<&AckProperties>, detail: Detail, sink: &mut dyn Sink) {
    if let Some(properties) = properties {
        property::write_details(detail, properties.reason_string.as_ref(), &properties.user, sink);
    }
}
