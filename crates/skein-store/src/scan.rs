//! Scans: walking a range of the primary key or of an index, both ways.
//!
//! A scan owns the root it walks and what its transaction had written when it was opened, so it is a cursor too: it can be
//! kept while the transaction goes on writing, and what it delivers does not change. It fetches a few rows at a time and
//! seeks again for more, first few, then many, so that short scans stay cheap and serializable transactions rely on
//! little more than they looked at.

mod merge;

use crate::engine::Root;
use crate::key::Key;
use crate::range::{Direction, KeyRange};
use crate::row::Row;
use crate::schema::ClassId;
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use merge::{Covered, Merge, Own};

/// What a scan goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The primary key.
    Primary,
    /// The secondary index of this number. A hash index gives equal keys together and nothing else of its order
    /// is promised.
    Index(usize),
}

impl Access {
    pub(crate) fn index(self) -> Option<usize> {
        match self {
            Access::Primary => None,
            Access::Index(number) => Some(number),
        }
    }
}

/// One object a scan delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its primary key.
    pub key: Key,
    /// Its row.
    pub row: Row,
}

const FETCH_FIRST: usize = 16;
const FETCH_MAX: usize = 256;

/// A walk through a range; an iterator that owns all it needs.
#[derive(Debug)]
pub struct Scan {
    merge: Option<Merge>,
    fetched: VecDeque<Entry>,
    fetch_next: usize,
}

impl Scan {
    pub(crate) fn over(
        root: Arc<Root>,
        class: ClassId,
        access: Access,
        range: KeyRange,
        direction: Direction,
    ) -> Scan {
        let position = root.schema().position(class);
        Scan::merged(position.map(|position| Merge::new(root, position, access, range, direction)))
    }

    pub(crate) fn merged(merge: Option<Merge>) -> Scan {
        Scan { merge, fetched: VecDeque::new(), fetch_next: FETCH_FIRST }
    }
}

impl Iterator for Scan {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.fetched.is_empty()
            && let Some(merge) = &mut self.merge
        {
            let more = merge.fetch(self.fetch_next, &mut self.fetched);
            self.fetch_next = (self.fetch_next * 4).min(FETCH_MAX);
            if !more {
                self.merge = None;
            }
        }
        self.fetched.pop_front()
    }
}
