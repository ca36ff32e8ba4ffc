//! What a row and an index entry weigh in memory, so that a limit can be kept before it is passed.
//!
//! The constants are the cost beside the bytes themselves: the slot in a map's leaf with the unused part of the leaf,
//! the leaf's share of inner nodes, and the headers of heap blocks, one of which a row gets when it is first shared with
//! a reader or an index. Keys that come in ascending order leave leaves half full, as queues do, and cost more than keys
//! in any other order: a row takes 115 to 218 bytes, an index entry 80 to 122. The constants lie between, so that the
//! account is within three tenths of the truth either way; `tests/memory.rs` measures again.

use super::class::index_key;
use crate::key::{KEY_INLINE_BYTES_MAX, Key};
use crate::row::Row;
use crate::schema::Class;

/// Bytes a row costs beside its own bytes and those of a long key.
pub const ROW_BYTES: u64 = 152;

/// Bytes an index entry costs beside those of a long key.
pub const INDEX_ENTRY_BYTES: u64 = 96;

/// What one row under one key costs.
#[must_use]
pub fn row_bytes(key: &Key, row: &Row) -> u64 {
    ROW_BYTES + key.heap_bytes() as u64 + row.len() as u64
}

/// What one index entry with keys of `key_bytes` in all costs.
#[must_use]
pub fn index_entry_bytes(key_bytes: usize) -> u64 {
    INDEX_ENTRY_BYTES + outside(key_bytes)
}

/// The most that a row and its index entries can cost, without reading the row. A byte of it takes at most two in a key,
/// and a field two more.
pub(crate) fn weight_max(class: &Class, key: &Key, row: &Row) -> u64 {
    let fields = |fields: usize| 2 * fields + 2 * row.len() + 8 * fields;
    let entries = class.indexes.iter().map(|index| index_entry_bytes(fields(index.fields.len()) + key.len()));
    row_bytes(key, row) + entries.sum::<u64>()
}

/// What a row and its index entries cost.
pub(crate) fn weight(class: &Class, key: &Key, row: &Row) -> u64 {
    let numbers = 0..class.indexes.len();
    let entries = numbers.filter_map(|number| index_key(class, number, row));
    row_bytes(key, row) + entries.map(|entry| index_entry_bytes(entry.len() + key.len())).sum::<u64>()
}

fn outside(key_bytes: usize) -> u64 {
    if key_bytes <= KEY_INLINE_BYTES_MAX { 0 } else { key_bytes as u64 + 16 }
}
