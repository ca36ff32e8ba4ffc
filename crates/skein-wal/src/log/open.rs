//! Opening a log: which segments count, what is replayed, what is cut.
//!
//! 1. From the newest segment back to the one that has the first entry needed, every number must be there and every
//!    header readable. Older segments are not looked into.
//! 2. Frames are replayed in order. A segment that is not the last must lead to where the next one begins.
//! 3. Behind the last frame of the last segment, the rest of it is searched. A frame that vouches for what is missing
//!    makes it damage. Otherwise it is the torn tail of a crash: it is overwritten with zeroes, so that no old byte can
//!    ever be taken for a frame.
//! 4. Frames that no later one vouches for are written once more, and all is synced: after a failed sync and a
//!    restart the page cache may show bytes that are not on the disk and that a plain sync would not write.

use super::{
    Active, Log, LogOptions, Preparer,
    segment::{SegmentInfo, SegmentReader, Tail, Walk, check_tail},
};
use crate::{
    bytes::in_memory,
    directory::{Directory, Opened, read_exact},
    disk::File,
    fault::{Fault, OpenFault},
    format::{Header, Kind, newest},
    frame::{Salt, Visit},
};

/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Entries handed to the caller.
    pub entries: u64,
    /// The index the next entry gets.
    pub next_index: u64,
    /// What was cut off the end, or nothing.
    pub cut: Option<Cut>,
    /// The index behind the log's last entry, when it ended before the snapshot and was begun anew behind it. That
    /// happens after a loss of power to logs that are not synced with every commit.
    pub ended_before: Option<u64>,
}

/// The torn tail of a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file name.
    pub file: String,
    /// From where on it was cut.
    pub offset: u64,
    /// How many bytes that were not zero were passed over.
    pub bytes: u64,
}

impl Log {
    /// Opens the log of a directory, or begins one there, and calls `visit` with every entry from `first_needed` on,
    /// in order. `first_needed` is the index behind the snapshot, or 1.
    ///
    /// # Errors
    /// The files are not in order, as [`Fault`] says, or `visit` refused an entry.
    pub fn open<E>(
        directory: &Directory,
        options: LogOptions,
        first_needed: u64,
        visit: &mut Visit<'_, E>,
    ) -> Result<(Log, Recovery), OpenFault<E>> {
        let numbers = directory.segments()?;
        let start = first_segment(directory, &numbers, first_needed)?;
        let mut entries = 0_u64;
        let mut counted = |index: u64, entry: &[u8]| {
            entries = entries.saturating_add(1);
            visit(index, entry)
        };
        let needed = numbers.get(start..).unwrap_or_default();
        let last = replay(directory, needed, first_needed, &mut counted)?;
        let Some((opened, walk, tail)) = last else {
            let log = Log::begin(directory, options, 1, first_needed)?;
            let recovery = Recovery { entries, next_index: first_needed, cut: None, ended_before: None };
            return Ok((log, recovery));
        };
        let cut = (tail.used_end > walk.offset).then(|| Cut {
            file: opened.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            offset: walk.offset,
            bytes: tail.used_end.saturating_sub(walk.offset),
        });
        let next_index = walk.next_index;
        if next_index < first_needed {
            let log = Log::begin_behind(directory, options, &numbers, first_needed)?;
            let recovery =
                Recovery { entries, next_index: first_needed, cut, ended_before: Some(next_index) };
            return Ok((log, recovery));
        }
        settle(&opened, &walk, &tail)?;
        let older = numbers.get(..numbers.len().saturating_sub(1)).unwrap_or_default();
        let log = Log::go_on(directory, options, older, opened, &walk)?;
        Ok((log, Recovery { entries, next_index, cut, ended_before: None }))
    }

    /// A log with one empty segment.
    fn begin(
        directory: &Directory,
        options: LogOptions,
        sequence: u64,
        next_index: u64,
    ) -> Result<Log, Fault> {
        let mut preparer = Preparer::default();
        let prepared = preparer.take(directory, options.first_segment_bytes())?;
        let header = Header { kind: Kind::Segment, store: directory.store(), sequence, index: next_index };
        let active = prepared.activate(directory, header).map_err(|(_, fault)| fault)?;
        Ok(Log {
            directory: directory.clone(),
            options,
            sealed: Default::default(),
            active,
            next_index,
            durable_below: next_index,
            frames_unsynced: 0,
            preparer,
            scratch: Vec::new(),
            broken: None,
        })
    }

    /// Throws the log away, because the snapshot has all of it and more, and begins behind the snapshot.
    fn begin_behind(
        directory: &Directory,
        options: LogOptions,
        numbers: &[u64],
        next_index: u64,
    ) -> Result<Log, Fault> {
        for number in numbers {
            let path = directory.segment_path(*number);
            directory.disk().remove(&path).map_err(|error| Fault::io("remove", path, error))?;
        }
        // The new segment must not be there together with an old one: its entries do not follow.
        directory.sync()?;
        let sequence = numbers.last().map_or(1, |last| last.saturating_add(1));
        Log::begin(directory, options, sequence, next_index)
    }

    /// Goes on behind the last frame, in its segment, or in a new one when an older program wrote that.
    fn go_on(
        directory: &Directory,
        options: LogOptions,
        older: &[u64],
        opened: Opened,
        walk: &Walk,
    ) -> Result<Log, Fault> {
        let mut sealed: Vec<SegmentInfo> = older.iter().map(|number| look_at(directory, *number)).collect();
        let Header { sequence, index: first_index, store, .. } = opened.header;
        if opened.format.version != newest().version {
            sealed.push(SegmentInfo { sequence, first_index: Some(first_index), bytes: opened.len });
            let mut log = Log::begin(directory, options, sequence.saturating_add(1), walk.next_index)?;
            log.sealed = sealed.into();
            return Ok(log);
        }
        Ok(Log {
            directory: directory.clone(),
            options,
            sealed: sealed.into(),
            active: Active {
                file: opened.file,
                sequence,
                first_index,
                offset: walk.offset,
                capacity: opened.len,
                frames: 0,
                frames_bytes: 0,
                salt: Salt::new(store, sequence),
                marked: walk.marked,
            },
            next_index: walk.next_index,
            durable_below: walk.next_index,
            frames_unsynced: 0,
            preparer: Preparer::default(),
            scratch: Vec::new(),
            broken: None,
        })
    }
}

/// How far back the log reaches, by its segments' headers: the first index of the oldest segment from which on no number is
/// missing. None without a log.
pub(crate) fn reaches_back_to(directory: &Directory) -> Result<Option<u64>, Fault> {
    let mut reached = None;
    let mut expected = None;
    for number in directory.segments()?.into_iter().rev() {
        if expected.is_some_and(|expected| expected != number) {
            break;
        }
        let Ok(opened) = directory.open_file(Kind::Segment, number) else { break };
        reached = Some(opened.header.index);
        expected = number.checked_sub(1);
    }
    Ok(reached)
}

/// The position of the segment that has the first entry needed; all from there on are there.
pub(crate) fn first_segment(
    directory: &Directory,
    numbers: &[u64],
    first_needed: u64,
) -> Result<usize, Fault> {
    let mut newer: Option<Header> = None;
    for (position, number) in numbers.iter().enumerate().rev() {
        if let Some(newer) = newer
            && newer.sequence != number.saturating_add(1)
        {
            return Err(missing(directory, first_needed, &newer));
        }
        let header = directory.open_file(Kind::Segment, *number)?.header;
        if header.index <= first_needed {
            return Ok(position);
        }
        newer = Some(header);
    }
    match newer {
        Some(newer) => Err(missing(directory, first_needed, &newer)),
        None => Ok(0),
    }
}

fn missing(directory: &Directory, first_needed: u64, newer: &Header) -> Fault {
    Fault::Missing {
        path: directory.path().to_owned(),
        from: first_needed,
        until: newer.index,
        why: format!("segment {} is not there", newer.sequence.saturating_sub(1)),
    }
}

/// Replays segments in order and returns the last one with where its frames end and what lies behind.
fn replay<E>(
    directory: &Directory,
    numbers: &[u64],
    first_needed: u64,
    visit: &mut Visit<'_, E>,
) -> Result<Option<(Opened, Walk, Tail)>, OpenFault<E>> {
    let mut before: Option<(Opened, Walk)> = None;
    for number in numbers {
        let opened = directory.open_file(Kind::Segment, *number)?;
        if let Some((sealed, walk)) = &before {
            check_follows(sealed, walk, &opened)?;
        }
        let walk = SegmentReader::new(&opened).walk(first_needed, visit)?;
        before = Some((opened, walk));
    }
    let Some((opened, walk)) = before else { return Ok(None) };
    let tail = SegmentReader::new(&opened).tail(walk.offset)?;
    check_tail(&opened.path, &walk, &tail)?;
    Ok(Some((opened, walk, tail)))
}

/// A segment was synced before the next one got its name: it must lead to where that begins.
pub(crate) fn check_follows(sealed: &Opened, walk: &Walk, next: &Opened) -> Result<(), Fault> {
    if walk.next_index == next.header.index {
        return Ok(());
    }
    Err(Fault::Damaged {
        path: sealed.path.clone(),
        offset: walk.offset,
        expected: format!(
            "entries from {} up to {}, where the next segment begins,",
            walk.next_index, next.header.index
        ),
        found: walk.stopped.text().to_owned(),
    })
}

/// Makes the end of the last segment safe: zeroes behind it, and all before it on the disk for certain.
fn settle(opened: &Opened, walk: &Walk, tail: &Tail) -> Result<(), Fault> {
    let file = &*opened.file;
    let written = clear(file, walk.offset, tail.used_end).and_then(|()| {
        let unvouched = walk.unvouched.front().map_or(walk.offset, |(_, begin)| *begin);
        write_again(file, unvouched, walk.offset)
    });
    written.map_err(|error| Fault::io("write to", &opened.path, error))?;
    // A failed sync is no lack of room, whatever it says: nothing may be built on it.
    file.sync_data().map_err(|source| Fault::Io { action: "sync", path: opened.path.clone(), source })
}

fn clear(file: &dyn File, from: u64, until: u64) -> std::io::Result<()> {
    each_piece(from, until, |offset, bytes| file.write_at(&vec![0; bytes], offset))
}

fn write_again(file: &dyn File, from: u64, until: u64) -> std::io::Result<()> {
    each_piece(from, until, |offset, bytes| {
        let mut piece = vec![0; bytes];
        read_exact(file, &mut piece, offset)?;
        file.write_at(&piece, offset)
    })
}

fn each_piece(
    from: u64,
    until: u64,
    mut act: impl FnMut(u64, usize) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut offset = from;
    while offset < until {
        let bytes = PIECE_BYTES.min(until.saturating_sub(offset));
        act(offset, in_memory(bytes))?;
        offset = offset.saturating_add(bytes);
    }
    Ok(())
}

/// A segment that may not be needed any more: its faults are no reason not to start.
fn look_at(directory: &Directory, sequence: u64) -> SegmentInfo {
    match directory.open_file(Kind::Segment, sequence) {
        Ok(opened) => SegmentInfo { sequence, first_index: Some(opened.header.index), bytes: opened.len },
        Err(_) => SegmentInfo { sequence, first_index: None, bytes: 0 },
    }
}
