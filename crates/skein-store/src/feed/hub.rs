//! The buffer between those who commit and those who watch.
//!
//! Commits are pushed in order, under the lock of the newest state; a watcher takes them by number. The buffer is bounded
//! in changes and in bytes of rows: what does not fit pushes the oldest out. Classes nobody watches are not recorded.

use super::FeedError;
use crate::engine::Change;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Hub {
    /// Whether anybody watches anything; read by every commit.
    active: AtomicBool,
    buffer: Mutex<Buffer>,
    pushed: Condvar,
    changes_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Buffer {
    commits: VecDeque<Kept>,
    /// The number of the first commit in the buffer.
    first: u64,
    changes: usize,
    bytes: usize,
    /// Changes with an index not above this have been pushed out.
    gone: u64,
    classes: Vec<Watched>,
    stopped: bool,
}

#[derive(Clone, Debug, Default)]
struct Watched {
    feeds: usize,
    /// The index behind which its changes are recorded.
    since: u64,
}

#[derive(Debug)]
struct Kept {
    index: u64,
    changes: Arc<[Change]>,
    bytes: usize,
}

impl Hub {
    pub(crate) fn new(classes: usize, changes_max: usize, bytes_max: usize) -> Hub {
        let buffer = Buffer { classes: vec![Watched::default(); classes], ..Buffer::default() };
        let active = AtomicBool::new(false);
        Hub { active, buffer: Mutex::new(buffer), pushed: Condvar::new(), changes_max, bytes_max }
    }

    /// Which classes are watched, by position; none when nobody watches.
    pub(crate) fn watched(&self) -> Option<Vec<bool>> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        Some(self.buffer.lock().classes.iter().map(|class| class.feeds > 0).collect())
    }

    /// Adds a commit's changes. Called in the order of the log.
    pub(crate) fn push(&self, index: u64, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let row_bytes = |row: &Option<crate::row::Row>| row.as_ref().map_or(0, |row| row.len());
        let bytes = changes.iter().map(|change| row_bytes(&change.before) + row_bytes(&change.after)).sum();
        let mut buffer = self.buffer.lock();
        buffer.changes += changes.len();
        buffer.bytes += bytes;
        buffer.commits.push_back(Kept { index, changes: changes.into(), bytes });
        while buffer.changes > self.changes_max || buffer.bytes > self.bytes_max {
            buffer.push_out();
        }
        self.pushed.notify_all();
    }

    /// Begins to watch classes behind `after`, while the state is at `now` and nothing is applied. Gives the number of
    /// the first commit to take.
    pub(crate) fn join(&self, classes: &[usize], after: u64, now: u64) -> Result<u64, FeedError> {
        let mut buffer = self.buffer.lock();
        let since = |position: &usize| match buffer.classes.get(*position) {
            Some(class) if class.feeds > 0 => class.since,
            _ => now,
        };
        let oldest = classes.iter().map(since).max().unwrap_or(now).max(buffer.gone);
        // What was pushed out may have been of other classes, but nobody knows any more.
        if after < oldest {
            return Err(FeedError::TooFarBehind { oldest });
        }
        for position in classes {
            if let Some(class) = buffer.classes.get_mut(*position) {
                if class.feeds == 0 {
                    class.since = now;
                }
                class.feeds += 1;
            }
        }
        self.active.store(true, Ordering::Release);
        let behind = buffer.commits.partition_point(|kept| kept.index <= after);
        Ok(buffer.first + behind as u64)
    }

    pub(crate) fn leave(&self, classes: &[usize]) {
        let mut buffer = self.buffer.lock();
        for position in classes {
            if let Some(class) = buffer.classes.get_mut(*position) {
                class.feeds -= 1;
            }
        }
        if buffer.classes.iter().all(|class| class.feeds == 0) {
            self.active.store(false, Ordering::Release);
            while !buffer.commits.is_empty() {
                buffer.push_out();
            }
            buffer.gone = 0;
        }
    }

    /// The changes of the commit with this number, waiting for it until the timeout ends.
    pub(crate) fn commit(&self, number: u64, timeout: Duration) -> Result<Option<Arc<[Change]>>, FeedError> {
        let mut buffer = self.buffer.lock();
        let mut due = None;
        loop {
            let Some(place) = number.checked_sub(buffer.first) else {
                return Err(FeedError::TooFarBehind { oldest: buffer.gone });
            };
            let kept = usize::try_from(place).ok().and_then(|place| buffer.commits.get(place));
            if let Some(kept) = kept {
                return Ok(Some(Arc::clone(&kept.changes)));
            }
            if buffer.stopped {
                return Err(FeedError::Stopped);
            }
            if timeout.is_zero() {
                return Ok(None);
            }
            let due = *due.get_or_insert_with(|| Instant::now() + timeout);
            if self.pushed.wait_until(&mut buffer, due).timed_out() {
                return Ok(None);
            }
        }
    }

    /// No more changes will come.
    pub(crate) fn stop(&self) {
        self.buffer.lock().stopped = true;
        self.pushed.notify_all();
    }
}

impl Buffer {
    fn push_out(&mut self) {
        let Some(kept) = self.commits.pop_front() else { return };
        self.first += 1;
        self.changes -= kept.changes.len();
        self.bytes -= kept.bytes;
        self.gone = kept.index;
    }
}
