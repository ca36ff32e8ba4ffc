//! One secondary index of a class: from index key to primary key.
//!
//! A unique index maps the index key to the primary key. An index that may repeat keys holds the index key with the
//! primary key appended, so that equal index keys lie side by side in the order of their primary keys, and remembers
//! where the primary key begins. A hash index is held in the same ordered form; its shape only says that nothing but
//! equality may be asked of it, which keeps the order of iteration out of every result.
//!
//! Changed by `class.rs` alone.

use crate::key::Key;
use crate::range::KeyRange;
use imbl::OrdMap;
use imbl::ordmap;

/// The entries of one index.
#[derive(Clone, Debug)]
pub(crate) enum IndexState {
    /// Index key to primary key.
    Unique(OrdMap<Key, Key>),
    /// Index key followed by primary key, to the place where the primary key begins.
    Many(OrdMap<Key, u32>),
}

impl IndexState {
    pub(crate) fn new(unique: bool) -> IndexState {
        if unique { IndexState::Unique(OrdMap::new()) } else { IndexState::Many(OrdMap::new()) }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            IndexState::Unique(map) => map.len(),
            IndexState::Many(map) => map.len(),
        }
    }

    /// Enters an object.
    pub(crate) fn insert(&mut self, index_key: &Key, primary: &Key) {
        match self {
            IndexState::Unique(map) => {
                map.insert(index_key.clone(), primary.clone());
            }
            IndexState::Many(map) => {
                let entry = joined(index_key, primary);
                let primary_at = u32::try_from(index_key.as_slice().len()).expect("keys are far below 4 GiB");
                map.insert(entry, primary_at);
            }
        }
    }

    /// Takes an object out. In a unique index the entry stays when another object holds it by now, which happens when
    /// one commit moves a value from one object to another.
    pub(crate) fn remove(&mut self, index_key: &Key, primary: &Key) -> bool {
        match self {
            IndexState::Unique(map) => {
                let own = map.get(index_key).is_some_and(|holder| holder == primary);
                own && map.remove(index_key).is_some()
            }
            IndexState::Many(map) => map.remove(&joined(index_key, primary)).is_some(),
        }
    }

    /// The primary key of the object that holds `index_key` in a unique index.
    pub(crate) fn holder(&self, index_key: &Key) -> Option<&Key> {
        match self {
            IndexState::Unique(map) => map.get(index_key),
            IndexState::Many(_) => None,
        }
    }

    /// Entry keys and primary keys within a range, both ways.
    pub(crate) fn range(&self, range: &KeyRange) -> IndexRange<'_> {
        match self {
            IndexState::Unique(map) => IndexRange::Unique(map.range::<_, Key>(range.bounds())),
            IndexState::Many(map) => IndexRange::Many(map.range::<_, Key>(range.bounds())),
        }
    }
}

/// The index key followed by the primary key.
pub(crate) fn joined(index_key: &Key, primary: &Key) -> Key {
    let (left, right) = (index_key.as_slice(), primary.as_slice());
    let mut bytes = Vec::with_capacity(left.len() + right.len());
    bytes.extend_from_slice(left);
    bytes.extend_from_slice(right);
    Key::from_slice(&bytes)
}

/// Walks a range of one index.
pub(crate) enum IndexRange<'a> {
    Unique(ordmap::RangedIter<'a, Key, Key, imbl::shared_ptr::DefaultSharedPtr>),
    Many(ordmap::RangedIter<'a, Key, u32, imbl::shared_ptr::DefaultSharedPtr>),
}

fn of_unique<'a>((entry, primary): (&'a Key, &Key)) -> (&'a Key, Key) {
    (entry, primary.clone())
}

fn of_many<'a>((entry, primary_at): (&'a Key, &u32)) -> (&'a Key, Key) {
    let primary = entry.as_slice().get(*primary_at as usize..).unwrap_or_default();
    (entry, Key::from_slice(primary))
}

impl<'a> Iterator for IndexRange<'a> {
    type Item = (&'a Key, Key);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            IndexRange::Unique(entries) => entries.next().map(of_unique),
            IndexRange::Many(entries) => entries.next().map(of_many),
        }
    }
}

impl DoubleEndedIterator for IndexRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            IndexRange::Unique(entries) => entries.next_back().map(of_unique),
            IndexRange::Many(entries) => entries.next_back().map(of_many),
        }
    }
}
