//! A disk in memory that does everything a disk may do wrong, on command and always in the same way.
//!
//! It keeps two pictures: what the process sees, and what would be there after a loss of power. A write changes the
//! first; a sync copies it to the second. [`FaultyDisk::crash`] settles, sector by sector and name by name, what of the
//! rest survived, and makes every open file useless. Besides it can cut the power before any operation, fail any
//! operation with any error, write a part of what it was given, run out of room, flip bits, and hold a sync back until
//! the test lets it go. It is part of the crate's interface so that the store's tests can stand on it too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "it holds no foreign bytes: a slip in it is a slip in a test and must be seen at once"
)]

mod file;
mod state;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use self::{
    file::FaultyFile,
    state::{NameChange, State},
};
use super::{DirectoryLock, Disk, File};

/// Bytes that reach the disk together or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

/// What can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file is made.
    Create,
    /// A file is opened.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file is synced.
    Sync,
    /// Room is reserved, or the length set.
    Allocate,
    /// A file is removed.
    Remove,
    /// A file is renamed.
    Rename,
    /// A directory is synced.
    SyncDir,
}

impl Operation {
    /// Reading changes nothing: a power cut before it is one before the next operation that does.
    fn changes(self) -> bool {
        !matches!(self, Operation::Read | Operation::Open)
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device reports an error. A sync that fails so also forgets what it should have kept: the bytes can
    /// still be read, and no later sync writes them.
    Io,
    /// There is no room.
    Full,
    /// The process has no file descriptor left.
    Descriptors,
    /// The machine has no memory left.
    Memory,
    /// So many bytes of a write are written, then there is no room.
    ShortFull(usize),
    /// So many bytes of a write are written, then the device reports an error.
    ShortIo(usize),
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Failure::Io | Failure::ShortIo(_) => {
                io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
            }
            Failure::Full | Failure::ShortFull(_) => full(),
            Failure::Descriptors => io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()),
            Failure::Memory => io::Error::from_raw_os_error(rustix::io::Errno::NOMEM.raw_os_error()),
        }
    }

    fn written(self) -> usize {
        match self {
            Failure::Io | Failure::Full | Failure::Descriptors | Failure::Memory => 0,
            Failure::ShortFull(bytes) | Failure::ShortIo(bytes) => bytes,
        }
    }
}

/// Something that a loss of power may keep or lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced<'a> {
    /// A sector of a file as one write left it.
    Sector {
        /// The file's present name, empty when it has none.
        path: &'a Path,
        /// Where the sector begins.
        offset: u64,
    },
    /// A change of the length of a file.
    Length(&'a Path),
    /// A name that was made, changed or removed.
    Name(&'a Path),
}

/// The disk. A clone is the same disk; [`fork`](FaultyDisk::fork) makes another.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    syncs: Condvar,
}

/// The content of the disk would fill the screen of a test that failed.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> FaultyDisk {
        FaultyDisk::default()
    }

    /// Another disk with the same content, without this one's faults, locks and open files.
    pub fn fork(&self) -> FaultyDisk {
        let state = self.shared.state.lock().fork();
        FaultyDisk { shared: Arc::new(Shared { state: Mutex::new(state), syncs: Condvar::new() }) }
    }

    /// How many operations that change something were begun.
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }

    /// Cuts the power before the operation of this number, counted from zero as [`operations`](Self::operations)
    /// counts: it and everything after it fail until [`crash`](Self::crash).
    pub fn cut_power_at(&self, operation: u64) {
        self.shared.state.lock().power_cut_at = Some(operation);
    }

    /// Turns the power off and on. `keep` is asked for everything that was not synced, in the order it was done.
    pub fn crash(&self, mut keep: impl FnMut(Unsynced<'_>) -> bool) {
        self.shared.state.lock().crash(&mut keep);
        self.shared.syncs.notify_all();
    }

    /// How many answers [`crash`](Self::crash) would ask for now.
    pub fn unsynced(&self) -> usize {
        self.shared.state.lock().unsynced()
    }

    /// Lets the operation that comes `skip` operations of its kind from now fail; once.
    pub fn fail(&self, operation: Operation, skip: u64, failure: Failure) {
        self.shared.state.lock().failures.push((operation, skip, failure));
    }

    /// Lets every operation of a kind fail from now on.
    pub fn fail_always(&self, operation: Operation, failure: Failure) {
        self.shared.state.lock().failures_lasting.push((operation, failure));
    }

    /// Lets about one operation in `one_in` fail with an IO error, chosen by `seed`.
    pub fn fail_at_random(&self, seed: u64, one_in: u64) {
        self.shared.state.lock().random = Some((seed, one_in));
    }

    /// Takes all faults back that are still to come. A limit of room stays.
    pub fn heal(&self) {
        self.shared.state.lock().heal();
    }

    /// Limits the room for the content of all files together.
    pub fn set_room(&self, bytes: u64) {
        self.shared.state.lock().room = Some(bytes);
    }

    /// Bytes that the files take.
    pub fn used(&self) -> u64 {
        self.shared.state.lock().used()
    }

    /// Holds back every sync of a file until the hold is dropped.
    pub fn hold_syncs(&self) -> SyncHold {
        self.shared.state.lock().syncs_held += 1;
        SyncHold { shared: Arc::clone(&self.shared) }
    }

    /// How many syncs are being held back.
    pub fn syncs_waiting(&self) -> usize {
        self.shared.state.lock().syncs_waiting
    }

    /// The names of all files, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.shared.state.lock().names.keys().cloned().collect()
    }

    /// What a file holds.
    ///
    /// # Panics
    /// There is no such file.
    pub fn content(&self, path: &Path) -> Vec<u8> {
        self.shared.state.lock().node(path).expect("the file exists").seen.clone()
    }

    /// Puts a file there with this content, synced.
    pub fn put(&self, path: &Path, content: &[u8]) {
        self.shared.state.lock().put(path, content);
    }

    /// Flips one bit of a file, for good.
    ///
    /// # Panics
    /// There is no such file or it is shorter.
    pub fn flip(&self, path: &Path, byte: usize, bit: u8) {
        let mut content = self.content(path);
        content[byte] ^= 1 << (bit % 8);
        self.put(path, &content);
    }
}

/// Holds back syncs as long as it lives.
#[derive(Debug)]
pub struct SyncHold {
    shared: Arc<Shared>,
}

impl Drop for SyncHold {
    fn drop(&mut self) {
        self.shared.state.lock().syncs_held -= 1;
        self.shared.syncs.notify_all();
    }
}

#[derive(Debug)]
struct FaultyLock {
    shared: Arc<Shared>,
    dir: PathBuf,
    boot: u64,
}

impl DirectoryLock for FaultyLock {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin(Operation::SyncDir)?;
        state.sync_names(&self.dir);
        Ok(())
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.boot == self.boot {
            state.locks.retain(|dir| *dir != self.dir);
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.shared.state.lock();
        state.begin(Operation::Open)?;
        let node = *state.names.get(path).ok_or_else(not_found)?;
        Ok(Box::new(FaultyFile { shared: Arc::clone(&self.shared), node, boot: state.boot }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.shared.state.lock();
        state.begin(Operation::Create)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.add_node();
        state.change_name(NameChange { from: None, to: Some((path.to_owned(), node)) });
        Ok(Box::new(FaultyFile { shared: Arc::clone(&self.shared), node, boot: state.boot }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.shared.state.lock();
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin(Operation::Remove)?;
        if !state.names.contains_key(path) {
            return Err(not_found());
        }
        state.change_name(NameChange { from: Some(path.to_owned()), to: None });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin(Operation::Rename)?;
        let node = *state.names.get(from).ok_or_else(not_found)?;
        state.change_name(NameChange { from: Some(from.to_owned()), to: Some((to.to_owned(), node)) });
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.shared.state.lock();
        Ok(state.room.map_or(u64::MAX, |room| room.saturating_sub(state.used())))
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut state = self.shared.state.lock();
        if state.locks.iter().any(|held| held == dir) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locks.push(dir.to_owned());
        Ok(Box::new(FaultyLock { shared: Arc::clone(&self.shared), dir: dir.to_owned(), boot: state.boot }))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}
