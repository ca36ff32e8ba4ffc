//! How a store begins: brought back from its files, with the thread that owns its log.

use super::recovery::recover;
use super::thread::LogThread;
use crate::engine::Root;
use crate::error::OpenError;
use crate::schema::Schema;
use crate::store::{Checkpoints, Durability, Inner, Options, Store};
use std::sync::Arc;

impl Store {
    /// Opens a store of this schema.
    ///
    /// # Errors
    /// The stored schema does not lead to this one, or the files cannot be opened or are damaged.
    pub fn open(schema: Schema, options: Options) -> Result<Store, OpenError> {
        if options.durability == Durability::Memory {
            return Ok(Store::of(Arc::new(Inner::new(Root::new(schema), options, None)), None));
        }
        let recovered = recover(&schema, &options)?;
        let checkpoints =
            Checkpoints::new(recovered.directory, recovered.snapshot_index, recovered.snapshot_bytes);
        let inner = Arc::new(Inner::new(recovered.root, options, Some(checkpoints)));
        inner.counters.log_is(&recovered.log);
        let thread = LogThread::new(Arc::clone(&inner), recovered.log, recovered.replayed_bytes);
        let spawned = std::thread::Builder::new().name("skein-log".to_owned()).spawn(|| thread.run());
        Ok(Store::of(inner, Some(spawned.map_err(OpenError::Thread)?)))
    }
}
