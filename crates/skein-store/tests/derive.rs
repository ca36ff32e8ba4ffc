//! Derived objects beside the same classes built by hand: declaration, rows, keys and defaults must agree.

use bytes::Bytes;
use skein_store::{
    Class, ClassKind, FieldType, Key, Object, ObjectKey, RowFaultKind, Schema, Time, Type, Value,
};

#[derive(Object, Clone, Debug, Default, PartialEq)]
#[class(code = 7, index(name = "by_owner", fields(owner, id)))]
struct Account {
    #[auto]
    id: u64,
    owner: String,
    #[index(unique, hash)]
    mail: Option<String>,
    tags: Vec<u16>,
    #[default_value(-3)]
    balance: i64,
    #[default_value("eur")]
    currency: Box<str>,
    #[default_value(Some(Time(5)))]
    seen: Option<Time>,
}

#[derive(Object, Clone, Debug, PartialEq)]
#[class(name = "seat", code = 8, kind = "local", primary(row, r#type, number))]
struct Seat {
    number: i32,
    row: String,
    r#type: u8,
    #[index(name = "cost")]
    price: f64,
    taken: bool,
    note: Bytes,
}

fn account() -> Account {
    Account {
        id: 9,
        owner: "ann".into(),
        mail: Some("ann@example.org".into()),
        tags: vec![1, 1000],
        balance: 77,
        currency: "usd".into(),
        seen: None,
    }
}

#[test]
fn the_derived_class_is_the_one_built_by_hand() {
    let optional = |inner| Type::Optional(Box::new(inner));
    let account = Class::builder("Account", 7, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("owner", Type::String)
        .field("mail", optional(Type::String))
        .field("tags", Type::Vector(Box::new(Type::U16)))
        .field_with_default("balance", Type::I64, Value::I64(-3))
        .field_with_default("currency", Type::String, "eur".into())
        .field_with_default("seen", optional(Type::Time), Value::Time(Time(5)))
        .auto("id")
        .ordered("by_owner", &["owner", "id"])
        .unique_hash("by_mail", &["mail"])
        .build()
        .expect("sound");
    assert_eq!(*Account::class(), account);
    assert_eq!((Account::INDEX_BY_OWNER, Account::INDEX_BY_MAIL), (0, 1));
    let seat = Class::builder("seat", 8, ClassKind::Local)
        .field("number", Type::I32)
        .field("row", Type::String)
        .field("type", Type::U8)
        .field("price", Type::F64)
        .field("taken", Type::Bool)
        .field("note", Type::Bytes)
        .primary(&["row", "type", "number"])
        .ordered("cost", &["price"])
        .build()
        .expect("sound");
    assert_eq!(*Seat::class(), seat);
}

#[test]
fn a_derived_row_is_the_row_of_the_values() {
    let object = account();
    let values = [
        object.id.to_value(),
        object.owner.to_value(),
        object.mail.to_value(),
        object.tags.to_value(),
        object.balance.to_value(),
        object.currency.to_value(),
        object.seen.to_value(),
    ];
    let row = object.to_row();
    assert_eq!(Account::class().encode_row(&values), Ok(row.clone()));
    assert_eq!(Account::from_row(&row), Ok(object));
}

#[test]
fn keys_agree_whichever_way_they_are_made() {
    let seat = Seat {
        number: -4,
        row: "B".into(),
        r#type: 2,
        price: 12.5,
        taken: true,
        note: Bytes::from_static(b"window"),
    };
    let key = seat.primary_key();
    assert_eq!(Seat::class().key_of_row(&seat.to_row()), Ok(key.clone()));
    let typed: <Seat as Object>::Key<'_> = ("B", 2, -4);
    assert_eq!(typed.to_key(), key);
    assert!(key.starts_with(&("B", 2u8).to_key()));
    let cost = Seat::class().index_key_of_row(Seat::INDEX_COST, &seat.to_row());
    assert_eq!(cost, Ok(Some(12.5f64.to_key())));
    assert_eq!(Seat::from_row(&seat.to_row()), Ok(seat));
}

#[test]
fn bytes_share_the_memory_of_their_row() {
    let seat = Seat {
        number: 1,
        row: String::new(),
        r#type: 0,
        price: 0.0,
        taken: false,
        note: Bytes::from(vec![7; 100]),
    };
    let row = seat.to_row();
    let read = Seat::from_row(&row).expect("the row is sound");
    assert!(row.as_slice().as_ptr_range().contains(&read.note.as_ptr()));
}

#[test]
fn rows_without_the_later_fields_have_their_defaults() {
    let old = Class::builder("Account", 7, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("owner", Type::String)
        .auto("id")
        .build()
        .expect("sound");
    let row = old.encode_row(&[Value::U64(3), "bob".into()]).expect("the values fit");
    let read = Account::from_row(&row).expect("the row is sound");
    let expected = Account {
        id: 3,
        owner: "bob".into(),
        mail: None,
        tags: vec![],
        balance: -3,
        currency: "eur".into(),
        seen: Some(Time(5)),
    };
    assert_eq!(read, expected);
    let by_hand = Account::class().decode_row(&row).expect("the row is sound");
    assert_eq!(Account::class().encode_row(&by_hand), Ok(expected.to_row()));
}

#[test]
fn the_store_numbers_the_auto_id() {
    let mut object = Account::default();
    object.set_auto_id(12);
    assert_eq!(object.primary_key(), 12u64.to_key());
    assert_ne!(object.primary_key(), Key::EMPTY);
}

#[test]
fn damage_is_named_with_its_field() {
    let row = skein_store::Row::from_slice(&[1, 9, 3, b'a']);
    let fault = Account::from_row(&row).expect_err("the row ends in the owner");
    assert_eq!(fault.kind(), RowFaultKind::Truncated);
    assert!(fault.to_string().contains("Account.owner"), "{fault}");
    let mut long = account().to_row().to_vec();
    long.push(0);
    let fault = Account::from_row(&skein_store::Row::from_slice(&long)).expect_err("a byte follows");
    assert_eq!(fault.kind(), RowFaultKind::TrailingBytes);
}

#[test]
fn a_schema_knows_its_types_and_no_look_alikes() {
    let schema = Schema::builder("d").object::<Account>().object::<Seat>().build().expect("sound");
    assert_eq!((schema.position_of::<Account>(), schema.position_of::<Seat>()), (Some(0), Some(1)));
    let parsed = Schema::parse_ddl(&schema.to_ddl()).expect("the text is the schema's own");
    assert_eq!(parsed.position_of::<Account>(), Some(0));
    let text = schema.to_ddl();
    for (old, new) in
        [("double price", "uint8 price"), ("tree<price>", "hash<price>"), ("row, type", "type, row")]
    {
        let other = Schema::parse_ddl(&text.replace(old, new)).expect("the text is sound");
        assert_eq!(other.position_of::<Seat>(), None, "{new}");
        assert_eq!(other.position_of::<Account>(), Some(0), "{new}");
    }
    let empty = Schema::builder("d").build().expect("sound");
    assert_eq!(empty.position_of::<Seat>(), None);
}
