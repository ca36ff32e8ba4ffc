//! Reads the data types of MQTT 5.0 section 1.5 from one packet.
//!
//! Must never read past the packet, copy what it reads or panic, whatever the bytes are. Strings and binary data
//! are slices that share the memory of the packet. Every packet group decodes through it.

use std::num::NonZeroU16;

use bytes::Bytes;
use bytestring::ByteString;
use skein_types::Topic;

use super::{DecodeError, frame};

const TOO_SHORT: DecodeError = DecodeError::malformed("a packet ends before its last field");

/// A position inside one packet.
#[derive(Debug)]
pub(super) struct Reader<'f> {
    frame: &'f Bytes,
    at: usize,
    end: usize,
}

impl<'f> Reader<'f> {
    /// Reads `frame` from byte `at` to its end.
    #[inline]
    pub(super) fn new(frame: &'f Bytes, at: usize) -> Self {
        Self { frame, at, end: frame.len() }
    }

    /// Where the next byte lies in the packet.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// MQTT 5.0 section 4.13.1: a packet with bytes after its last field cannot be parsed.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::malformed("a packet goes on after its last field"))
        }
    }

    /// Steps over `len` bytes and returns where they started.
    #[inline]
    fn take(&mut self, len: usize) -> Result<usize, DecodeError> {
        let start = self.at;
        let after = start.saturating_add(len);
        if after > self.end {
            return Err(TOO_SHORT);
        }
        self.at = after;
        Ok(start)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.take(N)?;
        self.frame.get(start..).and_then(|bytes| bytes.first_chunk()).copied().ok_or(TOO_SHORT)
    }

    /// The next byte, which stays where it is.
    #[inline]
    pub(super) fn peek_u8(&self) -> Option<u8> {
        if self.is_empty() { None } else { self.frame.get(self.at).copied() }
    }

    /// Steps over the byte just peeked at.
    #[inline]
    pub(super) fn skip_u8(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Result<u32, DecodeError> {
        let rest = self.frame.get(self.at..self.end).ok_or(TOO_SHORT)?;
        let (value, used) = frame::varint(rest)?.ok_or(TOO_SHORT)?;
        self.take(used)?;
        Ok(value)
    }

    /// A packet identifier. One of 0 can be parsed and is not allowed (MQTT-2.2.1-3), so it is a protocol error.
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<NonZeroU16, DecodeError> {
        NonZeroU16::new(self.u16()?).ok_or(DecodeError::protocol("a packet identifier is 0"))
    }

    /// Binary data with its length before it (MQTT 5.0 section 1.5.6).
    #[inline]
    pub(super) fn data(&mut self) -> Result<Bytes, DecodeError> {
        let len = usize::from(self.u16()?);
        let start = self.take(len)?;
        Ok(self.frame.slice(start..self.at))
    }

    /// A string that is well-formed UTF-8 and may still contain U+0000.
    #[inline]
    fn utf8(&mut self) -> Result<ByteString, DecodeError> {
        // MQTT-1.5.4-1. A byte order mark is text like any other (MQTT-1.5.4-3).
        ByteString::try_from(self.data()?)
            .or(Err(DecodeError::malformed("a string is not well-formed UTF-8")))
    }

    /// A UTF-8 string (MQTT 5.0 section 1.5.4).
    pub(super) fn string(&mut self) -> Result<ByteString, DecodeError> {
        let text = self.utf8()?;
        // MQTT-1.5.4-2.
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::malformed("a string contains the character U+0000"));
        }
        Ok(text)
    }

    /// A string pair (MQTT-1.5.7-1).
    pub(super) fn pair(&mut self) -> Result<(ByteString, ByteString), DecodeError> {
        Ok((self.string()?, self.string()?))
    }

    /// A topic name, or none when it is empty.
    #[inline]
    pub(super) fn topic_or_empty(&mut self) -> Result<Option<Topic>, DecodeError> {
        let text = self.utf8()?;
        if text.is_empty() {
            return Ok(None);
        }
        // A topic checks for U+0000 itself, together with the wildcards (MQTT-3.3.2-2, MQTT-4.7.3-2).
        match Topic::new(text) {
            Ok(topic) => Ok(Some(topic)),
            Err(_) => Err(DecodeError::malformed("a topic name contains a wildcard or U+0000")),
        }
    }

    /// A topic name of at least one character (MQTT-4.7.3-1).
    pub(super) fn topic(&mut self) -> Result<Topic, DecodeError> {
        self.topic_or_empty()?.ok_or(DecodeError::malformed("a topic name is empty"))
    }

    /// A reader of the next `len` bytes, which this one steps over.
    pub(super) fn part(&mut self, len: usize) -> Result<Self, DecodeError> {
        let start = self.take(len)?;
        Ok(Self { frame: self.frame, at: start, end: self.at })
    }

    /// All bytes that are left.
    pub(super) fn rest(&mut self) -> &'f [u8] {
        let rest = self.frame.get(self.at..self.end).unwrap_or_default();
        self.at = self.end;
        rest
    }
}
