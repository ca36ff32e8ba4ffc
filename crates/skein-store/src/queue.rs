//! Where commits and batches wait for the log thread.
//!
//! Whatever queued while the last group was synced is the next group: no timer gathers. Transactions wait while it holds more
//! than a bound in bytes. Batches are always let in: whoever hands them over must bound what it has unanswered, and can look
//! at the depth (`Store::stats`). The log thread takes whole groups, so that nothing but the disk holds the queue up. While an exclusive transaction has its turn, only its own commit is taken.

mod commit_group;
mod turn;

use crate::commit::{Commit, Write};
use crate::error::{CommitError, SubmitError};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Instant;

pub(crate) use commit_group::{Answers, CommitGroup};
pub(crate) use turn::Turn;

use commit_group::CommitAnswer;

/// What is called with a batch's index, or with why it was not carried out.
pub(crate) type Done = Box<dyn FnOnce(Result<u64, SubmitError>) + Send>;

/// What may wait before transactions have to wait for room.
const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// What one group may hold: it bounds how long an answer, or a reader, waits for the others in its group.
const GROUP_BYTES_MAX: u64 = 8 << 20;
const GROUP_WRITES_MAX: usize = 8192;

pub(crate) struct WaitingBatch {
    pub(crate) writes: Vec<Write>,
    pub(crate) done: Done,
    bytes: u64,
    grown: u64,
}

/// What is written, synced and carried out together.
#[derive(Default)]
pub(crate) struct WriteGroup {
    pub(crate) batches: Vec<WaitingBatch>,
    pub(crate) commit_groups: Vec<CommitGroup>,
    pub(crate) writes: usize,
    grown: u64,
    bytes: u64,
}

impl WriteGroup {
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.commit_groups.is_empty()
    }

    fn has_room(&self) -> bool {
        self.is_empty() || has_room(self.writes, self.bytes)
    }
}

/// Why the log thread was woken.
pub(crate) enum Next {
    Group(WriteGroup),
    /// The time it asked to be woken at has come.
    Due,
    /// The store is closed and nothing waits any more.
    Closed,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<WaitingBatch>,
    commit_groups: VecDeque<CommitGroup>,
    bytes: u64,
    /// What the puts that wait, or are being written, may add to memory.
    grown: u64,
    in_group: bool,
    closing: bool,
    stopped: Option<String>,
    /// The log may be purged below this index.
    purge_below: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something for the log thread.
    work: Condvar,
    /// A group ended.
    ended: Condvar,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

fn has_room(writes: usize, bytes: u64) -> bool {
    writes < GROUP_WRITES_MAX && bytes < GROUP_BYTES_MAX
}

/// What writes take in the log, about.
pub(crate) fn log_bytes(writes: &[Write]) -> u64 {
    let one = |write: &Write| write.row.as_ref().map_or(write.key.len(), |row| row.len()) as u64 + 8;
    writes.iter().map(one).sum()
}

impl Queue {
    pub(crate) fn push_batch(&self, writes: Vec<Write>, grown: u64, done: Done) {
        let bytes = log_bytes(&writes);
        let mut waiting = self.waiting.lock();
        if let Some(why) = waiting.refuses() {
            drop(waiting);
            return done(Err(SubmitError::Stopped { why }));
        }
        waiting.bytes += bytes;
        waiting.grown += grown;
        waiting.batches.push_back(WaitingBatch { writes, done, bytes, grown });
        if !waiting.in_group {
            self.work.notify_one();
        }
    }

    /// Hands a commit over and waits for its verdict.
    pub(crate) fn commit(&self, commit: Commit, turn: u64, grown: u64) -> CommitAnswer {
        let bytes = log_bytes(&commit.writes);
        let mut waiting = self.waiting.lock();
        while waiting.bytes > QUEUE_BYTES_MAX && waiting.refuses().is_none() {
            self.ended.wait(&mut waiting);
        }
        if let Some(why) = waiting.refuses() {
            return Err(CommitError::Stopped { why });
        }
        waiting.bytes += bytes;
        waiting.grown += grown;
        let ticket = waiting.commit_group(turn).join(commit, bytes, grown);
        if !waiting.in_group {
            self.work.notify_one();
        }
        drop(waiting);
        ticket.wait()
    }

    /// What waiting puts may add to memory.
    pub(crate) fn grown(&self) -> u64 {
        self.waiting.lock().grown
    }

    /// How many commits and batches wait, and their bytes.
    pub(crate) fn depth(&self) -> (usize, u64) {
        let waiting = self.waiting.lock();
        let commits: usize =
            waiting.commit_groups.iter().map(|commit_group| commit_group.commits.len()).sum();
        (waiting.batches.len() + commits, waiting.bytes)
    }

    /// Waits for something to do, not longer than to `due`. For the log thread.
    pub(crate) fn next(&self, turn: &Turn, due: Option<Instant>) -> Next {
        let mut waiting = self.waiting.lock();
        loop {
            let group = waiting.take_group(turn);
            if !group.is_empty() {
                waiting.in_group = true;
                return Next::Group(group);
            }
            if waiting.purge_below.is_some() {
                return Next::Due;
            }
            if waiting.closing {
                return Next::Closed;
            }
            match due {
                None => self.work.wait(&mut waiting),
                Some(due) => {
                    if self.work.wait_until(&mut waiting, due).timed_out() {
                        return Next::Due;
                    }
                }
            }
        }
    }

    /// The group was answered.
    pub(crate) fn end_group(&self, grown: u64) {
        let mut waiting = self.waiting.lock();
        waiting.in_group = false;
        waiting.grown = waiting.grown.saturating_sub(grown);
        self.ended.notify_all();
    }

    /// Waits until the group in hand was answered: what comes after it looks at the turn.
    pub(crate) fn wait_for_group(&self) {
        let mut waiting = self.waiting.lock();
        while waiting.in_group {
            self.ended.wait(&mut waiting);
        }
    }

    /// Wakes the log thread to look again.
    pub(crate) fn wake(&self) {
        let _waiting = self.waiting.lock();
        self.work.notify_one();
    }

    /// Waits until something happens or `due`. For the log thread while there is no room; says whether the store
    /// is being closed.
    pub(crate) fn pause(&self, due: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.closing {
            self.work.wait_until(&mut waiting, due);
        }
        waiting.closing
    }

    pub(crate) fn purge_from(&self, below: u64) {
        self.waiting.lock().purge_below = Some(below);
        self.work.notify_one();
    }

    pub(crate) fn take_purge(&self) -> Option<u64> {
        self.waiting.lock().purge_below.take()
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closing = true;
        self.work.notify_one();
        self.ended.notify_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.waiting.lock().closing
    }

    /// Refuses everything from now on, and gives what still waits to be answered so.
    pub(crate) fn stop(&self, why: &str) -> WriteGroup {
        let mut waiting = self.waiting.lock();
        waiting.stopped = Some(why.to_owned());
        waiting.in_group = false;
        let mut group = WriteGroup::default();
        group.batches.extend(waiting.batches.drain(..));
        group.commit_groups.extend(waiting.commit_groups.drain(..));
        self.ended.notify_all();
        group
    }
}

impl Waiting {
    fn refuses(&self) -> Option<String> {
        self.stopped.clone().or_else(|| self.closing.then(|| "it was closed".to_owned()))
    }

    /// The commit group that a commit made under `turn` joins: the last one, if it has room and waits for the same turn.
    fn commit_group(&mut self, turn: u64) -> &mut CommitGroup {
        let joins = |last: &CommitGroup| last.turn == turn && has_room(last.writes, last.bytes);
        if !self.commit_groups.back().is_some_and(joins) {
            self.commit_groups.push_back(CommitGroup::new(turn));
        }
        self.commit_groups.back_mut().expect("one was added where there was none")
    }

    fn take_group(&mut self, turn: &Turn) -> WriteGroup {
        let mut group = WriteGroup::default();
        while group.has_room() && !turn.bars(0) {
            let Some(batch) = self.batches.pop_front() else { break };
            group.count(batch.writes.len(), batch.bytes, batch.grown);
            group.batches.push(batch);
        }
        while group.has_room() {
            let Some(place) =
                self.commit_groups.iter().position(|commit_group| !turn.bars(commit_group.turn))
            else {
                break;
            };
            let Some(commit_group) = self.commit_groups.remove(place) else { break };
            group.count(commit_group.writes, commit_group.bytes, commit_group.grown);
            group.commit_groups.push(commit_group);
        }
        self.bytes = self.bytes.saturating_sub(group.bytes);
        group
    }
}

impl WriteGroup {
    fn count(&mut self, writes: usize, bytes: u64, grown: u64) {
        self.writes += writes;
        self.bytes += bytes;
        self.grown += grown;
    }

    pub(crate) fn grown(&self) -> u64 {
        self.grown
    }
}
