//! The directory of one store: who owns it, which files are in it, whose they are.
//!
//! ```text
//! lock                             held by the owner
//! log-<number>                     a segment of the log, numbered from 1
//! log-next.tmp                     the next segment while it is prepared
//! snapshot-<index>                 a snapshot, named after the last entry it covers
//! snapshot-<index>.tmp             one that is being written
//! snapshot-<index>.damaged         one that was found damaged and is kept to be looked at
//! ```
//!
//! Numbers have twenty digits, so that the order of names is theirs. Files of other names are left alone.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    bytes::in_memory,
    disk::{DirectoryLock, Disk, File},
    fault::Fault,
    format::{FORMATS, Format, Formats, HEADER_BYTES, Header, Kind},
    store_id::StoreId,
};

const SEGMENT_PREFIX: &str = "log-";
const SNAPSHOT_PREFIX: &str = "snapshot-";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// The next segment while it is prepared.
const NEXT_SEGMENT: &str = "log-next.tmp";
const DIGITS: usize = 20;

/// A store's directory, taken by this process. Clones are the same directory; it is free again when the last one and
/// all that was made from it are gone.
#[derive(Clone, Debug)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    store: StoreId,
    formats: &'static Formats,
    lock: Box<dyn DirectoryLock>,
}

impl Directory {
    /// Takes a directory, makes it when there is none, and removes what an interrupted write left behind.
    ///
    /// `fresh` becomes the store's identity when the directory has no files yet; otherwise theirs holds.
    ///
    /// # Errors
    /// The directory is in use, or the file system refuses.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, fresh: StoreId) -> Result<Directory, Fault> {
        disk.create_dir(path).map_err(|error| Fault::io("make the directory", path, error))?;
        let directory = Directory::take(disk, path, fresh, &FORMATS)?;
        directory.remove_temporary()?;
        Ok(directory)
    }

    /// Takes a directory and changes nothing in it.
    pub(crate) fn take(
        disk: Arc<dyn Disk>,
        path: &Path,
        fresh: StoreId,
        formats: &'static Formats,
    ) -> Result<Directory, Fault> {
        let lock = disk.lock(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Fault::Locked { path: path.to_owned() },
            _ => Fault::io("lock the directory", path, error),
        })?;
        let shared = Shared { disk, path: path.to_owned(), store: fresh, formats, lock };
        let store = shared.identity()?.unwrap_or(fresh);
        Ok(Directory { shared: Arc::new(Shared { store, ..shared }) })
    }

    /// The store's identity.
    pub fn store(&self) -> StoreId {
        self.shared.store
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn free_bytes(&self) -> Result<u64, Fault> {
        let free = self.disk().free_bytes(self.path());
        free.map_err(|error| Fault::io("read the free room of", self.path(), error))
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.shared.disk
    }

    /// The numbers of the log's segments, rising.
    pub(crate) fn segments(&self) -> Result<Vec<u64>, Fault> {
        self.shared.numbers(SEGMENT_PREFIX)
    }

    /// The indexes of the snapshots, rising.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<u64>, Fault> {
        self.shared.numbers(SNAPSHOT_PREFIX)
    }

    pub(crate) fn segment_path(&self, sequence: u64) -> PathBuf {
        self.path().join(name(SEGMENT_PREFIX, sequence))
    }

    pub(crate) fn next_segment_path(&self) -> PathBuf {
        self.path().join(NEXT_SEGMENT)
    }

    pub(crate) fn snapshot_path(&self, index: u64) -> PathBuf {
        self.path().join(name(SNAPSHOT_PREFIX, index))
    }

    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.shared.lock.sync().map_err(|error| Fault::io("sync the directory", self.path(), error))
    }

    /// Opens a segment or snapshot and checks that its header is what its name and this store say.
    pub(crate) fn open_file(&self, kind: Kind, number: u64) -> Result<Opened, Fault> {
        let opened = self.shared.open_file(kind, number)?;
        let Opened { path, header, .. } = &opened;
        let named = match kind {
            Kind::Segment => header.sequence,
            Kind::Snapshot => header.index,
        };
        if header.store != self.store() {
            return Err(Fault::Foreign {
                path: path.clone(),
                why: "its header names another store".to_owned(),
            });
        }
        if named != number {
            let why = format!("its header says number {named}, so it had another name");
            return Err(Fault::Foreign { path: path.clone(), why });
        }
        Ok(opened)
    }

    fn remove_temporary(&self) -> Result<(), Fault> {
        let names = self.shared.names()?;
        for name in names.iter().filter(|name| is_temporary(name)) {
            let path = self.path().join(name);
            self.disk().remove(&path).map_err(|error| Fault::io("remove", path, error))?;
        }
        Ok(())
    }
}

/// A file with its header.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
    pub(crate) len: u64,
    pub(crate) format: &'static Format,
    pub(crate) header: Header,
}

impl Shared {
    /// The identity that the files have: of the newest one whose header can be read. Those that differ are found
    /// when they are opened.
    fn identity(&self) -> Result<Option<StoreId>, Fault> {
        for (kind, prefix) in [(Kind::Snapshot, SNAPSHOT_PREFIX), (Kind::Segment, SEGMENT_PREFIX)] {
            for number in self.numbers(prefix)?.into_iter().rev() {
                if let Ok(opened) = self.open_file(kind, number) {
                    return Ok(Some(opened.header.store));
                }
            }
        }
        Ok(None)
    }

    fn open_file(&self, kind: Kind, number: u64) -> Result<Opened, Fault> {
        let prefix = match kind {
            Kind::Segment => SEGMENT_PREFIX,
            Kind::Snapshot => SNAPSHOT_PREFIX,
        };
        let path = self.path.join(name(prefix, number));
        let file = self.disk.open(&path).map_err(|error| Fault::io("open", &path, error))?;
        let len = file.len().map_err(|error| Fault::io("read the length of", &path, error))?;
        let mut head = vec![0; in_memory(len.min(HEADER_BYTES as u64))];
        read_exact(&*file, &mut head, 0).map_err(|error| Fault::io("read", &path, error))?;
        let (format, header) = self.formats.read(&path, kind, &head)?;
        Ok(Opened { path, file, len, format, header })
    }

    fn names(&self) -> Result<Vec<String>, Fault> {
        self.disk.list(&self.path).map_err(|error| Fault::io("list", &self.path, error))
    }

    fn numbers(&self, prefix: &str) -> Result<Vec<u64>, Fault> {
        let names = self.names()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(prefix, name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:0DIGITS$}")
}

fn number(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn is_temporary(name: &str) -> bool {
    let ours = name.starts_with(SEGMENT_PREFIX) || name.starts_with(SNAPSHOT_PREFIX);
    ours && name.ends_with(TEMPORARY_SUFFIX)
}

/// The name a snapshot has while it is written.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    with_suffix(path, TEMPORARY_SUFFIX)
}

/// The name a damaged snapshot is kept under.
pub(crate) fn damaged(path: &Path) -> PathBuf {
    with_suffix(path, ".damaged")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Fills `buf` from `offset` or fails.
pub(crate) fn read_exact(file: &dyn File, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
    let (mut rest, mut at) = (buf, offset);
    while !rest.is_empty() {
        let count = file.read_at(rest, at)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        rest = rest.get_mut(count..).unwrap_or_default();
        at = at.saturating_add(count as u64);
    }
    Ok(())
}
