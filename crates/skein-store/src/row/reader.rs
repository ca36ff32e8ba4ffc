//! Reads the fields of a row, in the order of its class, without trusting a byte of it.
//!
//! Text and bytes are handed out in place. Called by the methods of `Class` and by derived objects.

use bytes::Bytes;

use super::{FieldType, ROW_FORMAT, Row, RowFault, RowFaultKind};
use crate::key::KeyBuilder;
use crate::value::{Time, Type, Value};

/// Reads a row from its first field to its last.
#[derive(Clone, Debug)]
pub struct RowReader<'a> {
    rest: &'a [u8],
    length: usize,
    /// What handed-out bytes share; without it they are copied.
    owner: Option<&'a Bytes>,
}

impl<'a> RowReader<'a> {
    /// Begins to read `row`; bytes read from it share its memory.
    ///
    /// # Errors
    /// The row is empty or of an unknown format.
    #[inline]
    pub fn new(row: &'a Row) -> Result<RowReader<'a>, RowFault> {
        let mut reader = RowReader::from_slice(row)?;
        reader.owner = Some(row.bytes());
        Ok(reader)
    }

    /// Begins to read a row that lies in a slice; bytes read from it are copied.
    ///
    /// # Errors
    /// The row is empty or of an unknown format.
    #[inline]
    pub fn from_slice(row: &'a [u8]) -> Result<RowReader<'a>, RowFault> {
        match row.split_first() {
            Some((&ROW_FORMAT, rest)) => Ok(RowReader { rest, length: row.len(), owner: None }),
            Some((&format, _)) => Err(RowFault::new(RowFaultKind::UnknownFormat(format), 0)),
            None => Err(RowFault::new(RowFaultKind::Empty, 0)),
        }
    }

    /// Reads values that stand alone, outside a row.
    pub(crate) fn bare(bytes: &'a [u8]) -> RowReader<'a> {
        RowReader { rest: bytes, length: bytes.len(), owner: None }
    }

    /// Whether all bytes were read: the fields that follow were added after the row was written.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    /// Says that no field follows.
    ///
    /// # Errors
    /// Bytes are left.
    #[inline]
    pub fn finish(&self) -> Result<(), RowFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(RowFaultKind::TrailingBytes)) }
    }

    /// Reads the next field, or its implicit default when the row ends before it. A fault names `class` and `field`.
    ///
    /// # Errors
    /// The row is damaged, or it ends before a field that has no default.
    #[inline]
    pub fn field<T: FieldType>(&mut self, class: &str, field: &str) -> Result<T, RowFault> {
        let read = if self.is_at_end() {
            T::implicit_default().ok_or_else(|| self.fault(RowFaultKind::Truncated))
        } else {
            T::read(self)
        };
        read.map_err(|fault| fault.in_field(class, field))
    }

    /// Reads the next field, or makes its default when the row ends before it. A fault names `class` and `field`.
    ///
    /// # Errors
    /// The row is damaged.
    #[inline]
    pub fn field_or<T: FieldType>(
        &mut self,
        class: &str,
        field: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, RowFault> {
        if self.is_at_end() {
            return Ok(default());
        }
        T::read(self).map_err(|fault| fault.in_field(class, field))
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn bool(&mut self) -> Result<bool, RowFault> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.fault(RowFaultKind::NotBoolean(other))),
        }
    }

    /// Reads an unsigned integer of 8 bits.
    ///
    /// # Errors
    /// The row is damaged.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, RowFault> {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                Ok(*byte)
            }
            None => Err(self.fault(RowFaultKind::Truncated)),
        }
    }

    /// Reads a signed integer of 8 bits.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn i8(&mut self) -> Result<i8, RowFault> {
        Ok(self.u8()?.cast_signed())
    }

    /// Reads an unsigned integer of 16 to 64 bits.
    ///
    /// # Errors
    /// The row is damaged, or the integer does not fit `T`.
    #[inline]
    pub fn unsigned<T: TryFrom<u64>>(&mut self) -> Result<T, RowFault> {
        let number = self.varint()?;
        T::try_from(number).ok().ok_or_else(|| self.fault(RowFaultKind::BadInteger))
    }

    /// Reads a signed integer of 16 to 64 bits.
    ///
    /// # Errors
    /// The row is damaged, or the integer does not fit `T`.
    #[inline]
    pub fn signed<T: TryFrom<i64>>(&mut self) -> Result<T, RowFault> {
        let zigzag = self.varint()?;
        let sign = if zigzag & 1 == 1 { u64::MAX } else { 0 };
        let number = ((zigzag >> 1) ^ sign).cast_signed();
        T::try_from(number).ok().ok_or_else(|| self.fault(RowFaultKind::BadInteger))
    }

    /// Reads a float.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn f64(&mut self) -> Result<f64, RowFault> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// Reads a moment.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn time(&mut self) -> Result<Time, RowFault> {
        Ok(Time(i64::from_le_bytes(self.array()?)))
    }

    /// Reads text, in place.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn str(&mut self) -> Result<&'a str, RowFault> {
        let start = self.rest;
        let bytes = self.byte_slice()?;
        str::from_utf8(bytes).ok().ok_or_else(|| {
            self.rest = start;
            self.fault(RowFaultKind::NotUtf8)
        })
    }

    /// Reads bytes, in place.
    ///
    /// # Errors
    /// The row is damaged.
    #[inline]
    pub fn byte_slice(&mut self) -> Result<&'a [u8], RowFault> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Reads bytes that share the row's memory.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn bytes(&mut self) -> Result<Bytes, RowFault> {
        let slice = self.byte_slice()?;
        Ok(match self.owner {
            Some(owner) => owner.slice_ref(slice),
            None => Bytes::copy_from_slice(slice),
        })
    }

    /// Reads whether the value of an optional field follows.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn present(&mut self) -> Result<bool, RowFault> {
        self.bool()
    }

    /// Reads the count of a vector, whose elements follow. It is never more than the bytes that are left, so room
    /// may be reserved for it.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn count(&mut self) -> Result<usize, RowFault> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(self.fault(RowFaultKind::Truncated)),
        }
    }

    /// Reads a value of type `field_type`.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn value(&mut self, field_type: &Type) -> Result<Value, RowFault> {
        Ok(match field_type {
            Type::Bool => Value::Bool(self.bool()?),
            Type::U8 => Value::U8(self.u8()?),
            Type::U16 => Value::U16(self.unsigned()?),
            Type::U32 => Value::U32(self.unsigned()?),
            Type::U64 => Value::U64(self.unsigned()?),
            Type::I8 => Value::I8(self.i8()?),
            Type::I16 => Value::I16(self.signed()?),
            Type::I32 => Value::I32(self.signed()?),
            Type::I64 => Value::I64(self.signed()?),
            Type::F64 => Value::F64(self.f64()?),
            Type::String => Value::String(self.str()?.into()),
            Type::Bytes => Value::Bytes(self.bytes()?),
            Type::Time => Value::Time(self.time()?),
            Type::Optional(inner) => {
                if self.present()? {
                    self.value(inner)?
                } else {
                    Value::None
                }
            }
            Type::Vector(inner) => {
                // A value is far bigger than its encoding: room is made as elements arrive.
                let mut items = Vec::new();
                for _ in 0..self.count()? {
                    items.push(self.value(inner)?);
                }
                Value::Vector(items)
            }
        })
    }

    /// Passes over a value of type `field_type`, looking only for its end.
    ///
    /// # Errors
    /// The row is damaged.
    #[inline]
    pub(crate) fn skip(&mut self, field_type: &Type) -> Result<(), RowFault> {
        match field_type {
            Type::Bool | Type::U8 | Type::I8 => self.take(1)?,
            Type::U16 | Type::U32 | Type::U64 | Type::I16 | Type::I32 | Type::I64 => {
                self.varint()?;
                &[]
            }
            Type::F64 | Type::Time => self.take(8)?,
            Type::String | Type::Bytes => self.byte_slice()?,
            Type::Optional(inner) => {
                if self.present()? {
                    self.skip(inner)?;
                }
                &[]
            }
            Type::Vector(inner) => {
                for _ in 0..self.count()? {
                    self.skip(inner)?;
                }
                &[]
            }
        };
        Ok(())
    }

    /// Passes over a value of type `field_type`, checking all of it.
    pub(crate) fn check(&mut self, field_type: &Type) -> Result<(), RowFault> {
        match field_type {
            Type::Bool => self.bool().map(drop),
            Type::U16 => self.unsigned::<u16>().map(drop),
            Type::U32 => self.unsigned::<u32>().map(drop),
            Type::I16 => self.signed::<i16>().map(drop),
            Type::I32 => self.signed::<i32>().map(drop),
            Type::String => self.str().map(drop),
            Type::Optional(inner) => {
                if self.present()? {
                    self.check(inner)?;
                }
                Ok(())
            }
            Type::Vector(inner) => {
                for _ in 0..self.count()? {
                    self.check(inner)?;
                }
                Ok(())
            }
            Type::U8 | Type::U64 | Type::I8 | Type::I64 | Type::F64 | Type::Bytes | Type::Time => {
                self.skip(field_type)
            }
        }
    }

    /// Reads a value of type `field_type` straight into a key; false when an optional one is absent.
    #[inline]
    pub(crate) fn key_field(&mut self, field_type: &Type, key: &mut KeyBuilder) -> Result<bool, RowFault> {
        match field_type {
            Type::Bool => key.push_bool(self.bool()?),
            Type::U8 => key.push_u8(self.u8()?),
            Type::U16 => key.push_u16(self.unsigned()?),
            Type::U32 => key.push_u32(self.unsigned()?),
            Type::U64 => key.push_u64(self.varint()?),
            Type::I8 => key.push_i8(self.i8()?),
            Type::I16 => key.push_i16(self.signed()?),
            Type::I32 => key.push_i32(self.signed()?),
            Type::I64 => key.push_i64(self.signed()?),
            Type::F64 => key.push_f64(self.f64()?),
            Type::String | Type::Bytes => key.push_bytes(self.byte_slice()?),
            Type::Time => key.push_time(self.time()?),
            Type::Optional(inner) => {
                if !self.present()? {
                    key.push_absent();
                    return Ok(false);
                }
                key.push_present();
                return self.key_field(inner, key);
            }
            // A class with a vector in a key cannot be built.
            Type::Vector(_) => self.skip(field_type)?,
        }
        Ok(true)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, RowFault> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.varint_long(),
        }
    }

    fn varint_long(&mut self) -> Result<u64, RowFault> {
        let mut number = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8()?;
            let seven = u64::from(byte & 0x7f);
            let shifted = seven << shift;
            // The tenth byte has room for one bit; a last byte of zero adds nothing.
            if shifted >> shift != seven || (byte == 0 && shift > 0) {
                return Err(self.fault(RowFaultKind::BadInteger));
            }
            number |= shifted;
            if byte < 0x80 {
                return Ok(number);
            }
            shift = shift.saturating_add(7);
            if shift > 63 {
                return Err(self.fault(RowFaultKind::BadInteger));
            }
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], RowFault> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.fault(RowFaultKind::Truncated)),
        }
    }

    fn array(&mut self) -> Result<[u8; 8], RowFault> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(self.fault(RowFaultKind::Truncated)),
        }
    }

    #[cold]
    pub(crate) fn fault(&self, kind: RowFaultKind) -> RowFault {
        RowFault::new(kind, self.offset())
    }
}
