//! Random operations, over few values so that they meet: keys that were used before, empty and awkward text.

use std::ops::Bound;

use bytes::Bytes;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::sample::select;
use proptest::{collection::vec, option, prop_oneof};
use skein_store::{Access, Direction, Isolation, Mode, Value};

use super::classes::{ENTRY, ITEM};
use super::reference::{Fields, Range};

/// How many transactions run at once.
pub(crate) const SLOTS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Begin(usize, Mode, Isolation),
    Do(usize, Statement),
    Commit(usize),
    Rollback(usize),
    /// A transaction that keeps others out, from begin to commit.
    Exclusive(Vec<Statement>),
    Batch(Vec<BatchWrite>),
    /// Is held and looked at again at the end.
    Snapshot,
    /// The store is closed and opened again, where it can be.
    Reopen,
    /// A snapshot is written, where there is a log.
    Checkpoint,
}

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Get(usize, Fields),
    Insert(usize, Fields),
    Update(usize, Fields),
    Upsert(usize, Fields),
    Delete(usize, Fields),
    Scan(Scan),
    Count(Scan),
    /// A scan that is kept open, and read on later.
    OpenCursor(Scan),
    ReadCursor(usize),
    Savepoint,
    /// To the last savepoint but so many.
    RollbackTo(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) table: usize,
    pub(crate) access: Access,
    pub(crate) range: Range,
    pub(crate) direction: Direction,
    /// How many objects are taken of it.
    pub(crate) rows: usize,
}

/// All of class [`ENTRY`].
#[derive(Clone, Debug)]
pub(crate) enum BatchWrite {
    Put(Fields),
    Delete(Fields),
    /// A put of a key that was never used, and perhaps a delete of it.
    Fresh(Fields, bool),
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let mode = prop_oneof![1 => Just(Mode::ReadOnly), 6 => Just(Mode::ReadWrite)];
    let isolation =
        select(vec![Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable]);
    prop_oneof![
        3 => (0..SLOTS, mode, isolation).prop_map(|(slot, mode, isolation)| Operation::Begin(slot, mode, isolation)),
        24 => (0..SLOTS, statement()).prop_map(|(slot, statement)| Operation::Do(slot, statement)),
        4 => (0..SLOTS).prop_map(Operation::Commit),
        1 => (0..SLOTS).prop_map(Operation::Rollback),
        1 => vec(statement(), 1..6).prop_map(Operation::Exclusive),
        4 => vec(batch_write(), 1..9).prop_map(Operation::Batch),
        1 => Just(Operation::Snapshot),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Checkpoint),
    ]
}

fn statement() -> BoxedStrategy<Statement> {
    let table = || select(vec![ITEM, ENTRY]);
    let row = || table().prop_flat_map(|table| fields(table).prop_map(move |fields| (table, fields)));
    let key = || table().prop_flat_map(|table| key(table).prop_map(move |key| (table, key)));
    prop_oneof![
        3 => key().prop_map(|(table, key)| Statement::Get(table, key)),
        6 => row().prop_map(|(table, fields)| Statement::Insert(table, fields)),
        4 => row().prop_map(|(table, fields)| Statement::Update(table, fields)),
        4 => row().prop_map(|(table, fields)| Statement::Upsert(table, fields)),
        3 => key().prop_map(|(table, key)| Statement::Delete(table, key)),
        5 => scan().prop_map(Statement::Scan),
        2 => scan().prop_map(Statement::Count),
        1 => scan().prop_map(Statement::OpenCursor),
        2 => (1..4_usize).prop_map(Statement::ReadCursor),
        3 => Just(Statement::Savepoint),
        3 => prop_oneof![3 => Just(0), 1 => 1..3_usize].prop_map(Statement::RollbackTo),
    ]
    .boxed()
}

fn batch_write() -> BoxedStrategy<BatchWrite> {
    prop_oneof![
        3 => (fields(ENTRY), near()).prop_map(|(mut fields, key)| {
            fields.splice(..2, key);
            BatchWrite::Put(fields)
        }),
        3 => near().prop_map(BatchWrite::Delete),
        2 => (fields(ENTRY), any::<bool>()).prop_map(|(fields, delete)| BatchWrite::Fresh(fields, delete)),
    ]
    .boxed()
}

/// The keys of few objects, so that a batch often writes one several times.
fn near() -> BoxedStrategy<Fields> {
    (select(vec!["", "a\0"]), 0..2_i32)
        .prop_map(|(session, seq)| vec![session.into(), Value::I32(seq)])
        .boxed()
}

fn scan() -> BoxedStrategy<Scan> {
    let accesses = vec![
        (ITEM, Access::Primary),
        (ITEM, Access::Index(0)),
        (ITEM, Access::Index(1)),
        (ITEM, Access::Index(2)),
        (ITEM, Access::Index(3)),
        (ENTRY, Access::Primary),
        (ENTRY, Access::Index(0)),
        (ENTRY, Access::Index(1)),
    ];
    let direction = select(vec![Direction::Forward, Direction::Backward]);
    let rows = prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize];
    (select(accesses), direction, rows)
        .prop_flat_map(|((table, access), direction, rows)| {
            range(table, access).prop_map(move |range| Scan { table, access, range, direction, rows })
        })
        .boxed()
}

fn range(table: usize, access: Access) -> BoxedStrategy<Range> {
    let all = Just(Range::Between(Bound::Unbounded, Bound::Unbounded)).boxed();
    let parts: Vec<BoxedStrategy<Value>> = match (table, access) {
        (ITEM, Access::Primary) => vec![id()],
        (ITEM, Access::Index(0)) => vec![group(), weight()],
        (ITEM, Access::Index(1)) => vec![name()],
        (ITEM, Access::Index(2)) => return equal(vec![text().prop_map(Value::from).boxed()]),
        (ITEM, _) => return equal(vec![code()]),
        (_, Access::Primary) => vec![text().prop_map(Value::from).boxed(), seq()],
        (_, Access::Index(0)) => vec![size()],
        (_, Access::Index(_)) => return equal(vec![payload()]),
    };
    let is_text = matches!((table, access), (ITEM, Access::Index(1)) | (ENTRY, Access::Primary));
    let start = text().prop_map(|text| Range::StartsWith(text.to_owned())).boxed();
    let between = (bound(parts.clone()), bound(parts)).prop_map(|(low, high)| Range::Between(low, high));
    if is_text {
        prop_oneof![1 => all, 3 => between, 1 => start].boxed()
    } else {
        prop_oneof![1 => all, 3 => between].boxed()
    }
}

/// What a hash index can be asked for.
fn equal(parts: Vec<BoxedStrategy<Value>>) -> BoxedStrategy<Range> {
    parts.prop_map(|key| Range::Between(Bound::Included(key.clone()), Bound::Included(key))).boxed()
}

fn bound(parts: Vec<BoxedStrategy<Value>>) -> BoxedStrategy<Bound<Fields>> {
    let lengths = 0..=parts.len();
    (parts, lengths, 0..3)
        .prop_map(|(mut key, length, kind)| {
            key.truncate(length);
            match kind {
                _ if length == 0 => Bound::Unbounded,
                0 => Bound::Unbounded,
                1 => Bound::Included(key),
                _ => Bound::Excluded(key),
            }
        })
        .boxed()
}

fn key(table: usize) -> BoxedStrategy<Fields> {
    if table == ITEM {
        return id().prop_map(|id| vec![id]).boxed();
    }
    (text(), seq()).prop_map(|(session, seq)| vec![session.into(), seq]).boxed()
}

fn fields(table: usize) -> BoxedStrategy<Fields> {
    if table == ITEM {
        let tag = option::of(text()).prop_map(|tag| tag.map_or(Value::None, Value::from));
        let code = prop_oneof![1 => Just(Value::None), 1 => code()];
        return (id(), group(), name(), tag, code, weight())
            .prop_map(|(id, group, name, tag, code, weight)| vec![id, group, name, tag, code, weight])
            .boxed();
    }
    (text(), seq(), size(), payload())
        .prop_map(|(session, seq, size, payload)| vec![session.into(), seq, size, payload])
        .boxed()
}

fn id() -> BoxedStrategy<Value> {
    (0..6_u64).prop_map(Value::U64).boxed()
}

fn group() -> BoxedStrategy<Value> {
    (0..3_u32).prop_map(Value::U32).boxed()
}

fn weight() -> BoxedStrategy<Value> {
    select(vec![-1.5, -0.0, 0.0, 2.0]).prop_map(Value::F64).boxed()
}

fn code() -> BoxedStrategy<Value> {
    select(vec![i16::MIN, -1, 0, 1, i16::MAX]).prop_map(Value::I16).boxed()
}

fn seq() -> BoxedStrategy<Value> {
    (-2..3_i32).prop_map(Value::I32).boxed()
}

fn size() -> BoxedStrategy<Value> {
    (0..3_u8).prop_map(Value::U8).boxed()
}

fn payload() -> BoxedStrategy<Value> {
    select(vec![&b""[..], b"\0", b"\0\xff", b"\xff", b"a long payload that does not fit into a small key"])
        .prop_map(|bytes| Value::Bytes(Bytes::from_static(bytes)))
        .boxed()
}

/// Names are unique: there are as many as objects.
fn name() -> BoxedStrategy<Value> {
    select(vec!["", "a", "a\0", "a\0b", "ab", "b", "b\u{1}"]).prop_map(Value::from).boxed()
}

fn text() -> BoxedStrategy<&'static str> {
    select(vec!["", "a", "a\0", "ab"]).boxed()
}
