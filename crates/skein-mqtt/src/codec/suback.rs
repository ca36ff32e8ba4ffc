//! SUBACK and UNSUBACK (MQTT 5.0 sections 3.9 and 3.11).

use std::num::NonZeroU16;

use bytes::Bytes;

use super::{
    AckProperties, DecodeError, ReasonCode, Side, Version, ack,
    frame::PacketType,
    property::Detail,
    reader::Reader,
    sink::{self, Sink},
};

/// Answers a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The packet id of the SUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code for every filter, in order (MQTT-3.9.3-1).
    pub reasons: Vec<ReasonCode>,
    /// More about them.
    pub properties: Option<Box<AckProperties>>,
}

/// Answers an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet id of the UNSUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code for every filter, in order (MQTT-3.11.3-1); not on the wire before version 5.
    pub reasons: Vec<ReasonCode>,
    /// More about them.
    pub properties: Option<Box<AckProperties>>,
}

pub(super) fn decode_suback(
    frame: &Bytes,
    header_len: usize,
    version: Version,
) -> Result<SubAck, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let packet_id = packet.packet_id()?;
    let properties = if version.is_v5() { decode_properties(&mut packet)? } else { None };
    let allowed = |reason: &ReasonCode| {
        // MQTT 3.1.1 section 3.9.3 knows one failure.
        reason.is_allowed(PacketType::SubAck, Side::Server)
            && (version.is_v5() || !reason.is_error() || *reason == ReasonCode::UnspecifiedError)
    };
    Ok(SubAck { packet_id, reasons: decode_reasons(&mut packet, allowed)?, properties })
}

pub(super) fn decode_unsuback(
    frame: &Bytes,
    header_len: usize,
    version: Version,
) -> Result<UnsubAck, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let packet_id = packet.packet_id()?;
    if !version.is_v5() {
        packet.finish()?;
        return Ok(UnsubAck { packet_id, reasons: Vec::new(), properties: None });
    }
    let properties = decode_properties(&mut packet)?;
    let allowed = |reason: &ReasonCode| reason.is_allowed(PacketType::UnsubAck, Side::Server);
    Ok(UnsubAck { packet_id, reasons: decode_reasons(&mut packet, allowed)?, properties })
}

/// Unlike an acknowledgement's, this block must be there, for reason codes come after it.
fn decode_properties(packet: &mut Reader<'_>) -> Result<Option<Box<AckProperties>>, DecodeError> {
    if packet.is_empty() {
        return Err(DecodeError::malformed("a packet ends before its properties"));
    }
    ack::decode_properties(packet)
}

fn decode_reasons(
    packet: &mut Reader<'_>,
    allowed: impl Fn(&ReasonCode) -> bool,
) -> Result<Vec<ReasonCode>, DecodeError> {
    let codes = packet.rest();
    if codes.is_empty() {
        return Err(DecodeError::protocol("a SUBACK or UNSUBACK has no reason code"));
    }
    codes
        .iter()
        .map(|code| {
            ReasonCode::from_u8(*code).filter(&allowed).ok_or(DecodeError::protocol(
                "a SUBACK or UNSUBACK has a reason code that is not one of its own",
            ))
        })
        .collect()
}

/// Writes everything of a SUBACK after the fixed header.
pub(super) fn write_suback(suback: &SubAck, version: Version, detail: Detail, sink: &mut dyn Sink) {
    sink.u16(suback.packet_id.get());
    if version.is_v5() {
        sink::properties(sink, |sink| ack::write_properties(suback.properties.as_deref(), detail, sink));
    }
    for reason in &suback.reasons {
        let is_plain_error = reason.is_error() && !version.is_v5();
        sink.u8(if is_plain_error { ReasonCode::UnspecifiedError } else { *reason }.value());
    }
}

/// Writes everything of an UNSUBACK after the fixed header.
pub(super) fn write_unsuback(unsuback: &UnsubAck, version: Version, detail: Detail, sink: &mut dyn Sink) {
    sink.u16(unsuback.packet_id.get());
    if !version.is_v5() {
        return;
    }
    sink::properties(sink, |sink| ack::write_properties(unsuback.properties.as_deref(), detail, sink));
    for reason in &unsuback.reasons {
        sink.u8(reason.value());
    }
}
