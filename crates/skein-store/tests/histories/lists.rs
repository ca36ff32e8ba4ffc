//! Lists kept in a store in two ways: as one object each, and as one object for each element.
//!
//! The first makes every append a read and a write of one object; the second makes reads scans, so that what is
//! certified is a range, and appends inserts behind its end.

use skein_store::{Access, Direction, KeyRange, Object, ObjectKey, Schema, StatementError, Transaction};

#[derive(Object, Clone, Debug, PartialEq)]
#[class(code = 1)]
struct List {
    #[primary]
    key: u64,
    values: Vec<u64>,
}

#[derive(Object, Clone, Debug, PartialEq)]
#[class(code = 2, primary(list, position))]
pub(crate) struct Element {
    pub(crate) list: u64,
    pub(crate) position: u64,
    pub(crate) value: u64,
}

pub(crate) fn schema() -> Schema {
    Schema::builder("lists").object::<List>().object::<Element>().build().unwrap()
}

/// A way to keep lists.
pub(crate) trait Lists: Sync {
    fn read(&self, transaction: &mut Transaction, key: u64) -> Result<Vec<u64>, StatementError>;
    fn append(&self, transaction: &mut Transaction, key: u64, value: u64) -> Result<(), StatementError>;
}

/// Fit for snapshots: at read committed an append overwrites what was appended since its read, as it may.
pub(crate) struct ListPerRow;

impl Lists for ListPerRow {
    fn read(&self, transaction: &mut Transaction, key: u64) -> Result<Vec<u64>, StatementError> {
        Ok(transaction.get::<List>(&key)?.map_or(Vec::new(), |list| list.values))
    }

    fn append(&self, transaction: &mut Transaction, key: u64, value: u64) -> Result<(), StatementError> {
        let Some(mut list) = transaction.get::<List>(&key)? else {
            return transaction.insert(&List { key, values: vec![value] });
        };
        list.values.push(value);
        let was_there = transaction.update(&list)?;
        assert!(was_there, "list {key} was there and lists are never deleted");
        Ok(())
    }
}

/// Fit for every level: an insert of an element whose place was taken is refused.
pub(crate) struct ElementPerRow;

impl Lists for ElementPerRow {
    fn read(&self, transaction: &mut Transaction, key: u64) -> Result<Vec<u64>, StatementError> {
        let elements = transaction.scan::<Element>(
            Access::Primary,
            KeyRange::prefix(&key.to_key()),
            Direction::Forward,
        )?;
        elements.map(|element| element.map(|element| element.value)).collect()
    }

    fn append(&self, transaction: &mut Transaction, key: u64, value: u64) -> Result<(), StatementError> {
        let range = KeyRange::prefix(&key.to_key());
        let mut last = transaction.scan::<Element>(Access::Primary, range, Direction::Backward)?;
        let position = last.next().transpose()?.map_or(0, |last| last.position + 1);
        transaction.insert(&Element { list: key, position, value })
    }
}
