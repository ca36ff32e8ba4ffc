//! A transactional in-memory database: typed classes, indexes, snapshots, a change feed and a write-ahead log.
//!
//! It knows nothing of topics, sessions or protocols and needs no runtime; it can be used alone.
#![warn(missing_docs)]

mod batch;
mod commit;
mod ddl;
mod engine;
mod error;
mod feed;
mod key;
mod log;
mod newest;
mod object;
mod offline;
mod row;
mod scan;
mod schema;
mod snapshot;
mod store;
mod transaction;
mod value;

pub use batch::{Batch, BatchFault};
pub use commit::encoding::EntryFault;
pub use commit::{Commit, Expect};
pub use engine::{
    Change, Direction, INDEX_ENTRY_BYTES, KeyRange, ROW_BYTES, Root, Verdict, apply, certify,
    index_entry_bytes, row_bytes,
};
pub use error::{CheckpointError, CommitError, OpenError, StatementError, SubmitError};
pub use feed::{Feed, FeedError};
pub use log::image::ImageFault;
pub use scan::{Access, Entry, Scan};
pub use snapshot::Snapshot;
pub use store::{ClassStats, Durability, OnFatal, Options, Stats, Store};
pub use transaction::{Isolation, Mode, Objects, Outcome, Savepoint, TransactError, Transacted, Transaction};

pub use ddl::{DDL_BYTES_MAX, DDL_FAULTS_MAX, DdlFault, DdlFaults};
pub use key::{KEY_INLINE_BYTES_MAX, Key, KeyBuilder};
pub use object::{FieldType, KeyType, Object, ObjectKey};
pub use offline::{FileReport, ReadError, Report, read, verify};
pub use row::{ROW_FORMAT, Row, RowFault, RowFaultKind, RowReader, RowWriter};
pub use schema::{
    CATALOGUE_FORMAT, CLASSES_MAX, CatalogueFault, Class, ClassBuilder, ClassId, ClassKind, EvolveFault,
    Field, Index, IndexShape, PRIMARY_NAME, Primary, Schema, SchemaBuilder, SchemaChange, SchemaDifference,
    SchemaFault, ValueFault,
};
pub use skein_store_derive::Object;
pub use value::{TYPE_DEPTH_MAX, Time, Type, Value};
