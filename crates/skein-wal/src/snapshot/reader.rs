//! Reading snapshots: which one counts, and its blocks.
//!
//! A snapshot is checked as a whole before its first block is handed out, so that nobody builds half a state from a
//! damaged one; that is a second pass over bytes that are in memory then.

use super::{BLOCK_BYTES_MAX, BLOCK_HEADER_BYTES, TRAILER_BYTES, TRAILER_MARK, Tally};
use crate::{
    bytes::u32_at,
    directory::{Directory, Opened, damaged},
    fault::Fault,
    format::Kind,
    log::reaches_back_to,
    window::Window,
};

/// A snapshot that was found in order.
#[derive(Debug)]
pub struct SnapshotReader {
    opened: Opened,
    window: Window,
    offset: u64,
    tally: Tally,
}

/// The snapshot to start from.
#[derive(Debug)]
pub struct Newest {
    /// The snapshot, or none: then the log has everything from entry 1 on.
    pub reader: Option<SnapshotReader>,
    /// Newer snapshots that are damaged. They were given the suffix `.damaged` and do no harm any more.
    pub set_aside: Vec<Fault>,
}

impl SnapshotReader {
    /// Finds the newest snapshot that is in order.
    ///
    /// A damaged one is passed over only when the log has all entries since the one before it.
    ///
    /// # Errors
    /// Snapshots are damaged and the log does not make up for it, or the disk refuses.
    pub fn newest(directory: &Directory) -> Result<Newest, Fault> {
        let indexes = directory.snapshots()?;
        let mut set_aside = Vec::new();
        let mut passed = Vec::new();
        let mut reader = None;
        for (position, index) in indexes.iter().enumerate().rev() {
            match SnapshotReader::open(directory, *index) {
                Ok(found) => {
                    reader = Some(found);
                    break;
                }
                Err(fault @ Fault::Damaged { .. }) => {
                    let older = position.checked_sub(1).and_then(|older| indexes.get(older)).copied();
                    if !log_has_all_since(directory, older)? {
                        return Err(fault);
                    }
                    set_aside.push(fault);
                    passed.push(*index);
                }
                Err(fault) => return Err(fault),
            }
        }
        for index in passed {
            let path = directory.snapshot_path(index);
            let renamed = directory.disk().rename(&path, &damaged(&path));
            renamed.map_err(|error| Fault::io("rename", &path, error))?;
        }
        Ok(Newest { reader, set_aside })
    }

    /// Opens the snapshot of an index and checks all of it.
    ///
    /// # Errors
    /// It is damaged, or the disk refuses.
    pub fn open(directory: &Directory, index: u64) -> Result<SnapshotReader, Fault> {
        let opened = directory.open_file(Kind::Snapshot, index)?;
        let mut reader = SnapshotReader {
            window: Window::new(opened.len),
            offset: opened.format.content_offset,
            tally: Tally::new(directory.store(), index),
            opened,
        };
        let begin = (reader.offset, reader.tally);
        while reader.next_block()?.is_some() {}
        (reader.offset, reader.tally) = begin;
        Ok(reader)
    }

    /// The last entry that the snapshot covers.
    pub fn index(&self) -> u64 {
        self.opened.header.index
    }

    /// The length of the file.
    pub fn bytes(&self) -> u64 {
        self.opened.len
    }

    /// The next block, or none behind the last one.
    ///
    /// # Errors
    /// The file was changed since it was opened, or the disk refuses.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, Fault> {
        let head = read(&mut self.window, &self.opened, self.offset, BLOCK_HEADER_BYTES)?;
        let (Some(length), Some(checksum)) = (u32_at(head, 0), u32_at(head, 4)) else {
            return Err(self.damaged("a block", "the end of the file"));
        };
        if length == TRAILER_MARK {
            return self.check_trailer().map(|()| None);
        }
        let length = length as usize;
        if length >= BLOCK_BYTES_MAX {
            return Err(self.damaged("the length of a block", "a length that is too large"));
        }
        let bytes = BLOCK_HEADER_BYTES.saturating_add(length);
        if self.offset.saturating_add(bytes as u64) > self.window.len() {
            return Err(self.damaged("a block", "a block that reaches beyond the file"));
        }
        let whole = read(&mut self.window, &self.opened, self.offset, bytes)?;
        let block = whole.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
        if self.tally.add(block) != checksum {
            return Err(self.damaged("a block with its checksum", "another checksum"));
        }
        let begin = self.offset;
        self.offset = begin.saturating_add(bytes as u64);
        let whole = read(&mut self.window, &self.opened, begin, bytes)?;
        Ok(whole.get(BLOCK_HEADER_BYTES..))
    }

    fn check_trailer(&mut self) -> Result<(), Fault> {
        let trailer = read(&mut self.window, &self.opened, self.offset, TRAILER_BYTES)?;
        if trailer != self.tally.trailer() {
            return Err(self.damaged("a trailer that counts the blocks before it", "another one"));
        }
        if self.offset.saturating_add(TRAILER_BYTES as u64) != self.window.len() {
            return Err(self.damaged("the end of the file behind the trailer", "more bytes"));
        }
        Ok(())
    }

    fn damaged(&self, expected: &str, found: &str) -> Fault {
        Fault::Damaged {
            path: self.opened.path.clone(),
            offset: self.offset,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

/// So many bytes, or none at all when the file ends before.
fn read<'w>(window: &'w mut Window, opened: &Opened, offset: u64, bytes: usize) -> Result<&'w [u8], Fault> {
    let read = window.bytes(&*opened.file, offset, bytes as u64);
    let read = read.map_err(|error| Fault::io("read", &opened.path, error))?;
    Ok(read.unwrap_or_default())
}

/// Whether the log alone leads on from a snapshot, or from nothing.
fn log_has_all_since(directory: &Directory, snapshot: Option<u64>) -> Result<bool, Fault> {
    let first_needed = snapshot.map_or(1, |index| index.saturating_add(1));
    Ok(reaches_back_to(directory)?.is_some_and(|first| first <= first_needed))
}
