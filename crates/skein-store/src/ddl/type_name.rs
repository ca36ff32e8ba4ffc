//! The names of types: this store's own, and those that declarations for other embedded databases use.

use crate::value::Type;

/// What a word at the place of a type is.
pub(super) enum TypeName {
    /// A type; a length in angle brackets may follow and is not kept.
    Plain(Type),
    /// `signed<N>` or `unsigned<N>`, with a size in bytes.
    Sized(fn(u64) -> Option<Type>),
    /// A type of another database, and what to do instead.
    Foreign(&'static str),
    /// No type at all.
    Unknown,
}

/// The types to name when a word is none.
pub(super) const TYPE_NAMES: &str = "boolean, uint1 to uint8 (u8 to u64), int1 to int8 (i8 to i64), double, \
                                     string, blob, datetime, optional T, vector<T>";

pub(super) fn type_name(word: &str) -> TypeName {
    TypeName::Plain(match word {
        "bool" | "boolean" => Type::Bool,
        "u8" | "uint1" => Type::U8,
        "u16" | "uint2" => Type::U16,
        "u32" | "uint4" => Type::U32,
        "u64" | "uint8" | "autoid_t" => Type::U64,
        "i8" | "int1" => Type::I8,
        "i16" | "int2" => Type::I16,
        "i32" | "int4" => Type::I32,
        "i64" | "int8" => Type::I64,
        "f64" | "double" => Type::F64,
        "string" | "char" | "varchar" => Type::String,
        "bytes" | "blob" | "binary" | "varbinary" => Type::Bytes,
        "time" | "date" | "datetime" => Type::Time,
        "unsigned" => return TypeName::Sized(unsigned),
        "signed" => return TypeName::Sized(signed),
        _ => return foreign(word),
    })
}

fn unsigned(size: u64) -> Option<Type> {
    match size {
        1 => Some(Type::U8),
        2 => Some(Type::U16),
        4 => Some(Type::U32),
        8 => Some(Type::U64),
        _ => None,
    }
}

fn signed(size: u64) -> Option<Type> {
    match size {
        1 => Some(Type::I8),
        2 => Some(Type::I16),
        4 => Some(Type::I32),
        8 => Some(Type::I64),
        _ => None,
    }
}

fn foreign(word: &str) -> TypeName {
    TypeName::Foreign(match word {
        "float" | "f32" => "floats have 64 bits here: use double",
        "nchar" | "nstring" | "wchar" | "wstring" => "all text is UTF-8 here: use string",
        "decimal" | "numeric" => "there are no decimal numbers: use int8 and count the smallest unit",
        "ref" | "oid" | "object" => {
            "objects do not point at each other: keep the other object's key in fields"
        }
        "struct" => "there are no structures: put their fields into the class",
        "enum" => "there are no enumerations: use uint1 or string",
        "int" | "uint" => "the size is missing: use int4 or uint4, with the number of bytes",
        _ => return TypeName::Unknown,
    })
}
