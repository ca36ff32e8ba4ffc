//! Snapshots: the state after some commit, to be read at leisure.
//!
//! A snapshot never changes, takes no lock and holds nobody up; while it is held, writers copy the paths they change.
//! It sees every commit that was answered before it was taken. Called by whoever reads the store without a transaction,
//! and by transactions for their own view.

use crate::engine::{ClassState, Root, Stored};
use crate::key::Key;
use crate::object::Object;
use crate::range::{Direction, KeyRange};
use crate::row::{ObjectKey, Row, RowFault};
use crate::scan::{Access, Scan};
use crate::schema::{ClassId, Schema};
use std::sync::Arc;

/// A frozen state of the store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) root: Arc<Root>,
}

impl Snapshot {
    /// The index of the last commit it has seen.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.root.index()
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.root.schema()
    }

    /// The state itself, for [`crate::certify`] and for comparing.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The row with this primary key.
    #[must_use]
    pub fn get(&self, class: ClassId, key: &Key) -> Option<Row> {
        self.class(class)?.rows.get(key).map(|stored| stored.row.clone())
    }

    /// The row with this primary key and its version, the index of the commit that wrote it.
    #[must_use]
    pub fn get_versioned(&self, class: ClassId, key: &Key) -> Option<(Row, u64)> {
        self.class(class)?.rows.get(key).map(|stored| (stored.row.clone(), stored.version))
    }

    /// The object with this primary key.
    ///
    /// # Errors
    /// The stored row cannot be read as this type.
    pub fn find<T: Object>(&self, key: &T::Key<'_>) -> Result<Option<T>, RowFault> {
        let Some(class) = self.class(T::class().id) else { return Ok(None) };
        class.rows.get(&key.to_key()).map(|stored| T::from_row(&stored.row)).transpose()
    }

    /// The number of objects of a class.
    #[must_use]
    pub fn len(&self, class: ClassId) -> usize {
        self.class(class).map_or(0, |class| class.rows.len())
    }

    /// Whether a class has no objects.
    #[must_use]
    pub fn is_empty(&self, class: ClassId) -> bool {
        self.len(class) == 0
    }

    /// All rows of a class in the order of their primary keys, from both ends.
    pub fn rows(&self, class: ClassId) -> impl DoubleEndedIterator<Item = (&Key, &Row)> {
        self.class(class).into_iter().flat_map(|class| class.rows.iter()).map(key_and_row)
    }

    /// The rows of a class whose primary keys lie in a range, from both ends.
    pub fn rows_in<'a>(
        &'a self,
        class: ClassId,
        range: &KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a Row)> + use<'a> {
        let class = self.class(class).filter(|_| !range.is_empty());
        class.map(|class| class.rows.range::<_, Key>(range.bounds())).into_iter().flatten().map(key_and_row)
    }

    /// A scan over the primary key or an index; it holds the snapshot by itself.
    #[must_use]
    pub fn scan(&self, class: ClassId, access: Access, range: KeyRange, direction: Direction) -> Scan {
        Scan::over(Arc::clone(&self.root), class, access, range, direction)
    }

    /// How many objects lie in a range of the primary key or an index.
    #[must_use]
    pub fn count(&self, class: ClassId, access: Access, range: &KeyRange) -> u64 {
        self.class(class).map_or(0, |class| class.count(access.index(), range))
    }

    fn class(&self, id: ClassId) -> Option<&ClassState> {
        self.root.class_of(id)
    }
}

fn key_and_row<'a>((key, stored): (&'a Key, &'a Stored)) -> (&'a Key, &'a Row) {
    (key, &stored.row)
}
