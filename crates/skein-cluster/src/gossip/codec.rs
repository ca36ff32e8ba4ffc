//! Gossip as bytes, before it is sealed.
//!
//! Layout, integers little-endian. A message: version (u8, 1), addressee (u16 id, u64 incarnation), kind (u8), number of the
//! probe (u8), the sender's state number (u16), the sender (node), and for kinds 2 to 5 whom it is about (u16 id, u64
//! incarnation, address). foca adds a count of members (u16, big-endian) and that many: state number (u16), state (u8:
//! 0 alive, 1 suspected, 2 down, 3 left), node. A node: u16 id, u64 incarnation, flags (u8: 1 address is IPv6, 2 has a
//! server reference), address (4 or 16 bytes, u16 port), qrank (u8), name (u8 length, bytes), server reference likewise.
//!
//! Bytes from outside never panic here, and no length in them makes room for more than has arrived. The addressee stands
//! first, so that [`addressee`] can refuse what was meant for another node or another life before anything else is read.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::{Buf, BufMut};
use foca::{Header, Member, Message, State};
use skein_types::{Incarnation, NodeId};

use super::member::Life;
use crate::NodeInfo;

const VERSION: u8 = 1;
const IPV6: u8 = 1;
const HAS_SERVER_REFERENCE: u8 = 1 << 1;

/// Why bytes are no gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CodecError(pub(super) &'static str);

const SHORT: CodecError = CodecError("it ends in the middle");

/// The kind of a message stands behind its version and the life it is for.
const KIND_AT: usize = 1 + 2 + 8;
const VERDICT: u8 = 10;

/// Whom a message is for.
pub(super) fn addressee(mut message: &[u8]) -> Result<(NodeId, Incarnation), CodecError> {
    read_addressee(&mut message)
}

/// Whether a message of this codec tells its addressee that it is down.
pub(super) fn is_verdict(message: &[u8]) -> bool {
    message.get(KIND_AT) == Some(&VERDICT)
}

fn read_addressee(buf: &mut impl Buf) -> Result<(NodeId, Incarnation), CodecError> {
    match read_u8(buf)? {
        VERSION => read_life(buf),
        _ => Err(CodecError("its version is not 1")),
    }
}

/// foca's codec.
#[derive(Debug, Default)]
pub(super) struct Codec {
    /// Whether the end that is written now is this node's own, planned one.
    pub(super) leaving: Arc<AtomicBool>,
    scratch: Vec<u8>,
}

impl foca::Codec<Life> for Codec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<Life>, out: impl BufMut) -> Result<(), CodecError> {
        self.scratch.clear();
        put_header(&mut self.scratch, header);
        self.finish(out)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Life>, CodecError> {
        read_header(&mut buf)
    }

    fn encode_member(&mut self, member: &Member<Life>, out: impl BufMut) -> Result<(), CodecError> {
        self.scratch.clear();
        self.scratch.put_u16_le(member.incarnation());
        let left = member.id().left || self.leaving.load(Relaxed);
        self.scratch.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down if !left => 2,
            State::Down => 3,
        });
        put_node(&mut self.scratch, &member.id().info);
        self.finish(out)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Life>, CodecError> {
        let number = read_u16(&mut buf)?;
        let state = read_u8(&mut buf)?;
        let mut life = read_node(&mut buf)?;
        life.left = state == 3;
        let state = match state {
            0 => State::Alive,
            1 => State::Suspect,
            2 | 3 => State::Down,
            _ => return Err(CodecError("a state is none of 0 to 3")),
        };
        Ok(Member::new(life, number, state))
    }
}

impl Codec {
    /// Nothing is written when it does not fit whole.
    fn finish(&self, mut out: impl BufMut) -> Result<(), CodecError> {
        if out.remaining_mut() < self.scratch.len() {
            return Err(CodecError("no room"));
        }
        out.put_slice(&self.scratch);
        Ok(())
    }
}

fn put_header(out: &mut Vec<u8>, header: &Header<Life>) {
    let (kind, probe, about) = match &header.message {
        Message::Ping(probe) => (0, *probe, None),
        Message::Ack(probe) => (1, *probe, None),
        Message::PingReq { target, probe_number } => (2, *probe_number, Some(target)),
        Message::IndirectPing { origin, probe_number } => (3, *probe_number, Some(origin)),
        Message::IndirectAck { target, probe_number } => (4, *probe_number, Some(target)),
        Message::ForwardedAck { origin, probe_number } => (5, *probe_number, Some(origin)),
        Message::Announce => (6, 0, None),
        Message::Feed => (7, 0, None),
        Message::Gossip => (8, 0, None),
        Message::Broadcast => (9, 0, None),
        Message::TurnUndead => (VERDICT, 0, None),
    };
    out.put_u8(VERSION);
    put_life(out, &header.dst);
    out.put_u8(kind);
    out.put_u8(probe);
    out.put_u16_le(header.src_incarnation);
    put_node(out, &header.src.info);
    if let Some(about) = about {
        put_life(out, about);
        out.put_u8(if about.info.advertise.is_ipv6() { IPV6 } else { 0 });
        put_address(out, about.info.advertise);
    }
}

fn read_header(buf: &mut impl Buf) -> Result<Header<Life>, CodecError> {
    let (id, incarnation) = read_addressee(buf)?;
    let dst = without_details(id, incarnation, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let kind = read_u8(buf)?;
    let probe_number = read_u8(buf)?;
    let src_incarnation = read_u16(buf)?;
    let src = read_node(buf)?;
    let message = match kind {
        0 => Message::Ping(probe_number),
        1 => Message::Ack(probe_number),
        2 => Message::PingReq { target: read_about(buf)?, probe_number },
        3 => Message::IndirectPing { origin: read_about(buf)?, probe_number },
        4 => Message::IndirectAck { target: read_about(buf)?, probe_number },
        5 => Message::ForwardedAck { origin: read_about(buf)?, probe_number },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        VERDICT => Message::TurnUndead,
        // 9 too: nothing but membership is gossiped.
        _ => return Err(CodecError("its kind is unknown")),
    };
    Ok(Header { src, src_incarnation, dst, message })
}

fn put_life(out: &mut Vec<u8>, life: &Life) {
    out.put_u16_le(life.id().0);
    out.put_u64_le(life.incarnation().0);
}

fn read_life(buf: &mut impl Buf) -> Result<(NodeId, Incarnation), CodecError> {
    let id = NodeId(read_u16(buf)?);
    if id == NodeId::default() {
        return Err(CodecError("a node's id is 0"));
    }
    Ok((id, Incarnation(buf.try_get_u64_le().map_err(|_short| SHORT)?)))
}

/// Whom a message is about: enough to send something there, never enough to become a member.
fn read_about(buf: &mut impl Buf) -> Result<Life, CodecError> {
    let (id, incarnation) = read_life(buf)?;
    let flags = read_u8(buf)?;
    Ok(without_details(id, incarnation, read_address(buf, flags)?))
}

fn without_details(id: NodeId, incarnation: Incarnation, advertise: SocketAddr) -> Life {
    let name = Arc::from("");
    Life::new(Arc::new(NodeInfo { id, incarnation, name, advertise, qrank: 0, server_reference: None }))
}

fn put_node(out: &mut Vec<u8>, info: &NodeInfo) {
    out.put_u16_le(info.id.0);
    out.put_u64_le(info.incarnation.0);
    let ipv6 = if info.advertise.is_ipv6() { IPV6 } else { 0 };
    let reference = if info.server_reference.is_some() { HAS_SERVER_REFERENCE } else { 0 };
    out.put_u8(ipv6 | reference);
    put_address(out, info.advertise);
    out.put_u8(info.qrank);
    put_text(out, &info.name);
    if let Some(reference) = &info.server_reference {
        put_text(out, reference);
    }
}

fn read_node(buf: &mut impl Buf) -> Result<Life, CodecError> {
    let (id, incarnation) = read_life(buf)?;
    let flags = read_u8(buf)?;
    let advertise = read_address(buf, flags)?;
    let qrank = read_u8(buf)?;
    let name = read_text(buf)?;
    let server_reference = if flags & HAS_SERVER_REFERENCE == 0 { None } else { Some(read_text(buf)?) };
    Ok(Life::new(Arc::new(NodeInfo { id, incarnation, name, advertise, qrank, server_reference })))
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_u16_le(address.port());
}

fn read_address(buf: &mut impl Buf, flags: u8) -> Result<SocketAddr, CodecError> {
    let ip: IpAddr = if flags & IPV6 == 0 {
        Ipv4Addr::from_bits(buf.try_get_u32().map_err(|_short| SHORT)?).into()
    } else {
        Ipv6Addr::from_bits(buf.try_get_u128().map_err(|_short| SHORT)?).into()
    };
    match read_u16(buf)? {
        0 => Err(CodecError("a port is 0")),
        port => Ok(SocketAddr::new(ip, port)),
    }
}

/// A text of at most 255 bytes, the length of the longest host name. A longer one is cut: it tells no nodes apart.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(255)).unwrap_or_default();
    out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.put_slice(text.as_bytes());
}

fn read_text(buf: &mut impl Buf) -> Result<Arc<str>, CodecError> {
    let length = usize::from(read_u8(buf)?);
    // foca's buffers are in one piece.
    let bytes = buf.chunk().get(..length).ok_or(SHORT)?;
    let text = std::str::from_utf8(bytes).map_err(|_invalid| CodecError("a text is not UTF-8"))?;
    let text = Arc::from(text);
    buf.advance(length);
    Ok(text)
}

fn read_u8(buf: &mut impl Buf) -> Result<u8, CodecError> {
    buf.try_get_u8().map_err(|_short| SHORT)
}

fn read_u16(buf: &mut impl Buf) -> Result<u16, CodecError> {
    buf.try_get_u16_le().map_err(|_short| SHORT)
}

#[cfg(test)]
mod tests;
