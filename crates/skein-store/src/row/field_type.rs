//! The Rust types of fields: how they are typed, written, read and made into keys. Called by derived objects.

use std::sync::Arc;

use bytes::Bytes;

use super::{RowFault, RowReader, RowWriter};
use crate::key::{Key, KeyBuilder};
use crate::value::{Time, Type, Value};

/// A Rust type that a field can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a class",
    note = "fields are bool, u8 to u64, i8 to i64, f64, String, Bytes, Time, and Option and Vec of these"
)]
pub trait FieldType: Sized {
    /// How many types lie inside each other, at most [`TYPE_DEPTH_MAX`](crate::TYPE_DEPTH_MAX).
    const DEPTH: usize = 1;

    /// Whether the value may be absent; an optional cannot hold an optional.
    const OPTIONAL: bool = false;

    /// The type of the field.
    fn field_type() -> Type;

    /// The value in rows written before the field was added, for types that have one without being told.
    fn implicit_default() -> Option<Self> {
        None
    }

    /// Writes the field.
    fn write(&self, out: &mut RowWriter<'_>);

    /// Reads the field.
    ///
    /// # Errors
    /// The bytes are not of this type.
    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault>;

    /// The value of this field, as a row that is handled by name has it.
    fn to_value(&self) -> Value;
}

/// A Rust type that a field in a key can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be in a key",
    note = "keys are made of bool, u8 to u64, i8 to i64, f64, String, Bytes, Time, and Option of these, not of Vec"
)]
pub trait KeyType: FieldType {
    /// What a lookup gives: `&str` for `String`, the type itself for numbers.
    type Ref<'a>: ObjectKey;

    /// Appends the field to a key.
    fn write_key(&self, key: &mut KeyBuilder);
}

/// Values that make a key, or the first fields of one: what lookups and ranges are called with.
pub trait ObjectKey {
    /// Appends the values to a key.
    fn append_to(&self, key: &mut KeyBuilder);

    /// The encoded key.
    fn to_key(&self) -> Key {
        let mut key = KeyBuilder::new();
        self.append_to(&mut key);
        key.finish()
    }
}

macro_rules! plain_field {
    ($($rust:ty, $variant:ident, $value:ident => $write:expr, $row:ident => $read:expr, $push:ident;)+) => {$(
        impl FieldType for $rust {
            fn field_type() -> Type {
                Type::$variant
            }

            fn write(&self, out: &mut RowWriter<'_>) {
                let $value = *self;
                let write: fn(&mut RowWriter<'_>, $rust) = $write;
                write(out, $value);
            }

            fn read($row: &mut RowReader<'_>) -> Result<Self, RowFault> {
                $read
            }

            fn to_value(&self) -> Value {
                Value::$variant(*self)
            }
        }

        impl KeyType for $rust {
            type Ref<'a> = $rust;

            fn write_key(&self, key: &mut KeyBuilder) {
                key.$push(*self);
            }
        }

        impl ObjectKey for $rust {
            fn append_to(&self, key: &mut KeyBuilder) {
                key.$push(*self);
            }
        }
    )+};
}

plain_field! {
    bool, Bool, value => |out, value| out.bool(value), row => row.bool(), push_bool;
    u8, U8, value => |out, value| out.u8(value), row => row.u8(), push_u8;
    u16, U16, value => |out, value| out.unsigned(u64::from(value)), row => row.unsigned(), push_u16;
    u32, U32, value => |out, value| out.unsigned(u64::from(value)), row => row.unsigned(), push_u32;
    u64, U64, value => |out, value| out.unsigned(value), row => row.unsigned(), push_u64;
    i8, I8, value => |out, value| out.i8(value), row => row.i8(), push_i8;
    i16, I16, value => |out, value| out.signed(i64::from(value)), row => row.signed(), push_i16;
    i32, I32, value => |out, value| out.signed(i64::from(value)), row => row.signed(), push_i32;
    i64, I64, value => |out, value| out.signed(value), row => row.signed(), push_i64;
    f64, F64, value => |out, value| out.f64(value), row => row.f64(), push_f64;
    Time, Time, value => |out, value| out.time(value), row => row.time(), push_time;
}

macro_rules! text_field {
    ($($rust:ty),+) => {$(
        impl FieldType for $rust {
            fn field_type() -> Type {
                Type::String
            }

            fn write(&self, out: &mut RowWriter<'_>) {
                out.str(self);
            }

            fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault> {
                row.str().map(Self::from)
            }

            fn to_value(&self) -> Value {
                Value::from(&**self)
            }
        }

        impl KeyType for $rust {
            type Ref<'a> = &'a str;

            fn write_key(&self, key: &mut KeyBuilder) {
                key.push_str(self);
            }
        }

        impl ObjectKey for $rust {
            fn append_to(&self, key: &mut KeyBuilder) {
                key.push_str(self);
            }
        }
    )+};
}

text_field!(String, Box<str>, Arc<str>);

impl ObjectKey for &str {
    fn append_to(&self, key: &mut KeyBuilder) {
        key.push_str(self);
    }
}

impl FieldType for Bytes {
    fn field_type() -> Type {
        Type::Bytes
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.bytes(self);
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault> {
        row.bytes()
    }

    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }
}

impl KeyType for Bytes {
    type Ref<'a> = &'a [u8];

    fn write_key(&self, key: &mut KeyBuilder) {
        key.push_bytes(self);
    }
}

impl ObjectKey for &[u8] {
    fn append_to(&self, key: &mut KeyBuilder) {
        key.push_bytes(self);
    }
}

impl ObjectKey for Bytes {
    fn append_to(&self, key: &mut KeyBuilder) {
        key.push_bytes(self);
    }
}

impl<T: FieldType> FieldType for Option<T> {
    const DEPTH: usize = {
        assert!(!T::OPTIONAL, "an optional field cannot hold an optional");
        T::DEPTH + 1
    };

    const OPTIONAL: bool = true;

    fn implicit_default() -> Option<Self> {
        Some(None)
    }

    fn field_type() -> Type {
        Type::Optional(Box::new(T::field_type()))
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        match self {
            None => out.absent(),
            Some(value) => {
                out.present();
                value.write(out);
            }
        }
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault> {
        if row.present()? { T::read(row).map(Some) } else { Ok(None) }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::None, FieldType::to_value)
    }
}

impl<T: KeyType> KeyType for Option<T> {
    type Ref<'a> = Option<T::Ref<'a>>;

    fn write_key(&self, key: &mut KeyBuilder) {
        match self {
            None => key.push_absent(),
            Some(value) => {
                key.push_present();
                value.write_key(key);
            }
        }
    }
}

impl<K: ObjectKey> ObjectKey for Option<K> {
    fn append_to(&self, key: &mut KeyBuilder) {
        match self {
            None => key.push_absent(),
            Some(value) => {
                key.push_present();
                value.append_to(key);
            }
        }
    }
}

impl<T: FieldType> FieldType for Vec<T> {
    const DEPTH: usize = T::DEPTH + 1;

    fn implicit_default() -> Option<Self> {
        Some(Vec::new())
    }

    fn field_type() -> Type {
        Type::Vector(Box::new(T::field_type()))
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.count(self.len());
        for item in self {
            item.write(out);
        }
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault> {
        let count = row.count()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::read(row)?);
        }
        Ok(items)
    }

    fn to_value(&self) -> Value {
        Value::Vector(self.iter().map(FieldType::to_value).collect())
    }
}

/// No field: the prefix of every key.
impl ObjectKey for () {
    fn append_to(&self, _key: &mut KeyBuilder) {}
}

macro_rules! tuple_key {
    ($($name:ident)+) => {
        impl<$($name: ObjectKey),+> ObjectKey for ($($name,)+) {
            fn append_to(&self, key: &mut KeyBuilder) {
                #[expect(non_snake_case, reason = "the names of the types name the parts too")]
                let ($($name,)+) = self;
                $($name.append_to(key);)+
            }
        }
    };
}

tuple_key!(A);
tuple_key!(A B);
tuple_key!(A B C);
tuple_key!(A B C D);
tuple_key!(A B C D E);
tuple_key!(A B C D E F);
tuple_key!(A B C D E F G);
tuple_key!(A B C D E F G H);
