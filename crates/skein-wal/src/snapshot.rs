//! Snapshot files: blocks of bytes that are the whole state behind one entry of the log.
//!
//! On disk, behind the file's header, little-endian:
//!
//! ```text
//! block    length u32, checksum u32 (crc32c of store, index, number of the block and its bytes), bytes
//! trailer  ffffffff u32, checksum u32 (crc32c of store, index and the next 20 bytes),
//!          blocks u64, bytes of all blocks u64, crc32c over the checksums of all blocks u32; then the file ends
//! ```
//!
//! A snapshot has its name only when it is complete and synced. The newest two are kept: when the newest turns out
//! damaged, the one before it serves, as long as the log still reaches back to it.

mod reader;
mod writer;

pub use reader::{Newest, SnapshotReader};
pub use writer::{Kept, SnapshotWriter};

use crate::store_id::StoreId;

/// Stands in the place of a block's length where the trailer begins.
const TRAILER_MARK: u32 = u32::MAX;
/// Bytes before a block: its length and its checksum.
const BLOCK_HEADER_BYTES: usize = 8;
/// Bytes of the trailer: a header as of a block, then its three fields.
const TRAILER_BYTES: usize = 28;
/// Largest block: what reading may have to hold in memory at once.
const BLOCK_BYTES_MAX: usize = 1 << 30;
/// Snapshots that are kept.
const SNAPSHOTS_KEPT: usize = 2;

/// What has gone into a snapshot, or come out of it, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    salt: u32,
    blocks: u64,
    bytes: u64,
    checksums: u32,
}

impl Tally {
    fn new(store: StoreId, index: u64) -> Tally {
        let salt = crc32c::crc32c_append(crc32c::crc32c(&store.0), &index.to_le_bytes());
        Tally { salt, blocks: 0, bytes: 0, checksums: 0 }
    }

    /// Counts a block and returns its checksum.
    fn add(&mut self, block: &[u8]) -> u32 {
        let place = crc32c::crc32c_append(self.salt, &self.blocks.to_le_bytes());
        let checksum = crc32c::crc32c_append(place, block);
        self.blocks = self.blocks.saturating_add(1);
        self.bytes = self.bytes.saturating_add(block.len() as u64);
        self.checksums = crc32c::crc32c_append(self.checksums, &checksum.to_le_bytes());
        checksum
    }

    fn trailer(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(TRAILER_BYTES);
        fields.extend_from_slice(&self.blocks.to_le_bytes());
        fields.extend_from_slice(&self.bytes.to_le_bytes());
        fields.extend_from_slice(&self.checksums.to_le_bytes());
        let mut trailer = TRAILER_MARK.to_le_bytes().to_vec();
        trailer.extend_from_slice(&crc32c::crc32c_append(self.salt, &fields).to_le_bytes());
        trailer.extend_from_slice(&fields);
        trailer
    }
}
