//! What the tests of the log share: a small log on the disk in memory, and reading one back.

use std::{convert::Infallible, path::Path, sync::Arc};

use skein_wal::{
    Directory, Entries, Log, LogOptions, OpenFault, Prepare, Recovery, StoreId,
    disk::{Disk, FaultyDisk},
};

pub(crate) const STORE: StoreId = StoreId(*b"a store of tests");

/// Room for a few small frames.
pub(crate) const SMALL: LogOptions = LogOptions { segment_bytes: 1024, prepare: Prepare::Caller };

pub(crate) fn dir() -> &'static Path {
    Path::new("/store")
}

pub(crate) fn directory(disk: &FaultyDisk) -> Directory {
    Directory::open(Arc::new(disk.clone()), dir(), STORE).expect("the directory opens")
}

/// An opened log, how it was recovered, and the entries it replayed.
pub(crate) type Opened = (Log, Recovery, Vec<(u64, Vec<u8>)>);

/// Opens a log and gathers its entries.
pub(crate) fn open(
    directory: &Directory,
    options: LogOptions,
    first_needed: u64,
) -> Result<Opened, OpenFault<Infallible>> {
    let mut entries = Vec::new();
    let (log, recovery) = Log::open(directory, options, first_needed, &mut |index, entry: &[u8]| {
        entries.push((index, entry.to_vec()));
        Ok(())
    })?;
    Ok((log, recovery, entries))
}

/// What entry `index` of the tests holds: its length and bytes depend on the index.
pub(crate) fn entry(index: u64) -> Vec<u8> {
    let length = [5, 60, 0, 130, 17][index as usize % 5];
    (0..length).map(|at: u64| (index * 31 + at * 7 + 1) as u8).collect()
}

/// Appends so many entries as one frame.
pub(crate) fn append(log: &mut Log, count: u64) -> Result<(), skein_wal::AppendFault> {
    let first = log.next_index();
    let entries: Vec<Vec<u8>> = (first..first + count).map(entry).collect();
    let slices: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
    log.append(first, Entries::Slices(&slices))
}

/// Fails unless the entries are those of the tests, without a gap, from `first` on.
#[track_caller]
pub(crate) fn assert_entries(entries: &[(u64, Vec<u8>)], first: u64, next: u64) {
    let expected: Vec<(u64, Vec<u8>)> = (first..next).map(|index| (index, entry(index))).collect();
    assert_eq!(entries, expected);
}

/// The files of the store that are named so.
pub(crate) fn files(disk: &dyn Disk, part: &str) -> Vec<String> {
    let mut names = disk.list(dir()).expect("the directory can be listed");
    names.retain(|name| name.contains(part));
    names.sort_unstable();
    names
}
