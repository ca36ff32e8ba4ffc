//! One class of the state: its rows by primary key, its indexes, what they weigh and the next automatic number.
//!
//! It keeps rows and indexes in step and nothing else: whether a write is allowed is decided before, in `certify.rs`.
//! Changed by `apply.rs` alone.

use super::index::IndexState;
use super::memory::{index_entry_bytes, row_bytes};
use crate::key::Key;
use crate::range::{Direction, KeyRange};
use crate::row::Row;
use crate::schema::Class;
use imbl::OrdMap;
use std::sync::Arc;

/// A row and its version: the index of the commit that wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) row: Row,
}

/// All objects of one class.
#[derive(Clone, Debug)]
pub(crate) struct ClassState {
    pub(crate) class: Arc<Class>,
    pub(crate) rows: OrdMap<Key, Stored>,
    pub(crate) indexes: Vec<IndexState>,
    /// The number the next object of a class with an automatic key gets; no number is ever given twice.
    pub(crate) auto_next: u64,
    /// What rows and index entries weigh, by the constants of `memory.rs`.
    pub(crate) bytes: u64,
}

impl ClassState {
    pub(crate) fn new(class: Arc<Class>) -> ClassState {
        let indexes = class.indexes.iter().map(|index| IndexState::new(index.unique)).collect();
        ClassState { class, rows: OrdMap::new(), indexes, auto_next: 1, bytes: 0 }
    }

    /// Puts a row and returns the one it replaces.
    pub(crate) fn put(&mut self, key: Key, row: Row, version: u64) -> Option<Stored> {
        self.bytes += row_bytes(&key, &row);
        if self.class.primary.auto {
            self.auto_next = self.auto_next.max(auto_number(&key).saturating_add(1));
        }
        if self.indexes.is_empty() {
            let weight = row_bytes_of_key(&key);
            let before = self.rows.insert(key, Stored { version, row });
            if let Some(before) = &before {
                self.bytes = self.bytes.saturating_sub(weight + before.row.len() as u64);
            }
            return before;
        }
        let before = self.rows.insert(key.clone(), Stored { version, row: row.clone() });
        if let Some(before) = &before {
            self.bytes = self.bytes.saturating_sub(row_bytes(&key, &before.row));
        }
        self.reindex(&key, before.as_ref().map(|before| &before.row), Some(&row));
        before
    }

    /// Deletes a row and returns it.
    pub(crate) fn delete(&mut self, key: &Key) -> Option<Stored> {
        let before = self.rows.remove(key)?;
        self.bytes = self.bytes.saturating_sub(row_bytes(key, &before.row));
        if !self.indexes.is_empty() {
            self.reindex(key, Some(&before.row), None);
        }
        Some(before)
    }

    /// Moves one object's entries from what its old row says to what its new row says.
    fn reindex(&mut self, key: &Key, old: Option<&Row>, new: Option<&Row>) {
        for (number, index) in self.indexes.iter_mut().enumerate() {
            let was = old.and_then(|row| index_key(&self.class, number, row));
            let is = new.and_then(|row| index_key(&self.class, number, row));
            if was == is {
                continue;
            }
            if let Some(was) = was
                && index.remove(&was, key)
            {
                self.bytes = self.bytes.saturating_sub(index_entry_bytes(was.len() + key.len()));
            }
            if let Some(is) = is {
                let entries = index.len();
                index.insert(&is, key);
                // A value that moves from one object to another may find the other's entry still there.
                if index.len() > entries {
                    self.bytes += index_entry_bytes(is.len() + key.len());
                }
            }
        }
    }

    /// Shows up to `limit` objects of a range in order: the key each stands under, its primary key and its row.
    pub(crate) fn visit(
        &self,
        index: Option<usize>,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        show: &mut dyn FnMut(&Key, &Key, &Stored),
    ) -> usize {
        if range.is_empty() {
            return 0;
        }
        let Some(number) = index else {
            let mut rows = self.rows.range::<_, Key>(range.bounds());
            let next = || if direction == Direction::Forward { rows.next() } else { rows.next_back() };
            return std::iter::from_fn(next).take(limit).map(|(key, stored)| show(key, key, stored)).count();
        };
        let Some(index) = self.indexes.get(number) else { return 0 };
        let mut entries = index.range(range);
        let next = || if direction == Direction::Forward { entries.next() } else { entries.next_back() };
        let show = |(entry, primary): (&Key, Key)| {
            let stored = self.rows.get(&primary).expect("an index entry names a row");
            show(entry, &primary, stored);
        };
        std::iter::from_fn(next).take(limit).map(show).count()
    }

    /// How many objects lie in a range.
    pub(crate) fn count(&self, index: Option<usize>, range: &KeyRange) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let all = *range == KeyRange::all();
        let count = match index {
            None if all => self.rows.len(),
            None => self.rows.range::<_, Key>(range.bounds()).count(),
            Some(number) => self
                .indexes
                .get(number)
                .map_or(0, |index| if all { index.len() } else { index.range(range).count() }),
        };
        count as u64
    }

    /// Takes rows in the order of their keys, all at once, in place of what is there.
    pub(crate) fn load(&mut self, rows: Vec<(Key, Stored)>) -> Result<(), NotUnique> {
        let auto = self.class.primary.auto;
        let last = rows.last().map(|(key, _)| key).filter(|_| auto).map_or(0, auto_number);
        self.auto_next = self.auto_next.max(last.saturating_add(1));
        self.bytes = rows.iter().map(|(key, stored)| row_bytes(key, &stored.row)).sum();
        self.rows = rows.into_iter().collect();
        self.build_indexes()
    }

    /// Makes all indexes from the rows.
    fn build_indexes(&mut self) -> Result<(), NotUnique> {
        for (number, declared) in self.class.indexes.iter().enumerate() {
            let keyed = self.rows.iter().filter_map(|(key, stored)| {
                index_key(&self.class, number, &stored.row).map(|index_key| (index_key, key))
            });
            let mut entries: Vec<(Key, &Key)> = keyed.collect();
            // The maps take keys in order at a fraction of the cost.
            entries.sort_unstable();
            let clash = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
            if declared.unique && clash {
                return Err(NotUnique { class: self.class.name.clone(), index: declared.name.clone() });
            }
            let mut index = IndexState::new(declared.unique);
            for (index_key, key) in entries {
                index.insert(&index_key, key);
                self.bytes += index_entry_bytes(index_key.len() + key.len());
            }
            self.indexes[number] = index;
        }
        Ok(())
    }

    /// The same objects under a newer declaration of their class.
    pub(crate) fn evolved(&self, class: Arc<Class>) -> Result<ClassState, NotUnique> {
        let mut evolved = ClassState::new(class);
        evolved.auto_next = self.auto_next;
        evolved.rows = self.rows.clone();
        evolved.bytes = self.rows.iter().map(|(key, stored)| row_bytes(key, &stored.row)).sum();
        evolved.build_indexes()?;
        Ok(evolved)
    }
}

/// A unique index that the rows do not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("objects of class {class} share a key in the unique index {index}")]
pub(crate) struct NotUnique {
    pub(crate) class: String,
    pub(crate) index: String,
}

fn row_bytes_of_key(key: &Key) -> u64 {
    super::memory::ROW_BYTES + key.heap_bytes() as u64
}

/// The key of a row in an index; none when an optional field of it is absent. A row that cannot be read is in no
/// index: it was checked when it came in, and the rule must be the same on every replay.
pub(crate) fn index_key(class: &Class, number: usize, row: &Row) -> Option<Key> {
    class.index_key_of_row(number, row.as_slice()).ok().flatten()
}

/// The number in the key of a class that is numbered by the store.
pub(crate) fn auto_number(key: &Key) -> u64 {
    key.as_slice().try_into().map_or(0, u64::from_be_bytes)
}
