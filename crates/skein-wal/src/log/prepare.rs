//! Making the next segment before it is needed, so that no commit waits for it.
//!
//! The file is reserved, written full of zeroes where that pays, and synced under a temporary name; it becomes a segment in
//! one rename. A thread is started for one file and ends with it, about once in 64 MiB of log.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use crate::{bytes::in_memory, directory::Directory, disk::File, fault::Fault};

/// Zeroes are written in pieces, so that preparing can be given up between them.
const PIECE_BYTES: u64 = 256 << 10;
/// Zeroes are synced in steps, so that a commit's sync meanwhile queues behind one step and not behind a segment.
const SYNC_STEP_BYTES: u64 = 256 << 10;

/// What is in a segment before its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// Written zeroes: a sync of a small frame then writes nothing but the frame.
    Zeroes,
    /// Reserved blocks: the first sync of each also notes in the file system's journal that it was written. That is
    /// little beside a large frame, and the bytes of the log are written once instead of twice.
    Reserved,
}

/// A file that waits to be a segment, and reads as zeroes.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) file: Box<dyn File>,
    pub(super) bytes: u64,
}

/// Where the next segment comes from.
#[derive(Debug, Default)]
pub(super) struct Preparer {
    state: State,
    given_up: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Running(JoinHandle<Result<Prepared, Fault>>),
    Ready(Prepared),
}

impl Preparer {
    /// Starts a thread that prepares, unless one runs or has been. Without a thread the append that needs the
    /// segment prepares it.
    pub(super) fn start(&mut self, directory: &Directory, bytes: u64, filling: Filling) {
        if !matches!(self.state, State::Nothing) {
            return;
        }
        let (directory, given_up) = (directory.clone(), Arc::clone(&self.given_up));
        let started = thread::Builder::new()
            .name("skein-log-next".to_owned())
            .spawn(move || prepare(&directory, bytes, filling, &given_up));
        if let Ok(handle) = started {
            self.state = State::Running(handle);
        }
    }

    /// Prepares on this thread what is not prepared yet.
    pub(super) fn prepare_now(&mut self, directory: &Directory, bytes: u64) -> Result<(), Fault> {
        let prepared = self.take(directory, bytes)?;
        self.put_back(prepared);
        Ok(())
    }

    /// The prepared file, with at least so many bytes.
    pub(super) fn take(&mut self, directory: &Directory, bytes: u64) -> Result<Prepared, Fault> {
        let ready = match mem::take(&mut self.state) {
            State::Nothing => None,
            // What the thread met, the attempt here meets again, or it has passed.
            State::Running(handle) => handle.join().ok().and_then(Result::ok),
            State::Ready(prepared) => Some(prepared),
        };
        match ready {
            Some(prepared) if prepared.bytes >= bytes => Ok(prepared),
            // A frame larger than a segment: rare enough to begin again.
            Some(_) | None => prepare(directory, bytes, Filling::Zeroes, &self.given_up),
        }
    }

    pub(super) fn put_back(&mut self, prepared: Prepared) {
        self.state = State::Ready(prepared);
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.given_up.store(true, Relaxed);
        if let State::Running(handle) = mem::take(&mut self.state) {
            // Its outcome is of no use any more; only the directory must be free when the log is gone.
            drop(handle.join());
        }
    }
}

fn prepare(
    directory: &Directory,
    bytes: u64,
    filling: Filling,
    given_up: &AtomicBool,
) -> Result<Prepared, Fault> {
    let path = directory.next_segment_path();
    let disk = directory.disk();
    let free = directory.free_bytes()?;
    if free < bytes {
        return Err(Fault::Full { action: "prepare the log segment", path, needed: bytes, free });
    }
    let created = match disk.create(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            disk.remove(&path).map_err(|error| Fault::io("remove", &path, error))?;
            disk.create(&path)
        }
        created => created,
    };
    let file = created.map_err(|error| Fault::io("make", &path, error))?;
    match fill(&*file, bytes, filling, given_up) {
        Ok(()) => Ok(Prepared { file, bytes }),
        Err(error) => {
            drop(file);
            // What stays behind is removed before the next attempt or at the next start.
            drop(disk.remove(&path));
            Err(Fault::io("prepare the log segment", path, error))
        }
    }
}

fn fill(file: &dyn File, bytes: u64, filling: Filling, given_up: &AtomicBool) -> std::io::Result<()> {
    // Reserved first: a full disk shows here, before anything is written.
    file.allocate(bytes)?;
    if filling == Filling::Reserved {
        return file.sync_all();
    }
    let zeroes = vec![0; in_memory(PIECE_BYTES.min(bytes))];
    let mut offset = 0;
    while offset < bytes {
        if given_up.load(Relaxed) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let piece = PIECE_BYTES.min(bytes.saturating_sub(offset));
        file.write_at(zeroes.get(..in_memory(piece)).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(piece);
        if offset.is_multiple_of(SYNC_STEP_BYTES) {
            file.sync_data()?;
        }
    }
    file.sync_all()
}
