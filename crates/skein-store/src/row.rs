//! Rows: the encoded objects that lie in memory, in the log and in snapshots, always the same bytes.
//!
//! Layout: one byte with the format version, then the fields in the order of their class, without names or offsets.
//! Booleans and 8-bit integers take a byte; other integers are LEB128, signed ones zigzag first; floats and moments
//! are 8 bytes, little endian; text and bytes are their length (LEB128) and themselves; an optional value is 0x00,
//! or 0x01 and the value; a vector is its count (LEB128) and its elements. Every field takes at least one byte, so a
//! row that ends between two fields is one written before the rest were added: those have their class's defaults.
//! One object has one encoding: integers longer than needed are refused.
//!
//! Reading never panics and never allocates more than the row's own length allows, whatever the bytes are.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

mod field_type;
mod reader;
mod writer;

use std::cell::Cell;
use std::fmt;

use bytes::Bytes;

pub use field_type::{FieldType, KeyType, ObjectKey};
pub use reader::RowReader;
pub use writer::RowWriter;

/// The version of the row layout that is written, and the newest that is read.
pub const ROW_FORMAT: u8 = 1;

/// The capacity a thread keeps for encoding rows.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One encoded object. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Row(Bytes);

impl Row {
    /// Takes bytes for a row without looking at them: reading says what is wrong with them.
    pub fn from_bytes(bytes: Bytes) -> Row {
        Row(bytes)
    }

    /// A row of a copy of these bytes.
    pub fn from_slice(bytes: &[u8]) -> Row {
        Row(Bytes::copy_from_slice(bytes))
    }

    /// Encodes what `write` writes. The row has exactly one allocation, of its own length.
    pub fn encode(write: impl FnOnce(&mut RowWriter<'_>)) -> Row {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        write(&mut RowWriter::new(&mut scratch));
        let row = Row::from_slice(&scratch);
        if scratch.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.set(scratch);
        }
        row
    }

    /// The encoded bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes, to be shared.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The encoded bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The number of encoded bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all, which no valid row is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::ops::Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({:?})", self.0)
    }
}

/// What is wrong with the bytes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowFaultKind {
    /// There is not even a format version.
    #[error("it is empty")]
    Empty,
    /// A format this program does not know.
    #[error(
        "it has format version {0}, this program reads up to {ROW_FORMAT}: use the newer program that wrote it"
    )]
    UnknownFormat(u8),
    /// The bytes end inside a field, or before a field that has no default.
    #[error("it ends too early")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes follow the last field: was it written under a newer schema?")]
    TrailingBytes,
    /// A byte that should be 0 or 1 is not.
    #[error("a byte that must be 0 or 1 is {0}")]
    NotBoolean(u8),
    /// An integer is longer than needed, or too big for its type.
    #[error("an integer is longer than needed or too big for its type")]
    BadInteger,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
}

/// Bytes that are not a row of their class. They were damaged, or the schema is not the one they were written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault(Box<RowFaultParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct RowFaultParts {
    kind: RowFaultKind,
    offset: usize,
    field: Option<String>,
}

impl RowFault {
    #[cold]
    pub(crate) fn new(kind: RowFaultKind, offset: usize) -> RowFault {
        RowFault(Box::new(RowFaultParts { kind, offset, field: None }))
    }

    /// Names the field that was being read.
    #[cold]
    #[must_use]
    pub fn in_field(mut self, class: &str, field: &str) -> RowFault {
        self.0.field = Some(format!("{class}.{field}"));
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> RowFaultKind {
        self.0.kind
    }

    /// How many bytes of the row had been read.
    pub fn offset(&self) -> usize {
        self.0.offset
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row cannot be read at byte {}", self.0.offset)?;
        if let Some(field) = &self.0.field {
            write!(f, ", field {field}")?;
        }
        write!(f, ": {}", self.0.kind)
    }
}

impl std::error::Error for RowFault {}
