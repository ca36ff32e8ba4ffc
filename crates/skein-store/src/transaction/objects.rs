//! The statements of a transaction on Rust types that derive [`Object`].

use super::Transaction;
use crate::error::StatementError;
use crate::key::Key;
use crate::object::Object;
use crate::range::{Direction, KeyRange};
use crate::row::ObjectKey;
use crate::scan::{Access, Scan};
use std::marker::PhantomData;
use std::sync::Arc;

impl Transaction {
    /// The object with this primary key.
    ///
    /// # Errors
    /// The class is not in the store's schema, or the stored row cannot be read as this type.
    pub fn get<T: Object>(&mut self, key: &T::Key<'_>) -> Result<Option<T>, StatementError> {
        let key = key.to_key();
        let Some(row) = self.get_row(T::class().id, &key)? else { return Ok(None) };
        T::from_row(&row).map(Some).map_err(|fault| unreadable::<T>(key, fault))
    }

    /// Adds an object that must not be there yet.
    ///
    /// # Errors
    /// An object with its primary key or a unique key is there: reported here when the transaction has a snapshot, else by
    /// the commit. Or the transaction is read-only.
    pub fn insert<T: Object>(&mut self, object: &T) -> Result<(), StatementError> {
        let position = self.writable(T::class().id)?;
        let class = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        self.insert_at(position, &class, object.primary_key(), object.to_row())
    }

    /// Gives the object the next number of its class and adds it.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn insert_numbered<T: Object>(&mut self, object: &mut T) -> Result<u64, StatementError> {
        let position = self.writable(T::class().id)?;
        let number = self.store.next_number(position);
        object.set_auto_id(number);
        self.insert(object)?;
        Ok(number)
    }

    /// Replaces an object that must be there; says whether it was.
    ///
    /// # Errors
    /// Another object has one of its unique keys, or the transaction is read-only.
    pub fn update<T: Object>(&mut self, object: &T) -> Result<bool, StatementError> {
        let position = self.writable(T::class().id)?;
        let class = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        self.update_at(position, &class, object.primary_key(), object.to_row())
    }

    /// Adds or replaces an object.
    ///
    /// # Errors
    /// As [`Transaction::update`].
    pub fn upsert<T: Object>(&mut self, object: &T) -> Result<(), StatementError> {
        let position = self.writable(T::class().id)?;
        let class = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        self.upsert_at(position, &class, object.primary_key(), object.to_row())
    }

    /// Deletes the object with this primary key; says whether it was there.
    ///
    /// # Errors
    /// The class is not in the store's schema or the transaction is read-only.
    pub fn delete<T: Object>(&mut self, key: &T::Key<'_>) -> Result<bool, StatementError> {
        self.delete_row(T::class().id, &key.to_key())
    }

    /// Walks objects in a range of the primary key or of an index.
    ///
    /// # Errors
    /// The class or the index is unknown.
    pub fn scan<T: Object>(
        &mut self,
        access: Access,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Objects<T>, StatementError> {
        let rows = self.scan_rows(T::class().id, access, range, direction)?;
        Ok(Objects { rows, of: PhantomData })
    }

    /// How many objects lie in a range of the primary key or of an index.
    ///
    /// # Errors
    /// The class or the index is unknown.
    pub fn count<T: Object>(&mut self, access: Access, range: &KeyRange) -> Result<u64, StatementError> {
        self.count_rows(T::class().id, access, range)
    }
}

/// A scan that decodes what it delivers.
#[derive(Debug)]
pub struct Objects<T> {
    rows: Scan,
    of: PhantomData<fn() -> T>,
}

impl<T: Object> Iterator for Objects<T> {
    type Item = Result<T, StatementError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.rows.next()?;
        Some(T::from_row(&entry.row).map_err(|fault| unreadable::<T>(entry.key, fault)))
    }
}

fn unreadable<T: Object>(key: Key, fault: crate::row::RowFault) -> StatementError {
    StatementError::Row { class: T::class().name.clone(), key, fault }
}
