//! Writing a snapshot under a temporary name, beside the log and whoever uses it.

use std::path::PathBuf;

use super::{BLOCK_BYTES_MAX, SNAPSHOTS_KEPT, Tally};
use crate::{
    directory::{Directory, temporary},
    disk::File,
    fault::Fault,
    format::{self, CONTENT_OFFSET, Header, Kind},
};

/// Blocks are gathered up to this before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Written bytes are synced in steps, so that the log's syncs do not queue behind all of them at once.
const SYNC_STEP_BYTES: u64 = 16 << 20;

/// A snapshot that is being written. Dropped before [`finish`](SnapshotWriter::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct SnapshotWriter {
    directory: Directory,
    path: PathBuf,
    index: u64,
    /// None once the snapshot is finished.
    file: Option<Box<dyn File>>,
    buffer: Vec<u8>,
    offset: u64,
    synced: u64,
    tally: Tally,
}

/// What a finished snapshot allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The log may be purged below this index; the older snapshot still has what it needs then.
    pub purge_below: u64,
}

impl SnapshotWriter {
    /// Begins the snapshot that covers everything up to and with entry `index`.
    ///
    /// # Errors
    /// There is no room, or the disk refuses.
    pub fn create(directory: &Directory, index: u64) -> Result<SnapshotWriter, Fault> {
        let path = temporary(&directory.snapshot_path(index));
        let file = directory.disk().create(&path).map_err(|error| Fault::io("make", &path, error))?;
        let header = Header { kind: Kind::Snapshot, store: directory.store(), sequence: 0, index };
        let mut writer = SnapshotWriter {
            directory: directory.clone(),
            path,
            index,
            file: Some(file),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            offset: CONTENT_OFFSET,
            synced: 0,
            tally: Tally::new(directory.store(), index),
        };
        writer.write_at(&format::encode(&header), 0)?;
        Ok(writer)
    }

    /// Adds a block. Blocks come back as they were given, in this order.
    ///
    /// # Errors
    /// There is no room, or the disk refuses; the snapshot must be given up.
    ///
    /// # Panics
    /// The block has 1 GiB or more.
    pub fn write_block(&mut self, block: &[u8]) -> Result<(), Fault> {
        assert!(block.len() < BLOCK_BYTES_MAX, "a block of a snapshot is below 1 GiB");
        let checksum = self.tally.add(block);
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&checksum.to_le_bytes());
        self.buffer.extend_from_slice(block);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Bytes of the snapshot so far.
    pub fn bytes(&self) -> u64 {
        self.offset.saturating_add(self.buffer.len() as u64)
    }

    /// Makes the snapshot certain, gives it its name, and removes those that are not needed any more.
    ///
    /// # Errors
    /// There is no room, or the disk refuses; the snapshots from before are untouched.
    pub fn finish(mut self) -> Result<Kept, Fault> {
        self.buffer.extend_from_slice(&self.tally.trailer());
        self.flush()?;
        if let Some(file) = &self.file {
            file.sync_all().map_err(|error| Fault::io("sync", &self.path, error))?;
        }
        let path = self.directory.snapshot_path(self.index);
        let renamed = self.directory.disk().rename(&self.path, &path);
        renamed.map_err(|error| Fault::io("rename", &self.path, error))?;
        self.file = None;
        self.directory.sync()?;
        self.remove_older()
    }

    /// Runs when the new one is certain: removing an older one before could leave none.
    fn remove_older(&self) -> Result<Kept, Fault> {
        let indexes = self.directory.snapshots()?;
        let (unneeded, kept) = indexes.split_at(indexes.len().saturating_sub(SNAPSHOTS_KEPT));
        for index in unneeded {
            let path = self.directory.snapshot_path(*index);
            self.directory.disk().remove(&path).map_err(|error| Fault::io("remove", path, error))?;
        }
        let purge_below = match kept {
            [older, _] => older.saturating_add(1),
            // Without an older snapshot the whole log is what can be fallen back on.
            _ => 0,
        };
        Ok(Kept { purge_below })
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write_at(&buffer, self.offset)?;
        self.offset = self.offset.saturating_add(buffer.len() as u64);
        self.buffer = buffer;
        self.buffer.clear();
        if self.offset.saturating_sub(self.synced) >= SYNC_STEP_BYTES {
            self.synced = self.offset;
            if let Some(file) = &self.file {
                file.sync_data().map_err(|error| Fault::io("sync", &self.path, error))?;
            }
        }
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Fault> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(bytes, offset).map_err(|error| {
            let fault = Fault::io("write", &self.path, error);
            match fault {
                Fault::Full { action, path, .. } => {
                    let free = self.directory.free_bytes().unwrap_or(0);
                    Fault::Full { action, path, needed: bytes.len() as u64, free }
                }
                fault => fault,
            }
        })
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed now is removed at the next start.
            drop(self.directory.disk().remove(&self.path));
        }
    }
}
