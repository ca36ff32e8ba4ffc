//! A disk that is read and never written: what a start of the store would write is forgotten.
//!
//! Recovery is the same code as at a start, which cuts a torn tail and begins a segment; a tool that only looks must
//! leave the files as they are. Nothing that was written through it can be read back.

use skein_wal::disk::{DirectoryLock, Disk, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The disk below, for reading only.
#[derive(Debug)]
pub(super) struct Unchanging<D>(pub(super) D);

/// A file of the disk below, or a new one that is nowhere, with the length it is said to have.
#[derive(Debug)]
struct UnchangingFile {
    below: Option<Box<dyn File>>,
    len: AtomicU64,
}

impl<D: Disk> Disk for Unchanging<D> {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let below = self.0.open(path)?;
        let len = AtomicU64::new(below.len()?);
        Ok(Box::new(UnchangingFile { below: Some(below), len }))
    }

    fn create(&self, _path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(UnchangingFile { below: None, len: AtomicU64::new(0) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.0.free_bytes(dir)
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.0.lock(dir)
    }
}

impl File for UnchangingFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len.load(Ordering::Relaxed))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.as_ref().map_or(Ok(0), |below| below.read_at(buf, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.len.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.len.fetch_max(len, Ordering::Relaxed);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }
}
