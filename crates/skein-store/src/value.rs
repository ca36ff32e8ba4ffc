//! What a field can hold: the types a class is declared with and the values of a row that is handled by name.
//!
//! Nothing here knows how a value is laid out: `row.rs` and `key.rs` do. Programs that know their classes when they
//! are compiled use `object.rs` instead and never build a [`Value`]; tools, DDL defaults and foreign interfaces do.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

/// How deep `optional` and `vector` may nest in one field, so that no reader recurses further.
pub const TYPE_DEPTH_MAX: usize = 4;

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// An unsigned integer of 8 bits.
    U8,
    /// An unsigned integer of 16 bits.
    U16,
    /// An unsigned integer of 32 bits.
    U32,
    /// An unsigned integer of 64 bits.
    U64,
    /// A signed integer of 8 bits.
    I8,
    /// A signed integer of 16 bits.
    I16,
    /// A signed integer of 32 bits.
    I32,
    /// A signed integer of 64 bits.
    I64,
    /// A floating point number of 64 bits.
    F64,
    /// Text in UTF-8.
    String,
    /// Bytes without further meaning.
    Bytes,
    /// A moment, see [`Time`].
    Time,
    /// A value that may be absent.
    Optional(Box<Type>),
    /// Any number of values of one type, in order.
    Vector(Box<Type>),
}

impl Type {
    /// Whether values of this type have an order that keys can carry: all do but vectors.
    pub fn is_keyable(&self) -> bool {
        match self {
            Type::Vector(_) => false,
            Type::Optional(inner) => inner.is_keyable(),
            Type::Bool
            | Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::F64
            | Type::String
            | Type::Bytes
            | Type::Time => true,
        }
    }

    /// How many types lie inside each other: 1 for a plain one.
    pub fn depth(&self) -> usize {
        match self {
            Type::Optional(inner) | Type::Vector(inner) => inner.depth().saturating_add(1),
            _ => 1,
        }
    }

    /// The value that rows written before the field was added have, when the declaration names none.
    pub fn implicit_default(&self) -> Option<Value> {
        match self {
            Type::Optional(_) => Some(Value::None),
            Type::Vector(_) => Some(Value::Vector(Vec::new())),
            _ => None,
        }
    }

    /// Whether `value` may stand in a field of this type.
    pub fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Type::Optional(_), Value::None) => true,
            (Type::Optional(inner), value) => inner.accepts(value),
            (Type::Vector(inner), Value::Vector(items)) => items.iter().all(|item| inner.accepts(item)),
            (Type::Bool, Value::Bool(_))
            | (Type::U8, Value::U8(_))
            | (Type::U16, Value::U16(_))
            | (Type::U32, Value::U32(_))
            | (Type::U64, Value::U64(_))
            | (Type::I8, Value::I8(_))
            | (Type::I16, Value::I16(_))
            | (Type::I32, Value::I32(_))
            | (Type::I64, Value::I64(_))
            | (Type::F64, Value::F64(_))
            | (Type::String, Value::String(_))
            | (Type::Bytes, Value::Bytes(_))
            | (Type::Time, Value::Time(_)) => true,
            _ => false,
        }
    }
}

/// The name of the type in DDL text.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Bool => "boolean",
            Type::U8 => "uint1",
            Type::U16 => "uint2",
            Type::U32 => "uint4",
            Type::U64 => "uint8",
            Type::I8 => "int1",
            Type::I16 => "int2",
            Type::I32 => "int4",
            Type::I64 => "int8",
            Type::F64 => "double",
            Type::String => "string",
            Type::Bytes => "blob",
            Type::Time => "datetime",
            Type::Optional(inner) => return write!(f, "optional {inner}"),
            Type::Vector(inner) => return write!(f, "vector<{inner}>"),
        };
        f.write_str(name)
    }
}

/// Microseconds since the Unix epoch; negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The moment `time`, as near as a `Time` comes to it.
    pub fn from_system_time(time: SystemTime) -> Time {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Time(micros(after)),
            Err(before) => Time(micros(before.duration()).saturating_neg()),
        }
    }
}

/// The value of one field. A present value of an optional field is the plain value.
///
/// Values are ordered as their keys are: absent first, floats by their total order. Values of different types are
/// ordered too, by type, which means nothing.
#[derive(Clone, Debug)]
pub enum Value {
    /// The absent value of an optional field.
    None,
    /// See [`Type::Bool`].
    Bool(bool),
    /// See [`Type::U8`].
    U8(u8),
    /// See [`Type::U16`].
    U16(u16),
    /// See [`Type::U32`].
    U32(u32),
    /// See [`Type::U64`].
    U64(u64),
    /// See [`Type::I8`].
    I8(i8),
    /// See [`Type::I16`].
    I16(i16),
    /// See [`Type::I32`].
    I32(i32),
    /// See [`Type::I64`].
    I64(i64),
    /// See [`Type::F64`].
    F64(f64),
    /// See [`Type::String`].
    String(Box<str>),
    /// See [`Type::Bytes`].
    Bytes(Bytes),
    /// See [`Type::Time`].
    Time(Time),
    /// See [`Type::Vector`].
    Vector(Vec<Value>),
}

impl Value {
    /// A name for the value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::None => "none",
            Value::Bool(_) => "boolean",
            Value::U8(_) => "uint1",
            Value::U16(_) => "uint2",
            Value::U32(_) => "uint4",
            Value::U64(_) => "uint8",
            Value::I8(_) => "int1",
            Value::I16(_) => "int2",
            Value::I32(_) => "int4",
            Value::I64(_) => "int8",
            Value::F64(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "blob",
            Value::Time(_) => "datetime",
            Value::Vector(_) => "vector",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::None => 0,
            Value::Bool(_) => 1,
            Value::U8(_) => 2,
            Value::U16(_) => 3,
            Value::U32(_) => 4,
            Value::U64(_) => 5,
            Value::I8(_) => 6,
            Value::I16(_) => 7,
            Value::I32(_) => 8,
            Value::I64(_) => 9,
            Value::F64(_) => 10,
            Value::String(_) => 11,
            Value::Bytes(_) => 12,
            Value::Time(_) => 13,
            Value::Vector(_) => 14,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::U8(a), Value::U8(b)) => a.cmp(b),
            (Value::U16(a), Value::U16(b)) => a.cmp(b),
            (Value::U32(a), Value::U32(b)) => a.cmp(b),
            (Value::U64(a), Value::U64(b)) => a.cmp(b),
            (Value::I8(a), Value::I8(b)) => a.cmp(b),
            (Value::I16(a), Value::I16(b)) => a.cmp(b),
            (Value::I32(a), Value::I32(b)) => a.cmp(b),
            (Value::I64(a), Value::I64(b)) => a.cmp(b),
            (Value::F64(a), Value::F64(b)) => a.total_cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Vector(a), Value::Vector(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Two floats are equal when their bits are, so that a value equals what was written and read back.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::U64(number)
    }
}

/// As a default is written in DDL text; vectors with elements, which cannot be defaults, as those between brackets.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("none"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::U8(value) => write!(f, "{value}"),
            Value::U16(value) => write!(f, "{value}"),
            Value::U32(value) => write!(f, "{value}"),
            Value::U64(value) => write!(f, "{value}"),
            Value::I8(value) => write!(f, "{value}"),
            Value::I16(value) => write!(f, "{value}"),
            Value::I32(value) => write!(f, "{value}"),
            Value::I64(value) => write!(f, "{value}"),
            // `{:?}` writes the shortest text that is read as the same number.
            Value::F64(value) => write!(f, "{value:?}"),
            Value::Time(value) => write!(f, "{}", value.0),
            Value::String(text) => write_text(text, f),
            Value::Bytes(bytes) => {
                f.write_str("x\"")?;
                for byte in bytes {
                    write!(f, "{byte:02x}")?;
                }
                f.write_char('"')
            }
            Value::Vector(items) => {
                f.write_char('[')?;
                for (number, item) in items.iter().enumerate() {
                    f.write_str(if number > 0 { ", " } else { "" })?;
                    write!(f, "{item}")?;
                }
                f.write_char(']')
            }
        }
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            other if other.is_control() => write!(f, "\\u{{{:x}}}", u32::from(other))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_microseconds_both_ways_from_the_epoch() {
        assert_eq!(Time::from_system_time(UNIX_EPOCH + Duration::from_nanos(1_500)), Time(1));
        assert_eq!(Time::from_system_time(UNIX_EPOCH - Duration::from_millis(2)), Time(-2000));
    }

    #[test]
    fn values_are_shown_as_in_ddl_text() {
        let shown = Value::Vector(vec![
            Value::None,
            Value::from("a\"\n\u{1}"),
            Value::Bytes(Bytes::from_static(&[10])),
        ]);
        assert_eq!(shown.to_string(), r#"[none, "a\"\n\u{1}", x"0a"]"#);
        assert_eq!(Value::F64(1.0).to_string(), "1.0");
        assert_eq!(Value::Time(Time(-3)).to_string(), "-3");
    }
}
