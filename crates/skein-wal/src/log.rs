//! The segmented log: numbered entries, appended in frames, synced on demand, read back once at the start.
//!
//! Constraints, which `log/open.rs` relies on:
//! - A frame is one write and holds the entries of one append: after a crash it is there as a whole or not at all.
//! - A segment is synced as a whole before the next one gets its name. So only the last segment can have a torn tail.
//! - Every frame says below which index everything was synced when it was written. So a hole before a frame that vouches
//!   for what is missing is damage, and a hole before frames that do not is a crash between append and sync.
//! - Segments are written full of zeroes beforehand, so that a commit changes no metadata of the file system: that
//!   makes a sync about a third cheaper than one behind `fallocate` alone (docs/store/files.md has the figures).
//!
//! One thread appends and syncs; it never waits for anything but the disk. The log knows no clock.

mod open;
mod prepare;
mod segment;

use std::collections::VecDeque;

pub use self::open::{Cut, Recovery};
pub(crate) use self::open::{check_follows, first_segment, reaches_back_to};
pub(crate) use self::segment::{Walk, walk_for_verify};
use self::{
    prepare::{Filling, Prepared, Preparer},
    segment::SegmentInfo,
};
use crate::{
    directory::Directory,
    disk::{File, is_exhausted, is_full},
    fault::{AppendFault, Fault, SyncFault},
    format::{self, CONTENT_OFFSET, Header, Kind},
    frame::{self, Entries, FramePosition, PAYLOAD_BYTES_MAX, Salt},
};

/// A buffer for frames that grew beyond this is given back after use.
const SCRATCH_BYTES_KEPT: usize = 4 << 20;

/// The first segment of a log; each one after it is so many times larger, up to the full size.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
const SEGMENT_GROWTH: u64 = 4;

/// The next segment is prepared when the present one is full to this part. Early, because at full speed writing the
/// zeroes takes longer than filling half a segment; not at once, so that a log that hardly grows has one segment.
const PREPARE_FROM_PART: u64 = 8;

/// From this mean size of frames on, the next segment is only reserved.
const LARGE_FRAME_BYTES: u64 = 64 << 10;

/// Settings of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes of a full-sized segment; the first ones are smaller, and a frame that is larger gets a segment of its own size.
    pub segment_bytes: u64,
    /// Who prepares the next segment.
    pub prepare: Prepare,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { segment_bytes: 64 << 20, prepare: Prepare::Thread }
    }
}

/// Who prepares the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// A thread of the log, as soon as an eighth of the present segment is used.
    Thread,
    /// The caller with [`Log::prepare`]; an append that needs it before does it itself.
    Caller,
}

/// A log, open for appending.
#[derive(Debug)]
pub struct Log {
    directory: Directory,
    options: LogOptions,
    /// Full segments, oldest first.
    sealed: VecDeque<SegmentInfo>,
    active: Active,
    next_index: u64,
    /// Everything below is synced.
    durable_below: u64,
    /// Frames with entries since the last sync.
    frames_unsynced: u64,
    preparer: Preparer,
    scratch: Vec<u8>,
    /// Why nothing can be appended any more.
    broken: Option<String>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Active {
    file: Box<dyn File>,
    sequence: u64,
    first_index: u64,
    /// Where the next frame goes.
    offset: u64,
    capacity: u64,
    /// Frames written since the segment was opened, and their bytes.
    frames: u64,
    frames_bytes: u64,
    salt: Salt,
    /// Whether the last frame is one that says everything before is synced.
    marked: bool,
}

impl Log {
    /// Appends entries as one frame, with one write, and does not sync.
    ///
    /// # Errors
    /// See [`AppendFault`]; after any of them none of the entries is in the log.
    ///
    /// # Panics
    /// The ends of [`Entries::Buffer`] do not fit its bytes.
    pub fn append(&mut self, first_index: u64, entries: Entries<'_>) -> Result<(), AppendFault> {
        assert!(entries.fits_together(), "the ends of entries rise up to the length of their buffer");
        self.check_append(first_index, entries)?;
        if entries.count() == 0 {
            return Ok(());
        }
        let frame_bytes = format::newest().frame.frame_bytes(entries.payload_bytes());
        if !self.active.has_room(frame_bytes) {
            self.roll(frame_bytes)?;
        }
        self.write_frame(entries)?;
        self.next_index = self.next_index.saturating_add(entries.count() as u64);
        self.frames_unsynced = self.frames_unsynced.saturating_add(1);
        self.active.marked = false;
        self.prepare_ahead();
        Ok(())
    }

    /// Makes everything appended so far certain.
    ///
    /// # Errors
    /// The disk failed. What it holds is unknown from then on, and the log takes nothing more.
    pub fn sync(&mut self) -> Result<(), SyncFault> {
        if let Some(why) = &self.broken {
            return Err(SyncFault(why.clone()));
        }
        if self.frames_unsynced == 0 {
            return Ok(());
        }
        self.sync_active()?;
        // With one frame to a sync the next frame vouches for this one. With several, nothing would tell a frame that
        // was synced and rotted from one that was lost before the sync: the mark does.
        if self.frames_unsynced > 1 {
            self.mark();
        }
        self.frames_unsynced = 0;
        Ok(())
    }

    /// Syncs, and leaves a mark that vouches for the last entries too.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn close(mut self) -> Result<(), SyncFault> {
        self.sync()?;
        if !self.active.marked && self.next_index > self.active.first_index {
            self.mark();
            self.sync_active()?;
        }
        Ok(())
    }

    /// Removes whole segments whose entries are all below an index. What cannot be removed now is tried again with
    /// the next call.
    pub fn purge(&mut self, below: u64) {
        while let Some(oldest) = self.sealed.front() {
            let end = self.sealed.get(1).map_or(Some(self.active.first_index), |segment| segment.first_index);
            let needed = end.is_none_or(|end| end > below);
            let path = self.directory.segment_path(oldest.sequence);
            if needed || self.directory.disk().remove(&path).is_err() {
                return;
            }
            self.sealed.pop_front();
        }
    }

    /// Prepares the next segment when that was not done. For callers that chose [`Prepare::Caller`].
    ///
    /// # Errors
    /// There is no room, or the disk refuses. The log itself is not touched.
    pub fn prepare(&mut self) -> Result<(), Fault> {
        let bytes = self.next_segment_bytes();
        self.preparer.prepare_now(&self.directory, bytes)
    }

    /// The index the next entry gets.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Every entry below this index is synced.
    pub fn durable_below(&self) -> u64 {
        self.durable_below
    }

    /// Bytes of the log on the disk, the unused rest of the present segment left out.
    pub fn size_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>().saturating_add(self.active.offset)
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.sealed.len().saturating_add(1)
    }

    /// Segments grow up to their full size, so that a small store is small.
    fn next_segment_bytes(&self) -> u64 {
        self.active.capacity.saturating_mul(SEGMENT_GROWTH).min(self.options.segment_bytes)
    }

    fn check_append(&self, first_index: u64, entries: Entries<'_>) -> Result<(), AppendFault> {
        if let Some(why) = &self.broken {
            return Err(AppendFault::Broken(why.clone()));
        }
        if first_index != self.next_index {
            return Err(AppendFault::OutOfOrder { expected: self.next_index, given: first_index });
        }
        let bytes = entries.payload_bytes();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(AppendFault::TooLarge { bytes, bytes_max: PAYLOAD_BYTES_MAX });
        }
        Ok(())
    }

    fn write_frame(&mut self, entries: Entries<'_>) -> Result<(), AppendFault> {
        let place = FramePosition {
            salt: self.active.salt,
            offset: self.active.offset,
            first_index: self.next_index,
            durable_below: self.durable_below,
        };
        frame::encode(&mut self.scratch, place, entries);
        let bytes = self.scratch.len() as u64;
        let written = self.active.file.write_at(&self.scratch, self.active.offset);
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
        match written {
            Ok(()) => {
                self.active.offset = self.active.offset.saturating_add(bytes);
                self.active.frames = self.active.frames.saturating_add(1);
                self.active.frames_bytes = self.active.frames_bytes.saturating_add(bytes);
                Ok(())
            }
            // A file system that never overwrites in place may be full even here. What was written of the frame is
            // not valid, and the next one goes to the same place.
            Err(error) if is_full(&error) => Err(self.full(bytes)),
            Err(error) if is_exhausted(&error) => {
                let path = self.directory.segment_path(self.active.sequence);
                Err(AppendFault::Exhausted(Fault::io("write to", path, error).to_string()))
            }
            Err(error) => Err(AppendFault::Broken(self.break_down("write to", &error))),
        }
    }

    fn mark(&mut self) {
        let bytes = format::newest().frame.frame_bytes(0);
        if self.active.has_room(bytes) && self.write_frame(Entries::Slices(&[])).is_ok() {
            self.active.marked = true;
        }
    }

    fn sync_active(&mut self) -> Result<(), SyncFault> {
        if let Err(error) = self.active.file.sync_data() {
            return Err(SyncFault(self.break_down("sync", &error)));
        }
        self.durable_below = self.next_index;
        Ok(())
    }

    /// Seals the present segment and goes on with the next one, which has room for a frame.
    fn roll(&mut self, frame_bytes: u64) -> Result<(), AppendFault> {
        let needed = self.next_segment_bytes().max(CONTENT_OFFSET.saturating_add(frame_bytes));
        let prepared = match self.preparer.take(&self.directory, needed) {
            Ok(prepared) => prepared,
            Err(fault) => return Err(self.roll_fault(fault, needed)),
        };
        if self.frames_unsynced > 0 {
            self.sync_active().map_err(|fault| AppendFault::Broken(fault.0))?;
            self.frames_unsynced = 0;
        }
        let header = Header {
            kind: Kind::Segment,
            store: self.directory.store(),
            sequence: self.active.sequence.saturating_add(1),
            index: self.next_index,
        };
        match prepared.activate(&self.directory, header) {
            Ok(active) => {
                let sealed = std::mem::replace(&mut self.active, active);
                self.sealed.push_back(SegmentInfo {
                    sequence: sealed.sequence,
                    first_index: Some(sealed.first_index),
                    bytes: sealed.capacity,
                });
                Ok(())
            }
            Err((prepared, fault)) => {
                self.preparer.put_back(prepared);
                Err(self.roll_fault(fault, needed))
            }
        }
    }

    fn roll_fault(&mut self, fault: Fault, needed: u64) -> AppendFault {
        match fault {
            Fault::Full { .. } => return self.full(needed),
            Fault::Exhausted { .. } => return AppendFault::Exhausted(fault.to_string()),
            _ => {}
        }
        let why = with_source(&fault);
        self.broken = Some(why.clone());
        AppendFault::Broken(why)
    }

    fn full(&self, needed: u64) -> AppendFault {
        // Where even that cannot be read, zero is as good an answer.
        let free = self.directory.free_bytes().unwrap_or(0);
        AppendFault::Full { needed, free }
    }

    fn prepare_ahead(&mut self) {
        if self.options.prepare == Prepare::Thread
            && self.active.offset > self.active.capacity / PREPARE_FROM_PART
        {
            let filling = match self.active.mean_frame_bytes() {
                ..LARGE_FRAME_BYTES => Filling::Zeroes,
                _ => Filling::Reserved,
            };
            let bytes = self.next_segment_bytes();
            self.preparer.start(&self.directory, bytes, filling);
        }
    }

    fn break_down(&mut self, action: &str, error: &std::io::Error) -> String {
        let path = self.directory.segment_path(self.active.sequence);
        let why = format!("cannot {action} {}: {error}", path.display());
        self.broken = Some(why.clone());
        why
    }
}

impl LogOptions {
    fn first_segment_bytes(self) -> u64 {
        self.segment_bytes.clamp(CONTENT_OFFSET, FIRST_SEGMENT_BYTES)
    }
}

impl Active {
    fn mean_frame_bytes(&self) -> u64 {
        self.frames_bytes.checked_div(self.frames).unwrap_or(0)
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.offset.saturating_add(bytes) <= self.capacity
    }
}

impl Prepared {
    /// Gives the segment its header and its name; both are certain when this returns.
    fn activate(self, directory: &Directory, header: Header) -> Result<Active, (Prepared, Fault)> {
        let path = directory.segment_path(header.sequence);
        let named = self.name(directory, &header);
        if let Err(fault) = named {
            return Err((self, fault));
        }
        // A name that is not certain could be gone after a crash, with synced entries under it.
        if let Err(fault) = directory.sync() {
            return Err((self, Fault::Io { action: "make certain", path, source: not_certain(fault) }));
        }
        Ok(Active {
            file: self.file,
            sequence: header.sequence,
            first_index: header.index,
            offset: CONTENT_OFFSET,
            capacity: self.bytes,
            frames: 0,
            frames_bytes: 0,
            salt: Salt::new(header.store, header.sequence),
            marked: false,
        })
    }

    fn name(&self, directory: &Directory, header: &Header) -> Result<(), Fault> {
        let (from, to) = (directory.next_segment_path(), directory.segment_path(header.sequence));
        let written = self.file.write_at(&format::encode(header), 0);
        written.map_err(|error| Fault::io("write to", &from, error))?;
        // A failed sync is final whatever its reason.
        self.file.sync_data().map_err(|source| Fault::Io { action: "sync", path: from.clone(), source })?;
        directory.disk().rename(&from, &to).map_err(|error| Fault::io("rename", &from, error))
    }
}

/// Whatever may pass elsewhere is final when it comes from syncing.
fn not_certain(fault: Fault) -> std::io::Error {
    std::io::Error::other(with_source(&fault))
}

fn with_source(fault: &Fault) -> String {
    match std::error::Error::source(fault) {
        Some(source) => format!("{fault} ({source})"),
        None => fault.to_string(),
    }
}
