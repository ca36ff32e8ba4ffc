//! The durable way: what is written to the log, how it is read back, and the thread that owns it.
//!
//! `open.rs` is the beginning of a store, `recovery.rs` the way back from files, `thread.rs` the loop that takes what waits in
//! the queue, writes it as one group, syncs once, carries out and answers, `coalesce.rs` what blind batches of one group come down
//! to. Commits are answered only when the log has them as the durability mode promises. It stands above the store's own
//! module, which knows the queue and no thread.

mod coalesce;
mod open;
mod recovery;
mod thread;

pub(crate) use recovery::read_back;
