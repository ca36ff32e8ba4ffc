//! Carries random operations out on a store and on the model, and compares what both say.

use std::collections::VecDeque;

use skein_store::{
    Access, CommitError, Direction, Isolation, KeyRange, Mode, Options, Row, Savepoint, Scan, Snapshot,
    StatementError, Store, SubmitError, Transaction, Value,
};

use super::classes::ENTRY;
use super::expected::{Duplicate, Expected};
use super::follow::Follower;
use super::operations::{BatchWrite, Operation, SLOTS, Scan as Wanted, Statement};
use super::reference::{Fields, Range, State, Stored, Table, UNANSWERED};

pub(crate) struct Run {
    store: Store,
    follower: Follower,
    state: State,
    slots: [Option<Running>; SLOTS],
    /// Snapshots that were taken, and the states they must still show.
    snapshots: Vec<(Snapshot, State)>,
    /// How the store is opened again, where it can be.
    open: Option<Open>,
    fresh: i32,
    pub(crate) power_may_fail: bool,
    /// The states after each commit, where a loss of power may bring an earlier one back.
    past: Option<Vec<State>>,
    /// Set once the store has stopped; the state may then be this one as well, when a commit got no answer.
    stopped: Option<Option<State>>,
}

/// Opens a store on files that were closed.
pub(crate) type Open = Box<dyn Fn() -> Store>;

/// A transaction beside its model.
struct Running {
    transaction: Transaction,
    expected: Expected,
    savepoints: Vec<Savepoint>,
    cursors: Vec<Cursor>,
}

/// A scan that is kept open, what it must still show, and how it was asked for.
type Cursor = (Scan, VecDeque<(Fields, Stored)>, Wanted);

impl Run {
    pub(crate) fn in_memory(store: Store) -> Self {
        let mut state = State::empty(store.schema());
        state.index = store.applied_index();
        let slots = std::array::from_fn(|_| None);
        let follower = Follower::of(&store);
        Self {
            store,
            follower,
            state,
            slots,
            snapshots: Vec::new(),
            open: None,
            fresh: 0,
            power_may_fail: false,
            past: None,
            stopped: None,
        }
    }

    /// On files: what `open` opens is closed and opened again now and then.
    pub(crate) fn on_files(open: Open) -> Self {
        let run = Self::in_memory(open());
        Self { open: Some(open), ..run }
    }

    pub(crate) fn step(&mut self, operation: &Operation) {
        if self.stopped.is_some() {
            return;
        }
        match operation {
            Operation::Begin(slot, mode, isolation) => {
                self.slots[*slot] = Some(self.begin(*mode, *isolation))
            }
            Operation::Do(slot, statement) => {
                let mut running = self.slots[*slot]
                    .take()
                    .unwrap_or_else(|| self.begin(Mode::ReadWrite, Isolation::default()));
                running.statement(&self.state, statement);
                self.slots[*slot] = Some(running);
            }
            Operation::Commit(slot) => {
                if let Some(running) = self.slots[*slot].take() {
                    self.commit(running);
                }
            }
            Operation::Rollback(slot) => {
                if let Some(running) = self.slots[*slot].take() {
                    running.transaction.rollback();
                }
            }
            Operation::Exclusive(statements) => {
                let mut running = self.begin(Mode::Exclusive, Isolation::RepeatableRead);
                statements.iter().for_each(|statement| running.statement(&self.state, statement));
                self.commit(running);
            }
            Operation::Batch(writes) => self.batch(writes),
            Operation::Snapshot => self.snapshots.push((self.store.snapshot(), self.state.clone())),
            Operation::Reopen => self.open_again(),
            Operation::Checkpoint => {
                if self.open.is_some() || self.power_may_fail {
                    match self.store.checkpoint() {
                        Ok(index) => assert_eq!(index, self.store.applied_index()),
                        // The next commit finds out whether the store can go on without.
                        Err(fault) => assert!(self.power_may_fail, "{fault}"),
                    }
                }
            }
        }
    }

    /// Looks at everything once more, at what was held as well.
    pub(crate) fn finish(mut self) {
        self.open_again();
        self.compare();
        for (snapshot, state) in &self.snapshots {
            compare(snapshot, state);
        }
    }

    #[track_caller]
    fn compare(&mut self) {
        let snapshot = self.store.snapshot();
        compare(&snapshot, &self.state);
        if let Some(past) = &mut self.past {
            past.push(self.state.clone());
        }
        for class in snapshot.schema().classes() {
            for (key, row) in snapshot.rows(class.id) {
                let fields = class.values(row).unwrap();
                assert_eq!(*row, class.encode_row(&fields).unwrap(), "a row has one encoding");
                assert_eq!(snapshot.get(class.id, key).as_ref(), Some(row));
            }
        }
        self.follower.follow(&snapshot);
    }

    fn begin(&self, mode: Mode, isolation: Isolation) -> Running {
        Running {
            transaction: self.store.begin(mode, isolation),
            expected: Expected::begin(mode, isolation, &self.state),
            savepoints: Vec::new(),
            cursors: Vec::new(),
        }
    }

    fn commit(&mut self, running: Running) {
        match running.transaction.commit() {
            Ok(outcome) => running.expected.judge(&mut self.state, &outcome),
            Err(fault) => {
                assert!(self.power_may_fail && matches!(fault, CommitError::Stopped { .. }), "{fault}");
                self.stopped = Some(running.expected.carried_out(&self.state));
            }
        }
        self.compare();
    }

    /// From now on a loss of power may bring any earlier state back.
    pub(crate) fn keep_past(&mut self) {
        self.past = Some(vec![self.state.clone()]);
    }

    /// Ends the process: nothing of it writes to the disk any more.
    pub(crate) fn die(&mut self) {
        self.slots = std::array::from_fn(|_| None);
        self.store = Store::open(self.store.schema().clone(), Options::memory()).unwrap();
    }

    /// Whether the store has stopped by itself.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// After the power failed and came back: everything that was answered is there, and what was not is there whole or
    /// not at all. Goes on from there.
    pub(crate) fn resume(mut self, store: Store) -> Self {
        let snapshot = store.snapshot();
        if let Some(Some(mut perhaps)) = self.stopped.take() {
            // The version of what got no answer is the last index of the log.
            perhaps.restamp(snapshot.index());
            if rows_of(&snapshot, &perhaps) == perhaps.rows() {
                self.state = perhaps;
            }
        }
        if let Some(past) = &mut self.past {
            // Commits that were not synced may be gone, the last ones first.
            let earlier = past.drain(..).rev().find(|state| rows_of(&snapshot, state) == state.rows());
            self.state = earlier.unwrap_or_else(|| self.state.clone());
            past.push(self.state.clone());
        }
        compare(&snapshot, &self.state);
        self.state.index = snapshot.index();
        self.follower = Follower::of(&store);
        self.store = store;
        self
    }

    fn batch(&mut self, writes: &[BatchWrite]) {
        let mut batch = self.store.batch();
        let table = self.state.tables[ENTRY].clone();
        let class = table.class.id;
        let mut after: Vec<(Fields, Option<Fields>)> = Vec::new();
        for write in writes {
            match write {
                BatchWrite::Put(fields) => {
                    batch.put(class, table.class.encode_row(fields).unwrap()).unwrap();
                    after.push((table.key_of(fields), Some(fields.clone())));
                }
                BatchWrite::Delete(key) => {
                    batch.delete(class, table.encoded_key(key)).unwrap();
                    after.push((key.clone(), None));
                }
                BatchWrite::Fresh(fields, is_deleted) => {
                    self.fresh += 1;
                    let mut fields = fields.clone();
                    fields[1] = Value::I32(1_000 + self.fresh);
                    let key = table.key_of(&fields);
                    batch.put_fresh(class, table.class.encode_row(&fields).unwrap()).unwrap();
                    if *is_deleted {
                        batch.delete(class, table.encoded_key(&key)).unwrap();
                    }
                    after.push((key, (!is_deleted).then_some(fields)));
                }
            }
        }
        let carried_out = |mut state: State, version: u64| {
            let rows = &mut state.tables[ENTRY].rows;
            for (key, fields) in after {
                match fields {
                    Some(fields) => rows.insert(key, Stored { version, fields }),
                    None => rows.remove(&key),
                };
            }
            state.index = version;
            state
        };
        match self.store.commit(batch) {
            Ok(version) => self.state = carried_out(self.state.clone(), version),
            Err(fault) => {
                assert!(self.power_may_fail && matches!(fault, SubmitError::Stopped { .. }), "{fault}");
                self.stopped = Some(Some(carried_out(self.state.clone(), UNANSWERED)));
            }
        }
        self.compare();
    }

    fn open_again(&mut self) {
        let Some(open) = self.open.as_ref().filter(|_| !self.power_may_fail) else { return };
        self.slots = std::array::from_fn(|_| None);
        let index = self.store.applied_index();
        self.store.close();
        self.store = open();
        self.follower = Follower::of(&self.store);
        assert_eq!(self.store.applied_index(), index);
        self.compare();
    }
}

impl Running {
    fn statement(&mut self, current: &State, statement: &Statement) {
        match statement {
            Statement::Get(table, key) => {
                let declared = &current.tables[*table];
                let row = self.transaction.get_row(declared.class.id, &declared.encoded_key(key)).unwrap();
                let fields = row.map(|row| declared.class.values(&row).unwrap());
                assert_eq!(fields, self.expected.get(current, *table, key), "{statement:?}");
            }
            Statement::Insert(..) | Statement::Update(..) | Statement::Upsert(..) | Statement::Delete(..) => {
                self.write(current, statement);
            }
            Statement::Scan(wanted) => {
                let scan = self.open(current, wanted);
                let expected = self.expected.scan(current, wanted, wanted.rows);
                let found: Vec<_> = scan.take(wanted.rows).map(|entry| (entry.key, entry.row)).collect();
                check_scan(&current.tables[wanted.table], wanted, &found, wanted.rows, &expected);
            }
            Statement::Count(wanted) => {
                let declared = &current.tables[wanted.table];
                let range = declared.key_range(wanted.access, &wanted.range);
                let count = self.transaction.count_rows(declared.class.id, wanted.access, &range).unwrap();
                let expected = self.expected.scan(current, wanted, usize::MAX);
                assert_eq!(count, expected.len() as u64, "{statement:?}");
            }
            Statement::OpenCursor(wanted) if !current.tables[wanted.table].is_hash(wanted.access) => {
                let scan = self.open(current, wanted);
                let expected = self.expected.scan(current, wanted, 0);
                self.cursors.push((scan, expected.into(), wanted.clone()));
            }
            Statement::OpenCursor(_) => {}
            Statement::ReadCursor(rows) => self.read_cursors(current, *rows),
            Statement::Savepoint => {
                self.savepoints.push(self.transaction.savepoint());
                self.expected.savepoint();
            }
            Statement::RollbackTo(back) => {
                let Some(number) = self.savepoints.len().checked_sub(back + 1) else { return };
                self.transaction.rollback_to(&self.savepoints[number]).unwrap();
                self.savepoints.truncate(number + 1);
                self.expected.rollback_to(number);
            }
        }
    }

    fn write(&mut self, current: &State, statement: &Statement) {
        let encode = |table: usize, fields: &Fields| {
            let class = &current.tables[table].class;
            (class.id, class.encode_row(fields).unwrap())
        };
        let (transaction, expected) = (&mut self.transaction, &mut self.expected);
        if !expected.may_write() {
            let Statement::Delete(table, key) = statement else { return };
            let declared = &current.tables[*table];
            let refused = transaction.delete_row(declared.class.id, &declared.encoded_key(key)).unwrap_err();
            assert!(matches!(refused, StatementError::ReadOnly), "{refused:?}");
            return;
        }
        match statement {
            Statement::Insert(table, fields) => {
                let (class, row) = encode(*table, fields);
                let told = transaction.insert_row(class, row).map(|_| true);
                check_write(statement, told, expected.insert(current, *table, fields).map(|()| true));
            }
            Statement::Update(table, fields) => {
                let (class, row) = encode(*table, fields);
                let told = transaction.update_row(class, row);
                check_write(statement, told, expected.update(current, *table, fields));
            }
            Statement::Upsert(table, fields) => {
                let (class, row) = encode(*table, fields);
                let told = transaction.upsert_row(class, row).map(|()| true);
                check_write(statement, told, expected.upsert(current, *table, fields).map(|()| true));
            }
            Statement::Delete(table, key) => {
                let declared = &current.tables[*table];
                let told = transaction.delete_row(declared.class.id, &declared.encoded_key(key));
                check_write(statement, told, Ok(expected.delete(current, *table, key)));
            }
            other => panic!("not a write: {other:?}"),
        }
    }

    fn open(&mut self, current: &State, wanted: &Wanted) -> Scan {
        let declared = &current.tables[wanted.table];
        let range = declared.key_range(wanted.access, &wanted.range);
        self.transaction.scan_rows(declared.class.id, wanted.access, range, wanted.direction).unwrap()
    }

    /// What a cursor shows is what was there when it was opened, whatever was written since.
    fn read_cursors(&mut self, current: &State, rows: usize) {
        for (scan, left, wanted) in &mut self.cursors {
            let expected: Vec<(Fields, Stored)> = left.iter().cloned().collect();
            left.drain(..rows.min(left.len()));
            let found: Vec<_> = scan.take(rows).map(|entry| (entry.key, entry.row)).collect();
            check_scan(&current.tables[wanted.table], wanted, &found, rows, &expected);
        }
    }
}

#[track_caller]
fn check_write(statement: &Statement, told: Result<bool, StatementError>, expected: Result<bool, Duplicate>) {
    match (told, expected) {
        (Ok(told), Ok(expected)) => assert_eq!(told, expected, "{statement:?}"),
        (Err(StatementError::DuplicateKey { index, .. }), Err(expected)) => {
            assert_eq!(index, expected, "{statement:?}")
        }
        (told, expected) => panic!("{statement:?} gave {told:?} and not {expected:?}"),
    }
}

/// Compares what was taken of a scan. Objects with equal keys of a unique index (one's own, and one committed since) and
/// those of a hash index come in any order.
#[track_caller]
fn check_scan(
    table: &Table,
    wanted: &Wanted,
    found: &[(skein_store::Key, Row)],
    taken: usize,
    expected: &[(Fields, Stored)],
) {
    let found: Vec<Fields> = found
        .iter()
        .map(|(key, row)| {
            let fields = table.class.values(row).unwrap();
            assert_eq!(*key, table.encoded_key(&table.key_of(&fields)), "a row stands under its own key");
            fields
        })
        .collect();
    let all: Vec<Fields> = expected.iter().map(|(_, stored)| stored.fields.clone()).collect();
    let access_key = |fields: &Fields| table.access_key(wanted.access, fields);
    let count = taken.min(all.len());
    if table.is_hash(wanted.access) {
        let as_expected = found.iter().all(|fields| all.contains(fields)) && found.len() == count;
        assert!(as_expected, "{wanted:?} gave {found:?} and not {all:?}");
        return;
    }
    let keys = |rows: &[Fields]| rows.iter().map(access_key).collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(&all[..count]), "{wanted:?}");
    assert!(found.iter().all(|fields| all.contains(fields)), "{wanted:?} gave {found:?} and not {all:?}");
}

/// Everything a snapshot shows, by every access both ways.
#[track_caller]
pub(crate) fn compare(snapshot: &Snapshot, state: &State) {
    assert_eq!(rows_of(snapshot, state), state.rows());
    for table in &state.tables {
        let class = &table.class;
        let expected = &table.rows;
        assert_eq!(snapshot.len(class.id), expected.len());
        let accesses = (0..class.indexes.len()).map(Access::Index).chain([Access::Primary]);
        for access in accesses {
            for direction in [Direction::Forward, Direction::Backward] {
                let range = Range::Between(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
                let expected = table.scan(access, &range, direction);
                let found: Vec<_> = snapshot
                    .scan(class.id, access, KeyRange::all(), direction)
                    .map(|entry| (entry.key, entry.row))
                    .collect();
                assert_eq!(found.len(), expected.len());
                assert_eq!(snapshot.count(class.id, access, &KeyRange::all()), expected.len() as u64);
                let wanted = Wanted { table: 0, access, range, direction, rows: usize::MAX };
                check_scan(table, &wanted, &found, usize::MAX, &expected);
            }
        }
    }
}

/// All rows of all classes, with their versions.
fn rows_of(snapshot: &Snapshot, state: &State) -> Vec<(Fields, u64)> {
    let rows = |table: &Table| {
        let class = std::sync::Arc::clone(&table.class);
        snapshot.rows(class.id).map(move |(key, row)| {
            let (_, version) = snapshot.get_versioned(class.id, key).unwrap();
            (class.values(row).unwrap(), version)
        })
    };
    state.tables.iter().flat_map(rows).collect()
}
