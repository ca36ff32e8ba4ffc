//! Rust types as objects of classes: how their fields are typed, written, read and made into keys.
//!
//! `#[derive(Object)]` implements [`Object`]; the field types are implemented here. Nothing on this path looks at a
//! class: types that agree with it are what makes it fast. Called by the store's typed operations.

use std::sync::Arc;

use bytes::Bytes;

use crate::key::{Key, KeyBuilder};
use crate::row::{Row, RowFault, RowReader, RowWriter};
use crate::schema::Class;
use crate::value::{Time, Type, Value};

/// A Rust type whose values are the objects of a class.
///
/// Derive it for a struct with named fields whose types implement [`FieldType`]:
///
/// ```
/// use skein_store::{Object, ObjectKey, Time};
///
/// #[derive(Object, Debug, PartialEq)]
/// #[class(code = 7, kind = "replicated", index(name = "by_owner", fields(owner, id)))]
/// struct Account {
///     #[auto]
///     id: u64,
///     owner: String,
///     #[index(unique, hash)]
///     mail: Option<String>,
///     #[default_value(100)]
///     limit: u32,
///     #[default_value(Time(0))]
///     seen: Time,
/// }
///
/// let account = Account { id: 1, owner: "ann".into(), mail: None, limit: 5, seen: Time(0) };
/// assert_eq!(Account::from_row(&account.to_row()).unwrap(), account);
/// assert_eq!(account.primary_key(), 1u64.to_key());
/// assert_eq!(Account::class().indexes[Account::INDEX_BY_MAIL].name, "by_mail");
/// ```
///
/// On the struct, `#[class(..)]` takes `code = 1` (required; it stays for ever), `name = ".."` (else the struct's name),
/// `kind = "replicated" | "distributed" | "local"` (else replicated), `primary(a, b)` for a primary key in another order
/// than the fields', and any number of `index(name = "..", fields(a, b), unique, hash)`.
///
/// On a field, `#[primary]` makes it (with all others so marked, in order) the primary key, `#[auto]` a primary key of
/// type `u64` that the store numbers, `#[index]` or `#[index(unique, hash, name = "..")]` an index of this field, called
/// `by_` and the field unless named. `#[default_value(expression)]` gives the value for rows written before the field was added;
/// optional fields and vectors need none.
///
/// Each index also becomes a constant, `INDEX_` and its name in capitals: its number in [`Class::indexes`].
///
/// What the macro cannot know is refused by the compiler: keys of vectors,
///
/// ```compile_fail,E0277
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Tagged {
///     #[primary]
///     id: u64,
///     #[index]
///     tags: Vec<u8>,
/// }
/// ```
///
/// numbered fields that are no `u64`,
///
/// ```compile_fail,E0308
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Numbered {
///     #[auto]
///     id: u32,
/// }
/// ```
///
/// optionals in optionals,
///
/// ```compile_fail,E0080
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Doubtful {
///     #[primary]
///     id: u64,
///     name: Option<Option<String>>,
/// }
/// ```
///
/// and types that lie too deep inside each other.
///
/// ```compile_fail,E0080
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Deep {
///     #[primary]
///     id: u64,
///     cube: Vec<Vec<Vec<Vec<u8>>>>,
/// }
/// ```
pub trait Object: Sized {
    /// The fields of the primary key, borrowed: the field's key type, or a tuple of them.
    type Key<'a>: ObjectKey;

    /// The class, the same at every call.
    fn class() -> &'static Class;

    /// The encoded primary key.
    fn primary_key(&self) -> Key;

    /// Writes the fields in the order of the class.
    fn write(&self, out: &mut RowWriter<'_>);

    /// Reads what [`Object::write`] wrote, now or before fields were added.
    ///
    /// # Errors
    /// The bytes are not a row of the class.
    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault>;

    /// Takes the number the store gave; does nothing in classes without an auto id.
    fn set_auto_id(&mut self, _id: u64) {}

    /// Encodes the object.
    fn to_row(&self) -> Row {
        Row::encode(|out| self.write(out))
    }

    /// Decodes an object; its bytes fields share the row's memory.
    ///
    /// # Errors
    /// The bytes are not a row of the class.
    fn from_row(row: &Row) -> Result<Self, RowFault> {
        let mut reader = RowReader::new(row)?;
        let object = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(object)
    }
}

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
