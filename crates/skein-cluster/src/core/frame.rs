//! What nodes say to each other on the control lane, as bytes. Bytes from a peer never panic, whatever they are.
//!
//! Layout: kind (u8), then fields, integers little-endian, texts with a length (u16). Kinds and reasons are only ever added.
//! `Hello`, `Welcome` and `Refuse` may carry more than this version knows at their end, because they are said before the
//! version is agreed on; all others end where their last field does.

pub(super) mod node_info;

use bytes::{BufMut, Bytes, BytesMut};

use self::node_info::{get_info, put_info};
use super::refusal::Refusal;
use crate::{
    Digest, NodeInfo,
    forward::{RunError, fields::Reader},
    soft::{self, SoftFrame},
};

/// The versions of the control lane that this program speaks.
pub(crate) const VERSION_MIN: u16 = 1;
pub(crate) const VERSION_MAX: u16 = 1;
/// What a welcome lists at most; gossip tells of others.
const WELCOME_NODES_MAX: usize = 4096;

const HELLO: u8 = 0;
const WELCOME: u8 = 1;
const REFUSE: u8 = 2;
const INSIST: u8 = 3;
const CHANGES: u8 = 4;
const COPY: u8 = 5;
const CONFIRM: u8 = 6;
const COPY_AGAIN: u8 = 7;
const LEAVING: u8 = 8;
const LEFT: u8 = 9;

const LINKED: u8 = 1;
const HAS_APPLIED: u8 = 1;
const BEGINS: u8 = 1;
const ENDS: u8 = 2;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Who speaks; first the one who dialled, then the other.
    Hello(Box<Hello>),
    /// The other one may stay; first the one who was dialled, then the other.
    Welcome(Box<Welcome>),
    /// It may not.
    Refuse(Refusal),
    /// The link that was preferred to this one does not exist any more where this comes from.
    Insist,
    /// Soft state.
    Soft(SoftFrame),
    /// Soft state up to `number` is in effect; `frames` of this link were dealt with.
    Confirm { number: u64, frames: u64 },
    /// A full copy is needed.
    CopyAgain,
    /// The sender will leave; it takes no new clients.
    Leaving,
    /// The sender leaves now.
    Left,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version_min: u16,
    pub(crate) version_max: u16,
    /// Bits for what both must know before they use it; none is given away yet.
    pub(crate) features: u64,
    /// Which dial of its node this link comes from: later ones are higher.
    pub(crate) dial: u64,
    /// Whether its node had a link to some other node in this life: it is no newcomer.
    pub(crate) linked: bool,
    pub(crate) info: NodeInfo,
}

/// What a node needs to go on where an earlier link ended, and to find the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// The last kept run that came.
    pub(crate) received: u64,
    /// Soft state is in effect up to here; none: a copy is needed.
    pub(crate) applied: Option<u64>,
    /// Who is up.
    pub(crate) nodes: Vec<NodeInfo>,
}

/// The bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a control frame cannot be read: {0}")]
pub(crate) struct FrameError(pub(crate) &'static str);

impl From<RunError> for FrameError {
    fn from(RunError(what): RunError) -> Self {
        Self(what)
    }
}

impl Frame {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        match self {
            Self::Hello(hello) => put_hello(&mut out, hello),
            Self::Welcome(welcome) => put_welcome(&mut out, welcome),
            Self::Refuse(refusal) => {
                out.put_u8(REFUSE);
                refusal.put(&mut out);
            }
            Self::Insist => out.put_u8(INSIST),
            Self::Soft(frame) => put_soft(&mut out, frame),
            Self::Confirm { number, frames } => {
                out.put_u8(CONFIRM);
                out.put_u64_le(*number);
                out.put_u64_le(*frames);
            }
            Self::CopyAgain => out.put_u8(COPY_AGAIN),
            Self::Leaving => out.put_u8(LEAVING),
            Self::Left => out.put_u8(LEFT),
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let frame = match reader.u8()? {
            HELLO => return Ok(Self::Hello(Box::new(get_hello(&mut reader)?))),
            WELCOME => return Ok(Self::Welcome(Box::new(get_welcome(&mut reader)?))),
            REFUSE => return Ok(Self::Refuse(Refusal::get(&mut reader)?)),
            INSIST => Self::Insist,
            CHANGES => Self::Soft(get_changes(&mut reader)?),
            COPY => Self::Soft(get_copy(&mut reader)?),
            CONFIRM => Self::Confirm { number: reader.u64()?, frames: reader.u64()? },
            COPY_AGAIN => Self::CopyAgain,
            LEAVING => Self::Leaving,
            LEFT => Self::Left,
            _ => return Err(FrameError("its kind is not known")),
        };
        if reader.is_empty() { Ok(frame) } else { Err(FrameError("something follows its end")) }
    }
}

fn put_hello(out: &mut BytesMut, hello: &Hello) {
    let Hello { version_min, version_max, features, dial, linked, info } = hello;
    out.put_u8(HELLO);
    out.put_u16_le(*version_min);
    out.put_u16_le(*version_max);
    out.put_u64_le(*features);
    out.put_u64_le(*dial);
    out.put_u8(if *linked { LINKED } else { 0 });
    put_info(out, info);
}

fn get_hello(reader: &mut Reader) -> Result<Hello, FrameError> {
    Ok(Hello {
        version_min: reader.u16()?,
        version_max: reader.u16()?,
        features: reader.u64()?,
        dial: reader.u64()?,
        linked: reader.u8()? & LINKED != 0,
        info: get_info(reader)?,
    })
}

fn put_welcome(out: &mut BytesMut, welcome: &Welcome) {
    let Welcome { received, applied, nodes } = welcome;
    out.put_u8(WELCOME);
    out.put_u64_le(*received);
    out.put_u8(if applied.is_some() { HAS_APPLIED } else { 0 });
    out.put_u64_le(applied.unwrap_or(0));
    let listed = nodes.get(..WELCOME_NODES_MAX).unwrap_or(nodes);
    out.put_u16_le(u16::try_from(listed.len()).unwrap_or(u16::MAX));
    listed.iter().for_each(|info| put_info(out, info));
}

fn get_welcome(reader: &mut Reader) -> Result<Welcome, FrameError> {
    let received = reader.u64()?;
    let has_applied = reader.u8()? & HAS_APPLIED != 0;
    let applied = Some(reader.u64()?).filter(|_| has_applied);
    // Room grows with what has arrived, not with what was announced.
    let mut nodes = Vec::new();
    for _ in 0..reader.u16()? {
        nodes.push(get_info(reader)?);
    }
    Ok(Welcome { received, applied, nodes })
}

fn put_soft(out: &mut BytesMut, frame: &SoftFrame) {
    match frame {
        SoftFrame::Changes { first, changes, digest } => {
            out.put_u8(CHANGES);
            out.put_u64_le(*first);
            out.put_u8(u8::from(digest.is_some()));
            if let Some(Digest { number, count, sum }) = digest {
                out.put_u64_le(*number);
                out.put_u64_le(*count);
                out.put_u64_le(*sum);
            }
            changes.iter().for_each(|change| soft::put_change(out, change));
        }
        SoftFrame::Copy { as_of, begins, ends, entries } => {
            out.put_u8(COPY);
            out.put_u64_le(*as_of);
            out.put_u8(if *begins { BEGINS } else { 0 } | if *ends { ENDS } else { 0 });
            entries.iter().for_each(|(key, value)| soft::put_entry(out, key, value));
        }
    }
}

fn get_changes(reader: &mut Reader) -> Result<SoftFrame, FrameError> {
    let first = reader.u64()?;
    let digest = match reader.u8()? {
        0 => None,
        1 => Some(Digest { number: reader.u64()?, count: reader.u64()?, sum: reader.u64()? }),
        _ => return Err(FrameError("a digest is there or not")),
    };
    if first == 0 {
        return Err(FrameError("changes are numbered from 1"));
    }
    let mut changes = Vec::new();
    while !reader.is_empty() {
        changes.push(soft::get_change(reader)?);
    }
    Ok(SoftFrame::Changes { first, changes, digest })
}

fn get_copy(reader: &mut Reader) -> Result<SoftFrame, FrameError> {
    let as_of = reader.u64()?;
    let flags = reader.u8()?;
    if flags & !(BEGINS | ENDS) != 0 {
        return Err(FrameError("a part of a copy begins or ends it or neither"));
    }
    let mut entries = Vec::new();
    while !reader.is_empty() {
        entries.push(soft::get_entry(reader)?);
    }
    Ok(SoftFrame::Copy { as_of, begins: flags & BEGINS != 0, ends: flags & ENDS != 0, entries })
}

#[cfg(test)]
mod tests;
