//! Reading one segment: its frames in order, and what lies behind the last one.
//!
//! Reads through a window, so that memory is bounded by the largest frame, whose length is checked against the file
//! before room is made for it.

use std::{collections::VecDeque, io, path::Path};

use crate::{
    bytes::{in_memory, u32_at},
    directory::Opened,
    disk::File,
    fault::{Fault, OpenFault},
    frame::{self, ALIGNMENT, FrameFormat, FrameHead, Salt, Unfit, Visit},
    window::{WINDOW_BYTES, Window},
};

/// A segment that is not appended to.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentInfo {
    pub(super) sequence: u64,
    /// None when the header cannot be read; that is no fault as long as nobody needs its entries.
    pub(super) first_index: Option<u64>,
    pub(super) bytes: u64,
}

/// A segment that is read.
#[derive(Debug)]
pub(super) struct SegmentReader<'a> {
    path: &'a Path,
    file: &'a dyn File,
    window: Window,
    format: &'static FrameFormat,
    salt: Salt,
    content_offset: u64,
    first_index: u64,
}

/// What the frames of a segment came to.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The index behind the last entry.
    pub(crate) next_index: u64,
    /// Where the last frame ends.
    pub(crate) offset: u64,
    /// What lies there instead of a frame.
    pub(crate) stopped: Unfit,
    /// Whether the last frame is a mark.
    pub(super) marked: bool,
    /// Frames that no later frame vouches for: from which "durable below" on one would, and where the frame begins.
    pub(super) unvouched: VecDeque<(u64, u64)>,
}

/// What lies behind the last frame.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// A frame that says everything below an index was synced: its offset and the index; the highest one.
    pub(super) vouched: Option<(u64, u64)>,
    /// Where the last byte that is not zero ends.
    pub(super) used_end: u64,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn new(opened: &'a Opened) -> SegmentReader<'a> {
        SegmentReader {
            path: &opened.path,
            window: Window::new(opened.len),
            file: &*opened.file,
            format: &opened.format.frame,
            salt: Salt::new(opened.header.store, opened.header.sequence),
            content_offset: opened.format.content_offset,
            first_index: opened.header.index,
        }
    }

    /// Reads frames until there is none, and calls `visit` with the entries from `from` on.
    pub(super) fn walk<E>(&mut self, from: u64, visit: &mut Visit<'_, E>) -> Result<Walk, OpenFault<E>> {
        let mut walk = Walk {
            next_index: self.first_index,
            offset: self.content_offset,
            stopped: Unfit::End,
            marked: false,
            unvouched: VecDeque::new(),
        };
        let mut visit_needed = |index: u64, entry: &[u8]| {
            if index < from {
                return Ok(());
            }
            visit(index, entry).map_err(|source| OpenFault::Entry { index, source })
        };
        loop {
            let path = self.path;
            let frame = self.frame_at(walk.offset).map_err(|error| Fault::io("read", path, error))?;
            let (head, payload) = match frame {
                Ok(frame) => frame,
                Err(unfit) => {
                    walk.stopped = unfit;
                    return Ok(walk);
                }
            };
            let damaged = |expected: String, found: String| Fault::Damaged {
                path: path.to_owned(),
                offset: walk.offset,
                expected,
                found,
            };
            if head.first_index != walk.next_index {
                let found = format!("a frame with entry {}", head.first_index);
                return Err(damaged(format!("a frame with entry {}", walk.next_index), found).into());
            }
            if let Err(unfit) = head.entries(payload, &mut visit_needed)? {
                return Err(damaged("a frame in order".to_owned(), unfit.text().to_owned()).into());
            }
            walk.pass(&head, self.format.frame_bytes(head.payload_bytes.into()));
        }
    }

    /// Looks for valid frames and for anything but zeroes behind the place where the frames stopped.
    pub(super) fn tail(&mut self, offset: u64) -> Result<Tail, Fault> {
        let path = self.path;
        self.search(offset).map_err(|error| Fault::io("read", path, error))
    }

    fn search(&mut self, offset: u64) -> io::Result<Tail> {
        let mut tail = Tail { vouched: None, used_end: offset };
        let mut at = offset;
        while at < self.window.len() {
            let piece_bytes = WINDOW_BYTES.min(self.window.len().saturating_sub(at));
            let piece = self.window.bytes(self.file, at, piece_bytes)?.unwrap_or_default();
            let Some(used) = piece.iter().rposition(|byte| *byte != 0) else {
                at = at.saturating_add(piece_bytes);
                continue;
            };
            tail.used_end = at.saturating_add(used as u64).saturating_add(1);
            let begins: Vec<u64> = begins_of_frames(piece).map(|begin| at.saturating_add(begin)).collect();
            for begin in begins {
                let Ok((head, _)) = self.frame_at(begin)? else { continue };
                if tail.vouched.is_none_or(|(_, below)| below < head.durable_below) {
                    tail.vouched = Some((begin, head.durable_below));
                }
            }
            at = at.saturating_add(piece_bytes);
        }
        Ok(tail)
    }

    /// The frame at an offset, its payload checked.
    fn frame_at(&mut self, offset: u64) -> io::Result<Result<(FrameHead, &[u8]), Unfit>> {
        let header_bytes = self.format.header_bytes;
        let Some(bytes) = self.window.bytes(self.file, offset, header_bytes as u64)? else {
            return Ok(Err(Unfit::End));
        };
        let head = match (self.format.head)(bytes, self.salt, offset) {
            Ok(head) => head,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let bytes = self.format.frame_bytes(head.payload_bytes.into());
        let Some(frame) = self.window.bytes(self.file, offset, bytes)? else { return Ok(Err(Unfit::Length)) };
        let payload = frame.get(header_bytes..).unwrap_or_default();
        let payload = payload.get(..in_memory(head.payload_bytes.into())).unwrap_or_default();
        Ok(head.check(payload, self.salt, offset).map(|()| (head, payload)))
    }
}

/// Frames begin at multiples of eight, so does every piece.
fn begins_of_frames(piece: &[u8]) -> impl Iterator<Item = u64> {
    let words = piece.chunks(in_memory(ALIGNMENT)).zip((0_u64..).step_by(in_memory(ALIGNMENT)));
    words.filter(|(word, _)| u32_at(word, 0) == Some(frame::MAGIC)).map(|(_, at)| at)
}

impl Walk {
    fn pass(&mut self, head: &FrameHead, frame_bytes: u64) {
        while self.unvouched.front().is_some_and(|(end, _)| *end <= head.durable_below) {
            self.unvouched.pop_front();
        }
        self.next_index = head.end_index();
        self.marked = head.count == 0;
        // A mark is itself synced only with the entry that follows it.
        let vouched_from = self.next_index.saturating_add(u64::from(self.marked));
        self.unvouched.push_back((vouched_from, self.offset));
        self.offset = self.offset.saturating_add(frame_bytes);
    }
}

/// Reads every frame of a segment, for those who only want to know whether they are in order.
pub(crate) fn walk_for_verify(opened: &Opened, is_last: bool) -> Result<Walk, Fault> {
    let mut reader = SegmentReader::new(opened);
    let walk = reader.walk::<std::convert::Infallible>(u64::MAX, &mut |_, _| Ok(()));
    let walk = match walk {
        Ok(walk) => walk,
        Err(OpenFault::Files(fault)) => return Err(fault),
        Err(OpenFault::Entry { source, .. }) => match source {},
    };
    if is_last {
        let tail = reader.tail(walk.offset)?;
        check_tail(&opened.path, &walk, &tail)?;
    }
    Ok(walk)
}

/// A tail may be cut only when no frame in it vouches for what is missing.
pub(super) fn check_tail(path: &Path, walk: &Walk, tail: &Tail) -> Result<(), Fault> {
    let Some((frame, below)) = tail.vouched else { return Ok(()) };
    if below <= walk.next_index {
        return Ok(());
    }
    Err(Fault::Damaged {
        path: path.to_owned(),
        offset: walk.offset,
        expected: format!(
            "the frame with entry {}, which was synced as the frame at offset {frame} says,",
            walk.next_index
        ),
        found: walk.stopped.text().to_owned(),
    })
}
