//! What waits in the queues of all sessions together, and the bound on it.
//!
//! Sessions count what comes into their queues and goes out of them into the tally of the batch at hand; it is added here
//! when the batch ends. Full is full for messages that would have to wait: those that can be sent at once go on. A batch
//! that is under way sees its own messages and not those of others, so that the bound can be passed by what the other
//! batches of the moment hold.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use super::{Delivery, QueueLimits};
use crate::ledger::{QueueTally, Tally};

/// The queues of all sessions as one.
#[derive(Debug)]
pub struct NodeQueue {
    messages: AtomicI64,
    bytes: AtomicI64,
    messages_max: AtomicUsize,
    bytes_max: AtomicUsize,
}

impl Default for NodeQueue {
    /// Without a bound.
    fn default() -> Self {
        Self {
            messages: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            messages_max: AtomicUsize::new(usize::MAX),
            bytes_max: AtomicUsize::new(usize::MAX),
        }
    }
}

impl QueueLimits {
    /// Nothing may wait.
    pub(crate) const NOTHING: Self = Self { messages_max: 0, bytes_max: 0 };
}

impl NodeQueue {
    /// Messages and bytes that wait.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let of = |counter: &AtomicI64| usize::try_from(counter.load(Relaxed)).unwrap_or_default();
        (of(&self.messages), of(&self.bytes))
    }

    /// Changes the bound; what waits already stays.
    pub fn set_limits(&self, limits: QueueLimits) {
        self.messages_max.store(limits.messages_max, Relaxed);
        self.bytes_max.store(limits.bytes_max, Relaxed);
    }

    /// Whether no more may wait, what the batch of `tally` queued included.
    pub(crate) fn is_full(&self, tally: &Tally) -> bool {
        let QueueTally { messages, bytes } = tally.queue;
        let reached = |counter: &AtomicI64, more: i64, max: &AtomicUsize| {
            let max = i64::try_from(max.load(Relaxed)).unwrap_or(i64::MAX);
            counter.load(Relaxed).saturating_add(more) >= max
        };
        reached(&self.messages, messages, &self.messages_max) || reached(&self.bytes, bytes, &self.bytes_max)
    }

    /// Adds what a batch counted.
    pub(crate) fn add(&self, tally: &Tally) {
        let QueueTally { messages, bytes } = tally.queue;
        if messages != 0 {
            self.messages.fetch_add(messages, Relaxed);
        }
        if bytes != 0 {
            self.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

impl Delivery {
    /// Counts how the queue changed since the last call. Called before the session's lock is given back by whoever may
    /// have changed it.
    pub(crate) fn count_queue(&mut self, tally: &mut Tally) {
        let (messages, bytes) = (u32::try_from(self.queue.len()).unwrap_or(u32::MAX), self.queue_bytes);
        if (messages, bytes) != (self.counted_messages, self.counted_bytes) {
            tally.queue.messages += i64::from(messages) - i64::from(self.counted_messages);
            tally.queue.bytes += bytes as i64 - self.counted_bytes as i64;
            (self.counted_messages, self.counted_bytes) = (messages, bytes);
        }
    }
}
