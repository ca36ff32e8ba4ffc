//! A part of a file in memory, read ahead: what both the log's and the snapshots' readers look through.
//!
//! It never holds more than the larger of its own size and what was asked for, and refuses to make room for bytes that
//! the file does not have.

use std::io;

use crate::{bytes::in_memory, directory::read_exact, disk::File};

/// Bytes that are read at once.
pub(crate) const WINDOW_BYTES: u64 = 256 << 10;

/// The part of a file that was read last.
#[derive(Debug)]
pub(crate) struct Window {
    len: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    /// Looks at a file of so many bytes.
    pub(crate) fn new(len: u64) -> Window {
        Window { len, buffer: Vec::new(), start: 0 }
    }

    /// The length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// So many bytes from an offset, or none when the file ends before.
    pub(crate) fn bytes(&mut self, file: &dyn File, offset: u64, count: u64) -> io::Result<Option<&[u8]>> {
        let end = offset.saturating_add(count);
        if end > self.len {
            return Ok(None);
        }
        let have = self.start.saturating_add(self.buffer.len() as u64);
        if offset < self.start || end > have {
            let read = count.max(WINDOW_BYTES).min(self.len.saturating_sub(offset));
            self.buffer.clear();
            self.buffer.resize(in_memory(read), 0);
            self.start = offset;
            if let Err(error) = read_exact(file, &mut self.buffer, offset) {
                self.buffer.clear();
                return Err(error);
            }
        }
        let begin = in_memory(offset.saturating_sub(self.start));
        Ok(self.buffer.get(begin..).and_then(|rest| rest.get(..in_memory(count))))
    }
}
