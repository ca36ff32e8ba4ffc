//! Rows and keys of a class, by example. The properties are in `tests/`.

use bytes::Bytes;

use super::{Class, ClassId, ClassKind, Schema, SchemaFault, ValueFault};
use crate::key::Key;
use crate::row::ObjectKey;
use crate::row::RowFaultKind;
use crate::value::{Time, Type, Value};

fn account() -> Class {
    Class::builder("Account", 7, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("owner", Type::String)
        .field("balance", Type::I64)
        .field("mail", Type::Optional(Box::new(Type::String)))
        .field("tags", Type::Vector(Box::new(Type::U16)))
        .auto("id")
        .ordered("by_owner", &["owner", "id"])
        .unique_hash("by_mail", &["mail"])
        .build()
        .expect("the class is sound")
}

fn values(mail: Option<&str>) -> Vec<Value> {
    vec![
        Value::U64(300),
        "ann".into(),
        Value::I64(-5),
        mail.map_or(Value::None, Value::from),
        Value::Vector(vec![Value::U16(1), Value::U16(1000)]),
    ]
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let class = account();
    for mail in [None, Some("ann@example.org")] {
        let row = class.encode_row(&values(mail)).expect("the values fit");
        assert_eq!(class.decode_row(&row), Ok(values(mail)));
        assert_eq!(class.values(&row), Ok(values(mail)));
        assert_eq!(class.check_row(&row), Ok(()));
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let row = account().encode_row(&values(None)).expect("the values fit");
    assert_eq!(row.as_slice(), [1, 0xac, 0x02, 3, b'a', b'n', b'n', 9, 0, 2, 1, 0xe8, 0x07]);
}

#[test]
fn keys_of_a_row_are_those_of_its_values() {
    let class = account();
    let row = class.encode_row(&values(Some("m"))).expect("the values fit");
    assert_eq!(class.key_of_row(&row), Ok(300u64.to_key()));
    assert_eq!(class.key_from_values(&[Value::U64(300)]), Ok(300u64.to_key()));
    let by_owner = class.index_key_of_row(0, &row).expect("the row is sound").expect("the fields are there");
    assert_eq!(by_owner, ("ann", 300u64).to_key());
    assert_eq!(by_owner.as_slice(), b"ann\0\0\0\0\0\0\0\x01\x2c");
    assert!(by_owner.starts_with(&class.index_key_from_values(0, &["ann".into()]).expect("a prefix")));
    assert_eq!(class.index_key_of_row(1, &row), Ok(Some(Some("m").to_key())));
}

#[test]
fn an_absent_field_keeps_the_object_out_of_the_index() {
    let class = account();
    let row = class.encode_row(&values(None)).expect("the values fit");
    assert_eq!(class.index_key_of_row(1, &row), Ok(None));
}

#[test]
fn rows_that_end_before_a_field_have_its_default() {
    let old = Class::builder("A", 1, ClassKind::Local).field("id", Type::U32).primary(&["id"]).build();
    let new = Class::builder("A", 1, ClassKind::Local)
        .field("id", Type::U32)
        .field_with_default("seen", Type::Time, Value::Time(Time(12)))
        .field("note", Type::Optional(Box::new(Type::Bytes)))
        .primary(&["id"])
        .ordered("by_seen", &["seen", "id"])
        .ordered("by_note", &["note"])
        .build()
        .expect("the class is sound");
    let row = old.expect("the class is sound").encode_row(&[Value::U32(9)]).expect("the value fits");
    assert_eq!(new.decode_row(&row), Ok(vec![Value::U32(9), Value::Time(Time(12)), Value::None]));
    assert_eq!(new.check_row(&row), Ok(()));
    assert_eq!(new.key_of_row(&row), Ok(9u32.to_key()));
    assert_eq!(new.index_key_of_row(0, &row), Ok(Some((Time(12), 9u32).to_key())));
    assert_eq!(new.index_key_of_row(1, &row), Ok(None));
}

#[test]
fn damaged_rows_are_refused_with_the_field() {
    let class = account();
    let kind = |bytes: &[u8]| {
        let fault = class.check_row(bytes).expect_err("the row is damaged");
        assert_eq!(class.decode_row(bytes).expect_err("the row is damaged").kind(), fault.kind());
        fault.kind()
    };
    assert_eq!(kind(&[]), RowFaultKind::Empty);
    assert_eq!(kind(&[9]), RowFaultKind::UnknownFormat(9));
    assert_eq!(kind(&[1]), RowFaultKind::Truncated);
    assert_eq!(kind(&[1, 1, 5, b'a']), RowFaultKind::Truncated);
    assert_eq!(kind(&[1, 0x80, 0]), RowFaultKind::BadInteger);
    assert_eq!(kind(&[1, 1, 1, 0xff]), RowFaultKind::NotUtf8);
    assert_eq!(kind(&[1, 1, 0, 2, 7]), RowFaultKind::NotBoolean(7));
    assert_eq!(kind(&[1, 1, 0, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]), RowFaultKind::Truncated);
    assert_eq!(kind(&[1, 1, 0, 2, 0, 0, 0]), RowFaultKind::TrailingBytes);
    let text = class.check_row(&[1, 1, 5, b'a']).expect_err("the row is damaged").to_string();
    assert_eq!(text, "row cannot be read at byte 3, field Account.owner: it ends too early");
}

#[test]
fn integers_end_at_their_tenth_byte() {
    let class = Class::builder("A", 1, ClassKind::Local).field("id", Type::U64).primary(&["id"]).build();
    let class = class.expect("the class is sound");
    let row = |end: &[u8]| [&[1][..], &[0xff; 9], end].concat();
    assert_eq!(class.decode_row(&row(&[0x01])), Ok(vec![Value::U64(u64::MAX)]));
    for end in [&[0x02][..], &[0x81, 0x01], &[0x80, 0x01], &[0x81, 0x80, 0x01]] {
        let fault = class.decode_row(&row(end)).expect_err("the integer has more than 64 bits");
        assert_eq!(fault.kind(), RowFaultKind::BadInteger, "{end:?}");
    }
}

#[test]
fn values_of_other_types_are_refused() {
    let class = account();
    assert!(matches!(class.encode_row(&[]), Err(ValueFault::Count { given: 0, .. })));
    let mut wrong = values(None);
    wrong[2] = Value::Bytes(Bytes::new());
    let fault = class.encode_row(&wrong).expect_err("bytes are no number");
    assert_eq!(
        fault.to_string(),
        "field balance of class Account is of type int8, but the value given is a blob"
    );
    assert!(matches!(class.key_from_values(&values(None)), Err(ValueFault::KeyCount { .. })));
    assert!(matches!(class.index_key_from_values(5, &[]), Err(ValueFault::NoIndex { .. })));
    assert_eq!(class.index_key_from_values(0, &[]), Ok(Key::EMPTY));
}

#[test]
fn a_schema_finds_its_classes() {
    let other = Class::builder("Other", 2, ClassKind::Local).field("id", Type::U8).primary(&["id"]).build();
    let other = other.expect("the class is sound");
    let schema = Schema::builder("bank").class(account()).class(other.clone()).build().expect("sound");
    assert_eq!(schema.position(ClassId(2)), Some(0));
    assert_eq!(schema.position(ClassId(7)), Some(1));
    assert_eq!(schema.position(ClassId(3)), None);
    assert_eq!(schema.class_named("Account").map(|class| class.id), Some(ClassId(7)));
    let twice = Schema::builder("bank").class(other.clone()).class(other).build();
    assert!(matches!(twice, Err(SchemaFault::CodeTaken { code: 2, .. })));
}

#[test]
fn unsound_classes_are_refused() {
    let base = || Class::builder("A", 1, ClassKind::Local).field("id", Type::U32);
    let optional = |inner| Type::Optional(Box::new(inner));
    let vector = |inner| Type::Vector(Box::new(inner));
    let fault = |builder: super::ClassBuilder| builder.build().expect_err("the class is unsound");
    assert!(matches!(fault(base()), SchemaFault::NoPrimary { .. }));
    assert!(matches!(fault(base().auto("id")), SchemaFault::AutoType { .. }));
    assert!(matches!(fault(base().primary(&["no"])), SchemaFault::UnknownField { .. }));
    assert!(matches!(fault(base().primary(&[])), SchemaFault::KeyFields { .. }));
    assert!(matches!(fault(base().primary(&["id", "id"])), SchemaFault::KeyFields { .. }));
    assert!(matches!(fault(base().primary(&["id"]).auto("id")), SchemaFault::TwoPrimaries { .. }));
    assert!(matches!(fault(base().field("id", Type::U8)), SchemaFault::FieldTaken { .. }));
    assert!(matches!(fault(base().field("a b", Type::U8)), SchemaFault::Name { .. }));
    let keyed = base().field("v", vector(Type::U8)).primary(&["v"]);
    assert!(matches!(fault(keyed), SchemaFault::NotKeyable { .. }));
    assert!(matches!(fault(base().field("o", optional(optional(Type::U8)))), SchemaFault::TypeShape { .. }));
    let deep = vector(vector(vector(vector(Type::U8))));
    assert!(matches!(fault(base().field("d", deep)), SchemaFault::TypeShape { .. }));
    let default = base().field_with_default("x", Type::U8, Value::U16(1));
    assert!(matches!(fault(default), SchemaFault::DefaultType { .. }));
    let taken = base().primary(&["id"]).ordered("primary", &["id"]);
    assert!(matches!(fault(taken), SchemaFault::IndexTaken { .. }));
    let zero = Class::builder("A", 0, ClassKind::Local).field("id", Type::U32).primary(&["id"]);
    assert!(matches!(fault(zero), SchemaFault::CodeZero { .. }));
}

mod evolution {
    //! What a stored schema may become.

    use super::super::{ClassBuilder, SchemaChange};
    use super::{Class, ClassId, ClassKind, Schema, Type, Value};

    fn base() -> ClassBuilder {
        Class::builder("A", 1, ClassKind::Replicated).field("id", Type::U32).field("name", Type::String)
    }

    fn schema(class: ClassBuilder) -> Schema {
        Schema::builder("d").class(class.build().expect("the class is sound")).build().expect("sound")
    }

    fn old() -> Schema {
        schema(base().primary(&["id"]).ordered("by_name", &["name"]))
    }

    #[test]
    fn nothing_changes_between_equals() {
        assert_eq!(old().evolve(&old()), Ok(vec![]));
    }

    #[test]
    fn fields_with_defaults_indexes_and_classes_may_come_and_indexes_may_go() {
        let class = base()
            .field_with_default("age", Type::U8, Value::U8(1))
            .field("tags", Type::Vector(Box::new(Type::String)))
            .primary(&["id"])
            .hash("by_age", &["age"]);
        let other = Class::builder("B", 2, ClassKind::Local).field("id", Type::U8).primary(&["id"]).build();
        let new = Schema::builder("d")
            .class(class.build().expect("the class is sound"))
            .class(other.expect("the class is sound"))
            .build()
            .expect("sound");
        let class = ClassId(1);
        let changes = vec![
            SchemaChange::AddField { class, field: "age".to_owned() },
            SchemaChange::AddField { class, field: "tags".to_owned() },
            SchemaChange::DropIndex { class, index: "by_name".to_owned() },
            SchemaChange::AddIndex { class, index: "by_age".to_owned() },
            SchemaChange::AddClass { class: ClassId(2) },
        ];
        assert_eq!(old().evolve(&new), Ok(changes));
    }

    #[test]
    fn an_index_that_is_declared_otherwise_is_built_anew() {
        let new = schema(base().primary(&["id"]).unique("by_name", &["name"]));
        let (class, index) = (ClassId(1), "by_name".to_owned());
        let changes = vec![
            SchemaChange::DropIndex { class, index: index.clone() },
            SchemaChange::AddIndex { class, index },
        ];
        assert_eq!(old().evolve(&new), Ok(changes));
    }

    #[test]
    fn every_other_difference_is_shown() {
        let new = Class::builder("A", 1, ClassKind::Local)
            .field("id", Type::U64)
            .field("name", Type::String)
            .field("extra", Type::U8)
            .primary(&["name"]);
        let text = old().evolve(&schema(new)).expect_err("rows would be misread").to_string();
        let expected = "the stored schema cannot become the new one:\n\
            class A: name and kind of a class code cannot change; give the new class a code of its own\n  \
            - replicated class A = 1\n  \
            + local class A = 1\n\
            class A: a field cannot be changed, moved or removed; keep it and add a new one at the end\n  \
            - uint4 id;\n  \
            + uint8 id;\n\
            class A: a new field needs a default for the rows that exist: declare one, or make it optional\n  \
            + uint1 extra;\n\
            class A: the primary key cannot change; add an index, or a new class\n  \
            - unique tree<id> primary;\n  \
            + unique tree<name> primary;";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_removed_field_a_removed_class_and_another_database_are_refused() {
        let short =
            schema(Class::builder("A", 1, ClassKind::Replicated).field("id", Type::U32).primary(&["id"]));
        let differences = old().evolve(&short).expect_err("rows would be misread").differences;
        assert_eq!((differences[0].old.as_str(), differences[0].new.as_str()), ("string name;", ""));
        let empty = Schema::builder("other").build().expect("sound");
        let differences = old().evolve(&empty).expect_err("rows would be lost").differences;
        assert_eq!(differences.len(), 2);
    }
}

mod catalogue {
    //! Schemas as bytes.

    use super::super::{CATALOGUE_FORMAT, CatalogueFault};
    use super::{Schema, account};

    fn schema() -> Schema {
        Schema::builder("bank").class(account()).build().expect("sound")
    }

    #[test]
    fn a_schema_is_read_as_it_was_written() {
        assert_eq!(Schema::from_bytes(&schema().to_bytes()), Ok(schema()));
    }

    #[test]
    fn a_newer_format_and_damage_are_refused() {
        let mut bytes = schema().to_bytes();
        assert_eq!(Schema::from_bytes(&[]), Err(CatalogueFault::Empty));
        for end in 1..bytes.len() {
            let read = Schema::from_bytes(&bytes[..end]);
            assert!(matches!(read, Err(CatalogueFault::Damaged { .. })), "{end} bytes: {read:?}");
        }
        bytes[0] = CATALOGUE_FORMAT + 1;
        assert_eq!(Schema::from_bytes(&bytes), Err(CatalogueFault::UnknownFormat { found: 2 }));
    }

    #[test]
    fn types_that_lie_too_deep_are_damage() {
        let mut bytes = vec![CATALOGUE_FORMAT, 1, b'd', 1, 1, 1, b'A', 0, 1, 1, b'f'];
        bytes.resize(100_000, 33);
        let read = Schema::from_bytes(&bytes);
        assert!(matches!(read, Err(CatalogueFault::Damaged { offset: 15 })), "{read:?}");
    }
}
