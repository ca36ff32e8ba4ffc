//! The classes of the model tests: one with every shape of index, one that batches may write.

use skein_store::{Class, ClassKind, Schema, Type, Value};

/// The class with unique indexes, and its position in the schema.
pub(crate) const ITEM: usize = 0;
/// The class with a composite key and without unique indexes.
pub(crate) const ENTRY: usize = 1;

pub(crate) fn schema() -> Schema {
    let optional = |inner| Type::Optional(Box::new(inner));
    let item = Class::builder("item", 1, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("group", Type::U32)
        .field("name", Type::String)
        .field("tag", optional(Type::String))
        .field("code", optional(Type::I16))
        .field_with_default("weight", Type::F64, Value::F64(2.0))
        .primary(&["id"])
        .ordered("by_group", &["group", "weight"])
        .unique("by_name", &["name"])
        .hash("by_tag", &["tag"])
        .unique_hash("by_code", &["code"]);
    let entry = Class::builder("entry", 2, ClassKind::Replicated)
        .field("session", Type::String)
        .field("seq", Type::I32)
        .field_with_default("size", Type::U8, Value::U8(1))
        .field_with_default("payload", Type::Bytes, Value::Bytes(bytes::Bytes::from_static(b"\xff")))
        .primary(&["session", "seq"])
        .ordered("by_size", &["size"])
        .hash("by_payload", &["payload"]);
    Schema::builder("model").class(item.build().unwrap()).class(entry.build().unwrap()).build().unwrap()
}
