//! The way back: the newest snapshot, then the log by the same function that applies commits, then the schema.
//!
//! Nothing is written unless the schema given is a newer one than the stored one; that is then an entry of the log, and
//! new indexes are made before it is written, so that a schema the rows do not fit is refused without a trace.

use crate::commit::encoding::{Entry, EntryFault, decode, encode_schema};
use crate::engine::{Root, apply};
use crate::error::OpenError;
use crate::image::ImageReader;
use crate::schema::Schema;
use crate::store::Options;
use skein_wal::{Directory, Entries, Log, LogOptions, SnapshotReader, StoreId};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// A store brought back.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) root: Root,
    pub(crate) log: Log,
    pub(crate) directory: Directory,
    /// The length of the snapshot it started from.
    pub(crate) snapshot_bytes: u64,
    pub(crate) snapshot_index: u64,
    /// What was replayed from the log.
    pub(crate) replayed_bytes: u64,
}

pub(crate) fn recover(schema: &Schema, options: &Options) -> Result<Recovered, OpenError> {
    let mut recovered = read_back(options)?;
    take_schema(&mut recovered.root, schema, &mut recovered.log)?;
    Ok(recovered)
}

/// The store as it is in its files, with the schema it was last opened with.
pub(crate) fn read_back(options: &Options) -> Result<Recovered, OpenError> {
    let directory = Directory::open(Arc::clone(&options.disk), &options.dir, fresh_id())?;
    let newest = SnapshotReader::newest(&directory)?;
    for fault in &newest.set_aside {
        tracing::error!(%fault, "a damaged snapshot was set aside; the one before it and the log serve instead");
    }
    let (mut root, snapshot_bytes) = match newest.reader {
        None => (Root::new(nothing()), 0),
        Some(mut reader) => (read_image(&mut reader)?, reader.bytes()),
    };
    let snapshot_index = root.index();
    let mut replayed_bytes = 0;
    let log_options = LogOptions { segment_bytes: options.segment_bytes, ..LogOptions::default() };
    let (log, recovery) = Log::open(&directory, log_options, snapshot_index + 1, &mut |index, entry| {
        replayed_bytes += entry.len() as u64;
        replay(&mut root, index, entry)
    })?;
    if let Some(cut) = &recovery.cut {
        tracing::warn!(file = %cut.file, offset = cut.offset, "cut the torn tail of a crash off the log");
    }
    tracing::info!(snapshot_index, entries = recovery.entries, "recovered the store");
    // The log may have ended before the snapshot; it then goes on behind it.
    root.index = root.index.max(log.next_index() - 1);
    Ok(Recovered { root, log, directory, snapshot_bytes, snapshot_index, replayed_bytes })
}

fn read_image(reader: &mut SnapshotReader) -> Result<Root, OpenError> {
    let index = reader.index();
    let damaged = |fault| OpenError::Image { index, fault };
    let first = reader.next_block()?.unwrap_or_default();
    let mut image = ImageReader::begin(first).map_err(damaged)?;
    while let Some(block) = reader.next_block()? {
        image.block(block).map_err(damaged)?;
    }
    image.finish(index).map_err(damaged)
}

/// Carries out one entry of the log.
fn replay(root: &mut Root, index: u64, entry: &[u8]) -> Result<(), EntryFault> {
    match decode(entry, &root.schema)? {
        Entry::Commit(commit) => {
            // Its verdict was answered when it was new; the same function gives the same again.
            let _ = apply(root, index, commit);
        }
        Entry::Schema(schema) => {
            // It was tried on the same rows before it was written.
            *root = root.evolved(schema).map_err(|clash| EntryFault::NotUnique(clash.to_string()))?;
            root.index = index;
        }
    }
    Ok(())
}

/// Makes the schema given the store's, by an entry of the log when it is not yet.
fn take_schema(root: &mut Root, schema: &Schema, log: &mut Log) -> Result<(), OpenError> {
    let fresh = root.index() == 0;
    if !fresh {
        let changes = root.schema.evolve(schema)?;
        if changes.is_empty() {
            return Ok(());
        }
        tracing::info!(?changes, "the schema evolves");
    }
    let mut evolved = root
        .evolved(schema.clone())
        .map_err(|clash| OpenError::NotUnique { class: clash.class, index: clash.index })?;
    let mut entry = Vec::new();
    encode_schema(schema, &mut entry);
    evolved.index = log.next_index();
    log.append(evolved.index, Entries::Slices(&[&entry]))?;
    log.sync()?;
    *root = evolved;
    Ok(())
}

/// The schema before there is any.
fn nothing() -> Schema {
    Schema::builder("nothing").build().expect("a schema without classes is sound")
}

/// Sixteen bytes that no other store has.
fn fresh_id() -> StoreId {
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(std::process::id()).to_le_bytes());
    }
    StoreId(id)
}
