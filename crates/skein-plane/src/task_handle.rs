//! The remote control of the task that serves a connection: waking it, and telling it to end.

use std::task::Waker;

use parking_lot::Mutex;
use skein_types::Code;

use crate::outbox::Outbox;

/// What others leave for the task that owns a connection. One per connection, shared with its session.
#[derive(Debug, Default)]
pub struct TaskHandle {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waker: Option<Waker>,
    awake: bool,
    closing: Option<Box<Closing>>,
    asked: Option<Code>,
}

/// A connection's last word: why it ends and the bytes still to be written.
#[derive(Debug)]
pub struct Closing {
    /// Why.
    pub code: Code,
    /// What was waiting, the farewell of the protocol included.
    pub outbox: Outbox,
}

impl TaskHandle {
    /// Remembers whom to wake; returns whether somebody called since the last time, so that no call is missed.
    pub fn register(&self, waker: &Waker) -> bool {
        let mut inner = self.inner.lock();
        if !inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        std::mem::take(&mut inner.awake)
    }

    /// Wakes the task.
    pub fn wake(&self) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.awake = true;
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells the task to write `outbox` and end. Only the first farewell counts.
    pub fn close(&self, code: Code, outbox: Outbox) {
        self.inner.lock().closing.get_or_insert_with(|| Box::new(Closing { code, outbox }));
        self.wake();
    }

    /// Asks the task to end when it has answered everything it has received. Unlike [`TaskHandle::close`] it may take its time,
    /// and the farewell is its own.
    pub fn ask(&self, code: Code) {
        self.inner.lock().asked.get_or_insert(code);
        self.wake();
    }

    /// Whether it was asked to end, and why.
    pub fn asked(&self) -> Option<Code> {
        self.inner.lock().asked
    }

    /// The farewell, if there is one.
    pub fn take_closing(&self) -> Option<Closing> {
        self.inner.lock().closing.take().map(|closing| *closing)
    }
}
