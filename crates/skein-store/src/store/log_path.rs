//! The way of a commit with a log: it waits in the queue until the log thread has written and carried it out.

use super::Inner;
use crate::batch::WriteBatch;
use crate::commit::{Commit, Write};
use crate::engine::Verdict;
use crate::error::{CommitError, SubmitError};
use crate::queue::Done;

impl Inner {
    pub(super) fn submit_logged(&self, batch: WriteBatch, done: Done) {
        match self.reserve(&batch.writes) {
            Ok(grown) => self.queue.push_batch(batch.writes, grown, done),
            Err(refused) => done(Err(refused)),
        }
    }

    pub(super) fn commit_logged(&self, commit: Commit, turn: u64) -> Result<(u64, Verdict), CommitError> {
        if let Some(why) = self.health.is_stopped() {
            return Err(CommitError::Stopped { why });
        }
        if let Some(why) = self.health.read_only() {
            return Err(CommitError::ReadOnly { why });
        }
        let grown = self.reserve(&commit.writes)?;
        self.queue.commit(commit, turn, grown)
    }

    /// Refuses writes that might pass the memory limit together with those that wait. What a put replaces is only
    /// looked up near the limit.
    fn reserve(&self, writes: &[Write]) -> Result<u64, SubmitError> {
        let max = self.options.memory_bytes_max;
        if max == u64::MAX {
            return Ok(0);
        }
        let grown = self.grown_max(writes);
        let waiting = self.queue.grown();
        if grown == 0 || self.newest.bytes().saturating_add(waiting).saturating_add(grown) <= max {
            return Ok(grown);
        }
        let snapshot = self.newest.snapshot();
        self.check_room(&snapshot, writes, waiting)?;
        Ok(grown)
    }
}
