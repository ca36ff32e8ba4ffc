//! The durable way: what is written to the log, how it is read back, and the thread that owns it.
//!
//! `queue.rs` is where commits wait, `round.rs` those that are answered together, `net.rs` what blind batches of one group come down to, `thread.rs` the loop that
//! writes a group, syncs once, carries out and answers, `recovery.rs` the way back from files, `image.rs` the state as the
//! blocks of a snapshot file. Commits are answered only when the log has them as the durability mode promises.

pub(crate) mod image;
pub(crate) mod net;
pub(crate) mod queue;
pub(crate) mod recovery;
pub(crate) mod round;
pub(crate) mod thread;
