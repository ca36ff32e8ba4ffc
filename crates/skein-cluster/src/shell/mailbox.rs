//! What one thread has for another: a queue and a way to wake whoever empties it.
//!
//! What is put in is changes of nodes' states and what an operator asks for: it grows with the number of nodes at most, since
//! a node's states end each other. It must never carry messages.

use std::{
    collections::VecDeque,
    sync::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Acquire},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Mailbox<T> {
    inner: Mutex<Inner<T>>,
    /// Rung without anything put in.
    rung: AtomicBool,
}

#[derive(Debug)]
struct Inner<T> {
    queue: VecDeque<T>,
    reader: Option<Waker>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner { queue: VecDeque::new(), reader: None }),
            rung: AtomicBool::new(false),
        }
    }
}

impl<T> Mailbox<T> {
    pub(super) fn put(&self, value: T) {
        let mut inner = self.inner.lock();
        inner.queue.push_back(value);
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Wakes the reader, which then finds [`Mailbox::was_rung`]; cheap when it was rung already.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, AcqRel)
            && let Some(reader) = self.inner.lock().reader.take()
        {
            reader.wake();
        }
    }

    pub(super) fn was_rung(&self) -> bool {
        self.rung.swap(false, AcqRel)
    }

    /// The next of what was put in, or ready with none when it was rung.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut inner = self.inner.lock();
        if let Some(next) = inner.queue.pop_front() {
            return Poll::Ready(Some(next));
        }
        if self.rung.load(Acquire) {
            return Poll::Ready(None);
        }
        inner.reader = Some(cx.waker().clone());
        // It may have been rung before the reader was there.
        if self.rung.load(Acquire) { Poll::Ready(None) } else { Poll::Pending }
    }
}
