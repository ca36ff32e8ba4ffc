//! The change feed: committed changes of chosen classes, in the order of their commits.
//!
//! Changes are kept in a bounded buffer while somebody watches their class, and for nobody else; a watcher that falls
//! behind it is told so and takes a snapshot. Watching holds up no writer. To follow a class without a gap, take a
//! snapshot and a feed together with [`crate::Store::watch_from_now`].

mod hub;

use crate::engine::Change;
use crate::schema::ClassId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use hub::Hub;

/// Why a feed cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Changes it has not read are not kept any more.
    #[error("the changes before index {oldest} are gone: take a snapshot and watch from there")]
    TooFarBehind {
        /// The index behind which changes can still be had.
        oldest: u64,
    },
    /// The schema has no such class.
    #[error("the schema has no class with code {}: declare it before the store is opened", .0.0)]
    UnknownClass(ClassId),
    /// The store has stopped, and everything before was read.
    #[error("the store has stopped")]
    Stopped,
}

/// Reads committed changes in order.
#[derive(Debug)]
pub struct Feed {
    hub: Arc<Hub>,
    /// Positions of the watched classes.
    classes: Vec<usize>,
    ids: Vec<ClassId>,
    /// The number of the next commit in the buffer.
    next: u64,
    read: VecDeque<Change>,
}

impl Feed {
    pub(crate) fn new(hub: &Arc<Hub>, classes: Vec<(usize, ClassId)>, next: u64) -> Feed {
        let (classes, ids) = classes.into_iter().unzip();
        Feed { hub: Arc::clone(hub), classes, ids, next, read: VecDeque::new() }
    }

    /// The next change, without waiting.
    ///
    /// # Errors
    /// The feed is too far behind, or the store has stopped.
    pub fn try_next(&mut self) -> Result<Option<Change>, FeedError> {
        self.next_within(Duration::ZERO)
    }

    /// The next change; none when there is none before the timeout ends.
    ///
    /// # Errors
    /// The feed is too far behind, or the store has stopped.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Change>, FeedError> {
        self.next_within(timeout)
    }

    fn next_within(&mut self, timeout: Duration) -> Result<Option<Change>, FeedError> {
        let due = (!timeout.is_zero()).then(|| Instant::now().checked_add(timeout)).flatten();
        while self.read.is_empty() {
            // Commits to classes that only others watch come and go meanwhile.
            let left = due.map_or(timeout, |due| due.saturating_duration_since(Instant::now()));
            let Some(commit) = self.hub.commit(self.next, left)? else { return Ok(None) };
            self.next += 1;
            self.read.extend(commit.iter().filter(|change| self.ids.contains(&change.class)).cloned());
        }
        Ok(self.read.pop_front())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.leave(&self.classes);
    }
}
