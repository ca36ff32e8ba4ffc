//! The order in which batches of one session's connections reach the store.
//!
//! A connection's batch records what its client said: ids received, releases under way. When another connection takes
//! the session over in the middle of that batch, what the new one is told and what it changes rests on rows that are not
//! handed over yet. So the batch that opens a session waits until the one before it is handed over. That takes as long
//! as the rest of that batch, which runs on another thread and waits for nothing but, in the same way, one still
//! earlier.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

/// A batch that takes longer has lost its thread; what follows does not wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A batch that has recorded something for a session.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    over: Mutex<bool>,
    changed: Condvar,
}

/// Held by the batch; dropped when it is handed over, or given up.
#[derive(Debug, Default)]
pub(crate) struct TurnGuard(Arc<Turn>);

impl TurnGuard {
    pub(crate) fn turn(&self) -> &Arc<Turn> {
        &self.0
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        *self.0.over.lock() = true;
        self.0.changed.notify_all();
    }
}

impl Turn {
    /// Waits until the batch is handed over. Nobody who calls this may hold a lock.
    pub(crate) fn wait(&self) {
        let mut over = self.over.lock();
        while !*over {
            if self.changed.wait_for(&mut over, WAIT_MAX).timed_out() {
                tracing::error!("store: a batch of a session that was taken over is not handed over");
                return;
            }
        }
    }
}
