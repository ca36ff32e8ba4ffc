//! Frames: what goes over a link, in chunks, and how they are put together again.
//!
//! Layout of a chunk, integers little-endian: tag (u8: lane in bits 0-1, more follows 2, compressed 3, kind in bits 4-7),
//! length (u16), that many bytes. A frame is the bytes of its chunks, which all have the same tag but for bit 2; chunks of
//! frames on other lanes may come between them. Frames by kind: `Ping`, `Pong`: nothing; `Control`: what the core says;
//! `Announcement`: the plane's kind (u8), its body; `Run`: a run; `KeptRun`: its number (u64), a run; `Handled`: a number (u64);
//! `Credit`: bytes (u32). Bytes from a peer never panic, and take no more room than has arrived or than a frame may have.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{compress, fault::LinkFault};
use crate::{Announcement, Lane, lane::FRAME_BYTES_MAX};

/// What a chunk carries at most. Small, so that a large frame does not hold up what is more urgent.
pub(super) const CHUNK_BYTES_MAX: usize = 16 * 1024;
pub(super) const CHUNK_HEAD_BYTES: usize = 3;

const MORE: u8 = 1 << 2;
const COMPRESSED: u8 = 1 << 3;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Ping = 0,
    Pong = 1,
    Control = 2,
    Announcement = 3,
    Run = 4,
    KeptRun = 5,
    Handled = 6,
    Credit = 7,
}

impl Kind {
    const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            0 => Self::Ping,
            1 => Self::Pong,
            2 => Self::Control,
            3 => Self::Announcement,
            4 => Self::Run,
            5 => Self::KeptRun,
            6 => Self::Handled,
            7 => Self::Credit,
            _ => return None,
        })
    }

    /// Whether frames of this kind go over `lane`.
    const fn fits(self, lane: Lane) -> bool {
        match self {
            Self::Ping | Self::Pong | Self::Control | Self::Handled | Self::Credit => {
                matches!(lane, Lane::Control)
            }
            Self::Run | Self::KeptRun => matches!(lane, Lane::Messages),
            Self::Announcement => true,
        }
    }
}

/// What the chunks of a frame have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) lane: Lane,
    pub(super) kind: Kind,
    pub(super) compressed: bool,
}

impl Tag {
    pub(super) const fn new(lane: Lane, kind: Kind) -> Self {
        Self { lane, kind, compressed: false }
    }

    /// Writes the head of a chunk of `length` bytes, at most [`CHUNK_BYTES_MAX`].
    pub(super) fn put(self, length: usize, more: bool, out: &mut BytesMut) {
        let flags = if more { MORE } else { 0 } | if self.compressed { COMPRESSED } else { 0 };
        out.put_u8(self.lane as u8 | flags | (self.kind as u8) << 4);
        out.put_u16_le(u16::try_from(length).expect("chunks are smaller than 64 KiB"));
    }

    fn read(tag: u8) -> Result<Self, LinkFault> {
        let lane = Lane::ALL.into_iter().find(|lane| *lane as u8 == tag & 3);
        let lane = lane.ok_or(LinkFault::Garbled("a frame has no lane"))?;
        let kind = Kind::from_u8(tag >> 4).ok_or(LinkFault::Garbled("a frame is of no known kind"))?;
        if !kind.fits(lane) {
            return Err(LinkFault::Garbled("a frame is on a lane that is not for its kind"));
        }
        let compressed = tag & COMPRESSED != 0;
        if compressed && kind != Kind::Announcement {
            return Err(LinkFault::Garbled("a frame is compressed that must not be"));
        }
        Ok(Self { lane, kind, compressed })
    }
}

/// A frame as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The other side asks whether this one is there.
    Ping,
    /// It is there.
    Pong,
    /// What the other node's core says.
    Control(Bytes),
    /// What the other node's plane says.
    Announcement(Announcement),
    /// A run of messages, with its number if it is kept until it is handled.
    Run {
        /// The number.
        number: Option<u64>,
        /// The run, as [`crate::ForwardedRun::decode`] reads it.
        bytes: Bytes,
    },
    /// Every kept run up to this number is handled.
    Handled(u64),
    /// So many more bytes may be sent on the messages lane.
    Credit(u32),
}

/// Puts frames together.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// By lane: the chunks so far of a frame of which more must come.
    begun: [Option<(Tag, BytesMut)>; 4],
    /// Bytes that came on the messages lane and were not asked for yet.
    pub(super) message_bytes: usize,
    /// By lane: frames and bytes that came.
    pub(super) came: [LaneCount; 4],
}

/// What went over a lane one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCount {
    /// Frames.
    pub frames: u64,
    /// Their bytes on the wire, without sealing.
    pub bytes: u64,
    /// Frames that went compressed.
    pub compressed: u64,
}

impl Assembler {
    /// Takes the next whole frame from the front of `from`; frames of one chunk share its memory.
    pub(super) fn take(&mut self, from: &mut BytesMut) -> Result<Option<Arrived>, LinkFault> {
        while let Some(&[tag_byte, low, high]) = from.first_chunk::<CHUNK_HEAD_BYTES>() {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let tag = Tag::read(tag_byte)?;
            if length > CHUNK_BYTES_MAX {
                return Err(LinkFault::Garbled("a chunk is larger than chunks are"));
            }
            if from.len() < CHUNK_HEAD_BYTES + length {
                return Ok(None);
            }
            from.advance(CHUNK_HEAD_BYTES);
            let chunk = from.split_to(length);
            self.count(tag, length, tag_byte & MORE == 0);
            if let Some(frame) = self.add(tag, chunk, tag_byte & MORE != 0)? {
                return read_frame(tag, frame).map(Some);
            }
        }
        Ok(None)
    }

    fn count(&mut self, tag: Tag, length: usize, last: bool) {
        if tag.lane == Lane::Messages {
            self.message_bytes += length;
        }
        if let Some(count) = self.came.get_mut(tag.lane as usize) {
            count.bytes += (CHUNK_HEAD_BYTES + length) as u64;
            count.frames += u64::from(last);
            count.compressed += u64::from(last && tag.compressed);
        }
    }

    fn add(&mut self, tag: Tag, chunk: BytesMut, more: bool) -> Result<Option<Bytes>, LinkFault> {
        let Some(slot) = self.begun.get_mut(tag.lane as usize) else { return Ok(None) };
        let Some((begun, bytes)) = slot else {
            if !more {
                return Ok(Some(chunk.freeze()));
            }
            // A buffer of its own: what it grows by is not shared with what else was read.
            *slot = Some((tag, BytesMut::from(&chunk[..])));
            return Ok(None);
        };
        if *begun != tag {
            return Err(LinkFault::Garbled("a frame begins before the one on its lane has ended"));
        }
        if bytes.len() + chunk.len() > FRAME_BYTES_MAX {
            return Err(LinkFault::Garbled("a frame is larger than frames are"));
        }
        bytes.extend_from_slice(&chunk);
        if more {
            return Ok(None);
        }
        Ok(slot.take().map(|(_, bytes)| bytes.freeze()))
    }
}

fn read_frame(tag: Tag, mut frame: Bytes) -> Result<Arrived, LinkFault> {
    let short = |_short| LinkFault::Garbled("a frame ends in the middle");
    let arrived = match tag.kind {
        Kind::Ping => Arrived::Ping,
        Kind::Pong => Arrived::Pong,
        Kind::Control => Arrived::Control(std::mem::take(&mut frame)),
        Kind::Announcement => {
            let kind = frame.try_get_u8().map_err(short)?;
            let body = std::mem::take(&mut frame);
            let body = if tag.compressed { compress::expand(&body)? } else { body };
            Arrived::Announcement(Announcement { lane: tag.lane, kind, body })
        }
        Kind::Run => Arrived::Run { number: None, bytes: std::mem::take(&mut frame) },
        Kind::KeptRun => {
            let number = frame.try_get_u64_le().map_err(short)?;
            Arrived::Run { number: Some(number), bytes: std::mem::take(&mut frame) }
        }
        Kind::Handled => Arrived::Handled(frame.try_get_u64_le().map_err(short)?),
        Kind::Credit => Arrived::Credit(frame.try_get_u32_le().map_err(short)?),
    };
    if !frame.is_empty() {
        return Err(LinkFault::Garbled("a frame goes on behind its end"));
    }
    Ok(arrived)
}
