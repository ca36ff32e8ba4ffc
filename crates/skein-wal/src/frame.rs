//! Frames: what one append puts into a segment, whole or not at all.
//!
//! On disk, little-endian, at offsets that are multiples of eight:
//!
//! ```text
//!  0 magic           u32   tells a frame from zeroes while searching
//!  4 header checksum u32   crc32c of salt and bytes 8..40
//!  8 payload length  u32
//! 12 payload checksum u32  crc32c of salt and payload
//! 16 first index    u64   of the entries; of a mark: of the entry that comes next
//! 24 durable below  u64   every entry below it was synced when this frame was written
//! 32 entries        u32   none: a mark, which only says what was synced
//! 36 zero           u32
//! 40 payload: the length of every entry (u32 each), then the entries; zeroes up to the next multiple of eight
//! ```
//!
//! The salt is the store, the number of the segment and the offset: bytes that were valid elsewhere, or in another life
//! of the file, are not valid here.

use crate::{
    bytes::{in_memory, u32_at, u64_at},
    store_id::StoreId,
};

/// What a frame begins with.
pub(crate) const MAGIC: u32 = 0x4d52_4653;
/// Bytes before the payload, in the newest version.
pub(crate) const FRAME_HEADER_BYTES: usize = 40;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// Largest payload of a frame: what recovery may have to hold in memory at once.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 1 << 30;

/// Is called with the index and the bytes of every entry, in order, and may refuse one.
pub type Visit<'v, E> = dyn FnMut(u64, &[u8]) -> Result<(), E> + 'v;

/// Where a frame lies, as a checksum to go on from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt {
    segment: u32,
}

impl Salt {
    pub(crate) fn new(store: StoreId, sequence: u64) -> Salt {
        Salt { segment: crc32c::crc32c_append(crc32c::crc32c(&store.0), &sequence.to_le_bytes()) }
    }

    /// The checksum of bytes of a frame that begins at an offset.
    pub(crate) fn checksum(self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.segment, &offset.to_le_bytes()), bytes)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) payload_bytes: u32,
    pub(crate) payload_checksum: u32,
    pub(crate) first_index: u64,
    pub(crate) durable_below: u64,
    pub(crate) count: u32,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Zero,
    End,
    Magic,
    HeaderChecksum,
    Length,
    PayloadChecksum,
    Entries,
}

impl Unfit {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Unfit::Zero => "zeroes",
            Unfit::End => "the end of the file",
            Unfit::Magic => "bytes that begin no frame",
            Unfit::HeaderChecksum => "a frame header with a wrong checksum",
            Unfit::Length => "a frame that reaches beyond the file",
            Unfit::PayloadChecksum => "a frame with a wrong checksum",
            Unfit::Entries => "a frame whose entries have wrong lengths",
        }
    }
}

/// How frames of one version are read.
#[derive(Debug)]
pub(crate) struct FrameFormat {
    pub(crate) header_bytes: usize,
    /// Reads the header that lies at an offset and checks it.
    pub(crate) head: fn(&[u8], Salt, u64) -> Result<FrameHead, Unfit>,
}

pub(crate) const VERSION_1: FrameFormat = FrameFormat { header_bytes: FRAME_HEADER_BYTES, head: head_1 };

fn head_1(bytes: &[u8], salt: Salt, offset: u64) -> Result<FrameHead, Unfit> {
    let magic = u32_at(bytes, 0).ok_or(Unfit::End)?;
    if magic != MAGIC {
        let zero = bytes.iter().all(|byte| *byte == 0);
        return Err(if zero { Unfit::Zero } else { Unfit::Magic });
    }
    let checked = bytes.get(8..FRAME_HEADER_BYTES).ok_or(Unfit::End)?;
    if u32_at(bytes, 4) != Some(salt.checksum(offset, checked)) {
        return Err(Unfit::HeaderChecksum);
    }
    let head = || {
        Some(FrameHead {
            payload_bytes: u32_at(bytes, 8)?,
            payload_checksum: u32_at(bytes, 12)?,
            first_index: u64_at(bytes, 16)?,
            durable_below: u64_at(bytes, 24)?,
            count: u32_at(bytes, 32)?,
        })
    };
    head().ok_or(Unfit::End)
}

impl FrameFormat {
    /// Bytes of a whole frame, up to where the next one begins.
    pub(crate) fn frame_bytes(&self, payload_bytes: u64) -> u64 {
        (self.header_bytes as u64)
            .saturating_add(payload_bytes)
            .checked_next_multiple_of(ALIGNMENT)
            .unwrap_or(u64::MAX)
    }
}

impl FrameHead {
    /// Checks the payload against the header.
    pub(crate) fn check(&self, payload: &[u8], salt: Salt, offset: u64) -> Result<(), Unfit> {
        if salt.checksum(offset, payload) != self.payload_checksum {
            return Err(Unfit::PayloadChecksum);
        }
        Ok(())
    }

    /// The index behind the frame's entries.
    pub(crate) fn end_index(&self) -> u64 {
        self.first_index.saturating_add(u64::from(self.count))
    }

    /// Calls `visit` with every entry, in order.
    pub(crate) fn entries<E>(
        &self,
        payload: &[u8],
        visit: &mut Visit<'_, E>,
    ) -> Result<Result<(), Unfit>, E> {
        let table_bytes = in_memory(u64::from(self.count).saturating_mul(4));
        let Some((table, mut rest)) = payload.split_at_checked(table_bytes) else {
            return Ok(Err(Unfit::Entries));
        };
        // Checked as a whole first: an entry is handed out only from a frame that is in order.
        let lengths = table.as_chunks::<4>().0;
        let sum =
            lengths.iter().fold(0_u64, |sum, length| sum.saturating_add(u32::from_le_bytes(*length).into()));
        if sum != rest.len() as u64 {
            return Ok(Err(Unfit::Entries));
        }
        for (length, index) in lengths.iter().zip(self.first_index..) {
            let length = in_memory(u32::from_le_bytes(*length).into());
            let Some((entry, behind)) = rest.split_at_checked(length) else { return Ok(Err(Unfit::Entries)) };
            visit(index, entry)?;
            rest = behind;
        }
        Ok(Ok(()))
    }
}

/// Entries to append, in order.
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// One slice for each entry.
    Slices(&'a [&'a [u8]]),
    /// All entries in one buffer, with the offset where each of them ends; the last one must end with the buffer.
    Buffer {
        /// The entries, one behind the other.
        bytes: &'a [u8],
        /// Where each ends.
        ends: &'a [usize],
    },
}

impl Entries<'_> {
    /// Whether the ends rise and reach the end of the buffer: a frame of others could not be read back.
    pub(crate) fn fits_together(&self) -> bool {
        match self {
            Entries::Slices(_) => true,
            Entries::Buffer { bytes, ends } => {
                ends.is_sorted() && ends.last().copied().unwrap_or(0) == bytes.len()
            }
        }
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Entries::Slices(slices) => slices.len(),
            Entries::Buffer { ends, .. } => ends.len(),
        }
    }

    /// Bytes of the payload: the lengths and the entries.
    pub(crate) fn payload_bytes(&self) -> u64 {
        let bytes = match self {
            Entries::Slices(slices) => slices.iter().map(|slice| slice.len() as u64).sum(),
            Entries::Buffer { bytes, .. } => bytes.len() as u64,
        };
        (self.count() as u64).saturating_mul(4).saturating_add(bytes)
    }

    /// Appends the payload. Lengths fit u32 because the payload is below [`PAYLOAD_BYTES_MAX`].
    fn encode(&self, out: &mut Vec<u8>) {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        match self {
            Entries::Slices(slices) => {
                out.extend(slices.iter().flat_map(|slice| length(slice.len())));
                for slice in *slices {
                    out.extend_from_slice(slice);
                }
            }
            Entries::Buffer { bytes, ends } => {
                let mut begin = 0;
                for end in *ends {
                    out.extend_from_slice(&length(end.saturating_sub(begin)));
                    begin = *end;
                }
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// Where a frame goes and what it says beside its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramePosition {
    pub(crate) salt: Salt,
    pub(crate) offset: u64,
    pub(crate) first_index: u64,
    pub(crate) durable_below: u64,
}

/// Writes a frame in the newest version to `out`, which is emptied first.
pub(crate) fn encode(out: &mut Vec<u8>, place: FramePosition, entries: Entries<'_>) {
    out.clear();
    out.resize(FRAME_HEADER_BYTES, 0);
    entries.encode(out);
    let payload = out.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut head = [0; FRAME_HEADER_BYTES];
    let fields: [(usize, &[u8]); 6] = [
        (0, &MAGIC.to_le_bytes()),
        (8, &payload_bytes.to_le_bytes()),
        (12, &place.salt.checksum(place.offset, payload).to_le_bytes()),
        (16, &place.first_index.to_le_bytes()),
        (24, &place.durable_below.to_le_bytes()),
        (32, &u32::try_from(entries.count()).unwrap_or(u32::MAX).to_le_bytes()),
    ];
    for (at, bytes) in fields {
        put(&mut head, at, bytes);
    }
    let checksum = place.salt.checksum(place.offset, head.get(8..).unwrap_or_default());
    put(&mut head, 4, &checksum.to_le_bytes());
    put(out, 0, &head);
    let whole = out.len().next_multiple_of(in_memory(ALIGNMENT));
    out.resize(whole, 0);
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    let place = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
    if let Some(place) = place {
        place.copy_from_slice(bytes);
    }
}
