//! What the store counts, and what it tells of itself.

use crate::engine::Root;
use parking_lot::Mutex;
use skein_wal::Log;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) groups: AtomicU64,
    syncs: AtomicU64,
    snapshots: AtomicU64,
    log_bytes: AtomicU64,
    log_segments: AtomicU64,
    sync_nanos: AtomicU64,
    sync_nanos_max: AtomicU64,
    snapshot_at: Mutex<Option<Instant>>,
}

/// What the store holds and has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The index of the last commit.
    pub applied_index: u64,
    /// Per class.
    pub classes: Vec<ClassStats>,
    /// What all rows and index entries weigh.
    pub bytes: u64,
    /// Commits and batches carried out.
    pub commits: u64,
    /// Commits refused as conflicts.
    pub conflicts: u64,
    /// Commits refused because a key was there.
    pub duplicates: u64,
    /// Groups written to the log.
    pub groups: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Snapshot files written.
    pub snapshots: u64,
    /// What all syncs of the log took.
    pub sync_time: Duration,
    /// What the longest one took.
    pub sync_time_max: Duration,
    /// Since when the newest snapshot file is there; none before the first one since the store was opened.
    pub snapshot_age: Option<Duration>,
    /// What the log takes on the disk.
    pub log_bytes: u64,
    /// In how many files.
    pub log_segments: u64,
    /// Commits and batches that wait for the log.
    pub queued: usize,
    /// What those take in the log, about.
    pub queued_bytes: u64,
    /// What is wrong, for people; empty when nothing is.
    pub alarms: Vec<String>,
}

/// What one class holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassStats {
    /// Its name.
    pub name: String,
    /// Its objects.
    pub rows: u64,
    /// What its rows and index entries weigh.
    pub bytes: u64,
}

impl Counters {
    /// The log was synced; it took from `begun` to now.
    pub(crate) fn synced(&self, begun: Instant) {
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.sync_nanos_max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Notes how large the log is now.
    pub(crate) fn log_is(&self, log: &Log) {
        self.log_bytes.store(log.size_bytes(), Ordering::Relaxed);
        self.log_segments.store(log.segments() as u64, Ordering::Relaxed);
    }

    /// A snapshot file was written.
    pub(crate) fn snapshot_written(&self) {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        *self.snapshot_at.lock() = Some(Instant::now());
    }

    pub(crate) fn stats(&self, root: &Root) -> Stats {
        let class = |class: &std::sync::Arc<crate::engine::ClassState>| ClassStats {
            name: class.class.name.clone(),
            rows: class.rows.len() as u64,
            bytes: class.bytes,
        };
        Stats {
            applied_index: root.index(),
            classes: root.classes.iter().map(class).collect(),
            bytes: root.bytes(),
            commits: self.commits.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            snapshots: self.snapshots.load(Ordering::Relaxed),
            sync_time: Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed)),
            sync_time_max: Duration::from_nanos(self.sync_nanos_max.load(Ordering::Relaxed)),
            snapshot_age: self.snapshot_at.lock().map(|at| at.elapsed()),
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            log_segments: self.log_segments.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}
