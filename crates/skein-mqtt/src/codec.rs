//! The MQTT wire format of versions 3.1, 3.1.1 and 5.0: bytes in, packets out, and back.
//!
//! No IO, no clock, no async, and nothing about sessions: a packet that decodes obeys every rule that can be told
//! from its own bytes, its direction and the connection's version; rules that need more (aliases in use, packet ids
//! waiting, what the listener allows) are the connection's. Input never panics, and decoding allocates for what has
//! arrived, never for what is announced. The connection decodes with [`decode`] and answers with
//! [`Packet::encode`]; deliveries are encoded with [`encode_publish_head`] and share their payload.
//!
//! One file for each group of packets, decoding and encoding side by side; `reader` and `sink` have the data types.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

mod ack;
mod connack;
mod connect;
mod disconnect;
mod error;
mod frame;
mod property;
mod publish;
mod reader;
mod reason;
mod sink;
mod suback;
mod subscribe;
mod version;

use bytes::Bytes;

pub use ack::{Ack, AckProperties};
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will};
pub use disconnect::{Auth, Disconnect};
pub use error::DecodeError;
pub use frame::{PACKET_BYTES_MAX, PacketType, REMAINING_LENGTH_MAX, frame_length};
pub use property::UserProperties;
pub use publish::{Publish, PublishHead, encode_publish_head, publish_length};
pub use reason::ReasonCode;
pub use suback::{SubAck, UnsubAck};
pub use subscribe::{RetainHandling, Subscribe, SubscribeItem, Unsubscribe};
pub use version::Version;

use property::Detail;
use sink::Sink;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that was connected to.
    Server,
    /// The end that opened the connection.
    Client,
}

/// What decoding depends on beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeContext {
    /// Who decodes: a server reads what clients send and the other way round.
    pub side: Side,
    /// The connection's version, or none as long as only a CONNECT may come.
    pub version: Option<Version>,
    /// Largest packet taken, its fixed header counted; larger ones are refused as soon as their length is known.
    pub packet_bytes_max: u32,
}

/// A control packet.
///
/// Those of the message flow lie in it directly, the rest behind a pointer, so that it stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Opens a connection.
    Connect(Box<Connect>),
    /// Answers a CONNECT.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(Publish),
    /// Acknowledges a message of QoS 1.
    PubAck(Ack),
    /// Part 1 of acknowledging QoS 2.
    PubRec(Ack),
    /// Part 2 of acknowledging QoS 2.
    PubRel(Ack),
    /// Part 3 of acknowledging QoS 2.
    PubComp(Ack),
    /// Asks for messages.
    Subscribe(Box<Subscribe>),
    /// Answers a SUBSCRIBE.
    SubAck(Box<SubAck>),
    /// Gives up subscriptions.
    Unsubscribe(Box<Unsubscribe>),
    /// Answers an UNSUBSCRIBE.
    UnsubAck(Box<UnsubAck>),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// Ends a connection.
    Disconnect(Box<Disconnect>),
    /// A step of extended authentication.
    Auth(Box<Auth>),
}

/// Takes the packet at the start of `buf`, or returns none and leaves `buf` alone when it is not complete yet.
///
/// The packet shares the memory of `buf`. After an error the connection cannot go on; `buf` then stands before or
/// behind the packet that was refused.
///
/// # Errors
/// What is wrong with the packet and the reason code to close the connection with (MQTT-4.13.1-1).
#[inline]
pub fn decode(buf: &mut Bytes, ctx: &DecodeContext) -> Result<Option<Packet>, DecodeError> {
    let Some(first) = buf.first().copied() else { return Ok(None) };
    let kind = frame::check_first_byte(first, ctx)?;
    let Some(header) = frame::fixed_header(buf)? else { return Ok(None) };
    frame::check_size(&header, ctx)?;
    if buf.len() < header.total {
        return Ok(None);
    }
    let packet = buf.split_to(header.total);
    match (kind, ctx.version) {
        (PacketType::Publish, Some(version)) => publish::decode(packet, first, header.len, ctx, version)
            .map(|publish| Some(Packet::Publish(publish))),
        _ => decode_other(&packet, kind, header.len, ctx).map(Some),
    }
}

#[inline(never)]
fn decode_other(
    packet: &Bytes,
    kind: PacketType,
    at: usize,
    ctx: &DecodeContext,
) -> Result<Packet, DecodeError> {
    let Some(version) = ctx.version else {
        return connect::decode(packet, at).map(|connect| Packet::Connect(Box::new(connect)));
    };
    Ok(match kind {
        PacketType::Connect => Packet::Connect(Box::new(connect::decode(packet, at)?)),
        PacketType::ConnAck => Packet::ConnAck(Box::new(connack::decode(packet, at, version)?)),
        PacketType::Publish => {
            // The flags were checked; the first byte is there because the whole packet is.
            let first = packet.first().copied().unwrap_or_default();
            Packet::Publish(publish::decode(packet.clone(), first, at, ctx, version)?)
        }
        PacketType::PubAck => Packet::PubAck(ack::decode(packet, at, kind, version)?),
        PacketType::PubRec => Packet::PubRec(ack::decode(packet, at, kind, version)?),
        PacketType::PubRel => Packet::PubRel(ack::decode(packet, at, kind, version)?),
        PacketType::PubComp => Packet::PubComp(ack::decode(packet, at, kind, version)?),
        PacketType::Subscribe => Packet::Subscribe(Box::new(subscribe::decode(packet, at, version)?)),
        PacketType::SubAck => Packet::SubAck(Box::new(suback::decode_suback(packet, at, version)?)),
        PacketType::Unsubscribe => {
            Packet::Unsubscribe(Box::new(subscribe::decode_unsubscribe(packet, at, version)?))
        }
        PacketType::UnsubAck => Packet::UnsubAck(Box::new(suback::decode_unsuback(packet, at, version)?)),
        PacketType::PingReq => reader::Reader::new(packet, at).finish().map(|()| Packet::PingReq)?,
        PacketType::PingResp => reader::Reader::new(packet, at).finish().map(|()| Packet::PingResp)?,
        PacketType::Disconnect => {
            Packet::Disconnect(Box::new(disconnect::decode(packet, at, ctx.sender(), version)?))
        }
        PacketType::Auth => Packet::Auth(Box::new(disconnect::decode_auth(packet, at, ctx.sender())?)),
    })
}

impl DecodeContext {
    /// A server's before the CONNECT, for packets of any size.
    #[must_use]
    pub const fn server() -> Self {
        Self { side: Side::Server, version: None, packet_bytes_max: PACKET_BYTES_MAX }
    }

    /// A client's for packets of any size.
    #[must_use]
    pub const fn client(version: Version) -> Self {
        Self { side: Side::Client, version: Some(version), packet_bytes_max: PACKET_BYTES_MAX }
    }

    /// Who sent what is decoded.
    const fn sender(&self) -> Side {
        match self.side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        }
    }
}

impl Packet {
    /// The packet's type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Writes the packet as `version` has it; what that version cannot say is left out. A CONNECT is written in its
    /// own version, and an AUTH before version 5 not at all, for there is none.
    ///
    /// # Panics
    /// When the packet is larger than [`PACKET_BYTES_MAX`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.encode_with(version, Detail::All, out);
    }

    /// Bytes [`Packet::encode`] writes.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        self.encoded_len_with(version, Detail::All)
    }

    /// Writes the packet if it fits into `packet_bytes_max`, if need be without its user properties, then without
    /// its reason string (MQTT-3.2.2-19 and -20 and their like). Nothing a message carries is left out.
    ///
    /// Returns whether it was written; if not, `out` is as it was.
    #[must_use]
    pub fn encode_within(&self, version: Version, packet_bytes_max: u32, out: &mut Vec<u8>) -> bool {
        let limit = packet_bytes_max.min(PACKET_BYTES_MAX) as usize;
        for detail in [Detail::All, Detail::ReasonString, Detail::None] {
            if self.encoded_len_with(version, detail) <= limit {
                self.encode_with(version, detail, out);
                return true;
            }
        }
        false
    }

    fn encode_with(&self, version: Version, detail: Detail, out: &mut Vec<u8>) {
        if let Self::Publish(publish) = self {
            encode_publish_head(&publish.head(), version, publish.payload.len(), out);
            out.extend_from_slice(&publish.payload);
        } else if self.exists_in(version) {
            let remaining = sink::length_of(|sink| self.write(version, detail, sink));
            out.reserve(sink::frame_len(remaining));
            out.push(self.packet_type().first_byte());
            out.varint(remaining);
            self.write(version, detail, out);
        }
    }

    fn encoded_len_with(&self, version: Version, detail: Detail) -> usize {
        match self {
            Self::Publish(publish) => publish_length(&publish.head(), version, publish.payload.len()),
            _ if self.exists_in(version) => {
                sink::frame_len(sink::length_of(|sink| self.write(version, detail, sink)))
            }
            _ => 0,
        }
    }

    const fn exists_in(&self, version: Version) -> bool {
        version.is_v5() || !matches!(self, Self::Auth(_))
    }

    /// Writes everything after the fixed header.
    fn write(&self, version: Version, detail: Detail, sink: &mut dyn Sink) {
        match self {
            Self::Connect(connect) => connect::write(connect, sink),
            Self::ConnAck(connack) => connack::write(connack, version, detail, sink),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack::write(ack, version, detail, sink);
            }
            Self::Subscribe(subscribe) => subscribe::write(subscribe, version, sink),
            Self::SubAck(suback) => suback::write_suback(suback, version, detail, sink),
            Self::Unsubscribe(unsubscribe) => subscribe::write_unsubscribe(unsubscribe, version, sink),
            Self::UnsubAck(unsuback) => suback::write_unsuback(unsuback, version, detail, sink),
            Self::Disconnect(disconnect) => disconnect::write(disconnect, version, detail, sink),
            Self::Auth(auth) => disconnect::write_auth(auth, detail, sink),
            // A message's payload is not copied through here.
            Self::Publish(_) | Self::PingReq | Self::PingResp => {}
        }
    }
}
