//! What a transaction has written and not yet committed: rows by primary key, and where they stand in the indexes.
//!
//! It knows nothing of snapshots; `transaction.rs` looks here first and then there. With savepoints it remembers
//! what each write replaced.

use crate::commit::{Expect, Write};
use crate::engine::{index_key, joined};
use crate::key::Key;
use crate::range::{Direction, KeyRange};
use crate::row::Row;
use crate::scan::{Access, Entry, Own};
use crate::schema::Class;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row written, or none for a delete, and what the write relies on.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) row: Option<Row>,
    pub(crate) expect: Expect,
}

#[derive(Debug)]
struct ClassOverlay {
    position: u16,
    class: Arc<Class>,
    rows: BTreeMap<Key, Pending>,
    /// Per index: the key the object stands under, to its primary key.
    indexes: Vec<BTreeMap<Key, Key>>,
}

/// The first write of a transaction. Most have no other, and are spared the maps.
#[derive(Debug)]
struct First {
    position: u16,
    class: Arc<Class>,
    key: Key,
    pending: Pending,
}

#[derive(Debug)]
struct Undo {
    position: u16,
    key: Key,
    before: Option<Pending>,
}

/// The writes of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Only while there is nothing else.
    first: Option<First>,
    classes: Vec<ClassOverlay>,
    undo: Vec<Undo>,
    keeps_undo: bool,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.classes.iter().all(|class| class.rows.is_empty())
    }

    pub(crate) fn get(&self, position: u16, key: &Key) -> Option<&Pending> {
        if let Some(first) = &self.first {
            return (first.position == position && first.key == *key).then_some(&first.pending);
        }
        self.class(position)?.rows.get(key)
    }

    /// The primary key of the own object that holds `index_key` in a unique index.
    pub(crate) fn holder(&self, position: u16, index: usize, index_key: &Key) -> Option<&Key> {
        self.class(position)?.indexes.get(index)?.get(index_key)
    }

    pub(crate) fn put(&mut self, position: u16, class: &Arc<Class>, key: Key, pending: Pending) {
        // An object in indexes is looked for in them too.
        if self.is_untouched() && class.indexes.is_empty() {
            self.first = Some(First { position, class: Arc::clone(class), key, pending });
            return;
        }
        self.spread();
        let before = self.class_mut(position, class).set(&key, Some(pending));
        if self.keeps_undo {
            self.undo.push(Undo { position, key, before });
        }
    }

    /// From now on every write can be undone; returns the mark to go back to.
    pub(crate) fn mark(&mut self) -> usize {
        self.spread();
        self.keeps_undo = true;
        self.undo.len()
    }

    fn is_untouched(&self) -> bool {
        self.first.is_none() && self.classes.is_empty() && !self.keeps_undo
    }

    /// Moves the first write to the maps.
    fn spread(&mut self) {
        if let Some(First { position, class, key, pending }) = self.first.take() {
            self.class_mut(position, &class).set(&key, Some(pending));
        }
    }

    /// How many writes can be undone.
    pub(crate) fn undoable(&self) -> usize {
        self.undo.len()
    }

    /// Undoes what was written after the mark, and gives what was written: where, and the row unless it was a delete.
    pub(crate) fn rollback_to(&mut self, mark: usize) -> Vec<(u16, Key, Option<Row>)> {
        let mut undone = Vec::with_capacity(self.undo.len().saturating_sub(mark));
        while self.undo.len() > mark {
            let Some(Undo { position, key, before }) = self.undo.pop() else { break };
            let Some(class) = self.classes.iter_mut().find(|class| class.position == position) else {
                continue;
            };
            let written = class.rows.get(&key).and_then(|pending| pending.row.clone());
            class.set(&key, before);
            undone.push((position, key, written));
        }
        undone
    }

    /// Gives the blind writes something to rely on, once there is a snapshot to take it from.
    pub(crate) fn resolve(&mut self, version: impl Fn(u16, &Key) -> Expect) {
        if let Some(first) = &mut self.first
            && first.pending.expect == Expect::Any
        {
            first.pending.expect = version(first.position, &first.key);
        }
        for class in &mut self.classes {
            let position = class.position;
            for (key, pending) in &mut class.rows {
                if pending.expect == Expect::Any {
                    pending.expect = version(position, key);
                }
            }
        }
        for undo in &mut self.undo {
            if let Some(before) = &mut undo.before
                && before.expect == Expect::Any
            {
                before.expect = version(undo.position, &undo.key);
            }
        }
    }

    /// What a scan of this class must show instead of the snapshot's rows.
    pub(crate) fn own(
        &mut self,
        position: u16,
        access: Access,
        range: &KeyRange,
        direction: Direction,
    ) -> Own {
        self.spread();
        let Some(class) = self.class(position) else { return Own::default() };
        let mut own = Own::default();
        if range.is_empty() {
            return own;
        }
        let row = |key: &Key| class.rows.get(key).and_then(|pending| pending.row.clone());
        let mut add = |entry: &Key, key: &Key| {
            if let Some(row) = row(key) {
                own.entries.push_back((entry.clone(), Entry { key: key.clone(), row }));
            }
        };
        match access {
            Access::Primary => {
                class.rows.range::<Key, _>(range.bounds()).for_each(|(key, _)| add(key, key));
                own.hidden = class.rows.range::<Key, _>(range.bounds()).map(|(key, _)| key.clone()).collect();
            }
            Access::Index(number) => {
                let entries = class.indexes.get(number).into_iter();
                let entries = entries.flat_map(|entries| entries.range::<Key, _>(range.bounds()));
                entries.for_each(|(entry, key)| add(entry, key));
                // Where the snapshot has them in this index is not known here.
                own.hidden = class.rows.keys().cloned().collect();
            }
        }
        if direction == Direction::Backward {
            own.entries.make_contiguous().reverse();
        }
        own
    }

    /// The writes, for the commit.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        if let Some(First { position, key, pending: Pending { row, expect }, .. }) = self.first {
            return vec![Write { class: position, key, row, expect, fresh: false }];
        }
        let mut writes = Vec::with_capacity(self.classes.iter().map(|class| class.rows.len()).sum());
        for class in self.classes {
            let position = class.position;
            writes.extend(class.rows.into_iter().map(|(key, pending)| Write {
                class: position,
                key,
                row: pending.row,
                expect: pending.expect,
                fresh: false,
            }));
        }
        writes
    }

    fn class(&self, position: u16) -> Option<&ClassOverlay> {
        self.classes.iter().find(|class| class.position == position)
    }

    fn class_mut(&mut self, position: u16, class: &Arc<Class>) -> &mut ClassOverlay {
        let found = self.classes.iter().position(|class| class.position == position);
        let at = found.unwrap_or(self.classes.len());
        if found.is_none() {
            let indexes = vec![BTreeMap::new(); class.indexes.len()];
            let class = Arc::clone(class);
            self.classes.push(ClassOverlay { position, class, rows: BTreeMap::new(), indexes });
        }
        &mut self.classes[at]
    }
}

impl ClassOverlay {
    /// Sets or takes away what is written under a key, and returns what was.
    fn set(&mut self, key: &Key, pending: Option<Pending>) -> Option<Pending> {
        let row = pending.as_ref().and_then(|pending| pending.row.clone());
        let before = match pending {
            Some(pending) => self.rows.insert(key.clone(), pending),
            None => self.rows.remove(key),
        };
        if self.indexes.is_empty() {
            return before;
        }
        if let Some(old) = before.as_ref().and_then(|before| before.row.as_ref()) {
            self.each_entry(key, old, |entries, entry, key| {
                if entries.get(&entry) == Some(key) {
                    entries.remove(&entry);
                }
            });
        }
        if let Some(row) = row {
            self.each_entry(key, &row, |entries, entry, key| {
                entries.insert(entry, key.clone());
            });
        }
        before
    }

    fn each_entry(&mut self, key: &Key, row: &Row, act: impl Fn(&mut BTreeMap<Key, Key>, Key, &Key)) {
        for (number, (index, entries)) in self.class.indexes.iter().zip(&mut self.indexes).enumerate() {
            let Some(index_key) = index_key(&self.class, number, row) else { continue };
            let entry = if index.unique { index_key } else { joined(&index_key, key) };
            act(entries, entry, key);
        }
    }
}
