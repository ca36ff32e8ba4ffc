//! A transactional in-memory database: typed classes, indexes, snapshots, a change feed and a write-ahead log.
//!
//! It knows nothing of topics, sessions or protocols and needs no runtime; it can be used alone.
//!
//! Start with [`Store`] (`store.rs`): open it with a [`Schema`], hand over a [`WriteBatch`] of blind writes, take a
//! [`Snapshot`], begin a [`Transaction`]. `examples/accounts.rs` is a whole program, docs/store/transactions.md says what a
//! commit promises.
//!
//! ```
//! use skein_store::{Isolation, Object, Options, Schema, StatementError, Store};
//!
//! #[derive(Object)]
//! #[class(code = 1)]
//! struct Counter {
//!     #[primary]
//!     name: String,
//!     count: u64,
//! }
//!
//! let schema = Schema::builder("counters").object::<Counter>().build()?;
//! let store = Store::open(schema, Options::memory())?;
//! for _ in 0..3 {
//!     store.transact(Isolation::RepeatableRead, |transaction| {
//!         let count = transaction.get::<Counter>(&"visits")?.map_or(0, |counter| counter.count);
//!         transaction.upsert(&Counter { name: "visits".to_owned(), count: count + 1 })?;
//!         Ok::<_, StatementError>(())
//!     })?;
//! }
//! assert_eq!(store.snapshot().find::<Counter>(&"visits")?.map(|counter| counter.count), Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod batch;
mod commit;
mod ddl;
mod engine;
mod error;
mod feed;
mod image;
mod key;
mod log;
mod newest;
mod object;
mod offline;
mod queue;
mod range;
mod row;
mod scan;
mod schema;
mod snapshot;
mod store;
mod transaction;
mod value;

pub use batch::{BatchFault, WriteBatch};
pub use commit::encoding::EntryFault;
pub use commit::{Commit, Expect};
pub use engine::{
    Change, INDEX_ENTRY_BYTES, ROW_BYTES, Root, Verdict, apply, certify, index_entry_bytes, row_bytes,
};
pub use error::{CheckpointError, CommitError, OpenError, StatementError, SubmitError};
pub use feed::{Feed, FeedError};
pub use image::ImageFault;
pub use range::{Direction, KeyRange};
pub use scan::{Access, Entry, Scan};
pub use snapshot::Snapshot;
pub use store::{ClassStats, Durability, OnFatal, Options, Stats, Store};
pub use transaction::{Isolation, Mode, Objects, Outcome, Savepoint, TransactError, Transacted, Transaction};

pub use ddl::{DDL_BYTES_MAX, DDL_FAULTS_MAX, DdlFault, DdlFaults};
pub use key::{KEY_INLINE_BYTES_MAX, Key, KeyBuilder};
pub use object::Object;
pub use offline::{FileReport, ReadError, Report, read, verify};
pub use row::{FieldType, KeyType, ObjectKey, ROW_FORMAT, Row, RowFault, RowFaultKind, RowReader, RowWriter};
pub use schema::{
    CATALOGUE_FORMAT, CLASSES_MAX, CatalogueFault, Class, ClassBuilder, ClassId, ClassKind, EvolveFault,
    Field, Index, IndexShape, PRIMARY_NAME, Primary, Schema, SchemaBuilder, SchemaChange, SchemaDifference,
    SchemaFault, ValueFault,
};
pub use skein_store_derive::Object;
pub use value::{TYPE_DEPTH_MAX, Time, Type, Value};
