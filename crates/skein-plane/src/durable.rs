//! What survives the node: sessions, their queues and the retained messages, in the store.
//!
//! The plane works in memory and writes down what it must be able to remember. Whatever a batch changes is collected
//! in its [`Journal`] and handed to the store as one transaction when the batch ends; the answers that promise
//! something wait for its [`Commit`]. At start [`Plane::restore`](crate::Plane::restore) reads everything back.
//!
//! Rules that keep it right (docs/adr/0009):
//! - Rows of sessions have the session's number in their key, and a number is used once: what a late batch writes
//!   for a session that has ended is an orphan, which the next start removes.
//! - Rows that several batches may write at the same time (sessions, subscriptions, retained) are not recorded as
//!   values but as *dirty*, and read from memory under [`Durable::order`] while the batch is handed over, so that the
//!   store gets them in the order in which they changed.
//! - A queue row is written by the batch that published the message and removed by the one that saw it
//!   acknowledged, or by the former if the acknowledgement was faster.
//! - A batch that opens a session follows the batch of the connection it takes the session from (`turn.rs`).

mod commit;
mod inspect;
mod journal;
mod restore;
mod rows;
mod schema;
mod turn;
mod users;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;
use skein_store::{Store, Time};

pub(crate) use self::commit::{CommitFlag, Unattended};
pub(crate) use self::journal::{Journal, KeptDelivery};
pub(crate) use self::turn::Turn;
pub use self::{
    commit::Commit,
    restore::{RestoreError, Restored},
    rows::RowError,
    schema::schema,
    users::{AccessChangeError, NewPassword, StoredRule, StoredUser, UserChange},
};

/// Where durable things are kept, and how moments of this run are written there.
#[derive(Debug)]
pub struct Durable {
    store: Store,
    clock: WallClock,
    /// Held while dirty rows are read and handed to the store; taken before a session's lock, never after.
    order: Mutex<()>,
    /// Held while stored users and rules are changed, from reading them to putting them in force.
    access_changing: Mutex<()>,
    last_message: AtomicU64,
    memory_bytes_max: u64,
    /// The store holds as much as it may.
    memory_full: AtomicBool,
}

/// The wall clock at the node's start. Moments of this run are counted from there, so that a clock that is set while
/// the node runs changes no deadline.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    zero: Time,
}

/// The row of a message that several sessions refer to.
#[derive(Debug)]
pub(crate) struct SharedRow {
    id: u64,
    references: AtomicUsize,
}

impl WallClock {
    /// A clock for a node whose moment zero was at `zero`.
    #[must_use]
    pub fn new(zero: Time) -> Self {
        Self { zero }
    }
}

impl Durable {
    /// Keeps durable things in `store`, which has the classes of [`schema()`].
    #[must_use]
    pub fn new(store: Store, clock: WallClock) -> Self {
        Self {
            store,
            clock,
            order: Mutex::default(),
            access_changing: Mutex::default(),
            last_message: AtomicU64::new(0),
            memory_bytes_max: u64::MAX,
            memory_full: AtomicBool::new(false),
        }
    }

    /// Lets the store take nothing new from clients once it holds so many bytes. What was taken before still goes in,
    /// acknowledgements too, so the store itself needs no bound, or a higher one: a batch it refuses is lost.
    #[must_use]
    pub fn with_memory_bytes_max(self, memory_bytes_max: u64) -> Self {
        Self { memory_bytes_max, ..self }
    }

    /// Whether the store takes more, on its disk and in memory.
    pub(crate) fn has_room(&self) -> bool {
        self.store.writable() && !self.memory_full.load(Relaxed)
    }

    /// Looks how much the store holds. Some ten times a second, because it costs a look at all classes.
    pub(crate) fn look_at_memory(&self) {
        if self.memory_bytes_max == u64::MAX {
            return;
        }
        let stats = self.store.stats();
        let bytes = stats.bytes.saturating_add(stats.queued_bytes);
        let full = bytes >= self.memory_bytes_max;
        if self.memory_full.swap(full, Relaxed) != full {
            match full {
                true => tracing::error!(
                    bytes,
                    max = self.memory_bytes_max,
                    "store: its memory is full; it takes no more"
                ),
                false => tracing::info!(bytes, "store: there is memory again"),
            }
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn new_shared_row(&self, references: usize) -> Arc<SharedRow> {
        let id = self.last_message.fetch_add(1, Relaxed) + 1;
        Arc::new(SharedRow { id, references: AtomicUsize::new(references) })
    }
}

impl SharedRow {
    /// One session less refers to it; true for the last.
    fn release(&self) -> bool {
        self.references.fetch_sub(1, Relaxed) == 1
    }
}

#[cfg(test)]
mod tests;
