//! A store whose schema grows: rows written before have the new fields' defaults, and new indexes hold them.

use std::sync::Arc;

use skein_store::{
    Class, ClassKind, Isolation, Mode, OpenError, Options, Outcome, Schema, Store, Type, Value,
};
use skein_wal::disk::FaultyDisk;

use super::classes::{ENTRY, ITEM, schema};
use super::reference::{Fields, State, Stored};
use super::run::compare;

/// The first fields of the classes, and the fewest indexes.
fn older_schema() -> Schema {
    let item = Class::builder("item", 1, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("group", Type::U32)
        .field("name", Type::String)
        .primary(&["id"])
        .unique("by_name", &["name"]);
    let entry = Class::builder("entry", 2, ClassKind::Replicated)
        .field("session", Type::String)
        .field("seq", Type::I32)
        .primary(&["session", "seq"]);
    Schema::builder("model").class(item.build().unwrap()).class(entry.build().unwrap()).build().unwrap()
}

fn options(disk: &FaultyDisk) -> Options {
    let mut options = Options::durable("/data");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    options
}

/// A disk with a store of the older schema, and what the newer one must make of it.
fn older_store(checkpoint: bool) -> (FaultyDisk, State) {
    let disk = FaultyDisk::new();
    let store = Store::open(older_schema(), options(&disk)).unwrap();
    let mut state = State::empty(&schema());
    for number in 0..20_u32 {
        let mut transaction = store.begin(Mode::ReadWrite, Isolation::Serializable);
        let item = vec![
            Value::U64(number.into()),
            Value::U32(number % 3),
            Value::from(format!("n{number}").as_str()),
        ];
        let entry = vec![Value::from(["a", "b\0"][number as usize % 2]), Value::I32(number.cast_signed())];
        transaction.insert_values(store.schema().classes()[ITEM].id, &item).unwrap();
        transaction.insert_values(store.schema().classes()[ENTRY].id, &entry).unwrap();
        let Outcome::Committed { index } = transaction.commit().unwrap() else {
            panic!("nobody else writes")
        };
        insert(&mut state, ITEM, [item, vec![Value::None, Value::None, Value::F64(2.0)]].concat(), index);
        insert(
            &mut state,
            ENTRY,
            [entry, vec![Value::U8(1), Value::Bytes(bytes::Bytes::from_static(b"\xff"))]].concat(),
            index,
        );
        if checkpoint && number == 12 {
            store.checkpoint().unwrap();
        }
    }
    drop(store);
    (disk, state)
}

fn insert(state: &mut State, table: usize, fields: Fields, version: u64) {
    let table = &mut state.tables[table];
    table.rows.insert(table.key_of(&fields), Stored { version, fields });
}

#[test]
fn rows_from_before_have_defaults_and_stand_in_new_indexes() {
    for checkpoint in [false, true] {
        let (disk, state) = older_store(checkpoint);
        for checkpoint in [false, true, false] {
            let store = Store::open(schema(), options(&disk)).unwrap();
            compare(&store.snapshot(), &state);
            if checkpoint {
                store.checkpoint().unwrap();
            }
        }
        let back = Store::open(older_schema(), options(&disk)).unwrap_err();
        assert!(matches!(back, OpenError::Schema(_)), "{back}");
        compare(&Store::open(schema(), options(&disk)).unwrap().snapshot(), &state);
    }
}

#[test]
fn a_loss_of_power_while_the_schema_grows_loses_nothing() {
    let (disk, state) = older_store(true);
    let whole = disk.fork();
    drop(Store::open(schema(), options(&whole)).unwrap());
    for cut in disk.operations()..whole.operations() {
        for keep in [false, true] {
            let disk = disk.fork();
            disk.cut_power_at(cut);
            drop(Store::open(schema(), options(&disk)));
            disk.crash(|_| keep);
            let store =
                Store::open(schema(), options(&disk)).unwrap_or_else(|fault| panic!("cut {cut}: {fault}"));
            compare(&store.snapshot(), &state);
        }
    }
}

#[test]
fn a_unique_index_that_the_rows_do_not_allow_is_refused_without_a_trace() {
    let (disk, state) = older_store(false);
    let item = Class::builder("item", 1, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("group", Type::U32)
        .field("name", Type::String)
        .primary(&["id"])
        .unique("by_name", &["name"])
        .unique("by_group", &["group"]);
    let entry = older_schema().classes()[ENTRY].clone();
    let clashing = Schema::builder("model").class(item.build().unwrap()).class(entry).build().unwrap();
    for _ in 0..2 {
        let refused = Store::open(clashing.clone(), options(&disk)).unwrap_err();
        assert!(matches!(refused, OpenError::NotUnique { .. }), "{refused}");
    }
    compare(&Store::open(schema(), options(&disk)).unwrap().snapshot(), &state);
}
