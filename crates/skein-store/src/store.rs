//! The store: submit batches, take snapshots, watch changes.
//!
//! This is the entry point; `log/open.rs` opens it and `transaction.rs` begins transactions, both from above. `newest.rs`
//! keeps the newest state, `memory_path.rs` and `log_path.rs` are the two ways a commit takes to it, `engine.rs` decides and
//! carries out. It needs no runtime and calls back on the thread that carried the commit out: such calls must be short.

mod checkpoint;
mod health;
mod log_path;
mod memory_path;
mod options;
mod stats;

use crate::batch::WriteBatch;
use crate::commit::Commit;
use crate::engine::{Root, Verdict};
use crate::error::{CheckpointError, CommitError, SubmitError};
use crate::feed::{Feed, FeedError, Hub};
use crate::key::Key;
use crate::newest::Newest;
use crate::object::Object;
use crate::queue::{Queue, Turn};
use crate::row::{ObjectKey, Row, RowFault};
use crate::schema::{Class, ClassId, Schema};
use crate::snapshot::Snapshot;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

pub use options::{Durability, OnFatal, Options};
pub use stats::{ClassStats, Stats};

pub(crate) use checkpoint::Checkpoints;
pub(crate) use memory_path::AbortOnPanic;

use health::Health;
use stats::Counters;

/// A handle to an open store; clones share it. Dropping the last one closes the store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Handle>);

/// Closes the store when the last handle goes. The log thread holds the inner part only.
#[derive(Debug)]
struct Handle {
    inner: Arc<Inner>,
    log_thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) schema: Schema,
    pub(crate) options: Options,
    pub(crate) newest: Newest,
    pub(crate) turn: Turn,
    pub(crate) queue: Queue,
    pub(crate) health: Health,
    checkpoints: Option<Checkpoints>,
    pub(crate) feeds: Arc<Hub>,
    /// Per class: the next automatic number.
    numbers: Vec<AtomicU64>,
    /// The positions of the classes that have such numbers.
    numbered: Vec<usize>,
    pub(crate) counters: Counters,
}

impl Store {
    /// A store of this, with the thread that owns its log, if it has one.
    pub(crate) fn of(inner: Arc<Inner>, log_thread: Option<JoinHandle<()>>) -> Store {
        Store(Arc::new(Handle { inner, log_thread: Mutex::new(log_thread) }))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.0.inner.schema
    }

    /// An empty batch for this store.
    #[must_use]
    pub fn batch(&self) -> WriteBatch {
        WriteBatch::new(self.0.inner.schema.clone())
    }

    /// Hands over a batch. `done` is called with its index once it is carried out and, in the durable modes, written as
    /// the mode promises; or with why it was not. It runs on the thread that carried the batch out, in memory mode the
    /// caller's: it must be short and must not write to the store itself.
    pub fn submit(&self, batch: WriteBatch, done: impl FnOnce(Result<u64, SubmitError>) + Send + 'static) {
        let inner = &self.0.inner;
        if inner.has_log() {
            inner.submit_logged(batch, Box::new(done))
        } else {
            inner.submit_now(batch, done)
        }
    }

    /// The same, waiting for it.
    ///
    /// # Errors
    /// The batch was not carried out.
    pub fn commit(&self, batch: WriteBatch) -> Result<u64, SubmitError> {
        if !self.0.inner.has_log() {
            return self.0.inner.commit_batch_now(batch);
        }
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        // The receiver waits below, so that the send cannot fail.
        self.submit(batch, move |result| drop(sender.send(result)));
        answer
            .recv()
            .unwrap_or_else(|_gone| Err(SubmitError::Stopped { why: "its log thread is gone".to_owned() }))
    }

    /// The state with everything that was answered before this call. It never waits for IO.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { root: self.0.inner.newest.snapshot() }
    }

    /// The row with this primary key, as of now: cheaper than a snapshot for one look.
    #[must_use]
    pub fn get(&self, class: ClassId, key: &Key) -> Option<Row> {
        let position = self.schema().position(class)?;
        self.0.inner.newest.read(|root| root.class(position)?.rows.get(key).map(|stored| stored.row.clone()))
    }

    /// The object with this primary key, as of now.
    ///
    /// # Errors
    /// The stored row cannot be read as this type.
    pub fn find<T: Object>(&self, key: &T::Key<'_>) -> Result<Option<T>, RowFault> {
        let row = self.schema().position_of::<T>().and_then(|_| self.get(T::class().id, &key.to_key()));
        row.map(|row| T::from_row(&row)).transpose()
    }

    /// The next number of a class that is numbered by the store, for batches; 0 when the class is unknown. A number is
    /// never given twice, also when what it was taken for is not committed, and lies above all that were committed
    /// before.
    #[must_use]
    pub fn next_id(&self, class: ClassId) -> u64 {
        self.position(class).map_or(0, |position| self.next_number(position))
    }

    /// What the store holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.0.inner;
        let (queued, queued_bytes) = inner.queue.depth();
        let alarms = inner.health.alarms();
        Stats { queued, queued_bytes, alarms, ..inner.counters.stats(&inner.newest.snapshot()) }
    }

    /// The index of the last commit that was answered.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.0.inner.newest.answered()
    }

    /// Whether new transactions can commit.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.0.inner.health.read_only().is_none()
    }

    /// Watches classes: the changes of all commits with an index above `after`, in order.
    ///
    /// # Errors
    /// Changes above `after` are not kept any more, or were not yet recorded because nobody watched the class: take a
    /// snapshot, or use [`Store::watch_from_now`].
    pub fn watch(&self, after: u64, classes: &[ClassId]) -> Result<Feed, FeedError> {
        self.watch_at(&self.0.inner.newest.hold(), after, classes)
    }

    /// The present state and the changes that come after it, without a gap between.
    ///
    /// # Errors
    /// A class is unknown.
    pub fn watch_from_now(&self, classes: &[ClassId]) -> Result<(Snapshot, Feed), FeedError> {
        let root = self.0.inner.newest.hold();
        let feed = self.watch_at(&root, root.index(), classes)?;
        Ok((Snapshot { root: Arc::new(root.clone()) }, feed))
    }

    fn watch_at(&self, root: &Root, after: u64, classes: &[ClassId]) -> Result<Feed, FeedError> {
        let position = |id: &ClassId| {
            let position = self.position(*id).ok_or(FeedError::UnknownClass(*id))?;
            Ok((usize::from(position), *id))
        };
        let classes: Vec<_> = classes.iter().map(position).collect::<Result<_, FeedError>>()?;
        let feeds = &self.0.inner.feeds;
        let positions: Vec<usize> = classes.iter().map(|(position, _)| *position).collect();
        let next = feeds.join(&positions, after, root.index())?;
        Ok(Feed::new(feeds, classes, next))
    }

    /// Writes a snapshot file of the newest state while writers go on, so that the next start need not replay what came
    /// before; returns its index. The store does so by itself when its log has grown enough.
    ///
    /// # Errors
    /// The file could not be written, or the store is in memory only. The store goes on.
    pub fn checkpoint(&self) -> Result<u64, CheckpointError> {
        self.0.inner.checkpoint()
    }

    /// Carries out what was handed over, syncs and closes the files. Whatever comes later is refused. Dropping the last
    /// handle does the same.
    pub fn close(&self) {
        self.0.close();
    }

    pub(crate) fn position(&self, class: ClassId) -> Option<u16> {
        self.0.inner.schema.position(class).and_then(|position| u16::try_from(position).ok())
    }

    pub(crate) fn next_number(&self, position: u16) -> u64 {
        self.0.inner.numbers.get(usize::from(position)).map_or(0, |next| next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn commit_certified(&self, commit: Commit, turn: u64) -> Result<(u64, Verdict), CommitError> {
        let inner = &self.0.inner;
        if inner.has_log() { inner.commit_logged(commit, turn) } else { Ok(inner.commit_now(commit, turn)?) }
    }

    /// Waits for the exclusive turn and takes it.
    pub(crate) fn take_turn(&self) -> u64 {
        let inner = &self.0.inner;
        let turn = inner.turn.take();
        // A commit that looked before the turn was taken is carried out in the group in hand or under the lock.
        if inner.has_log() {
            inner.queue.wait_for_group();
        } else {
            drop(inner.newest.hold());
        }
        turn
    }

    pub(crate) fn give_turn_back(&self, turn: u64) {
        self.0.inner.turn.give_back(turn);
        self.0.inner.queue.wake();
    }
}

impl Inner {
    pub(crate) fn new(root: Root, options: Options, checkpoints: Option<Checkpoints>) -> Inner {
        let numbers = root.classes.iter().map(|class| AtomicU64::new(class.auto_next)).collect();
        let has_numbers = |(position, class): (usize, &Arc<Class>)| class.primary.auto.then_some(position);
        let numbered = root.schema().classes().iter().enumerate().filter_map(has_numbers).collect();
        let feeds = Hub::new(root.classes.len(), options.feed_changes_max, options.feed_bytes_max);
        Inner {
            feeds: Arc::new(feeds),
            schema: root.schema().clone(),
            options,
            newest: Newest::new(root),
            turn: Turn::default(),
            queue: Queue::default(),
            health: Health::default(),
            checkpoints,
            numbers,
            numbered,
            counters: Counters::default(),
        }
    }

    fn has_log(&self) -> bool {
        self.checkpoints.is_some()
    }
}

impl Handle {
    fn close(&self) {
        self.inner.queue.close();
        if !self.inner.has_log() {
            self.inner.health.stopped("it was closed");
            self.inner.feeds.stop();
        }
        let Some(thread) = self.log_thread.lock().take() else { return };
        // The last handle may go on the log thread itself, which then ends by itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the log thread panicked");
        }
        self.inner.leave_directory();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
