//! The way of a commit in memory mode: the committing thread carries it out itself, under the lock of the newest state.

use super::Inner;
use crate::batch::WriteBatch;
use crate::commit::{Commit, Write};
use crate::engine::{Recorder, Root, Verdict, apply_recorded, weight, weight_max};
use crate::error::SubmitError;
use std::sync::atomic::Ordering;

impl Inner {
    pub(super) fn submit_now(&self, batch: WriteBatch, done: impl FnOnce(Result<u64, SubmitError>)) {
        done(self.commit_batch_now(batch));
    }

    pub(super) fn commit_batch_now(&self, batch: WriteBatch) -> Result<u64, SubmitError> {
        if batch.is_empty() {
            return Ok(self.newest.answered());
        }
        let commit = Commit { writes: batch.writes, ..Commit::default() };
        self.commit_now(commit, 0).map(|(index, _)| index)
    }

    pub(super) fn commit_now(&self, commit: Commit, turn: u64) -> Result<(u64, Verdict), SubmitError> {
        if let Some(why) = self.health.is_stopped() {
            return Err(SubmitError::Stopped { why });
        }
        let mut root = loop {
            self.turn.wait(turn);
            let root = self.newest.begin(commit.writes.len());
            // A turn taken since the wait is seen here, because taking one passes through the lock.
            if !self.turn.bars(turn) {
                break root;
            }
            self.newest.end(root);
        };
        let room = self.check_room(&root, &commit.writes, 0);
        let judged = room.map(|()| {
            let index = root.index() + 1;
            (index, self.apply_counted(&mut root, index, commit))
        });
        self.newest.end(root);
        judged
    }

    /// Refuses writes that would pass the memory limit. Rows are only read, and what they replace only looked up, near
    /// the limit.
    pub(super) fn check_room(&self, root: &Root, writes: &[Write], waiting: u64) -> Result<(), SubmitError> {
        let max = self.options.memory_bytes_max;
        let used = root.bytes().saturating_add(waiting);
        if max == u64::MAX || used.saturating_add(self.grown_max(writes)) <= max {
            return Ok(());
        }
        let mut needed = 0_u64;
        for write in writes {
            let Some((class, row)) = root.class(usize::from(write.class)).zip(write.row.as_ref()) else {
                continue;
            };
            let replaced = class.rows.get(&write.key);
            let replaced = replaced.map_or(0, |stored| weight(&class.class, &write.key, &stored.row));
            let weight = weight(&class.class, &write.key, row);
            needed = needed.saturating_add(weight.saturating_sub(replaced));
        }
        if needed == 0 || used.saturating_add(needed) <= max {
            return Ok(());
        }
        Err(SubmitError::MemoryFull { needed, used, max })
    }

    /// The most that the puts among these writes can add to memory.
    pub(super) fn grown_max(&self, writes: &[Write]) -> u64 {
        let classes = self.schema.classes();
        let put = |write: &Write| {
            let class = classes.get(usize::from(write.class))?;
            Some(weight_max(class, &write.key, write.row.as_ref()?))
        };
        writes.iter().filter_map(put).sum()
    }

    /// Applies one commit, counts how it ended and tells those who watch.
    pub(crate) fn apply_counted(&self, root: &mut Root, index: u64, commit: Commit) -> Verdict {
        let guard = AbortOnPanic;
        let mut recorder = self.feeds.watched().map(|classes| Recorder { classes, changes: Vec::new() });
        let verdict = apply_recorded(root, index, commit, recorder.as_mut());
        if let Some(recorder) = recorder {
            // Whoever is told of a change finds it in a snapshot.
            self.newest.answer(root);
            self.feeds.push(index, recorder.changes);
        }
        std::mem::forget(guard);
        self.pass_over_numbers(root);
        self.count(&verdict);
        verdict
    }

    /// A number that was chosen for an object must not be given to another.
    fn pass_over_numbers(&self, root: &Root) {
        for position in &self.numbered {
            let (Some(class), Some(next)) = (root.class(*position), self.numbers.get(*position)) else {
                continue;
            };
            if next.load(Ordering::Relaxed) < class.auto_next {
                next.fetch_max(class.auto_next, Ordering::Relaxed);
            }
        }
    }

    fn count(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Committed => &self.counters.commits,
            Verdict::Conflict { .. } => &self.counters.conflicts,
            Verdict::Duplicate { .. } => &self.counters.duplicates,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the process when a panic leaves the state half changed, or nobody to answer: nobody may read that state or log on
/// top of it.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the store panicked while it carried out a commit: the process ends");
            std::process::abort();
        }
    }
}
