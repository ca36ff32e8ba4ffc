//! Batches of blind writes: puts and deletes that expect nothing, read nothing and never conflict.
//!
//! What is written most goes this way (messages, queues, retained): building a batch takes no lock and looks at no
//! state. A batch is carried out as a whole or not at all. Classes with a unique secondary index are refused, since
//! keeping it would need a look at the state.

use crate::commit::{Expect, Write};
use crate::engine::row_bytes;
use crate::key::Key;
use crate::object::Object;
use crate::row::{Row, RowFault};
use crate::schema::{ClassId, Schema};

/// Why a write cannot be put into a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchFault {
    /// The schema has no such class.
    #[error("the schema has no class with code {}: declare it before the store is opened", .0.0)]
    UnknownClass(ClassId),
    /// The row is not one of the class.
    #[error("the row of class {class} cannot be read")]
    Row {
        /// The class.
        class: String,
        /// What is wrong with the row.
        #[source]
        fault: RowFault,
    },
    /// The class has a unique index besides its primary key.
    #[error("class {class} has the unique index {index}: write it in a transaction, which can keep it")]
    UniqueIndex {
        /// The class.
        class: String,
        /// The index.
        index: String,
    },
}

/// Blind writes to be carried out together; see [`crate::Store::submit`].
#[derive(Debug)]
pub struct WriteBatch {
    schema: Schema,
    pub(crate) writes: Vec<Write>,
    bytes: u64,
}

impl WriteBatch {
    /// An empty batch for stores of this schema. [`crate::Store::batch`] gives the store's own.
    #[must_use]
    pub fn new(schema: Schema) -> WriteBatch {
        WriteBatch { schema, writes: Vec::new(), bytes: 0 }
    }

    /// Adds or replaces the object that the row encodes.
    ///
    /// # Errors
    /// The class is unknown or has a unique secondary index, or the row is not one of it.
    pub fn put(&mut self, class: ClassId, row: Row) -> Result<(), BatchFault> {
        self.put_row(class, row, false)
    }

    /// The same for an object that is not in the store, for example because its key was never used before. When a
    /// delete of it waits in the same group, neither is written at all.
    ///
    /// # Errors
    /// As [`WriteBatch::put`].
    pub fn put_fresh(&mut self, class: ClassId, row: Row) -> Result<(), BatchFault> {
        self.put_row(class, row, true)
    }

    /// Adds or replaces an object.
    ///
    /// # Errors
    /// As [`WriteBatch::put`].
    pub fn put_object<T: Object>(&mut self, object: &T) -> Result<(), BatchFault> {
        self.put_row(T::class().id, object.to_row(), false)
    }

    /// Deletes the object with this key, if there is one.
    ///
    /// # Errors
    /// The class is unknown or has a unique secondary index.
    pub fn delete(&mut self, class: ClassId, key: Key) -> Result<(), BatchFault> {
        let class = self.blind_class(class)?;
        self.push(class, key, None, false);
        Ok(())
    }

    /// The number of writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What its puts would weigh in memory if none replaced another object.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn put_row(&mut self, id: ClassId, row: Row, fresh: bool) -> Result<(), BatchFault> {
        let position = self.blind_class(id)?;
        let class = &self.schema.classes()[usize::from(position)];
        let key = class
            .key_of_row(row.as_slice())
            .map_err(|fault| BatchFault::Row { class: class.name.clone(), fault })?;
        self.push(position, key, Some(row), fresh);
        Ok(())
    }

    fn blind_class(&self, id: ClassId) -> Result<u16, BatchFault> {
        let position = self.schema.position(id).ok_or(BatchFault::UnknownClass(id))?;
        let class = &self.schema.classes()[position];
        if let Some(index) = class.indexes.iter().find(|index| index.unique) {
            return Err(BatchFault::UniqueIndex { class: class.name.clone(), index: index.name.clone() });
        }
        Ok(u16::try_from(position).expect("class codes are 16 bits, so there are no more classes"))
    }

    fn push(&mut self, class: u16, key: Key, row: Option<Row>, fresh: bool) {
        if let Some(row) = &row {
            self.bytes += row_bytes(&key, row);
        }
        self.writes.push(Write { class, key, row, expect: Expect::Any, fresh });
    }
}
