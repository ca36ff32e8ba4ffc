//! A range of keys: the half-open interval every scan, count and range check is reduced to.
//!
//! Keys are encoded so that comparing bytes compares values and no full key is a prefix of another. A bound may
//! therefore be a prefix of a composite key, and "up to and including this prefix" is "below its successor".

use crate::key::Key;
use std::ops::Bound;

/// Which way a scan walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key to the greatest.
    Forward,
    /// From the greatest key to the smallest.
    Backward,
}

/// Keys from `low` (included) up to `high` (excluded; none: no upper end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub(crate) low: Key,
    pub(crate) high: Option<Key>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> KeyRange {
        KeyRange { low: Key::EMPTY, high: None }
    }

    /// Every key that begins with `prefix`; a full key is the prefix of itself alone.
    #[must_use]
    pub fn prefix(prefix: &Key) -> KeyRange {
        KeyRange { low: prefix.clone(), high: prefix.prefix_end() }
    }

    /// Keys between two bounds, each a full key or a prefix of a composite one. An included upper prefix takes in
    /// everything that begins with it, an excluded lower prefix leaves all of that out.
    #[must_use]
    pub fn between(low: Bound<&Key>, high: Bound<&Key>) -> KeyRange {
        let low = match low {
            Bound::Unbounded => Some(Key::EMPTY),
            Bound::Included(key) => Some(key.clone()),
            Bound::Excluded(key) => key.prefix_end(),
        };
        // Nothing follows a prefix without a successor: the range is empty.
        let Some(low) = low else { return KeyRange::empty() };
        let high = match high {
            Bound::Unbounded => None,
            Bound::Included(key) => key.prefix_end(),
            Bound::Excluded(key) => Some(key.clone()),
        };
        KeyRange { low, high }
    }

    fn empty() -> KeyRange {
        KeyRange { low: Key::EMPTY, high: Some(Key::EMPTY) }
    }

    /// Whether no key can lie in it. The maps must not be asked for such a range.
    pub(crate) fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }

    /// The bounds as the maps take them.
    pub(crate) fn bounds(&self) -> (Bound<&Key>, Bound<&Key>) {
        (Bound::Included(&self.low), self.high.as_ref().map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// The part behind `last`, which was the last key a scan in `direction` delivered.
    pub(crate) fn behind(&self, last: &Key, direction: Direction) -> KeyRange {
        match direction {
            Direction::Forward => KeyRange { low: last.successor(), high: self.high.clone() },
            Direction::Backward => KeyRange { low: self.low.clone(), high: Some(last.clone()) },
        }
    }

    /// The part up to and including `last`.
    pub(crate) fn through(&self, last: &Key, direction: Direction) -> KeyRange {
        match direction {
            Direction::Forward => KeyRange { low: self.low.clone(), high: Some(last.successor()) },
            Direction::Backward => KeyRange { low: last.clone(), high: self.high.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::from_slice(bytes)
    }

    fn holds(range: &KeyRange, bytes: &[u8]) -> bool {
        use std::ops::RangeBounds;
        range.bounds().contains(&key(bytes))
    }

    #[test]
    fn a_prefix_takes_in_all_that_begins_with_it() {
        let range = KeyRange::prefix(&key(b"ab"));
        assert!(holds(&range, b"ab") && holds(&range, b"ab\xff\xff"));
        assert!(!holds(&range, b"aa\xff") && !holds(&range, b"ac"));
        let open = KeyRange::prefix(&key(b"\xff\xff"));
        assert!(holds(&open, b"\xff\xff\xff") && !holds(&open, b"\xff\xfe"));
    }

    #[test]
    fn bounds_count_a_prefix_as_all_that_begins_with_it() {
        let range = KeyRange::between(Bound::Excluded(&key(b"a")), Bound::Included(&key(b"c")));
        assert!(
            !holds(&range, b"a\x01")
                && holds(&range, b"b")
                && holds(&range, b"c\x01")
                && !holds(&range, b"d")
        );
        let nothing = KeyRange::between(Bound::Excluded(&key(b"\xff")), Bound::Unbounded);
        assert!(nothing.is_empty());
    }

    #[test]
    fn behind_and_through_divide_a_range_at_a_key() {
        let all = KeyRange::all();
        for direction in [Direction::Forward, Direction::Backward] {
            let behind = all.behind(&key(b"m"), direction);
            let through = all.through(&key(b"m"), direction);
            for probe in [&b"a"[..], b"m", b"m\0", b"z"] {
                assert_ne!(holds(&behind, probe), holds(&through, probe), "{direction:?} {probe:?}");
            }
            assert!(holds(&through, b"m"));
        }
    }
}
