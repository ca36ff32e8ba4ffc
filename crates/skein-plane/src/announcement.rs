//! What planes say to each other beside soft state and messages: its kinds, and how it is written.
//!
//! Integers are little-endian, texts have their length (u16) before them. Bytes from a peer never panic; what cannot be read
//! ends the reading.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use skein_types::{ClientId, Incarnation, NodeId, Stamp};

/// A claim is refused: the client id is another user's on the node that says so. (1 was the clean start, which claims
/// carry themselves.)
pub(crate) const CLAIM_REFUSED: u8 = 10;
/// Members have acknowledged messages of groups.
pub(crate) const GROUP_DONE: u8 = 2;
/// Whether members still have them.
pub(crate) const GROUP_ASK: u8 = 3;
/// The wills of these clients of a node that is gone are published.
pub(crate) const WILLS_DONE: u8 = 4;
/// The wills of these clients of the node that is told are in other hands since it was gone.
pub(crate) const WILLS_TAKEN: u8 = 5;

/// The digests of all buckets of retained messages.
pub(crate) const RETAINED_DIGESTS: u8 = 6;
/// What the node has of a bucket, to be sent what is newer.
pub(crate) const RETAINED_LIST: u8 = 7;
/// What is newer.
pub(crate) const RETAINED_ENTRIES: u8 = 8;
/// The same, unasked for.
pub(crate) const RETAINED_CHANGED: u8 = 9;

/// Writes what is said.
#[derive(Debug, Default)]
pub(crate) struct Writer(BytesMut);

impl Writer {
    pub(crate) fn text(mut self, text: &str) -> Self {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.put_u16_le(length);
        self.0.extend_from_slice(text.as_bytes().get(..usize::from(length)).unwrap_or_default());
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.put_u64_le(number);
        self
    }

    pub(crate) fn stamp(mut self, Stamp { counter, node }: Stamp) -> Self {
        self.0.put_u64_le(counter);
        self.0.put_u16_le(node.0);
        self
    }

    pub(crate) fn node(mut self, (id, incarnation): (NodeId, Incarnation)) -> Self {
        self.0.put_u16_le(id.0);
        self.0.put_u64_le(incarnation.0);
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads it again.
#[derive(Debug)]
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    pub(crate) fn text(&mut self) -> Option<ByteString> {
        let length = usize::from(self.0.try_get_u16_le().ok()?);
        if length > self.0.len() {
            return None;
        }
        ByteString::try_from(self.0.split_to(length)).ok()
    }

    pub(crate) fn client(&mut self) -> Option<ClientId> {
        self.text().map(|text| ClientId::new(&text))
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.0.try_get_u64_le().ok()
    }

    pub(crate) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp { counter: self.number()?, node: NodeId(self.0.try_get_u16_le().ok()?) })
    }

    pub(crate) fn node(&mut self) -> Option<(NodeId, Incarnation)> {
        Some((NodeId(self.0.try_get_u16_le().ok()?), Incarnation(self.number()?)))
    }

    pub(crate) fn numbers(mut self) -> impl Iterator<Item = u64> {
        std::iter::from_fn(move || self.number())
    }

    pub(crate) fn clients(mut self) -> impl Iterator<Item = ClientId> {
        std::iter::from_fn(move || self.client())
    }
}
