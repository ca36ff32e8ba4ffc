//! A commit: what a transaction read and what it wants to write, as a value.
//!
//! It is made by `transaction.rs` and `batch.rs`, handed to the log in the encoding of `commit/encoding.rs`, and judged
//! and carried out by `engine.rs`. It holds no reference to the state it was made from, so that it can be certified later,
//! again, or elsewhere. Classes are named by their position in the schema here and by their code in the log.

pub(crate) mod encoding;

use crate::key::Key;
use crate::range::KeyRange;
use crate::row::Row;

/// What a write or a read relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the write is blind and never conflicts.
    Any,
    /// There is no such object.
    Absent,
    /// The object was last written by this commit.
    Version(u64),
}

/// One object to be put or deleted.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) class: u16,
    pub(crate) key: Key,
    /// None deletes.
    pub(crate) row: Option<Row>,
    pub(crate) expect: Expect,
    /// The writer vouches that the object is not in the store, so that a delete waiting in the same group cancels both.
    pub(crate) fresh: bool,
}

/// One object that was read, for serializable transactions.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) class: u16,
    pub(crate) key: Key,
    pub(crate) expect: Expect,
}

/// One range that was scanned or counted, for serializable transactions.
#[derive(Clone, Debug)]
pub(crate) struct RangeRead {
    pub(crate) class: u16,
    /// None: the primary key.
    pub(crate) index: Option<u16>,
    pub(crate) range: KeyRange,
    pub(crate) count: u64,
}

/// A transaction's end, ready to be certified. At most one write per object.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The state it read; none when it read nothing.
    pub(crate) snapshot: Option<u64>,
    pub(crate) reads: Vec<Read>,
    pub(crate) ranges: Vec<RangeRead>,
    pub(crate) writes: Vec<Write>,
}
