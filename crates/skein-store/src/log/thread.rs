//! The log thread: takes what waits, writes it as one frame, syncs once, carries it out, answers.
//!
//! It alone owns the log. It answers nothing that is not written as the durability mode promises. No room on the disk,
//! and no file descriptor or memory for the next segment, make it wait with what it has and try again; a sync that fails, or a log that breaks, ends it, and every commit from then on is
//! refused, because nobody knows what is on the disk.

use super::coalesce::Coalescer;
use crate::commit::encoding::encode_commit;
use crate::commit::{Commit, Write};
use crate::engine::Verdict;
use crate::error::SubmitError;
use crate::queue::{Answers as GroupAnswers, Done, Next, WriteGroup};
use crate::store::{AbortOnPanic, Durability, Inner};
use skein_wal::{Entries, Log};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a write is tried again while there is no room, descriptor or memory for it.
const ROOM_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The thread's own things.
pub(crate) struct LogThread {
    inner: Arc<Inner>,
    log: Log,
    coalescer: Coalescer,
    entries: Vec<u8>,
    ends: Vec<usize>,
    /// When the first entry that is not synced was written.
    unsynced_since: Option<Instant>,
    /// What was appended since the last snapshot was begun.
    appended_bytes: u64,
    snapshot: Option<JoinHandle<()>>,
}

/// Why the thread ends in the middle of its work.
enum End {
    /// Nobody knows what is on the disk: that is told, also when the store is being closed just then.
    Failed(String),
    /// The store was closed while the log could not go on.
    Closed(&'static str),
}

/// What is to be answered when the group is done.
struct Answers {
    batches: Vec<Done>,
    /// Each with how many commits it has.
    commit_groups: Vec<(Arc<GroupAnswers>, usize)>,
}

impl LogThread {
    pub(crate) fn new(inner: Arc<Inner>, log: Log, replayed_bytes: u64) -> LogThread {
        LogThread {
            inner,
            log,
            coalescer: Coalescer::default(),
            entries: Vec::new(),
            ends: Vec::new(),
            unsynced_since: None,
            appended_bytes: replayed_bytes,
            snapshot: None,
        }
    }

    pub(crate) fn run(self) {
        // Commits would wait for ever for a thread that is gone.
        let guard = AbortOnPanic;
        self.serve();
        std::mem::forget(guard);
    }

    fn serve(mut self) {
        let inner = Arc::clone(&self.inner);
        loop {
            let went_well = match inner.queue.next(&inner.turn, self.due()) {
                Next::Group(group) => self.group(group),
                Next::Due => self.sync(),
                Next::Closed => break,
            };
            match went_well {
                Ok(()) => {}
                Err(End::Failed(why)) => return self.inner.fail(&why),
                Err(End::Closed(why)) => return self.inner.stop(why),
            }
            if let Some(below) = inner.queue.take_purge() {
                self.log.purge(below);
                inner.counters.log_is(&self.log);
            }
            self.snapshot_when_due();
        }
        self.close();
    }

    fn close(mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            // It gives up by itself when the store is closing.
            let _ = snapshot.join();
        }
        if let Err(fault) = self.log.close() {
            tracing::error!(%fault, "the log was not closed well; the next start recovers what was synced");
        }
        self.inner.stop("it was closed");
    }

    /// When the log has to be synced, in the asynchronous mode.
    fn due(&self) -> Option<Instant> {
        match self.inner.options.durability {
            Durability::WalAsync { sync_interval } => self.unsynced_since.map(|since| since + sync_interval),
            Durability::WalSync | Durability::Memory => None,
        }
    }

    fn sync(&mut self) -> Result<(), End> {
        if self.unsynced_since.take().is_some() {
            let begun = Instant::now();
            self.log.sync().map_err(|fault| End::Failed(fault.to_string()))?;
            self.inner.counters.synced(begun);
        }
        Ok(())
    }

    fn group(&mut self, group: WriteGroup) -> Result<(), End> {
        let grown = group.grown();
        let (commits, blind, answers) = self.assemble(group);
        if let Err(end) = self.write(&commits) {
            // First, so that whoever is refused finds the store not writable.
            self.inner.health.stopped(end.why());
            answers.refuse(end.why());
            return Err(end);
        }
        let (indexes, verdicts) = self.inner.carry_out(commits);
        self.inner.queue.end_group(grown);
        let batch_index = if blind { indexes.start } else { self.inner.newest.answered() };
        for done in answers.batches {
            done(Ok(batch_index));
        }
        let mut first = indexes.start + u64::from(blind);
        let mut verdicts = verdicts.into_iter().skip(usize::from(blind));
        for (commit_group, commits) in answers.commit_groups {
            commit_group.ended(first, verdicts.by_ref().take(commits).collect());
            first += commits as u64;
        }
        self.sync_when_late()
    }

    /// The commits of a group, the blind batches first as one, and whether there is such a one.
    fn assemble(&mut self, group: WriteGroup) -> (Vec<Commit>, bool, Answers) {
        let count: usize = group.commit_groups.iter().map(|commit_group| commit_group.commits.len()).sum();
        let mut commits = Vec::with_capacity(count + 1);
        let mut answers =
            Answers { batches: Vec::new(), commit_groups: Vec::with_capacity(group.commit_groups.len()) };
        let mut batches: Vec<Vec<Write>> = Vec::with_capacity(group.batches.len());
        for batch in group.batches {
            batches.push(batch.writes);
            answers.batches.push(batch.done);
        }
        let count = batches.iter().map(Vec::len).sum();
        let writes = self.coalescer.coalesce(batches.into_iter(), count);
        let blind = !writes.is_empty();
        if blind {
            commits.push(Commit { writes, ..Commit::default() });
        }
        for mut commit_group in group.commit_groups {
            answers.commit_groups.push((commit_group.answers, commit_group.commits.len()));
            commits.append(&mut commit_group.commits);
        }
        (commits, blind, answers)
    }

    /// Writes the commits as one frame and, in the synchronous mode, syncs.
    fn write(&mut self, commits: &[Commit]) -> Result<(), End> {
        if commits.is_empty() {
            return Ok(());
        }
        self.entries.clear();
        self.ends.clear();
        for commit in commits {
            encode_commit(commit, &self.inner.schema, &mut self.entries);
            self.ends.push(self.entries.len());
        }
        self.append()?;
        self.appended_bytes += self.entries.len() as u64;
        self.unsynced_since.get_or_insert_with(Instant::now);
        self.inner.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.inner.counters.log_is(&self.log);
        if self.inner.options.durability == Durability::WalSync {
            self.sync()?;
        }
        Ok(())
    }

    /// Appends the frame, waiting for room, descriptors and memory as long as it takes.
    fn append(&mut self) -> Result<(), End> {
        let mut waited = false;
        loop {
            let next = self.log.next_index();
            let fault =
                match self.log.append(next, Entries::Buffer { bytes: &self.entries, ends: &self.ends }) {
                    Ok(()) => break,
                    Err(fault) => fault,
                };
            if !fault.may_pass() {
                return Err(End::Failed(fault.to_string()));
            }
            self.inner.health.full(&fault.to_string());
            waited = true;
            if self.inner.queue.pause(Instant::now() + ROOM_RETRY_INTERVAL) {
                return Err(End::Closed("it was closed while the log had no room, descriptor or memory"));
            }
        }
        if waited {
            self.inner.health.room_again();
        }
        Ok(())
    }

    /// With a steady stream of groups the thread is never woken for a sync that is due.
    fn sync_when_late(&mut self) -> Result<(), End> {
        if self.due().is_some_and(|due| due <= Instant::now()) { self.sync() } else { Ok(()) }
    }

    fn snapshot_when_due(&mut self) {
        let threshold = self.inner.options.snapshot_after_log_bytes.max(self.inner.last_snapshot_bytes());
        if self.appended_bytes < threshold || self.snapshot.as_ref().is_some_and(|last| !last.is_finished()) {
            return;
        }
        self.appended_bytes = 0;
        let inner = Arc::clone(&self.inner);
        let spawned = std::thread::Builder::new().name("skein-snapshot".to_owned()).spawn(move || {
            if let Err(fault) = inner.checkpoint() {
                inner.health.snapshot_failed(&fault.to_string());
            }
        });
        match spawned {
            Ok(handle) => self.snapshot = Some(handle),
            Err(error) => self.inner.health.snapshot_failed(&error.to_string()),
        }
    }
}

impl End {
    fn why(&self) -> &str {
        match self {
            End::Failed(why) => why,
            End::Closed(why) => why,
        }
    }
}

impl Answers {
    fn refuse(self, why: &str) {
        for done in self.batches {
            done(Err(SubmitError::Stopped { why: why.to_owned() }));
        }
        for (commit_group, _) in self.commit_groups {
            commit_group.refuse(why);
        }
    }
}

impl WriteGroup {
    /// Answers everything in it with the reason the store stopped.
    pub(crate) fn refuse(self, why: &str) {
        let batches = self.batches.into_iter().map(|batch| batch.done).collect();
        let commit_groups = self
            .commit_groups
            .into_iter()
            .map(|commit_group| (commit_group.answers, commit_group.commits.len()))
            .collect();
        Answers { batches, commit_groups }.refuse(why);
    }
}

impl Inner {
    /// Carries out commits that are in the log, in order, and says which indexes they have and how each ended.
    fn carry_out(&self, commits: Vec<Commit>) -> (std::ops::Range<u64>, Vec<Verdict>) {
        let writes = commits.iter().map(|commit| commit.writes.len()).sum();
        let mut root = self.newest.begin(writes);
        let first = root.index() + 1;
        let mut verdicts = Vec::with_capacity(commits.len());
        for (commit, index) in commits.into_iter().zip(first..) {
            verdicts.push(self.apply_counted(&mut root, index, commit));
        }
        self.newest.end(root);
        (first..first + verdicts.len() as u64, verdicts)
    }

    /// Refuses everything from now on.
    fn stop(&self, why: &str) {
        // First, so that whoever is refused finds the store not writable.
        self.health.stopped(why);
        self.queue.stop(why).refuse(why);
        self.feeds.stop();
    }

    /// The same, and tells whoever opened the store.
    fn fail(&self, why: &str) {
        self.stop(why);
        tracing::error!(why, "the store has stopped");
        if let Some(on_fatal) = &self.options.on_fatal {
            on_fatal(why);
        }
    }
}
