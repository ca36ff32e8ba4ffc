//! Rows and keys of a class: from values to bytes and back, and from rows to keys.
//!
//! The bytes of a row may come from a damaged file or another program's log: nothing here panics on them. Called by
//! the store for every write, which is why keys are taken out of rows without decoding the rest.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

use super::class::{Class, Field, Index};
use super::fault::ValueFault;
use crate::key::{Key, KeyBuilder};
use crate::row::{Row, RowFault, RowFaultKind, RowReader, RowWriter};
use crate::value::{Type, Value};

impl Class {
    /// Encodes one value for each field, in the order of the fields.
    ///
    /// # Errors
    /// The values are not those of this class.
    pub fn encode_row(&self, values: &[Value]) -> Result<Row, ValueFault> {
        if values.len() != self.fields.len() {
            let (class, expected) = (self.name.clone(), self.fields.len());
            return Err(ValueFault::Count { class, expected, given: values.len() });
        }
        let mut fault = None;
        let row = Row::encode(|out| {
            let mut pairs = self.fields.iter().zip(values);
            fault = pairs.find(|(field, value)| !out.value(&field.field_type, value));
        });
        match fault {
            None => Ok(row),
            Some((field, value)) => Err(self.type_fault(field, value)),
        }
    }

    /// Decodes the values of all fields. Fields the row ends before have their defaults.
    ///
    /// # Errors
    /// The bytes are not a row of this class.
    pub fn decode_row(&self, row: &[u8]) -> Result<Vec<Value>, RowFault> {
        self.read_values(RowReader::from_slice(row)?)
    }

    /// Decodes as [`Class::decode_row`] does, with the row's bytes shared instead of copied.
    ///
    /// # Errors
    /// The bytes are not a row of this class.
    pub fn values(&self, row: &Row) -> Result<Vec<Value>, RowFault> {
        self.read_values(RowReader::new(row)?)
    }

    fn read_values(&self, mut reader: RowReader<'_>) -> Result<Vec<Value>, RowFault> {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = if reader.is_at_end() {
                field.default_value().ok_or_else(|| reader.fault(RowFaultKind::Truncated))
            } else {
                reader.value(&field.field_type)
            };
            values.push(value.map_err(|fault| fault.in_field(&self.name, &field.name))?);
        }
        reader.finish()?;
        Ok(values)
    }

    /// Checks that the bytes are a row of this class, as decoding them would.
    ///
    /// # Errors
    /// They are not.
    pub fn check_row(&self, row: &[u8]) -> Result<(), RowFault> {
        let mut reader = RowReader::from_slice(row)?;
        for field in &self.fields {
            let checked = if !reader.is_at_end() {
                reader.check(&field.field_type)
            } else if field.default.is_some() || field.field_type.implicit_default().is_some() {
                continue;
            } else {
                Err(reader.fault(RowFaultKind::Truncated))
            };
            checked.map_err(|fault| fault.in_field(&self.name, &field.name))?;
        }
        reader.finish()
    }

    /// The primary key of the object in `row`. Fields that are not in the key are passed over unchecked.
    ///
    /// # Errors
    /// The bytes are not a row of this class.
    #[inline]
    pub fn key_of_row(&self, row: &[u8]) -> Result<Key, RowFault> {
        let mut key = KeyBuilder::new();
        self.walk_key(&self.primary.fields, row, &mut key)?;
        Ok(key.finish())
    }

    /// The key of the object in `row` in the index number `index`; `None` when one of the index's fields is absent:
    /// the object is then not in this index. An index that the class does not have holds no object.
    ///
    /// # Errors
    /// The bytes are not a row of this class.
    pub fn index_key_of_row(&self, index: usize, row: &[u8]) -> Result<Option<Key>, RowFault> {
        let Some(index) = self.indexes.get(index) else { return Ok(None) };
        let mut key = KeyBuilder::new();
        let complete = self.walk_key(&index.fields, row, &mut key)?;
        Ok(complete.then(|| key.finish()))
    }

    /// Reads the fields numbered `numbers` into `key`; false when one of them is absent.
    fn walk_key(&self, numbers: &[usize], row: &[u8], key: &mut KeyBuilder) -> Result<bool, RowFault> {
        let start = RowReader::from_slice(row)?;
        let mut reader = start.clone();
        let mut next = 0usize;
        let mut complete = true;
        for &number in numbers {
            if number < next {
                // The key's fields are in another order than the row's: begin again.
                reader = start.clone();
                next = 0;
            }
            let between = number.saturating_sub(next);
            for field in self.fields.iter().skip(next).take(between) {
                if reader.is_at_end() {
                    break;
                }
                reader.skip(&field.field_type).map_err(|fault| fault.in_field(&self.name, &field.name))?;
            }
            next = number.saturating_add(1);
            let Some(field) = self.fields.get(number) else { continue };
            complete &= self.key_field(field, &mut reader, key)?;
        }
        Ok(complete)
    }

    #[inline]
    fn key_field(
        &self,
        field: &Field,
        reader: &mut RowReader<'_>,
        key: &mut KeyBuilder,
    ) -> Result<bool, RowFault> {
        let named = |fault: RowFault| fault.in_field(&self.name, &field.name);
        if !reader.is_at_end() {
            return reader.key_field(&field.field_type, key).map_err(named);
        }
        let default = field.default_value().ok_or_else(|| named(reader.fault(RowFaultKind::Truncated)))?;
        let mut bytes = Vec::new();
        RowWriter::bare(&mut bytes).value(&field.field_type, &default);
        RowReader::bare(&bytes).key_field(&field.field_type, key).map_err(named)
    }

    /// The primary key of these values, or, with fewer values than it has fields, the prefix they share.
    ///
    /// # Errors
    /// The values are not those of the key's fields.
    pub fn key_from_values(&self, values: &[Value]) -> Result<Key, ValueFault> {
        self.key_of_fields(&self.primary.name, &self.primary.fields, values)
    }

    /// The key of these values in the index number `index`, or, with fewer values than it has fields, the prefix
    /// they share.
    ///
    /// # Errors
    /// The values are not those of the index's fields, or there is no such index.
    pub fn index_key_from_values(&self, index: usize, values: &[Value]) -> Result<Key, ValueFault> {
        let Some(Index { name, fields, .. }) = self.indexes.get(index) else {
            return Err(ValueFault::NoIndex { class: self.name.clone(), index });
        };
        self.key_of_fields(name, fields, values)
    }

    fn key_of_fields(&self, name: &str, numbers: &[usize], values: &[Value]) -> Result<Key, ValueFault> {
        if values.len() > numbers.len() {
            let (class, index) = (self.name.clone(), name.to_owned());
            return Err(ValueFault::KeyCount { class, index, expected: numbers.len(), given: values.len() });
        }
        let mut key = KeyBuilder::new();
        let fields = numbers.iter().filter_map(|number| self.fields.get(*number));
        for (field, value) in fields.zip(values) {
            if !push_value(&field.field_type, value, &mut key) {
                return Err(self.type_fault(field, value));
            }
        }
        Ok(key.finish())
    }

    fn type_fault(&self, field: &Field, value: &Value) -> ValueFault {
        ValueFault::Type {
            class: self.name.clone(),
            field: field.name.clone(),
            expected: field.field_type.to_string(),
            given: value.type_name(),
        }
    }
}

/// Appends a value to a key; false when it is not of that type.
fn push_value(field_type: &Type, value: &Value, key: &mut KeyBuilder) -> bool {
    match (field_type, value) {
        (Type::Optional(_), Value::None) => key.push_absent(),
        (Type::Optional(inner), value) => {
            key.push_present();
            return push_value(inner, value, key);
        }
        (Type::Bool, Value::Bool(value)) => key.push_bool(*value),
        (Type::U8, Value::U8(value)) => key.push_u8(*value),
        (Type::U16, Value::U16(value)) => key.push_u16(*value),
        (Type::U32, Value::U32(value)) => key.push_u32(*value),
        (Type::U64, Value::U64(value)) => key.push_u64(*value),
        (Type::I8, Value::I8(value)) => key.push_i8(*value),
        (Type::I16, Value::I16(value)) => key.push_i16(*value),
        (Type::I32, Value::I32(value)) => key.push_i32(*value),
        (Type::I64, Value::I64(value)) => key.push_i64(*value),
        (Type::F64, Value::F64(value)) => key.push_f64(*value),
        (Type::String, Value::String(value)) => key.push_str(value),
        (Type::Bytes, Value::Bytes(value)) => key.push_bytes(value),
        (Type::Time, Value::Time(value)) => key.push_time(*value),
        _ => return false,
    }
    true
}
