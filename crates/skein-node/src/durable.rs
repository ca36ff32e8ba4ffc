//! What the node keeps on disk: opening its store and reading it back.

use std::{sync::Arc, time::SystemTime};

use skein_door::Clock;
use skein_plane::{Batch, Durable, Plane, Restored, WallClock, schema};
use skein_store::{Durability, Options, Store, Time};

use crate::{
    config::{self, Config, DataSync},
    machine,
    settings::session_limits,
    start_error::StartError,
};

/// Seconds of log that may be lost with the machine where `data.sync` is `interval`, in milliseconds.
const SYNC_INTERVAL_MILLIS: u64 = 100;

/// Opens the store in `data.dir`, if any listener keeps its sessions on disk.
pub(crate) fn open(config: &Config, clock: Clock) -> Result<Option<Durable>, StartError> {
    let keeps = |listener: &config::MqttListener| listener.limits.durability == config::Durability::Disk;
    if !config.mqtt.all_listeners().iter().any(keeps) {
        return Ok(None);
    }
    let data = &config.data;
    let mut options = Options::durable(data.dir.join("store"));
    options.durability = match data.sync {
        DataSync::Always => Durability::WalSync,
        DataSync::Interval => {
            Durability::WalAsync { sync_interval: std::time::Duration::from_millis(SYNC_INTERVAL_MILLIS) }
        }
    };
    options.snapshot_after_log_bytes = data.snapshot_log_bytes.0;
    options.on_fatal = Some(Arc::new(stop_at_once));
    let store = Store::open(schema(), options)
        .map_err(|source| StartError::Store { dir: data.dir.display().to_string(), source })?;
    // The wall clock at the node's moment zero.
    let zero = SystemTime::now() - std::time::Duration::from_millis(clock.now().as_millis());
    let durable = Durable::new(store, WallClock::new(Time::from_system_time(zero)));
    // The plane keeps to the limit by refusing clients. What it has taken over the store must take.
    let max = machine::memory_bytes(data.memory_bytes_max);
    tracing::info!(bytes_max = max, "store: bound of memory");
    Ok(Some(durable.with_memory_bytes_max(max.unwrap_or(u64::MAX))))
}

/// Reads back what an earlier run kept, before any door opens.
pub(crate) fn restore(plane: &Plane, config: &Config, clock: Clock) -> Result<(), StartError> {
    let limits = Arc::new(session_limits(&config.mqtt.limits));
    let restored = plane.restore(&limits, &mut Batch::default(), clock.now())?;
    if restored != Restored::default() {
        let Restored { sessions, queued_messages, retained, orphans } = restored;
        tracing::info!(
            sessions,
            queued_messages,
            retained,
            orphans,
            "store: restored sessions and retained messages"
        );
    }
    Ok(())
}

/// The disk failed in a way that leaves open what is on it. Nothing more may be acknowledged, so the process ends;
/// started again, it finds everything that was.
fn stop_at_once(why: &str) {
    tracing::error!(why, "store: stopping, because nothing can be stored durably any more");
    std::process::exit(1);
}
