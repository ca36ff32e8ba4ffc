//! How a store is opened.

use skein_wal::LogOptions;
use skein_wal::disk::{Disk, RealDisk};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// When a commit is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As soon as it is carried out in memory. Nothing is kept over a restart.
    Memory,
    /// When it is written to the log; the log is synced at this interval. A crash of the machine loses up to that much.
    WalAsync {
        /// The longest time a commit stays unsynced.
        sync_interval: Duration,
    },
    /// When it is written to the log and synced.
    WalSync,
}

/// What is called once when the store stops by itself, with the reason.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// How a store is opened. Begin with [`Options::memory`] or [`Options::durable`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// When a commit is answered.
    pub durability: Durability,
    /// Where the log and the snapshots lie; unused in memory mode.
    pub dir: PathBuf,
    /// Through what files are reached.
    pub disk: Arc<dyn Disk>,
    /// What rows and index entries may weigh in all; a write that might pass it is refused.
    pub memory_bytes_max: u64,
    /// A snapshot is written when the log since the last one is longer than this and than that snapshot.
    pub snapshot_after_log_bytes: u64,
    /// The length of a segment of the log.
    pub segment_bytes: u64,
    /// The most changes kept for feeds that lag behind.
    pub feed_changes_max: usize,
    /// The most bytes of rows kept for feeds that lag behind.
    pub feed_bytes_max: usize,
    /// Called when the store stops by itself.
    pub on_fatal: Option<OnFatal>,
}

impl Options {
    /// A store that keeps nothing over a restart.
    #[must_use]
    pub fn memory() -> Options {
        Options {
            durability: Durability::Memory,
            dir: PathBuf::new(),
            disk: Arc::new(RealDisk::default()),
            memory_bytes_max: u64::MAX,
            snapshot_after_log_bytes: 64 << 20,
            segment_bytes: LogOptions::default().segment_bytes,
            feed_changes_max: 100_000,
            feed_bytes_max: 32 << 20,
            on_fatal: None,
        }
    }

    /// A store in this directory that answers a commit once it is synced.
    #[must_use]
    pub fn durable(dir: impl Into<PathBuf>) -> Options {
        Options { durability: Durability::WalSync, dir: dir.into(), ..Options::memory() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("durability", &self.durability)
            .field("dir", &self.dir)
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("snapshot_after_log_bytes", &self.snapshot_after_log_bytes)
            .field("feed_changes_max", &self.feed_changes_max)
            .field("feed_bytes_max", &self.feed_bytes_max)
            .finish_non_exhaustive()
    }
}
