//! The model's state: per class a sorted map from the values of the primary key to the values of all fields.
//!
//! Indexes are not kept but looked for, by comparing values; nothing here knows an encoding.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use skein_store::{Access, Class, Direction, Index, IndexShape, Key, KeyBuilder, KeyRange, Schema, Value};

/// Values of some or all fields.
pub(crate) type Fields = Vec<Value>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) fields: Fields,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) class: Arc<Class>,
    pub(crate) rows: BTreeMap<Fields, Stored>,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) tables: Vec<Table>,
    /// The index of the last commit.
    pub(crate) index: u64,
}

/// Bounds are the first fields of a key, or all of them.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    Between(Bound<Fields>, Bound<Fields>),
    /// Text whose first field begins so.
    StartsWith(String),
}

/// The version of what a commit wrote that got no answer.
pub(crate) const UNANSWERED: u64 = u64::MAX;

impl State {
    pub(crate) fn empty(schema: &Schema) -> Self {
        let table = |class: &Arc<Class>| Table { class: Arc::clone(class), rows: BTreeMap::new() };
        Self { tables: schema.classes().iter().map(table).collect(), index: 0 }
    }

    /// All rows of all classes, with their versions.
    pub(crate) fn rows(&self) -> Vec<(Fields, u64)> {
        let stored = self.tables.iter().flat_map(|table| table.rows.values());
        stored.map(|stored| (stored.fields.clone(), stored.version)).collect()
    }

    /// Gives what got no answer its version.
    pub(crate) fn restamp(&mut self, version: u64) {
        let stored = self.tables.iter_mut().flat_map(|table| table.rows.values_mut());
        stored.filter(|stored| stored.version == UNANSWERED).for_each(|stored| stored.version = version);
    }

    pub(crate) fn version(&self, table: usize, key: &Fields) -> u64 {
        self.tables[table].rows.get(key).map_or(0, |stored| stored.version)
    }
}

impl Table {
    pub(crate) fn key_of(&self, fields: &Fields) -> Fields {
        self.class.primary.fields.iter().map(|number| fields[*number].clone()).collect()
    }

    pub(crate) fn encoded_key(&self, key: &Fields) -> Key {
        self.class.key_from_values(key).unwrap()
    }

    /// What the object stands under; none when it is not in the index.
    pub(crate) fn access_key(&self, access: Access, fields: &Fields) -> Option<Fields> {
        let Access::Index(number) = access else { return Some(self.key_of(fields)) };
        let key: Fields =
            self.class.indexes[number].fields.iter().map(|field| fields[*field].clone()).collect();
        (!key.contains(&Value::None)).then_some(key)
    }

    /// The objects in a range, by their keys in the index and then by their primary keys.
    pub(crate) fn scan(&self, access: Access, range: &Range, direction: Direction) -> Vec<(Fields, Stored)> {
        let mut found: Vec<(Fields, &Fields, &Stored)> = self
            .rows
            .iter()
            .filter_map(|(key, stored)| Some((self.access_key(access, &stored.fields)?, key, stored)))
            .filter(|(access_key, ..)| range.holds(access_key))
            .collect();
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        if direction == Direction::Backward {
            found.reverse();
        }
        found.into_iter().map(|(_, key, stored)| (key.clone(), stored.clone())).collect()
    }

    /// The object that holds a unique key.
    pub(crate) fn holder(&self, index: usize, access_key: &Fields) -> Option<&Fields> {
        let holds = |stored: &Stored| {
            self.access_key(Access::Index(index), &stored.fields).as_ref() == Some(access_key)
        };
        self.rows.iter().find(|(_, stored)| holds(stored)).map(|(key, _)| key)
    }

    /// The numbers of the unique indexes.
    pub(crate) fn unique(&self) -> impl Iterator<Item = usize> {
        let numbered = self.class.indexes.iter().enumerate();
        numbered.filter(|(_, index)| index.unique).map(|(number, _)| number)
    }

    pub(crate) fn is_hash(&self, access: Access) -> bool {
        let is_hash = |index: &Index| index.shape == IndexShape::Hash;
        matches!(access, Access::Index(number) if is_hash(&self.class.indexes[number]))
    }

    pub(crate) fn key_range(&self, access: Access, range: &Range) -> KeyRange {
        let encode = |fields: &Fields| match access {
            Access::Primary => self.class.key_from_values(fields).unwrap(),
            Access::Index(number) => self.class.index_key_from_values(number, fields).unwrap(),
        };
        match range {
            Range::Between(low, high) => {
                let (low, high) = (low.as_ref().map(encode), high.as_ref().map(encode));
                KeyRange::between(low.as_ref(), high.as_ref())
            }
            Range::StartsWith(text) => {
                let mut key = KeyBuilder::new();
                key.push_bytes_start(text.as_bytes());
                KeyRange::prefix(&key.finish())
            }
        }
    }
}

impl Range {
    fn holds(&self, key: &Fields) -> bool {
        let first = |bound: &Fields| key[..bound.len()].to_vec();
        match self {
            Self::Between(low, high) => {
                let above = match low {
                    Bound::Unbounded => true,
                    Bound::Included(low) => first(low) >= *low,
                    Bound::Excluded(low) => first(low) > *low,
                };
                let below = match high {
                    Bound::Unbounded => true,
                    Bound::Included(high) => first(high) <= *high,
                    Bound::Excluded(high) => first(high) < *high,
                };
                above && below
            }
            Self::StartsWith(text) => matches!(&key[0], Value::String(own) if own.starts_with(text.as_str())),
        }
    }
}
