//! Looking at the files of a store that is not running: whether they are in order, and what they hold.
//!
//! Nothing is changed on the disk, not even what a start would repair: the disk is reached through
//! [`unchanging`], which forgets what is written. Called by tools; a program that uses the data opens a [`crate::Store`].

mod unchanging;

use crate::error::OpenError;
use crate::log::read_back;
use crate::snapshot::Snapshot;
use crate::store::Options;
use skein_wal::Fault;
use skein_wal::disk::{Disk, RealDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unchanging::Unchanging;

pub use skein_wal::{FileReport, Report};

/// Why the files of a store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no store.
    #[error("there is no store in {}: it has no log and no snapshot", .0.display())]
    NoStore(PathBuf),
    /// The directory cannot be read or is in use.
    #[error(transparent)]
    Files(#[from] Fault),
    /// What the files hold is not a state.
    #[error(transparent)]
    Contents(#[from] OpenError),
}

impl ReadError {
    /// Whether the store is running.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            ReadError::Files(Fault::Locked { .. })
                | ReadError::Contents(OpenError::Files(Fault::Locked { .. }))
        )
    }
}

/// Reads every file of the store in `dir` and says what each is and what is wrong with it.
///
/// # Errors
/// There is no store, it is running, or the directory cannot be read. What is wrong with files is in the report.
pub fn verify(dir: &Path) -> Result<Report, ReadError> {
    must_exist(dir)?;
    let report = skein_wal::verify(unchanging_disk(), dir)?;
    if report.files.is_empty() && report.faults.is_empty() {
        return Err(ReadError::NoStore(dir.to_owned()));
    }
    Ok(report)
}

/// The state in the files of the store in `dir`, under the schema they were written with.
///
/// # Errors
/// There is no store, it is running, or its files do not give a state.
pub fn read(dir: &Path) -> Result<Snapshot, ReadError> {
    must_exist(dir)?;
    let mut options = Options::durable(dir);
    options.disk = unchanging_disk();
    let recovered = read_back(&options)?;
    if recovered.root.index() == 0 {
        return Err(ReadError::NoStore(dir.to_owned()));
    }
    Ok(Snapshot { root: Arc::new(recovered.root) })
}

fn unchanging_disk() -> Arc<dyn Disk> {
    Arc::new(Unchanging(RealDisk::default()))
}

/// Taking a directory leaves a lock file in it, which is not to be done to one that has no store.
fn must_exist(dir: &Path) -> Result<(), ReadError> {
    let names = RealDisk::default().list(dir).unwrap_or_default();
    let is_store = names.iter().any(|name| name.starts_with("log-") || name.starts_with("snapshot-"));
    if is_store { Ok(()) } else { Err(ReadError::NoStore(dir.to_owned())) }
}
