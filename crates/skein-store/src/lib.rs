//! A transactional in-memory database: typed classes, indexes, snapshots, a change feed and a write-ahead log.
//!
//! It knows nothing of topics, sessions or protocols and needs no runtime; it can be used alone.
#![warn(missing_docs)]

mod key;
mod object;
mod row;
mod schema;
mod value;

pub use key::{KEY_INLINE_BYTES_MAX, Key, KeyBuilder};
pub use object::{FieldType, KeyType, Object, ObjectKey};
pub use row::{ROW_FORMAT, Row, RowFault, RowFaultKind, RowReader, RowWriter};
pub use schema::{
    CATALOGUE_FORMAT, CLASSES_MAX, CatalogueFault, Class, ClassBuilder, ClassId, ClassKind, EvolveFault,
    Field, Index, IndexShape, PRIMARY_NAME, Primary, Schema, SchemaBuilder, SchemaChange, SchemaDifference,
    SchemaFault, ValueFault,
};
pub use skein_store_derive::Object;
pub use value::{TYPE_DEPTH_MAX, Time, Type, Value};
