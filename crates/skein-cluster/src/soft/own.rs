//! What this node says of itself: a map, and its changes as a numbered stream.
//!
//! Written by the plane's threads under their own locks, read by the core when it has peers to tell. A change that says
//! nothing new has no number of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use parking_lot::Mutex;

use super::{Digest, Fingerprint, fingerprint};
use crate::{Change, Key, Value};

/// Changes that are kept for peers that have not heard them, and their bytes (wills can be large); who is further behind gets
/// a full copy.
const LOG_CHANGES_MAX: usize = 65_536;
const LOG_BYTES_MAX: usize = 16 << 20;

/// This node's soft state.
#[derive(Debug, Default)]
pub struct OwnState {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<Key, (Value, Fingerprint)>,
    /// The sum of the hashes of all entries.
    sum: u64,
    /// The number of the last change; 0 before the first.
    number: u64,
    /// The last changes and their size, oldest first; the last one has `number`.
    log: VecDeque<(Change, usize)>,
    log_bytes: usize,
}

impl OwnState {
    /// Says something, or takes it back; returns the number of the last change, this one or an earlier one. Once a peer has
    /// confirmed that number, it is in effect there.
    pub fn set(&self, key: Key, value: Option<Value>) -> u64 {
        let mut inner = self.inner.lock();
        if inner.entries.get(&key).map(|(value, _)| value) == value.as_ref() {
            return inner.number;
        }
        let fingerprint = value.as_ref().map(|value| fingerprint(&key, value));
        let before = match value.clone().zip(fingerprint) {
            Some(entry) => inner.entries.insert(key.clone(), entry),
            None => inner.entries.remove(&key),
        };
        let added = fingerprint.map_or(0, |fingerprint| fingerprint.hash);
        let removed = before.map_or(0, |(_, fingerprint)| fingerprint.hash);
        inner.sum = inner.sum.wrapping_add(added).wrapping_sub(removed);
        inner.number += 1;
        inner.log(Change { key, value }, fingerprint.map_or(0, |fingerprint| fingerprint.bytes));
        inner.number
    }

    /// The number of the last change.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.lock().number
    }

    /// All of it in short.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inner.lock().digest()
    }

    /// Changes behind `number`, in order, at most `count` and about `bytes_max`; with the digest if they are all there are.
    /// None when they are not kept any more.
    #[must_use]
    pub fn changes_after(
        &self,
        number: u64,
        count: usize,
        bytes_max: usize,
    ) -> Option<(Vec<Change>, Option<Digest>)> {
        let inner = self.inner.lock();
        let behind = usize::try_from(inner.number.checked_sub(number)?).ok()?;
        let from = inner.log.len().checked_sub(behind)?;
        let mut bytes = 0;
        let fits = |(_, size): &&(Change, usize)| {
            let fits = bytes < bytes_max;
            bytes += size;
            fits
        };
        let changes: Vec<_> = inner.log.range(from..).take(count).take_while(fits).collect();
        let digest = (changes.len() == behind).then(|| inner.digest());
        Some((changes.into_iter().map(|(change, _)| change.clone()).collect(), digest))
    }

    /// Entries behind `after` in order, at most `count` and about `bytes_max`, for a full copy; the number they are as of; and
    /// whether no entries are left. Entries that change while a copy is under way are in the changes behind the number of its
    /// first part.
    #[must_use]
    pub fn entries_after(
        &self,
        after: Option<&Key>,
        count: usize,
        bytes_max: usize,
    ) -> (u64, Vec<(Key, Value)>, bool) {
        let inner = self.inner.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = inner.entries.range((from, Bound::Unbounded)).peekable();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < count
            && bytes < bytes_max
            && let Some((key, (value, fingerprint))) = rest.next()
        {
            bytes += fingerprint.bytes;
            entries.push((key.clone(), value.clone()));
        }
        (inner.number, entries, rest.peek().is_none())
    }

    /// What is said about `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.inner.lock().entries.get(key).map(|(value, _)| value.clone())
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

impl Inner {
    fn digest(&self) -> Digest {
        Digest { number: self.number, count: self.entries.len() as u64, sum: self.sum }
    }

    fn log(&mut self, change: Change, bytes: usize) {
        self.log.push_back((change, bytes));
        self.log_bytes += bytes;
        while self.log.len() > LOG_CHANGES_MAX || self.log_bytes > LOG_BYTES_MAX {
            let Some((_, bytes)) = self.log.pop_front() else { break };
            self.log_bytes -= bytes;
        }
    }
}
