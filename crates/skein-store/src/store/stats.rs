//! What the store counts, and what it tells of itself.

use crate::engine::Root;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
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
    /// What the log takes on the disk.
    pub log_bytes: u64,
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
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}
