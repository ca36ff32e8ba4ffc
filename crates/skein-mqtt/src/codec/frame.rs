//! The fixed header every packet starts with: type, flags and remaining length (MQTT 5.0 section 2.1).
//!
//! Looks at five bytes at most and never waits for a body in order to refuse a packet: a wrong type, wrong flags
//! or too large a length are reported as soon as they can be seen. Called by [`decode`](super::decode) and by
//! whoever reads a socket and wants to know how much is missing.

use super::{DecodeContext, DecodeError, ReasonCode, Side, Version};

/// Largest remaining length four bytes can express (MQTT 5.0 section 2.1.4).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;
/// Largest packet the protocol allows: the remaining length and the five bytes of its fixed header.
pub const PACKET_BYTES_MAX: u32 = 268_435_460;

/// The control packet types (MQTT 5.0 section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Client to server: the first packet of a connection.
    Connect = 1,
    /// Server to client: answer to CONNECT.
    ConnAck = 2,
    /// Both ways: a message.
    Publish = 3,
    /// Both ways: acknowledges QoS 1.
    PubAck = 4,
    /// Both ways: QoS 2, part 1 of the answer.
    PubRec = 5,
    /// Both ways: QoS 2, part 2.
    PubRel = 6,
    /// Both ways: QoS 2, part 3.
    PubComp = 7,
    /// Client to server.
    Subscribe = 8,
    /// Server to client.
    SubAck = 9,
    /// Client to server.
    Unsubscribe = 10,
    /// Server to client.
    UnsubAck = 11,
    /// Client to server.
    PingReq = 12,
    /// Server to client.
    PingResp = 13,
    /// Both ways since version 5, before only from the client.
    Disconnect = 14,
    /// Both ways, since version 5.
    Auth = 15,
}

impl PacketType {
    /// The type in the upper half of a packet's first byte; 0 is reserved.
    #[must_use]
    pub const fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet of this type whose flags are fixed (MQTT-2.1.3-1); a PUBLISH adds its own.
    pub(super) const fn first_byte(self) -> u8 {
        let flags = match self {
            // MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1.
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// The name the standard writes, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Whether `side` may send packets of this type in `version`.
    const fn is_sent_by(self, side: Side, version: Version) -> bool {
        match self {
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp | Self::Auth => true,
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(side, Side::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => matches!(side, Side::Server),
            Self::Disconnect => version.is_v5() || matches!(side, Side::Client),
        }
    }
}

/// A decoded fixed header.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedHeader {
    /// Bytes of the fixed header itself.
    pub(super) len: usize,
    /// Bytes of the whole packet.
    pub(super) total: usize,
}

/// How many bytes the packet at the start of `buf` has in all, or none when `buf` ends inside its fixed header.
///
/// # Errors
/// 0x81 for a length of more than four bytes or one not written in the shortest form (MQTT-1.5.5-1).
pub fn frame_length(buf: &[u8]) -> Result<Option<usize>, DecodeError> {
    Ok(fixed_header(buf)?.map(|header| header.total))
}

/// Decodes the fixed header, or says with none that more bytes are needed.
#[inline]
pub(super) fn fixed_header(buf: &[u8]) -> Result<Option<FixedHeader>, DecodeError> {
    // Nearly every packet is shorter than 128 bytes.
    if let [_, remaining @ 0..=0x7F, ..] = buf {
        let total = usize::from(*remaining).saturating_add(2);
        return Ok(Some(FixedHeader { len: 2, total }));
    }
    let Some((_, rest)) = buf.split_first() else { return Ok(None) };
    let Some((remaining, used)) = varint(rest)? else { return Ok(None) };
    let len = used.saturating_add(1);
    Ok(Some(FixedHeader { len, total: len.saturating_add(remaining as usize) }))
}

/// Decodes a variable byte integer at the start of `buf`: its value and how many bytes it takes, or none when
/// `buf` ends inside it.
pub(super) fn varint(buf: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0_u32;
    for ((index, byte), shift) in buf.iter().enumerate().zip([0, 7, 14, 21]) {
        value |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            // MQTT-1.5.5-1: a last byte of zero after another one says nothing, so the form is not the shortest.
            if *byte == 0 && index > 0 {
                return Err(DecodeError::malformed("a variable byte integer is not in its shortest form"));
            }
            return Ok(Some((value, index.saturating_add(1))));
        }
    }
    if buf.len() >= 4 {
        return Err(DecodeError::malformed("a variable byte integer has more than four bytes"));
    }
    Ok(None)
}

/// Checks type and flags in a packet's first byte: whether this side may send that now, and MQTT-2.1.3-1.
#[inline]
pub(super) fn check_first_byte(first: u8, ctx: &DecodeContext) -> Result<PacketType, DecodeError> {
    let Some(packet) = PacketType::from_first_byte(first) else {
        return Err(DecodeError::malformed("packet type 0 is reserved"));
    };
    let Some(version) = ctx.version else {
        return match packet {
            // Its flags depend on its version.
            PacketType::Connect => Ok(packet),
            // MQTT-3.1.0-1.
            _ => Err(DecodeError::protocol("the first packet must be a CONNECT")),
        };
    };
    if packet == PacketType::Publish {
        return check_publish_flags(first);
    }
    if packet == PacketType::Auth && !version.is_v5() {
        return Err(DecodeError::malformed("packet type 15 is reserved before MQTT 5"));
    }
    // Whether it can be parsed comes before whether it is allowed.
    if first != packet.first_byte() && !is_v31_flags(first, packet, version) {
        return Err(DecodeError::malformed("the reserved flags of a fixed header are not as they must be"));
    }
    if packet == PacketType::Connect {
        // MQTT-3.1.0-2.
        return Err(DecodeError::protocol("a second CONNECT on one connection"));
    }
    if !packet.is_sent_by(ctx.sender(), version) {
        return Err(DecodeError::protocol("this side must not send packets of this type"));
    }
    Ok(packet)
}

#[inline]
fn check_publish_flags(first: u8) -> Result<PacketType, DecodeError> {
    match first & 0b1110 {
        // MQTT-3.3.1-4.
        0b0110 | 0b1110 => Err(DecodeError::malformed("a PUBLISH has QoS 3")),
        // MQTT-3.3.1-2.
        0b1000 => Err(DecodeError::malformed("a PUBLISH of QoS 0 is marked as a duplicate")),
        _ => Ok(PacketType::Publish),
    }
}

/// MQTT 3.1 lets a repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE carry the DUP flag beside their QoS of 1, and does not use
/// the other flags of these and of all other packets; 3.1.1 reserved them.
fn is_v31_flags(first: u8, packet: PacketType, version: Version) -> bool {
    let used = match packet {
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0110,
        _ => 0,
    };
    version == Version::V31 && (first ^ packet.first_byte()) & used == 0
}

/// MQTT-3.1.2-24 the other way round: what the receiver announced as its maximum, checked before the body arrives.
#[inline]
pub(super) fn check_size(header: &FixedHeader, ctx: &DecodeContext) -> Result<(), DecodeError> {
    if header.total > ctx.packet_bytes_max as usize {
        return Err(DecodeError::new(
            ReasonCode::PacketTooLarge,
            "the packet is larger than the maximum packet size",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(bytes: &[u8]) -> Result<Option<usize>, ReasonCode> {
        frame_length(bytes).map_err(|error| error.reason)
    }

    #[test]
    fn mqtt_2_1_4_remaining_length() {
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[0x30]), Ok(None));
        assert_eq!(length(&[0x30, 0]), Ok(Some(2)));
        assert_eq!(length(&[0x30, 0x7F]), Ok(Some(129)));
        assert_eq!(length(&[0x30, 0x80]), Ok(None));
        assert_eq!(length(&[0x30, 0x80, 1]), Ok(Some(131)));
        assert_eq!(length(&[0x30, 0xFF, 0xFF, 0xFF]), Ok(None));
        assert_eq!(length(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), Ok(Some(PACKET_BYTES_MAX as usize)));
    }

    #[test]
    fn mqtt_1_5_5_1_shortest_form_of_at_most_four_bytes() {
        for bytes in [&[0x30, 0x80, 0][..], &[0x30, 0xFF, 0x80, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF]] {
            assert_eq!(length(bytes), Err(ReasonCode::MalformedPacket), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_large_packet_is_refused_by_its_header_alone() {
        let ctx = DecodeContext { side: Side::Server, version: Some(Version::V5), packet_bytes_max: 128 };
        for (bytes, fits) in
            [(&[0x30, 0x7E][..], true), (&[0x30, 0x7F], false), (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], false)]
        {
            let header = fixed_header(bytes).unwrap().unwrap();
            assert_eq!(check_size(&header, &ctx).is_ok(), fits, "{bytes:02x?}");
        }
    }
}
