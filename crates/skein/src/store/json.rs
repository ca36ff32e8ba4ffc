//! Values of objects as JSON and back, without loss.
//!
//! Integers are numbers, moments the number of their microseconds since 1970, bytes base64, absent values null. Floats
//! are texts: not all of them are JSON numbers, and readers of JSON round.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use skein_store::{Time, Type, Value};

/// What the bits of a float that is no number begin with.
const NAN_PREFIX: &str = "nan:";

pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::U8(value) => (*value).into(),
        Value::U16(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::I8(value) => (*value).into(),
        Value::I16(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) if value.is_nan() => format!("{NAN_PREFIX}{:016x}", value.to_bits()).into(),
        // `{:?}` writes the shortest text that is read as the same number.
        Value::F64(value) => format!("{value:?}").into(),
        Value::String(text) => (&**text).into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::Time(Time(micros)) => (*micros).into(),
        Value::Vector(items) => items.iter().map(to_json).collect(),
    }
}

/// The value of a field of this type; none when the text is not one.
pub(super) fn from_json(of: &Type, json: &Json) -> Option<Value> {
    Some(match of {
        Type::Optional(_) if json.is_null() => Value::None,
        Type::Optional(inner) => from_json(inner, json)?,
        Type::Vector(inner) => {
            let items = json.as_array()?.iter().map(|item| from_json(inner, item));
            Value::Vector(items.collect::<Option<_>>()?)
        }
        Type::Bool => Value::Bool(json.as_bool()?),
        Type::U8 => Value::U8(json.as_u64()?.try_into().ok()?),
        Type::U16 => Value::U16(json.as_u64()?.try_into().ok()?),
        Type::U32 => Value::U32(json.as_u64()?.try_into().ok()?),
        Type::U64 => Value::U64(json.as_u64()?),
        Type::I8 => Value::I8(json.as_i64()?.try_into().ok()?),
        Type::I16 => Value::I16(json.as_i64()?.try_into().ok()?),
        Type::I32 => Value::I32(json.as_i64()?.try_into().ok()?),
        Type::I64 => Value::I64(json.as_i64()?),
        Type::F64 => Value::F64(float(json.as_str()?)?),
        Type::String => Value::String(json.as_str()?.into()),
        Type::Bytes => Value::Bytes(STANDARD.decode(json.as_str()?).ok()?.into()),
        Type::Time => Value::Time(Time(json.as_i64()?)),
    })
}

fn float(text: &str) -> Option<f64> {
    match text.strip_prefix(NAN_PREFIX) {
        Some(bits) => u64::from_str_radix(bits, 16).ok().map(f64::from_bits).filter(|value| value.is_nan()),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        let optional = |of| Type::Optional(Box::new(of));
        let vector = |of| Type::Vector(Box::new(of));
        for (of, value) in [
            (Type::Bool, Value::Bool(true)),
            (Type::U8, Value::U8(u8::MAX)),
            (Type::U16, Value::U16(u16::MAX)),
            (Type::U32, Value::U32(u32::MAX)),
            (Type::U64, Value::U64(u64::MAX)),
            (Type::I8, Value::I8(i8::MIN)),
            (Type::I16, Value::I16(i16::MIN)),
            (Type::I32, Value::I32(i32::MIN)),
            (Type::I64, Value::I64(i64::MIN)),
            (Type::F64, Value::F64(-0.0)),
            (Type::F64, Value::F64(0.1 + 0.2)),
            (Type::F64, Value::F64(f64::NEG_INFINITY)),
            (Type::F64, Value::F64(f64::from_bits(0xfff8_0000_0000_0001))),
            (Type::String, Value::from("é\"\\\n\0")),
            (Type::Bytes, Value::Bytes(vec![0, 255, 10].into())),
            (Type::Time, Value::Time(Time(-1))),
            (optional(Type::U8), Value::None),
            (optional(Type::U8), Value::U8(1)),
            (vector(optional(Type::String)), Value::Vector(vec![Value::None, Value::from("")])),
        ] {
            let text = to_json(&value).to_string();
            let json: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(from_json(&of, &json), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused() {
        for (of, text) in [
            (Type::U8, "256"),
            (Type::U64, "-1"),
            (Type::U64, "1.0"),
            (Type::I8, "128"),
            (Type::F64, "1.0"),
            (Type::F64, "\"nan:0000000000000000\""),
            (Type::String, "null"),
            (Type::Bytes, "\"*\""),
            (Type::Vector(Box::new(Type::U8)), "[1,\"2\"]"),
            (Type::Optional(Box::new(Type::Bool)), "0"),
        ] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(from_json(&of, &json), None, "{of} {text}");
        }
    }
}
