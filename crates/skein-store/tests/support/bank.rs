//! A small schema the tests share: accounts with a unique name and an ordered owner, numbered notes, a ledger without
//! indexes.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "outside a test module clippy does not know a test")]

use skein_store::{
    Class, ClassId, ClassKind, Isolation, Key, Mode, Options, Outcome, Row, Schema, Store, Type, Value,
};

pub(crate) const ACCOUNT: ClassId = ClassId(10);
pub(crate) const NOTE: ClassId = ClassId(20);
pub(crate) const LEDGER: ClassId = ClassId(30);

pub(crate) fn schema() -> Schema {
    let account = Class::builder("account", ACCOUNT.0, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("name", Type::String)
        .field("balance", Type::I64)
        .primary(&["id"])
        .unique("by_name", &["name"])
        .ordered("by_owner", &["name"])
        .build();
    let note = Class::builder("note", NOTE.0, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("text", Type::String)
        .auto("id")
        .build();
    let ledger = Class::builder("ledger", LEDGER.0, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("amount", Type::U64)
        .primary(&["id"])
        .build();
    Schema::builder("bank")
        .class(account.unwrap())
        .class(note.unwrap())
        .class(ledger.unwrap())
        .build()
        .unwrap()
}

pub(crate) fn open() -> Store {
    Store::open(schema(), Options::memory()).unwrap()
}

pub(crate) fn key(id: u64) -> Key {
    Key::from_slice(&id.to_be_bytes())
}

pub(crate) fn row(store: &Store, id: u64, name: &str, balance: i64) -> Row {
    let class = store.schema().class(ACCOUNT).unwrap();
    class.encode_row(&[Value::U64(id), Value::from(name), Value::I64(balance)]).unwrap()
}

pub(crate) fn ledger_row(store: &Store, id: u64, amount: u64) -> Row {
    let class = store.schema().class(LEDGER).unwrap();
    class.encode_row(&[Value::U64(id), Value::U64(amount)]).unwrap()
}

/// Commits an account.
pub(crate) fn account(store: &Store, id: u64, name: &str, balance: i64) {
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.upsert_row(ACCOUNT, row(store, id, name, balance)).unwrap();
    assert!(matches!(transaction.commit().unwrap(), Outcome::Committed { .. }));
}

pub(crate) fn balance_of(store: &Store, row: &Row) -> i64 {
    match &store.schema().class(ACCOUNT).unwrap().values(row).unwrap()[2] {
        Value::I64(balance) => *balance,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn balance(store: &Store, id: u64) -> Option<i64> {
    store.snapshot().get(ACCOUNT, &key(id)).map(|row| balance_of(store, &row))
}
