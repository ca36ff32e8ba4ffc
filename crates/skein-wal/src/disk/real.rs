//! The operating system's files.
//!
//! Unix: positioned reads and writes, so that no two callers share a position, `flock` for the directory's owner. What it
//! makes is for its owner alone: directories 0700, files 0600. A store goes on when others have taken all of the process's
//! file descriptors: its directory stays open, and `spare.rs` holds some descriptors back for its files.

mod spare;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::{FlockOperation, fallocate, flock, statvfs};

use self::spare::Spares;
use super::{DirectoryLock, Disk, File};

/// The file that `flock` is held on.
const LOCK_FILE: &str = "lock";
/// Who may do what with a directory: its owner everything, others nothing.
const DIRECTORY_MODE: u32 = 0o700;
/// Who may do what with a file: its owner reads and writes, others nothing.
const FILE_MODE: u32 = 0o600;

/// The file system.
#[derive(Debug, Default)]
pub struct RealDisk {
    spares: Arc<Spares>,
}

#[derive(Debug)]
struct RealFile {
    /// None only while it is being closed.
    file: Option<fs::File>,
    spares: Arc<Spares>,
}

/// Closing the file releases the lock, also when the process dies.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
    /// Open all the time: making names certain must not need a descriptor that strangers may have taken.
    dir: Arc<fs::File>,
}

impl DirectoryLock for RealLock {
    fn sync(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

impl RealDisk {
    fn file(&self, path: &Path, options: &fs::OpenOptions) -> io::Result<Box<dyn File>> {
        let file = self.spares.spend(|| options.open(path))?;
        Ok(Box::new(RealFile { file: Some(file), spares: Arc::clone(&self.spares) }))
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir)?;
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(path, fs::File::options().read(true).write(true))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(path, fs::File::options().read(true).write(true).create_new(true).mode(FILE_MODE))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.spares.spend(|| fs::read_dir(dir))? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        self.spares.refill();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(dir.join(LOCK_FILE))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let dir = Arc::new(fs::File::open(dir)?);
        self.spares.stand_for(&dir);
        Ok(Box::new(RealLock { _file: file, dir }))
    }
}

impl RealFile {
    fn file(&self) -> io::Result<&fs::File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the file is closed"))
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.spares.close(file);
        }
    }
}

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file()?.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file()?.sync_all()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match fallocate(self.file()?, rustix::fs::FallocateFlags::empty(), 0, len) {
            // Some file systems cannot reserve; writing the zeroes does it there.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.file()?.set_len(len),
            result => Ok(result?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }
}
