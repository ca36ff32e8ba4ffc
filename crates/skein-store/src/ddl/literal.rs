//! Defaults: a token as a value of the field's type.

use bytes::Bytes;

use super::lexer::TokenKind;
use crate::value::{Time, Type, Value};

/// The value, or what was expected instead.
pub(super) fn literal(token: &TokenKind, field_type: &Type) -> Result<Value, String> {
    let value = match (field_type, token) {
        (Type::Optional(_), TokenKind::Word(word)) if word == "none" || word == "null" => Some(Value::None),
        (Type::Optional(inner), token) => return literal(token, inner),
        (Type::String, TokenKind::Text(text)) => Some(Value::from(text.as_str())),
        (Type::Bytes, TokenKind::Hex(bytes)) => Some(Value::Bytes(Bytes::copy_from_slice(bytes))),
        (Type::Bool, TokenKind::Word(word)) => word.parse().ok().map(Value::Bool),
        (Type::F64, TokenKind::Number(text) | TokenKind::Word(text)) => float(text),
        (field_type, TokenKind::Number(text)) => integer(text, field_type),
        _ => None,
    };
    value.ok_or_else(|| format!("the default of a {field_type} is {}", example(field_type)))
}

fn integer(text: &str, field_type: &Type) -> Option<Value> {
    match field_type {
        Type::U8 => text.parse().ok().map(Value::U8),
        Type::U16 => text.parse().ok().map(Value::U16),
        Type::U32 => text.parse().ok().map(Value::U32),
        Type::U64 => text.parse().ok().map(Value::U64),
        Type::I8 => text.parse().ok().map(Value::I8),
        Type::I16 => text.parse().ok().map(Value::I16),
        Type::I32 => text.parse().ok().map(Value::I32),
        Type::I64 => text.parse().ok().map(Value::I64),
        Type::Time => text.parse().ok().map(|micros| Value::Time(Time(micros))),
        _ => None,
    }
}

/// Numbers only; one that is too big is a slip unless infinity is written out.
fn float(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    let is_written = matches!(text, "inf" | "-inf");
    (number.is_finite() || is_written).then_some(Value::F64(number))
}

fn example(field_type: &Type) -> &'static str {
    match field_type {
        Type::Bool => "true or false",
        Type::U8 => "a number from 0 to 255",
        Type::U16 => "a number from 0 to 65535",
        Type::U32 => "a number from 0 to 4294967295",
        Type::U64 => "a number from 0 to 18446744073709551615",
        Type::I8 => "a number from -128 to 127",
        Type::I16 => "a number from -32768 to 32767",
        Type::I32 => "a number from -2147483648 to 2147483647",
        Type::I64 => "a number from -9223372036854775808 to 9223372036854775807",
        Type::F64 => "a number such as 1.5, inf or -inf",
        Type::String => "text in quotes, \"..\"",
        Type::Bytes => "bytes in hexadecimal, x\"00ff\"",
        Type::Time => "a number of microseconds since 1970",
        Type::Optional(_) => "none, or a value of its type",
        Type::Vector(_) => "the empty one, []",
    }
}
