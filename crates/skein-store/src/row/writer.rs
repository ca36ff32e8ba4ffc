//! Writes the fields of a row, in the order of its class.
//!
//! It checks nothing against a class: [`Class::encode_row`](crate::Class::encode_row) does, and derived objects are
//! right by their types. Called by both.

use super::ROW_FORMAT;
use crate::value::{Time, Type, Value};

/// Appends a row to a buffer.
#[derive(Debug)]
pub struct RowWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> RowWriter<'a> {
    /// Begins a row at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> RowWriter<'a> {
        out.push(ROW_FORMAT);
        RowWriter { out }
    }

    /// Continues in `out` without beginning a row: for single values outside rows.
    pub(crate) fn bare(out: &'a mut Vec<u8>) -> RowWriter<'a> {
        RowWriter { out }
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// Writes an unsigned integer of 8 bits.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Writes a signed integer of 8 bits.
    pub fn i8(&mut self, value: i8) {
        self.out.push(value.cast_unsigned());
    }

    /// Writes an unsigned integer of 16 to 64 bits.
    #[inline]
    pub fn unsigned(&mut self, value: u64) {
        let mut rest = value;
        while rest > 0x7f {
            self.out.push(low_seven(rest) | 0x80);
            rest >>= 7;
        }
        self.out.push(low_seven(rest));
    }

    /// Writes a signed integer of 16 to 64 bits.
    #[inline]
    pub fn signed(&mut self, value: i64) {
        self.unsigned((value << 1 ^ value >> 63).cast_unsigned());
    }

    /// Writes a float.
    pub fn f64(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Writes a moment.
    pub fn time(&mut self, value: Time) {
        self.out.extend_from_slice(&value.0.to_le_bytes());
    }

    /// Writes text.
    #[inline]
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Writes bytes.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.out.extend_from_slice(value);
    }

    /// Writes the absent value of an optional field.
    pub fn absent(&mut self) {
        self.out.push(0);
    }

    /// Says that the value of an optional field follows.
    pub fn present(&mut self) {
        self.out.push(1);
    }

    /// Writes the count of a vector, whose elements follow.
    pub fn count(&mut self, count: usize) {
        self.unsigned(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Writes `value` as a field of type `field_type`; false, and part of it written, when it is not of that type.
    pub(crate) fn value(&mut self, field_type: &Type, value: &Value) -> bool {
        match (field_type, value) {
            (Type::Optional(_), Value::None) => self.absent(),
            (Type::Optional(inner), value) => {
                self.present();
                return self.value(inner, value);
            }
            (Type::Vector(inner), Value::Vector(items)) => {
                self.count(items.len());
                return items.iter().all(|item| self.value(inner, item));
            }
            (Type::Bool, Value::Bool(value)) => self.bool(*value),
            (Type::U8, Value::U8(value)) => self.u8(*value),
            (Type::U16, Value::U16(value)) => self.unsigned(u64::from(*value)),
            (Type::U32, Value::U32(value)) => self.unsigned(u64::from(*value)),
            (Type::U64, Value::U64(value)) => self.unsigned(*value),
            (Type::I8, Value::I8(value)) => self.i8(*value),
            (Type::I16, Value::I16(value)) => self.signed(i64::from(*value)),
            (Type::I32, Value::I32(value)) => self.signed(i64::from(*value)),
            (Type::I64, Value::I64(value)) => self.signed(*value),
            (Type::F64, Value::F64(value)) => self.f64(*value),
            (Type::String, Value::String(value)) => self.str(value),
            (Type::Bytes, Value::Bytes(value)) => self.bytes(value),
            (Type::Time, Value::Time(value)) => self.time(*value),
            _ => return false,
        }
        true
    }
}

fn low_seven(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}
