//! Answering an operator only when what was asked for is on disk.

use std::{future::poll_fn, task::Poll, time::Duration};

use skein_plane::Batch;

use crate::{
    door::Shared,
    problem::{Kind, Problem},
};

/// How long an answer waits for the disk. A disk that is full holds changes back until there is room.
pub(crate) const COMMIT_TIMEOUT: Duration = Duration::from_secs(20);

impl Shared {
    /// Ends a batch and waits until what it promised is on disk.
    pub(crate) async fn finish(&self, mut batch: Batch) -> Result<(), Problem> {
        let Some(commit) = self.plane.finish(&mut batch, self.now()) else { return Ok(()) };
        let done = poll_fn(
            |context| if commit.poll_done(context.waker()) { Poll::Ready(()) } else { Poll::Pending },
        );
        if tokio::time::timeout(COMMIT_TIMEOUT, done).await.is_err() {
            self.plane.leave(commit);
            return Err(not_on_disk());
        }
        self.plane.committed(commit, &mut batch, self.now());
        self.plane.finish_unattended(&mut batch, self.now());
        Ok(())
    }
}

fn not_on_disk() -> Problem {
    Problem::new(
        Kind::NotOnDisk,
        format!("the change holds in memory, but was not on disk within {} s", COMMIT_TIMEOUT.as_secs()),
        "see /api/v1/status for the store's alarms; a full disk takes changes again when there is room",
    )
}
