//! Reads the packets a server sends, in place, without copying or allocating.
//!
//! Every byte is outside input: nothing here indexes, and a packet that breaks the standard is an error that
//! says what was wrong, never a panic.

use super::{Protocol, Qos};

/// The largest remaining length four bytes can carry (MQTT 3.1.1 section 2.2.3).
pub(super) const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// A server's packet that breaks the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("the remaining length of a packet does not end within four bytes")]
    RemainingLength,
    #[error("packet of type {packet_type} ended before its fields did")]
    Short { packet_type: u8 },
    #[error("packet of type {packet_type} carries flags {flags:#06b}, which the standard reserves")]
    Flags { packet_type: u8, flags: u8 },
    #[error("PUBLISH with quality of service 3")]
    Qos,
    #[error("packet of type {packet_type} carries packet id 0")]
    PacketIdZero { packet_type: u8 },
    #[error("packet of type {packet_type} is never sent by a server")]
    NotFromServer { packet_type: u8 },
    #[error("property {id:#04x} in {packet} is not one of this packet, or is cut short")]
    Property { packet: &'static str, id: u32 },
}

/// What [`decode`] found at the start of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// The packet is not complete yet.
    Partial,
    /// One packet, and the bytes behind it.
    Packet(Packet<'a>, &'a [u8]),
}

/// A packet from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    ConnAck(ConnAck),
    Publish(Publish<'a>),
    PubAck {
        packet_id: u16,
        reason: u8,
    },
    PubRec {
        packet_id: u16,
        reason: u8,
    },
    PubRel {
        packet_id: u16,
    },
    PubComp {
        packet_id: u16,
    },
    SubAck {
        packet_id: u16,
        reason: u8,
    },
    /// Without its reason codes: a subscription that is not there any more is all that is asked for.
    UnsubAck {
        packet_id: u16,
    },
    PingResp,
    Disconnect {
        reason: u8,
    },
}

/// The answer to CONNECT with the limits a generator must keep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnAck {
    pub(crate) reason: u8,
    pub(crate) receive_maximum: u16,
    pub(crate) qos_max: u8,
    pub(crate) retain_available: bool,
    pub(crate) shared_available: bool,
    pub(crate) keep_alive_seconds: Option<u16>,
    pub(crate) packet_bytes_max: u32,
}

/// A publication as it stands in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) packet_id: u16,
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Takes the first packet off `bytes`.
#[inline]
pub(crate) fn decode(bytes: &[u8], protocol: Protocol) -> Result<Decoded<'_>, CodecError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(Decoded::Partial) };
    let Some((remaining, rest)) = take_varint(rest)? else { return Ok(Decoded::Partial) };
    let Ok(remaining) = usize::try_from(remaining) else { return Err(CodecError::RemainingLength) };
    let Some((body, rest)) = rest.split_at_checked(remaining) else { return Ok(Decoded::Partial) };
    let packet = if first >> 4 == 3 {
        Packet::Publish(decode_publish(first, body, protocol)?)
    } else {
        decode_other(first, body, protocol)?
    };
    Ok(Decoded::Packet(packet, rest))
}

#[inline]
fn decode_publish(first: u8, body: &[u8], protocol: Protocol) -> Result<Publish<'_>, CodecError> {
    const SHORT: CodecError = CodecError::Short { packet_type: 3 };
    let qos = Qos::from_bits((first >> 1) & 0b11).ok_or(CodecError::Qos)?;
    let (length, rest) = take_u16(body).ok_or(SHORT)?;
    let (topic, rest) = rest.split_at_checked(usize::from(length)).ok_or(SHORT)?;
    let (packet_id, rest) = if qos == Qos::AtMostOnce { (0, rest) } else { take_u16(rest).ok_or(SHORT)? };
    if qos != Qos::AtMostOnce && packet_id == 0 {
        return Err(CodecError::PacketIdZero { packet_type: 3 });
    }
    let payload = match protocol {
        Protocol::V3 => rest,
        Protocol::V5 => take_properties(rest).ok_or(SHORT)?.1,
    };
    Ok(Publish { qos, retain: first & 1 == 1, packet_id, topic, payload })
}

fn decode_other(first: u8, body: &[u8], protocol: Protocol) -> Result<Packet<'_>, CodecError> {
    let packet_type = first >> 4;
    let flags = first & 0x0F;
    let expected = if packet_type == 6 { 0b0010 } else { 0 };
    if flags != expected {
        return Err(CodecError::Flags { packet_type, flags });
    }
    let short = CodecError::Short { packet_type };
    match packet_type {
        2 => Ok(Packet::ConnAck(decode_connack(body, protocol)?)),
        4..=7 | 9 | 11 => {
            let (packet_id, rest) = take_u16(body).ok_or(short)?;
            if packet_id == 0 {
                return Err(CodecError::PacketIdZero { packet_type });
            }
            if packet_type == 9 {
                let codes =
                    if protocol == Protocol::V5 { take_properties(rest).ok_or(short)?.1 } else { rest };
                let reason = *codes.first().ok_or(short)?;
                return Ok(Packet::SubAck { packet_id, reason });
            }
            // A version 5 acknowledgement without a reason code means success (MQTT 5 section 3.4.2.1).
            let reason = rest.first().copied().unwrap_or(0);
            Ok(match packet_type {
                4 => Packet::PubAck { packet_id, reason },
                5 => Packet::PubRec { packet_id, reason },
                6 => Packet::PubRel { packet_id },
                11 => Packet::UnsubAck { packet_id },
                _ => Packet::PubComp { packet_id },
            })
        }
        13 => Ok(Packet::PingResp),
        14 if protocol == Protocol::V5 => {
            Ok(Packet::Disconnect { reason: body.first().copied().unwrap_or(0) })
        }
        _ => Err(CodecError::NotFromServer { packet_type }),
    }
}

fn decode_connack(body: &[u8], protocol: Protocol) -> Result<ConnAck, CodecError> {
    const SHORT: CodecError = CodecError::Short { packet_type: 2 };
    let (_flags, rest) = body.split_first().ok_or(SHORT)?;
    let (&reason, rest) = rest.split_first().ok_or(SHORT)?;
    let mut connack = ConnAck {
        reason,
        receive_maximum: u16::MAX,
        qos_max: 2,
        retain_available: true,
        shared_available: true,
        keep_alive_seconds: None,
        packet_bytes_max: u32::MAX,
    };
    // A version 5 server may refuse in the 3.1.1 form, without properties, before it knows the version.
    if protocol == Protocol::V5 && !rest.is_empty() {
        let (mut properties, _) = take_properties(rest).ok_or(SHORT)?;
        while !properties.is_empty() {
            properties = connack_property(&mut connack, properties)?;
        }
    }
    Ok(connack)
}

/// Reads one property of a CONNACK (MQTT 5 section 3.2.2.3) and returns the bytes behind it.
fn connack_property<'a>(connack: &mut ConnAck, bytes: &'a [u8]) -> Result<&'a [u8], CodecError> {
    let (id, rest) = take_varint(bytes)?.ok_or(CodecError::Short { packet_type: 2 })?;
    let wrong = CodecError::Property { packet: "CONNACK", id };
    match id {
        0x24 | 0x25 | 0x28 | 0x29 | 0x2A => {
            let (&value, rest) = rest.split_first().ok_or(wrong)?;
            match id {
                0x24 => connack.qos_max = value,
                0x25 => connack.retain_available = value != 0,
                0x2A => connack.shared_available = value != 0,
                _ => {}
            }
            Ok(rest)
        }
        0x13 | 0x21 | 0x22 => {
            let (value, rest) = take_u16(rest).ok_or(wrong)?;
            match id {
                0x13 => connack.keep_alive_seconds = Some(value),
                0x21 => connack.receive_maximum = value,
                _ => {}
            }
            Ok(rest)
        }
        0x11 | 0x27 => {
            let (value, rest) = rest.split_first_chunk::<4>().ok_or(wrong)?;
            if id == 0x27 {
                connack.packet_bytes_max = u32::from_be_bytes(*value);
            }
            Ok(rest)
        }
        0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => Ok(take_text(rest).ok_or(wrong)?),
        0x26 => take_text(rest).and_then(take_text).ok_or(wrong),
        _ => Err(wrong),
    }
}

fn take_text(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = take_u16(bytes)?;
    Some(rest.split_at_checked(usize::from(length))?.1)
}

/// Splits the property block off: (properties, rest).
#[inline]
fn take_properties(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some((0, rest)) = bytes.split_first() {
        return Some((&[], rest));
    }
    let (length, rest) = take_varint(bytes).ok()??;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[inline]
fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (value, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*value), rest))
}

/// A variable byte integer and the rest; `None` when more bytes are needed.
#[inline]
fn take_varint(bytes: &[u8]) -> Result<Option<(u32, &[u8])>, CodecError> {
    let mut value = 0;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21] {
        let Some((&byte, after)) = rest.split_first() else { return Ok(None) };
        rest = after;
        value |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, rest)));
        }
    }
    Err(CodecError::RemainingLength)
}

/// The meaning of a refusal code in CONNACK, SUBACK, PUBACK, PUBREC or DISCONNECT, for an error message.
pub(crate) fn reason_text(reason: u8) -> &'static str {
    match reason {
        0x01 => "unacceptable protocol version",
        0x02 => "client identifier rejected",
        0x03 => "server unavailable",
        0x04 => "bad user name or password",
        0x05 => "not authorised",
        0x80 => "unspecified failure",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorised",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8A => "banned",
        0x8B => "server shutting down",
        0x8D => "keep alive timeout",
        0x8E => "session taken over",
        0x8F => "topic filter invalid",
        0x90 => "topic name invalid",
        0x93 => "receive maximum exceeded",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x9A => "retain not supported",
        0x9B => "quality of service not supported",
        0x9E => "shared subscriptions not supported",
        0x9F => "connection rate exceeded",
        0xA1 => "subscription identifiers not supported",
        0xA2 => "wildcard subscriptions not supported",
        _ => "a code without a known meaning",
    }
}
