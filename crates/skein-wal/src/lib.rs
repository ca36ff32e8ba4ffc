//! Bytes that outlive the process: files through one seam, a segmented write-ahead log, snapshot files.
//!
//! It knows bytes and indexes, never classes or transactions. It is blocking, has no clock and no settings of its own,
//! and never panics on what a file holds. `skein-store` keeps its commits in it.
//!
//! Start with `log.rs`. A store opens its [`Directory`], reads the [`SnapshotReader::newest`] snapshot, replays with
//! [`Log::open`] what came after, then appends and syncs; [`SnapshotWriter`] runs beside it on another thread. The layout on
//! disk and what every fault means is in `docs/store/files.md`.
#![warn(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

mod bytes;
mod directory;
pub mod disk;
mod fault;
mod format;
mod frame;
mod log;
mod snapshot;
mod store_id;
mod verify;
mod window;

pub use directory::Directory;
pub use fault::{AppendFault, Fault, OpenFault, SyncFault};
pub use frame::{Entries, Visit};
pub use log::{Cut, Log, LogOptions, Prepare, Recovery};
pub use snapshot::{Kept, Newest, SnapshotReader, SnapshotWriter};
pub use store_id::StoreId;
pub use verify::{FileReport, Report, verify};
