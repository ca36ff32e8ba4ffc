//! Keys back to values: for messages and tools, which show a key as people know it.
//!
//! Keys may come from damaged files: what is not a key of the class gives `None`, never a panic.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

use bytes::Bytes;

use super::class::{Class, Field};
use crate::key::{ABSENT, Key, PRESENT, STRING_END, STRING_ESCAPE};
use crate::value::{Time, Type, Value};

impl Class {
    /// The values of a primary key, or of its first fields when it is a prefix.
    pub fn key_values(&self, key: &Key) -> Option<Vec<Value>> {
        self.values_of_fields(&self.primary.fields, key)
    }

    /// The values of a key of the index number `index`, or of its first fields when it is a prefix.
    pub fn index_key_values(&self, index: usize, key: &Key) -> Option<Vec<Value>> {
        self.values_of_fields(&self.indexes.get(index)?.fields, key)
    }

    /// A primary key for people: `owner = "ann", id = 7`; as bytes when it is none of this class.
    pub fn describe_key(&self, key: &Key) -> String {
        self.describe(&self.primary.fields, key)
    }

    /// A key of the index number `index` for people, as [`Class::describe_key`] gives it.
    pub fn describe_index_key(&self, index: usize, key: &Key) -> String {
        let fields = self.indexes.get(index).map_or(&[][..], |index| &index.fields);
        self.describe(fields, key)
    }

    fn describe(&self, numbers: &[usize], key: &Key) -> String {
        let Some(values) = self.values_of_fields(numbers, key) else { return format!("{key:?}") };
        let named =
            self.fields_of(numbers).zip(&values).map(|(field, value)| format!("{} = {value}", field.name));
        named.collect::<Vec<_>>().join(", ")
    }

    fn values_of_fields(&self, numbers: &[usize], key: &Key) -> Option<Vec<Value>> {
        let mut reader = KeyReader(key.as_slice());
        let mut values = Vec::with_capacity(numbers.len());
        for field in self.fields_of(numbers) {
            if reader.0.is_empty() {
                break;
            }
            values.push(reader.value(&field.field_type)?);
        }
        reader.0.is_empty().then_some(values)
    }

    fn fields_of<'a>(&'a self, numbers: &'a [usize]) -> impl Iterator<Item = &'a Field> {
        numbers.iter().filter_map(|number| self.fields.get(*number))
    }
}

struct KeyReader<'a>(&'a [u8]);

impl KeyReader<'_> {
    fn value(&mut self, field_type: &Type) -> Option<Value> {
        Some(match field_type {
            Type::Bool => match self.array()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Type::U8 => Value::U8(u8::from_be_bytes(self.array()?)),
            Type::U16 => Value::U16(u16::from_be_bytes(self.array()?)),
            Type::U32 => Value::U32(u32::from_be_bytes(self.array()?)),
            Type::U64 => Value::U64(u64::from_be_bytes(self.array()?)),
            Type::I8 => Value::I8(i8::from_be_bytes(self.array()?) ^ i8::MIN),
            Type::I16 => Value::I16(i16::from_be_bytes(self.array()?) ^ i16::MIN),
            Type::I32 => Value::I32(i32::from_be_bytes(self.array()?) ^ i32::MIN),
            Type::I64 => Value::I64(self.i64()?),
            Type::F64 => {
                let flipped = u64::from_be_bytes(self.array()?);
                let flip = if flipped >> 63 == 1 { 1 << 63 } else { u64::MAX };
                Value::F64(f64::from_bits(flipped ^ flip))
            }
            Type::String => Value::String(String::from_utf8(self.bytes()?).ok()?.into_boxed_str()),
            Type::Bytes => Value::Bytes(Bytes::from(self.bytes()?)),
            Type::Time => Value::Time(Time(self.i64()?)),
            Type::Optional(inner) => match self.array()? {
                [ABSENT] => Value::None,
                [PRESENT] => self.value(inner)?,
                _ => return None,
            },
            Type::Vector(_) => return None,
        })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.array()?) ^ i64::MIN)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let [byte] = self.array()?;
            match byte {
                STRING_END => return Some(bytes),
                STRING_ESCAPE => match self.array()? {
                    [escaped @ 1..=2] => bytes.push(escaped.saturating_sub(1)),
                    _ => return None,
                },
                plain => bytes.push(plain),
            }
        }
    }
}
