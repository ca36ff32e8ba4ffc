//! Merging what a snapshot holds in a range with what a transaction has written there itself.
//!
//! Own rows stand in for the snapshot's rows with the same primary key, wherever their index keys put them. Rows of the
//! snapshot that were passed over, own or not, count as read.

use super::{Access, Entry};
use crate::commit::RangeRead;
use crate::engine::Root;
use crate::key::Key;
use crate::range::{Direction, KeyRange};
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What the transaction has written to the class when the scan is opened.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Rows in the range, with the keys they stand under in what is scanned, in the order of the scan.
    pub(crate) entries: VecDeque<(Key, Entry)>,
    /// Primary keys the snapshot's rows of which are not to be seen.
    pub(crate) hidden: BTreeSet<Key>,
}

/// Where a serializable transaction keeps what its scans have looked at.
#[derive(Debug)]
pub(crate) struct Covered {
    pub(crate) ranges: Arc<Mutex<Vec<RangeRead>>>,
    pub(crate) slot: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Merge {
    root: Arc<Root>,
    class: usize,
    access: Access,
    whole: KeyRange,
    remaining: KeyRange,
    direction: Direction,
    own: Own,
    covered: Option<Covered>,
    /// Rows of the snapshot passed over so far.
    passed: u64,
}

impl Merge {
    pub(crate) fn new(
        root: Arc<Root>,
        class: usize,
        access: Access,
        range: KeyRange,
        direction: Direction,
    ) -> Merge {
        let remaining = range.clone();
        let own = Own::default();
        Merge { root, class, access, whole: range, remaining, direction, own, covered: None, passed: 0 }
    }

    pub(crate) fn with_own(mut self, own: Own, covered: Option<Covered>) -> Merge {
        self.own = own;
        self.covered = covered;
        self
    }

    /// Appends the next rows, at least one unless the range is at its end. Says whether there may be more.
    pub(crate) fn fetch(&mut self, rows: usize, out: &mut VecDeque<Entry>) -> bool {
        loop {
            let more = self.fetch_once(rows, out);
            if !more || !out.is_empty() {
                return more;
            }
        }
    }

    fn fetch_once(&mut self, rows: usize, out: &mut VecDeque<Entry>) -> bool {
        let root = Arc::clone(&self.root);
        let Some(class) = root.class(self.class) else { return false };
        let mut last = None;
        let (own, direction) = (&mut self.own, self.direction);
        let visited =
            class.visit(self.access.index(), &self.remaining, direction, rows, &mut |entry, key, stored| {
                last = Some(entry.clone());
                own.take_up_to(entry, direction, out);
                if !own.hidden.contains(key) {
                    out.push_back(Entry { key: key.clone(), row: stored.row.clone() });
                }
            });
        self.passed += visited as u64;
        let more = visited == rows;
        match last {
            Some(last) if more => {
                self.cover(self.whole.through(&last, direction));
                self.remaining = self.remaining.behind(&last, direction);
            }
            _ => {
                self.cover(self.whole.clone());
                out.extend(self.own.entries.drain(..).map(|(_, entry)| entry));
            }
        }
        more
    }

    fn cover(&mut self, range: KeyRange) {
        let Some(covered) = &mut self.covered else { return };
        let class = u16::try_from(self.class).expect("class codes are 16 bits, so there are no more classes");
        let index = self.access.index().map(|number| u16::try_from(number).expect("indexes are few"));
        let read = RangeRead { class, index, range, count: self.passed };
        let mut ranges = covered.ranges.lock();
        match covered.slot.and_then(|slot| ranges.get_mut(slot)) {
            Some(earlier) => *earlier = read,
            None => {
                covered.slot = Some(ranges.len());
                ranges.push(read);
            }
        }
    }
}

impl Own {
    /// Moves the own rows that come before `entry` to what is delivered.
    fn take_up_to(&mut self, entry: &Key, direction: Direction, out: &mut VecDeque<Entry>) {
        while let Some((key, _)) = self.entries.front() {
            let before = match direction {
                Direction::Forward => key <= entry,
                Direction::Backward => key >= entry,
            };
            if !before {
                return;
            }
            out.extend(self.entries.pop_front().map(|(_, entry)| entry));
        }
    }
}
