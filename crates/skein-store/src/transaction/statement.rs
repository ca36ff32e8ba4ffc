//! The statements of a transaction on rows: get, insert, update, upsert, delete, scan, count.
//!
//! Each looks at the transaction's own writes first and at its view after that, and says what the write relies on.

use super::overlay::Pending;
use super::{Isolation, Mode, Transaction, expectation};
use crate::commit::{Expect, RangeRead, Read};
use crate::engine::{Root, index_key};
use crate::error::StatementError;
use crate::key::Key;
use crate::range::{Direction, KeyRange};
use crate::row::Row;
use crate::scan::{Access, Covered, Merge, Scan};
use crate::schema::{Class, ClassId};
use crate::value::Value;
use std::sync::Arc;

impl Transaction {
    /// The row with this primary key.
    ///
    /// # Errors
    /// The class is unknown.
    pub fn get_row(&mut self, class: ClassId, key: &Key) -> Result<Option<Row>, StatementError> {
        let position = self.position(class)?;
        if let Some(pending) = self.overlay.get(position, key) {
            return Ok(pending.row.clone());
        }
        let view = self.view();
        self.note_read(&view, position, key);
        Ok(view.stored(usize::from(position), key).map(|stored| stored.row.clone()))
    }

    /// Adds an object that must not be there yet.
    ///
    /// # Errors
    /// An object with its primary key or a unique key is there: reported here when the transaction has a snapshot, else by
    /// the commit. Or the row is not one of the class, or the transaction is read-only.
    pub fn insert_row(&mut self, class: ClassId, row: Row) -> Result<Key, StatementError> {
        let (position, class, key) = self.checked(class, &row)?;
        self.insert_at(position, &class, key.clone(), row)?;
        Ok(key)
    }

    /// Adds an object made of these values, in the order of the class's fields. In a class that is numbered by the store
    /// a 0 in the key's place takes the next number.
    ///
    /// # Errors
    /// As [`Transaction::insert_row`], and the values do not fit the class.
    pub fn insert_values(&mut self, class: ClassId, values: &[Value]) -> Result<Key, StatementError> {
        let position = self.writable(class)?;
        let declared = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        let numbered = declared.auto_field().filter(|field| values.get(*field) == Some(&Value::U64(0)));
        let row = match numbered {
            None => declared.encode_row(values)?,
            Some(field) => {
                let mut values = values.to_vec();
                values[field] = Value::U64(self.store.next_number(position));
                declared.encode_row(&values)?
            }
        };
        self.insert_row(class, row)
    }

    /// Replaces an object that must be there; says whether it was.
    ///
    /// # Errors
    /// Another object has one of its unique keys, the row is not one of the class, or the transaction is read-only.
    pub fn update_row(&mut self, class: ClassId, row: Row) -> Result<bool, StatementError> {
        let (position, class, key) = self.checked(class, &row)?;
        self.update_at(position, &class, key, row)
    }

    /// Adds or replaces an object.
    ///
    /// # Errors
    /// As [`Transaction::update_row`].
    pub fn upsert_row(&mut self, class: ClassId, row: Row) -> Result<(), StatementError> {
        let (position, class, key) = self.checked(class, &row)?;
        self.upsert_at(position, &class, key, row)
    }

    /// Deletes an object; says whether it was there.
    ///
    /// # Errors
    /// The class is unknown or the transaction is read-only.
    pub fn delete_row(&mut self, class: ClassId, key: &Key) -> Result<bool, StatementError> {
        let position = self.writable(class)?;
        let class = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        let Some(expect) = self.present(position, key) else { return Ok(false) };
        self.overlay.put(position, &class, key.clone(), Pending { row: None, expect });
        Ok(true)
    }

    /// Walks a range of the primary key or of an index, with the transaction's own writes up to now in it. The scan is a
    /// cursor as well: it may be kept while the transaction writes on, and shows what was there when it was opened.
    ///
    /// # Errors
    /// The class or the index is unknown.
    pub fn scan_rows(
        &mut self,
        class: ClassId,
        access: Access,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Scan, StatementError> {
        let position = self.position(class)?;
        self.check_access(position, access)?;
        let view = self.view();
        let own = self.overlay.own(position, access, &range, direction);
        let records = self.records();
        let covered = records.then(|| Covered { ranges: Arc::clone(self.looked.ranges()), slot: None });
        let merge = Merge::new(view, usize::from(position), access, range, direction);
        Ok(Scan::merged(Some(merge.with_own(own, covered))))
    }

    /// How many objects lie in a range of the primary key or of an index.
    ///
    /// # Errors
    /// The class or the index is unknown.
    pub fn count_rows(
        &mut self,
        class: ClassId,
        access: Access,
        range: &KeyRange,
    ) -> Result<u64, StatementError> {
        let position = self.position(class)?;
        if self.overlay.is_empty() && !self.records() {
            self.check_access(position, access)?;
            let view = self.view();
            return Ok(view
                .class(usize::from(position))
                .map_or(0, |class| class.count(access.index(), range)));
        }
        Ok(self.scan_rows(class, access, range.clone(), Direction::Forward)?.count() as u64)
    }

    pub(super) fn insert_at(
        &mut self,
        position: u16,
        class: &Arc<Class>,
        key: Key,
        row: Row,
    ) -> Result<(), StatementError> {
        let expect = match self.overlay.get(position, &key) {
            Some(Pending { row: Some(_), .. }) => return Err(duplicate(class, None)),
            Some(Pending { row: None, expect }) => *expect,
            None => {
                let view = self.view_at_hand();
                if let Some(view) = view.filter(|view| view.stored(usize::from(position), &key).is_some()) {
                    self.note_read(&view, position, &key);
                    return Err(duplicate(class, None));
                }
                Expect::Absent
            }
        };
        self.write(position, class, key, row, expect)
    }

    pub(super) fn update_at(
        &mut self,
        position: u16,
        class: &Arc<Class>,
        key: Key,
        row: Row,
    ) -> Result<bool, StatementError> {
        let Some(expect) = self.present(position, &key) else { return Ok(false) };
        self.write(position, class, key, row, expect)?;
        Ok(true)
    }

    pub(super) fn upsert_at(
        &mut self,
        position: u16,
        class: &Arc<Class>,
        key: Key,
        row: Row,
    ) -> Result<(), StatementError> {
        let expect = match (self.overlay.get(position, &key), &self.view) {
            (Some(pending), _) => pending.expect,
            (None, Some(view)) => expectation(view, position, &key),
            (None, None) => Expect::Any,
        };
        self.write(position, class, key, row, expect)
    }

    /// Checks what can be checked of unique keys and keeps the row.
    fn write(
        &mut self,
        position: u16,
        class: &Arc<Class>,
        key: Key,
        row: Row,
        expect: Expect,
    ) -> Result<(), StatementError> {
        if class.indexes.iter().any(|index| index.unique) {
            let checked = self.check_unique(position, class, &key, &row);
            if checked.is_err() {
                self.note_write(position, &key, Some(&row));
            }
            checked?;
        }
        self.overlay.put(position, class, key, Pending { row: Some(row), expect });
        Ok(())
    }

    fn check_unique(
        &mut self,
        position: u16,
        class: &Arc<Class>,
        key: &Key,
        row: &Row,
    ) -> Result<(), StatementError> {
        let view = self.view_at_hand();
        for (number, index) in class.indexes.iter().enumerate() {
            if !index.unique {
                continue;
            }
            let Some(wanted) = index_key(class, number, row) else { continue };
            let own = self.overlay.holder(position, number, &wanted);
            let theirs = view.as_ref().and_then(|view| {
                let holder = view.class(usize::from(position))?.indexes.get(number)?.holder(&wanted)?;
                // An object this transaction has written holds what its own row says.
                self.overlay.get(position, holder).is_none().then(|| holder.clone())
            });
            if own.or(theirs.as_ref()).is_some_and(|holder| holder != key) {
                return Err(duplicate(class, Some(number)));
            }
        }
        Ok(())
    }

    /// What a write of an object that is there relies on; none when it is not there.
    fn present(&mut self, position: u16, key: &Key) -> Option<Expect> {
        if let Some(pending) = self.overlay.get(position, key) {
            return pending.row.as_ref().map(|_| pending.expect);
        }
        let view = self.view();
        match expectation(&view, position, key) {
            Expect::Absent => {
                self.note_read(&view, position, key);
                None
            }
            expect => Some(expect),
        }
    }

    /// The view, unless taking one only to report a duplicate early would be its sole use.
    fn view_at_hand(&mut self) -> Option<Arc<Root>> {
        if self.isolation == Isolation::ReadCommitted { Some(self.view()) } else { self.view.clone() }
    }

    fn note_read(&mut self, view: &Root, position: u16, key: &Key) {
        if self.records() {
            let expect = expectation(view, position, key);
            self.looked.reads.push(Read { class: position, key: key.clone(), expect });
        }
    }

    /// A write that is refused, or undone, has told whether its object and its unique keys are there. Nothing but this
    /// note keeps that from changing, as the write itself would have done.
    pub(super) fn note_write(&mut self, position: u16, key: &Key, row: Option<&Row>) {
        let Some(view) = self.view.clone().filter(|_| self.records()) else { return };
        self.note_read(&view, position, key);
        let (Some(class), Some(row)) = (view.class(usize::from(position)), row) else { return };
        for (number, _) in class.class.indexes.iter().enumerate().filter(|(_, index)| index.unique) {
            let Some(wanted) = index_key(&class.class, number, row) else { continue };
            let range = KeyRange::prefix(&wanted);
            let count = class.count(Some(number), &range);
            let index = u16::try_from(number).expect("a class has fewer than 65536 indexes");
            self.looked.ranges().lock().push(RangeRead { class: position, index: Some(index), range, count });
        }
    }

    pub(super) fn position(&self, class: ClassId) -> Result<u16, StatementError> {
        self.store.position(class).ok_or(StatementError::UnknownClass(class))
    }

    pub(super) fn writable(&self, class: ClassId) -> Result<u16, StatementError> {
        if self.mode == Mode::ReadOnly {
            return Err(StatementError::ReadOnly);
        }
        self.position(class)
    }

    /// A row from outside is read in whole before anything relies on it.
    fn checked(&self, class: ClassId, row: &Row) -> Result<(u16, Arc<Class>, Key), StatementError> {
        let position = self.writable(class)?;
        let class = Arc::clone(&self.store.schema().classes()[usize::from(position)]);
        let key = class.check_row(row.as_slice()).and_then(|()| class.key_of_row(row.as_slice()));
        match key {
            Ok(key) => Ok((position, class, key)),
            Err(fault) => Err(StatementError::Row { class: class.name.clone(), key: Key::EMPTY, fault }),
        }
    }

    fn check_access(&self, position: u16, access: Access) -> Result<(), StatementError> {
        let class = &self.store.schema().classes()[usize::from(position)];
        match access {
            Access::Index(index) if index >= class.indexes.len() => {
                Err(StatementError::UnknownIndex { class: class.name.clone(), index })
            }
            Access::Index(_) | Access::Primary => Ok(()),
        }
    }
}

fn duplicate(class: &Class, index: Option<usize>) -> StatementError {
    let index = match index {
        None => class.primary.name.clone(),
        Some(number) => class.indexes[number].name.clone(),
    };
    StatementError::DuplicateKey { class: class.name.clone(), index }
}
