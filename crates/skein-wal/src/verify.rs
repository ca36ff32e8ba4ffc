//! Reads everything a store keeps and says what is wrong: the work behind `skein store verify`.
//!
//! It changes nothing and goes on behind a fault, so that one run shows all of them. The store must not be running.

use std::{fmt, path::Path, sync::Arc};

use crate::{
    directory::{Directory, Opened},
    disk::Disk,
    fault::Fault,
    format::{FORMATS, Kind},
    log::{Walk, check_follows, first_segment, walk_for_verify},
    snapshot::SnapshotReader,
    store_id::StoreId,
};

/// One file that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it holds.
    pub holds: String,
}

/// What verifying found.
#[derive(Debug)]
pub struct Report {
    /// The files that are in order.
    pub files: Vec<FileReport>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FileReport { name, bytes, holds } in &self.files {
            writeln!(f, "{name}: {bytes} bytes, {holds}")?;
        }
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
            if let Some(source) = std::error::Error::source(fault) {
                writeln!(f, "  {source}")?;
            }
        }
        match self.faults.len() {
            0 => writeln!(f, "{} files, all in order", self.files.len()),
            faults => writeln!(f, "{} files in order, {faults} faults", self.files.len()),
        }
    }
}

/// Reads every segment and every snapshot of a directory.
///
/// # Errors
/// The directory cannot be read, or a store is running in it.
pub fn verify(disk: Arc<dyn Disk>, path: &Path) -> Result<Report, Fault> {
    let directory = Directory::take(disk, path, StoreId([0; 16]), &FORMATS)?;
    let mut report = Report { files: Vec::new(), faults: Vec::new() };
    let snapshot = verify_snapshots(&directory, &mut report)?;
    verify_log(&directory, &mut report)?;
    let first_needed = snapshot.map_or(1, |index| index.saturating_add(1));
    if let Err(fault @ Fault::Missing { .. }) =
        first_segment(&directory, &directory.segments()?, first_needed)
    {
        report.faults.push(fault);
    }
    Ok(report)
}

/// The index of the newest snapshot that is in order.
fn verify_snapshots(directory: &Directory, report: &mut Report) -> Result<Option<u64>, Fault> {
    let mut newest = None;
    for index in directory.snapshots()? {
        match SnapshotReader::open(directory, index) {
            Ok(reader) => {
                report.add(&directory.snapshot_path(index), reader.bytes(), format!("entries up to {index}"));
                newest = Some(index);
            }
            Err(fault) => report.faults.push(fault),
        }
    }
    Ok(newest)
}

fn verify_log(directory: &Directory, report: &mut Report) -> Result<(), Fault> {
    let numbers = directory.segments()?;
    let mut before: Option<(Opened, Walk)> = None;
    for number in &numbers {
        let read = directory.open_file(Kind::Segment, *number).and_then(|opened| {
            let walk = walk_for_verify(&opened, Some(number) == numbers.last())?;
            Ok((opened, walk))
        });
        let Ok((opened, walk)) = read.map_err(|fault| report.faults.push(fault)) else {
            before = None;
            continue;
        };
        if let Some((sealed, walk)) = &before
            && sealed.header.sequence.checked_add(1) == Some(*number)
            && let Err(fault) = check_follows(sealed, walk, &opened)
        {
            report.faults.push(fault);
        }
        report.add(&opened.path, opened.len, holds(&opened, &walk));
        before = Some((opened, walk));
    }
    Ok(())
}

fn holds(opened: &Opened, walk: &Walk) -> String {
    let first = opened.header.index;
    if walk.next_index == first {
        return format!("no entries, the next is {first}");
    }
    format!("entries {first} to {}, {} bytes used", walk.next_index.saturating_sub(1), walk.offset)
}

impl Report {
    fn add(&mut self, path: &Path, bytes: u64, holds: String) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.push(FileReport { name, bytes, holds });
    }
}
