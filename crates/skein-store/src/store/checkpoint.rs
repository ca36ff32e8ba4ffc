//! Writing a snapshot file of the state while writers go on.
//!
//! It works on a frozen root, on a thread of its own or on the caller's, one at a time. Afterwards the log thread is told
//! what it may throw away.

use super::Inner;
use crate::error::CheckpointError;
use crate::image::write_blocks;
use parking_lot::Mutex;
use skein_wal::{Directory, SnapshotWriter};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where snapshots go and what the last one was.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// None once the store is closed, so that another may have it.
    directory: Mutex<Option<Directory>>,
    /// The index of the last one; held while one is written.
    last_index: Mutex<u64>,
    last_bytes: AtomicU64,
}

impl Checkpoints {
    /// Of a store that was read from a snapshot with this index and length.
    pub(crate) fn new(directory: Directory, last_index: u64, last_bytes: u64) -> Checkpoints {
        Checkpoints {
            directory: Mutex::new(Some(directory)),
            last_index: Mutex::new(last_index),
            last_bytes: AtomicU64::new(last_bytes),
        }
    }
}

impl Inner {
    pub(crate) fn last_snapshot_bytes(&self) -> u64 {
        self.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.last_bytes.load(Ordering::Relaxed))
    }

    /// Lets go of the directory, when the log was closed.
    pub(super) fn leave_directory(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            *checkpoints.directory.lock() = None;
        }
    }

    /// Writes a snapshot of the newest state, unless the last one has it; returns its index.
    pub(crate) fn checkpoint(&self) -> Result<u64, CheckpointError> {
        let Some(checkpoints) = &self.checkpoints else { return Err(CheckpointError::MemoryOnly) };
        let mut last_index = checkpoints.last_index.lock();
        let Some(directory) = checkpoints.directory.lock().clone() else {
            return Err(CheckpointError::Closing);
        };
        let root = self.newest.snapshot();
        if root.index() == *last_index {
            return Ok(*last_index);
        }
        let mut writer = SnapshotWriter::create(&directory, root.index())?;
        write_blocks(&root, |block| {
            // Half a snapshot is worth nothing: a store that is closing does not wait for the rest.
            if self.queue.is_closing() {
                return Err(CheckpointError::Closing);
            }
            Ok(writer.write_block(block)?)
        })?;
        let bytes = writer.bytes();
        let kept = writer.finish()?;
        *last_index = root.index();
        checkpoints.last_bytes.store(bytes, Ordering::Relaxed);
        self.counters.snapshot_written();
        self.health.snapshot_written();
        self.queue.purge_from(kept.purge_below);
        tracing::info!(index = root.index(), bytes, "wrote a snapshot");
        Ok(root.index())
    }
}
