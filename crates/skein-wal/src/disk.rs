//! The one seam to files: every byte that the log and the snapshots keep passes through [`Disk`] and [`File`].
//!
//! [`RealDisk`] is the operating system's; [`FaultyDisk`] is its twin in memory, which fails on command and forgets
//! what was not synced. Nothing in this crate touches a file in any other way, so whatever a disk can do wrong can be
//! shown in a test. The traits are blocking and know neither formats nor indexes.

mod faulty;
mod real;

use std::{fmt::Debug, io, path::Path};

pub use faulty::{Failure, FaultyDisk, Operation, SyncHold, Unsynced};
pub use real::RealDisk;
use rustix::io::Errno;

/// Directories and the names in them.
///
/// A name that was created, renamed or removed is certain to be so after a loss of power only when
/// [`DirectoryLock::sync`] has returned. What a disk makes is for its owner alone.
pub trait Disk: Send + Sync + Debug {
    /// Makes a directory and those above it; one that exists is left alone.
    ///
    /// # Errors
    /// What the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::NotFound`] when there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::AlreadyExists`] when the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// The names of the files in a directory, in no order.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory and replaces what had it.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// How many bytes may still be written below a directory.
    ///
    /// # Errors
    /// What the file system says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Takes a directory for one owner until the lock is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process, or another part of this one, holds it.
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>>;
}

/// Keeps a directory taken, and open, as long as it lives.
pub trait DirectoryLock: Send + Sync + Debug {
    /// Makes the names in the directory certain.
    ///
    /// # Errors
    /// What the file system says; which names are certain is then unknown.
    fn sync(&self) -> io::Result<()>;
}

/// One open file. Writes go where they are told to; there is no position.
pub trait File: Send + Debug {
    /// The length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Reads into `buf` from `offset` and says how many bytes came; none at the end of the file.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the file system says; any part of the bytes may then have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the content certain, and of its description what is needed to read it back.
    ///
    /// # Errors
    /// What the file system says; what the file then holds after a restart is unknown.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content and description certain.
    ///
    /// # Errors
    /// As [`sync_data`](File::sync_data).
    fn sync_all(&self) -> io::Result<()>;

    /// Reserves room for the first `len` bytes and makes the file that long; new bytes read as zero.
    ///
    /// # Errors
    /// What the file system says.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file or extends it with zeroes.
    ///
    /// # Errors
    /// What the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Whether an error says that there is no room, which may pass, and not that the disk is broken.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error says that the process or the machine has no file descriptor or memory left, which may pass too.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
