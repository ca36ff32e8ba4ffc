//! What the model expects of one transaction: its statements' answers and its commit's outcome.

use std::collections::BTreeMap;
use std::ops::Bound;

use skein_store::{Access, Direction, Expect, Isolation, Mode, Outcome, PRIMARY_NAME};

use super::operations::Scan;
use super::reference::{Fields, Range, State, Stored, UNANSWERED};

/// A write kept aside: the fields, or none for a delete.
#[derive(Clone, Debug)]
struct Pending {
    fields: Option<Fields>,
    expect: Expect,
}

type Overlay = BTreeMap<(usize, Fields), Pending>;

/// Something a serializable transaction has seen.
#[derive(Clone, Debug)]
enum Look {
    /// Version 0: the object was not there.
    Object(usize, Fields, u64),
    Range(usize, Access, Range, Vec<(Fields, u64)>),
}

/// A unique key that is taken: the name of its index.
pub(crate) type Duplicate = String;

#[derive(Clone, Debug)]
pub(crate) struct Expected {
    mode: Mode,
    isolation: Isolation,
    /// The state it sees, once it has looked; none at read committed.
    base: Option<State>,
    /// The newest state that it has looked at.
    seen: Option<u64>,
    overlay: Overlay,
    savepoints: Vec<Overlay>,
    /// When any of this has changed, the commit is refused.
    relied_on: Vec<Look>,
    /// When any of this has changed, it may be: a scan is free to look further than what was taken of it.
    perhaps: Vec<Look>,
}

impl Expected {
    pub(crate) fn begin(mode: Mode, isolation: Isolation, current: &State) -> Self {
        let mut expected = Self {
            mode,
            isolation,
            base: None,
            seen: None,
            overlay: Overlay::new(),
            savepoints: Vec::new(),
            relied_on: Vec::new(),
            perhaps: Vec::new(),
        };
        if mode == Mode::ReadOnly {
            expected.view(current);
        }
        expected
    }

    pub(crate) fn may_write(&self) -> bool {
        self.mode != Mode::ReadOnly
    }

    pub(crate) fn get(&mut self, current: &State, table: usize, key: &Fields) -> Option<Fields> {
        if let Some(pending) = self.overlay.get(&(table, key.clone())) {
            return pending.fields.clone();
        }
        let view = self.view(current);
        self.relied_on.push(Look::Object(table, key.clone(), view.version(table, key)));
        view.tables[table].rows.get(key).map(|stored| stored.fields.clone())
    }

    pub(crate) fn insert(&mut self, current: &State, table: usize, fields: &Fields) -> Result<(), Duplicate> {
        let key = current.tables[table].key_of(fields);
        let expect = match self.overlay.get(&(table, key.clone())) {
            Some(Pending { fields: Some(_), .. }) => return Err(PRIMARY_NAME.to_owned()),
            Some(Pending { fields: None, expect }) => *expect,
            None => {
                let version = self.view_at_hand(current).map_or(0, |view| view.version(table, &key));
                if version > 0 {
                    self.relied_on.push(Look::Object(table, key, version));
                    return Err(PRIMARY_NAME.to_owned());
                }
                Expect::Absent
            }
        };
        self.write(current, table, key, fields, expect)
    }

    pub(crate) fn update(
        &mut self,
        current: &State,
        table: usize,
        fields: &Fields,
    ) -> Result<bool, Duplicate> {
        let key = current.tables[table].key_of(fields);
        let Some(expect) = self.present(current, table, &key) else { return Ok(false) };
        self.write(current, table, key, fields, expect).map(|()| true)
    }

    pub(crate) fn upsert(&mut self, current: &State, table: usize, fields: &Fields) -> Result<(), Duplicate> {
        let key = current.tables[table].key_of(fields);
        let expect = match (self.overlay.get(&(table, key.clone())), &self.base) {
            (Some(pending), _) => pending.expect,
            (None, Some(base)) => expect_of(base, table, &key),
            (None, None) => Expect::Any,
        };
        self.write(current, table, key, fields, expect)
    }

    pub(crate) fn delete(&mut self, current: &State, table: usize, key: &Fields) -> bool {
        let Some(expect) = self.present(current, table, key) else { return false };
        self.overlay.insert((table, key.clone()), Pending { fields: None, expect });
        true
    }

    /// What a scan gives when all of it is taken, and a note of what was taken.
    pub(crate) fn scan(&mut self, current: &State, scan: &Scan, taken: usize) -> Vec<(Fields, Stored)> {
        let Scan { table, access, range, direction, .. } = scan;
        let view = self.view(current);
        let all = self.merged(&view).tables[*table].scan(*access, range, *direction);
        let stored = view.tables[*table].scan(*access, range, Direction::Forward);
        let versions = stored.into_iter().map(|(key, stored)| (key, stored.version)).collect();
        let whole = Look::Range(*table, *access, range.clone(), versions);
        if taken > all.len() {
            self.relied_on.push(whole);
            return all;
        }
        self.perhaps.push(whole);
        for (key, _) in all.iter().take(taken) {
            if !self.overlay.contains_key(&(*table, key.clone())) {
                self.relied_on.push(Look::Object(*table, key.clone(), view.version(*table, key)));
            }
        }
        all
    }

    pub(crate) fn savepoint(&mut self) {
        self.savepoints.push(self.overlay.clone());
    }

    /// To the savepoint of this number, which stays.
    pub(crate) fn rollback_to(&mut self, number: usize) {
        self.savepoints.truncate(number + 1);
        let undone = std::mem::replace(&mut self.overlay, self.savepoints[number].clone());
        // What the undone writes told of the state stays known.
        let Some(base) = &self.base else { return };
        for ((table, key), pending) in undone.into_iter().filter(|(key, _)| !self.overlay.contains_key(key)) {
            self.relied_on.push(Look::Object(table, key.clone(), base.version(table, &key)));
            let fields = pending.fields.iter();
            self.relied_on.extend(fields.flat_map(|fields| unique_looks(base, table, fields)));
        }
    }

    /// Panics when the commit may not have had this outcome; carries it out on the model's state otherwise.
    #[track_caller]
    pub(crate) fn judge(self, current: &mut State, outcome: &Outcome) {
        if self.overlay.is_empty() {
            assert!(matches!(outcome, Outcome::Committed { .. }), "it wrote nothing: {outcome:?}");
            return;
        }
        let certifies = self.isolation == Isolation::Serializable;
        let changed = |looks: &[Look]| certifies && looks.iter().any(|look| look.is_changed(current));
        let failing = self.failing(current);
        let duplicates = self.duplicates(current);
        let must_conflict = changed(&self.relied_on) || !failing.is_empty();
        match outcome {
            Outcome::Committed { index } => {
                assert!(
                    !must_conflict,
                    "it was committed and relied on what has changed: {self:?} on {current:?}"
                );
                assert!(
                    duplicates.is_empty(),
                    "it was committed and {duplicates:?} are taken: {self:?} on {current:?}"
                );
                assert!(*index > current.index, "{index} came after {}", current.index);
                self.carry_out(current, *index);
            }
            Outcome::Conflict { .. } => {
                assert!(
                    must_conflict || changed(&self.perhaps),
                    "nothing has changed: {self:?} on {current:?}"
                );
            }
            Outcome::DuplicateKey { index, .. } if index == PRIMARY_NAME => {
                assert!(
                    failing.contains(&Expect::Absent),
                    "no insert found its key taken: {self:?} on {current:?}"
                );
            }
            Outcome::DuplicateKey { index, .. } => {
                assert!(!must_conflict && duplicates.contains(index), "{outcome:?}: {self:?} on {current:?}");
            }
            Outcome::NoQuorum | Outcome::Indeterminate { .. } => panic!("on one node: {outcome:?}"),
        }
    }

    /// The state if the commit is carried out; none when it must be refused.
    pub(crate) fn carried_out(self, current: &State) -> Option<State> {
        let relied_on = self.isolation == Isolation::Serializable
            && self.relied_on.iter().any(|look| look.is_changed(current));
        if relied_on || !self.failing(current).is_empty() || !self.duplicates(current).is_empty() {
            return None;
        }
        let mut state = current.clone();
        self.carry_out(&mut state, UNANSWERED);
        Some(state)
    }

    /// What the writes expect that do not find it.
    fn failing(&self, current: &State) -> Vec<Expect> {
        let fails = |((table, key), pending): (&(usize, Fields), &Pending)| {
            (!holds(pending.expect, current.version(*table, key))).then_some(pending.expect)
        };
        self.overlay.iter().filter_map(fails).collect()
    }

    fn carry_out(self, current: &mut State, index: u64) {
        for ((table, key), pending) in self.overlay {
            let rows = &mut current.tables[table].rows;
            match pending.fields {
                Some(fields) => rows.insert(key, Stored { version: index, fields }),
                None => rows.remove(&key),
            };
        }
        current.index = index;
    }

    /// The unique indexes in which the commit takes a key that another object holds and keeps.
    fn duplicates(&self, current: &State) -> Vec<Duplicate> {
        let mut found = Vec::new();
        let after = self.merged(current);
        for ((table, key), pending) in &self.overlay {
            let Some(fields) = &pending.fields else { continue };
            let table = &after.tables[*table];
            for index in table.unique() {
                let Some(wanted) = table.access_key(Access::Index(index), fields) else { continue };
                let holds = |stored: &Stored| {
                    table.access_key(Access::Index(index), &stored.fields).as_ref() == Some(&wanted)
                };
                if table.rows.iter().any(|(other, stored)| other != key && holds(stored)) {
                    found.push(table.class.indexes[index].name.clone());
                }
            }
        }
        found
    }

    fn write(
        &mut self,
        current: &State,
        table: usize,
        key: Fields,
        fields: &Fields,
        expect: Expect,
    ) -> Result<(), Duplicate> {
        if let Some((index, holder)) = self.unique_holder(current, table, &key, fields) {
            let name = current.tables[table].class.indexes[index].name.clone();
            if let Some(base) = &self.base {
                // An object of its own that holds the key is what it is because of what it relies on itself.
                if !self.overlay.contains_key(&(table, holder.clone())) {
                    self.relied_on.push(Look::Object(table, holder.clone(), base.version(table, &holder)));
                }
                self.relied_on.push(Look::Object(table, key.clone(), base.version(table, &key)));
                self.perhaps.extend(unique_looks(base, table, fields));
            }
            return Err(name);
        }
        self.overlay.insert((table, key), Pending { fields: Some(fields.clone()), expect });
        Ok(())
    }

    /// Another object that the transaction sees to hold one of the row's unique keys.
    fn unique_holder(
        &mut self,
        current: &State,
        number: usize,
        key: &Fields,
        fields: &Fields,
    ) -> Option<(usize, Fields)> {
        let view = self.view_at_hand(current);
        let own = self.merged_own(current);
        let table = &own.tables[number];
        table.unique().find_map(|index| {
            let wanted = table.access_key(Access::Index(index), fields)?;
            let theirs = || {
                let holder = view.as_ref()?.tables[number].holder(index, &wanted)?;
                (!self.overlay.contains_key(&(number, holder.clone()))).then(|| holder.clone())
            };
            let holder = table.holder(index, &wanted).cloned().or_else(theirs)?;
            (holder != *key).then_some((index, holder))
        })
    }

    /// What a write of an object that is there relies on; none when it is not there.
    fn present(&mut self, current: &State, table: usize, key: &Fields) -> Option<Expect> {
        if let Some(pending) = self.overlay.get(&(table, key.clone())) {
            return pending.fields.as_ref().map(|_| pending.expect);
        }
        let view = self.view(current);
        match expect_of(&view, table, key) {
            Expect::Absent => {
                self.relied_on.push(Look::Object(table, key.clone(), 0));
                None
            }
            expect => Some(expect),
        }
    }

    /// The state that a statement sees, its own writes apart.
    fn view(&mut self, current: &State) -> State {
        if self.isolation == Isolation::ReadCommitted {
            self.seen = Some(current.index);
            return current.clone();
        }
        if let Some(base) = &self.base {
            return base.clone();
        }
        self.base = Some(current.clone());
        self.seen = Some(current.index);
        // Blind writes from before rely on the state from now on.
        for overlay in self.savepoints.iter_mut().chain([&mut self.overlay]) {
            for ((table, key), pending) in overlay {
                if pending.expect == Expect::Any {
                    pending.expect = expect_of(current, *table, key);
                }
            }
        }
        current.clone()
    }

    fn view_at_hand(&mut self, current: &State) -> Option<State> {
        if self.isolation == Isolation::ReadCommitted { Some(self.view(current)) } else { self.base.clone() }
    }

    fn merged(&self, view: &State) -> State {
        let mut state = view.clone();
        for ((table, key), pending) in &self.overlay {
            let rows = &mut state.tables[*table].rows;
            match &pending.fields {
                Some(fields) => rows.insert(key.clone(), Stored { version: 0, fields: fields.clone() }),
                None => rows.remove(key),
            };
        }
        state
    }

    /// The own objects alone.
    fn merged_own(&self, current: &State) -> State {
        let mut nothing = current.clone();
        nothing.tables.iter_mut().for_each(|table| table.rows.clear());
        self.merged(&nothing)
    }
}

impl Look {
    fn is_changed(&self, current: &State) -> bool {
        match self {
            Self::Object(table, key, version) => current.version(*table, key) != *version,
            Self::Range(table, access, range, seen) => {
                let now = current.tables[*table].scan(*access, range, Direction::Forward);
                let now: Vec<(Fields, u64)> =
                    now.into_iter().map(|(key, stored)| (key, stored.version)).collect();
                now != *seen
            }
        }
    }
}

/// Who holds each of the row's unique keys, if anybody.
fn unique_looks(base: &State, number: usize, fields: &Fields) -> Vec<Look> {
    let table = &base.tables[number];
    let look = |index: usize| {
        let access = Access::Index(index);
        let key = table.access_key(access, fields)?;
        let range = Range::Between(Bound::Included(key.clone()), Bound::Included(key));
        let holders = table.scan(access, &range, Direction::Forward);
        let holders = holders.into_iter().map(|(key, stored)| (key, stored.version)).collect();
        Some(Look::Range(number, access, range, holders))
    };
    table.unique().filter_map(look).collect()
}

fn expect_of(state: &State, table: usize, key: &Fields) -> Expect {
    match state.version(table, key) {
        0 => Expect::Absent,
        version => Expect::Version(version),
    }
}

fn holds(expect: Expect, version: u64) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => version == 0,
        Expect::Version(expected) => version == expected,
    }
}
