//! Any types, values, classes and schemas. Values are drawn close to each other and to the edges of the encodings, so that
//! equal, neighbouring and prefix cases come up.

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};
use skein_store::{Class, ClassKind, Schema, Time, Type, Value};

/// A type that can be in a key.
pub(crate) fn keyable() -> impl Strategy<Value = Type> {
    let plain = plain().boxed();
    prop_oneof![4 => plain.clone(), 1 => plain.prop_map(|inner| Type::Optional(Box::new(inner)))]
}

fn plain() -> impl Strategy<Value = Type> {
    select(vec![
        Type::Bool,
        Type::U8,
        Type::U16,
        Type::U32,
        Type::U64,
        Type::I8,
        Type::I16,
        Type::I32,
        Type::I64,
        Type::F64,
        Type::String,
        Type::Bytes,
        Type::Time,
    ])
}

/// Any type that a field can have.
pub(crate) fn any_type() -> impl Strategy<Value = Type> {
    let vector = |inner: BoxedStrategy<Type>| inner.prop_map(|inner| Type::Vector(Box::new(inner)));
    let optional = |inner: BoxedStrategy<Type>| inner.prop_map(|inner| Type::Optional(Box::new(inner)));
    prop_oneof![
        6 => keyable(),
        2 => vector(keyable().boxed()),
        1 => optional(vector(keyable().boxed()).boxed()),
        1 => vector(vector(keyable().boxed()).boxed()),
    ]
}

/// A value of this type.
pub(crate) fn value_of(field_type: &Type) -> BoxedStrategy<Value> {
    match field_type {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::U8 => near(vec![0, 1, 127, 128, u8::MAX]).prop_map(Value::U8).boxed(),
        Type::U16 => near(vec![0, 127, 128, 255, 256, u16::MAX]).prop_map(Value::U16).boxed(),
        Type::U32 => near(vec![0, 1 << 14, 1 << 28, u32::MAX]).prop_map(Value::U32).boxed(),
        Type::U64 => near(vec![0, 1 << 35, 1 << 63, u64::MAX]).prop_map(Value::U64).boxed(),
        Type::I8 => near(vec![i8::MIN, -1, 0, 1, i8::MAX]).prop_map(Value::I8).boxed(),
        Type::I16 => near(vec![i16::MIN, -1, 0, 1, i16::MAX]).prop_map(Value::I16).boxed(),
        Type::I32 => near(vec![i32::MIN, -1, 0, 1, i32::MAX]).prop_map(Value::I32).boxed(),
        Type::I64 => near(vec![i64::MIN, -1, 0, 1, i64::MAX]).prop_map(Value::I64).boxed(),
        Type::Time => {
            near(vec![i64::MIN, -1, 0, i64::MAX]).prop_map(|micros| Value::Time(Time(micros))).boxed()
        }
        Type::F64 => float().prop_map(Value::F64).boxed(),
        Type::String => text().prop_map(|text| Value::from(text.as_str())).boxed(),
        Type::Bytes => bytes().prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Type::Optional(inner) => prop_oneof![Just(Value::None), value_of(inner)].boxed(),
        Type::Vector(inner) => {
            proptest::collection::vec(value_of(inner), 0..4).prop_map(Value::Vector).boxed()
        }
    }
}

fn near<T: Arbitrary + Clone + std::fmt::Debug + 'static>(edges: Vec<T>) -> impl Strategy<Value = T> {
    prop_oneof![select(edges), any::<T>()]
}

fn float() -> impl Strategy<Value = f64> {
    let edges =
        vec![f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN, -f64::NAN];
    prop_oneof![select(edges), any::<u64>().prop_map(f64::from_bits)]
}

fn text() -> impl Strategy<Value = String> {
    let letters = select(vec!['\0', '\x01', '\x02', 'a', 'b', '\u{7f}', 'ß', '\u{10ffff}']);
    let short = proptest::collection::vec(letters, 0..4).prop_map(|letters| letters.into_iter().collect());
    prop_oneof![4 => short, 1 => "[a-z]{15,30}", 1 => any::<String>()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let letters = select(vec![0u8, 1, 2, 3, 0xfe, 0xff]);
    prop_oneof![4 => proptest::collection::vec(letters, 0..4), 1 => proptest::collection::vec(any::<u8>(), 0..150)]
}

/// One value for each of these types.
pub(crate) fn values_of(types: &[Type]) -> BoxedStrategy<Vec<Value>> {
    types.iter().map(value_of).collect::<Vec<_>>().boxed()
}

/// One value for each field of this class.
pub(crate) fn values_for(class: &Class) -> BoxedStrategy<Vec<Value>> {
    let types: Vec<Type> = class.fields.iter().map(|field| field.field_type.clone()).collect();
    values_of(&types)
}

/// A class whose primary key has fields of these types, in this order.
pub(crate) fn keyed(types: &[Type]) -> Class {
    let names: Vec<String> = (0..types.len()).map(|number| format!("f{number}")).collect();
    let mut builder = Class::builder("A", 1, ClassKind::Local);
    for (name, field_type) in names.iter().zip(types) {
        builder = builder.field(name, field_type.clone());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    builder.primary(&names).build().expect("the class is sound")
}

/// A field: its type, and the default it may be declared with.
pub(crate) fn any_field() -> impl Strategy<Value = (Type, Option<Value>)> {
    any_type().prop_flat_map(|field_type| {
        let default = value_of(&field_type).prop_map(|value| match value {
            Value::Vector(_) => Value::Vector(Vec::new()),
            Value::F64(number) if number.is_nan() => Value::F64(0.5),
            other => other,
        });
        (Just(field_type), proptest::option::of(default))
    })
}

/// Any class with this code.
pub(crate) fn any_class(code: u16) -> impl Strategy<Value = Class> {
    let key = proptest::collection::vec(any::<Pick>(), 1..4);
    let index = (key.clone(), any::<bool>(), any::<bool>());
    let parts = (
        proptest::collection::vec(any_field(), 0..6),
        keyable(),
        0..3usize,
        key,
        proptest::collection::vec(index, 0..4),
        any::<Pick>(),
    );
    parts.prop_map(move |(fields, first, kind, primary, indexes, auto)| {
        let kind = [ClassKind::Replicated, ClassKind::Distributed, ClassKind::Local][kind];
        let mut builder = Class::builder(&format!("Class_{code}"), code, kind);
        // Any class has a field that can be in a key; one in four is numbered by the store.
        let is_auto = auto.index(4) == 0;
        let first = if is_auto { Type::U64 } else { first };
        let mut keyable = vec!["f0".to_owned()];
        builder = builder.field("f0", first);
        for (number, (field_type, default)) in fields.into_iter().enumerate() {
            let name = format!("f{}", number + 1);
            if field_type.is_keyable() {
                keyable.push(name.clone());
            }
            builder = match default {
                Some(default) => builder.field_with_default(&name, field_type, default),
                None => builder.field(&name, field_type),
            };
        }
        let names = |picks: &[Pick]| {
            let mut names: Vec<&str> = Vec::new();
            for pick in picks {
                let name = keyable[pick.index(keyable.len())].as_str();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        builder = if is_auto { builder.auto("f0") } else { builder.primary_named("main", &names(&primary)) };
        for (number, (picks, unique, hash)) in indexes.iter().enumerate() {
            let (name, fields) = (format!("index{number}"), names(picks));
            builder = match (unique, hash) {
                (false, false) => builder.ordered(&name, &fields),
                (true, false) => builder.unique(&name, &fields),
                (false, true) => builder.hash(&name, &fields),
                (true, true) => builder.unique_hash(&name, &fields),
            };
        }
        builder.build().expect("the class is sound")
    })
}

/// Any class with values for its fields.
pub(crate) fn class_and_values() -> impl Strategy<Value = (Class, Vec<Value>)> {
    any_class(1).prop_flat_map(|class| {
        let values = values_for(&class);
        (Just(class), values)
    })
}

/// Any schema.
pub(crate) fn any_schema() -> impl Strategy<Value = Schema> {
    (any_class(3), any_class(9), any_class(65535), 0..4usize).prop_map(|(a, b, c, count)| {
        let classes = [a, b, c].into_iter().take(count);
        classes.fold(Schema::builder("any"), |builder, class| builder.class(class)).build().expect("sound")
    })
}
