//! The exclusive turn: while a transaction has it, every other commit waits.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The number of the turn that is taken; 0: none. Read without the lock by every commit.
    holder: AtomicU64,
    /// The number of the last turn given out.
    last: Mutex<u64>,
    free: Condvar,
}

impl Turn {
    /// Waits until nobody has the turn and takes it.
    pub(crate) fn take(&self) -> u64 {
        let mut last = self.last.lock();
        while self.holder.load(Ordering::Acquire) != 0 {
            self.free.wait(&mut last);
        }
        *last += 1;
        self.holder.store(*last, Ordering::Release);
        *last
    }

    pub(crate) fn give_back(&self, turn: u64) {
        let _last = self.last.lock();
        if self.holder.load(Ordering::Acquire) == turn {
            self.holder.store(0, Ordering::Release);
            self.free.notify_all();
        }
    }

    /// Whether a commit made under `turn` (0: no turn) must wait.
    pub(crate) fn bars(&self, turn: u64) -> bool {
        let holder = self.holder.load(Ordering::Acquire);
        holder != 0 && holder != turn
    }

    /// Waits until a commit made under `turn` need not wait.
    pub(crate) fn wait(&self, turn: u64) {
        if !self.bars(turn) {
            return;
        }
        let mut last = self.last.lock();
        while self.bars(turn) {
            self.free.wait(&mut last);
        }
    }
}
