//! What the connections of all doors share: the plane, the clock, and whether the node stops.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use skein_access::PasswordGate;
use skein_plane::Plane;
use tokio::sync::Notify;

use crate::{clock::Clock, fresh::Fresh};

/// What every connection shares.
#[derive(Debug)]
pub struct Shared {
    /// The plane.
    pub plane: Arc<Plane>,
    /// The node's clock.
    pub clock: Clock,
    /// Where clients of all doors wait to have their passwords checked.
    pub passwords: Arc<PasswordGate>,
    /// Connections without a session yet.
    pub fresh: Fresh,
    /// Set once the server is shutting down; connections are told and closed.
    stopping: AtomicBool,
    stop: Notify,
}

impl Shared {
    /// What the connections of `plane` share; `cores` password checks run at once.
    #[must_use]
    pub fn new(plane: Arc<Plane>, clock: Clock, cores: usize) -> Arc<Self> {
        Arc::new(Self {
            passwords: PasswordGate::new(plane.access().clone(), cores),
            plane,
            clock,
            fresh: Fresh::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        })
    }

    /// Stops accepting and ends the connections that have no session yet. Those that have one are closed by
    /// [`Plane::disconnect`] with [`skein_types::Code::ServerShuttingDown`].
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.notify_waiters();
        self.fresh.close();
    }

    /// Whether the node stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Waits until the node stops.
    pub async fn stopped(&self) {
        let notified = self.stop.notified();
        if !self.is_stopping() {
            notified.await;
        }
    }
}
