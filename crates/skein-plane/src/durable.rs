//! What survives the node: sessions, their queues and the retained messages, in the store.
//!
//! The plane works in memory and writes down what it must be able to remember. Whatever a batch changes is collected
//! in its `Journal` and handed to the store as one transaction when the batch ends; the answers that promise
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

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use skein_store::Store;

pub use self::commit::Commit;
pub(crate) use self::commit::Unattended;

use crate::rows::{RowContext, WallClock};

/// Where durable things are kept, and how moments of this run are written there.
#[derive(Debug)]
pub struct Durable {
    pub(crate) store: Store,
    /// How moments of this run are written there, among other things.
    pub(crate) rows: RowContext,
    /// Held while dirty rows are read and handed to the store; taken before a session's lock, never after.
    pub(crate) order: Mutex<()>,
    /// Held while stored users and rules are changed, from reading them to putting them in force.
    pub(crate) access_changing: Mutex<()>,
    memory_bytes_max: u64,
    /// The store holds as much as it may.
    memory_full: AtomicBool,
}

impl Durable {
    /// Keeps durable things in `store`, which has the classes of `schema()`.
    #[must_use]
    pub fn new(store: Store, clock: WallClock) -> Self {
        Self {
            store,
            rows: RowContext::new(clock),
            order: Mutex::default(),
            access_changing: Mutex::default(),
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

    pub(crate) fn rows(&self) -> &RowContext {
        &self.rows
    }
}
