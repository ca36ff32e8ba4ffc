//! What this node says of itself: a map, and its changes as a numbered stream.
//!
//! Written by the plane's threads under their own locks, read by the core when it has peers to tell. A change that says
//! nothing new has no number of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use parking_lot::Mutex;

use crate::{Change, Key, Value};

/// Changes that are kept for peers that have not heard them; who is further behind gets a full copy.
const LOG_CHANGES_MAX: usize = 65_536;

/// This node's soft state.
#[derive(Debug, Default)]
pub struct OwnState {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<Key, Value>,
    /// The number of the last change; 0 before the first.
    number: u64,
    /// The last changes, oldest first; the last one has `number`.
    log: VecDeque<Change>,
}

impl OwnState {
    /// Says something, or takes it back; returns the number of the last change, this one or an earlier one. Once a peer has
    /// confirmed that number, it is in effect there.
    pub fn set(&self, key: Key, value: Option<Value>) -> u64 {
        let mut inner = self.inner.lock();
        let before = inner.entries.get(&key);
        if before == value.as_ref() {
            return inner.number;
        }
        match value.clone() {
            Some(value) => _ = inner.entries.insert(key.clone(), value),
            None => _ = inner.entries.remove(&key),
        }
        inner.number += 1;
        inner.log.push_back(Change { key, value });
        if inner.log.len() > LOG_CHANGES_MAX {
            inner.log.pop_front();
        }
        inner.number
    }

    /// The number of the last change.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.lock().number
    }

    /// At most `count` changes behind `number`, in order; none when they are not kept any more.
    #[must_use]
    pub fn changes_after(&self, number: u64, count: usize) -> Option<Vec<Change>> {
        let inner = self.inner.lock();
        let behind = usize::try_from(inner.number.checked_sub(number)?).ok()?;
        let from = inner.log.len().checked_sub(behind)?;
        Some(inner.log.iter().skip(from).take(count).cloned().collect())
    }

    /// At most `count` entries behind `after` in order, for a full copy, with the number they are as of. Entries that change
    /// while a copy is under way are in the changes behind the number of its first part.
    #[must_use]
    pub fn entries_after(&self, after: Option<&Key>, count: usize) -> (u64, Vec<(Key, Value)>) {
        let inner = self.inner.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = inner.entries.range((from, Bound::Unbounded)).take(count);
        (inner.number, entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// What is said about `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.inner.lock().entries.get(key).cloned()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
