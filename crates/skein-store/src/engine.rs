//! The state of the store and the only functions that change it.
//!
//! `root.rs` is the whole state as one value that is cheap to clone, `class.rs` one class of it, `index.rs` one
//! secondary index, `certify.rs` and `apply.rs` are the pure functions of
//! (state, index, commit) that decide and carry out a commit: no clock, no randomness, no setting and no order of
//! hashing may enter them, because replaying the log, here or on another node, must give the same state and the same
//! verdicts. `memory.rs` says what a row and an index entry weigh.
//!
//! Nothing here locks, waits, reads a file or knows who asks. Called by `newest.rs`, recovery and the transactions.

mod apply;
mod certify;
mod class;
mod index;
mod memory;
mod root;

pub use apply::{Change, apply};
pub(crate) use apply::{Recorder, apply_recorded};
pub use certify::{Verdict, certify};
pub(crate) use class::{ClassState, Stored, index_key};
pub(crate) use index::joined;
pub use memory::{INDEX_ENTRY_BYTES, ROW_BYTES, index_entry_bytes, row_bytes};
pub(crate) use memory::{weight, weight_max};
pub use root::Root;
