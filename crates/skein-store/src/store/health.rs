//! What is wrong with the store at present, for those who write and for those who watch.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Health {
    read_only: AtomicBool,
    faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    full: Option<String>,
    snapshot: Option<String>,
    stopped: Option<String>,
}

impl Health {
    /// Why no transaction can commit at present.
    pub(crate) fn read_only(&self) -> Option<String> {
        if !self.read_only.load(Ordering::Acquire) {
            return None;
        }
        let faults = self.faults.lock();
        faults.stopped.clone().or_else(|| faults.full.clone())
    }

    pub(crate) fn is_stopped(&self) -> Option<String> {
        if self.read_only.load(Ordering::Acquire) { self.faults.lock().stopped.clone() } else { None }
    }

    pub(crate) fn full(&self, why: &str) {
        if self.faults.lock().full.replace(why.to_owned()).is_none() {
            tracing::error!(why, "the store is read-only until that passes");
        }
        self.read_only.store(true, Ordering::Release);
    }

    pub(crate) fn room_again(&self) {
        self.faults.lock().full = None;
        self.read_only.store(false, Ordering::Release);
        tracing::info!("that has passed, the store takes writes");
    }

    pub(crate) fn snapshot_failed(&self, why: &str) {
        tracing::error!(why, "no snapshot was written; the log grows until one is");
        self.faults.lock().snapshot = Some(why.to_owned());
    }

    pub(crate) fn snapshot_written(&self) {
        self.faults.lock().snapshot = None;
    }

    pub(crate) fn stopped(&self, why: &str) {
        self.faults.lock().stopped.get_or_insert_with(|| why.to_owned());
        self.read_only.store(true, Ordering::Release);
    }

    /// Everything that is wrong, for people.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let faults = self.faults.lock();
        [&faults.stopped, &faults.full, &faults.snapshot].into_iter().flatten().cloned().collect()
    }
}
