//! Sockets and threads around the connections: listeners that accept, workers that serve.
//!
//! Each worker is one thread with a runtime of its own; a connection stays with the worker it was given to
//! (docs/adr/0002), so that in the usual case nothing about it is shared. A publisher's worker writes straight to
//! the sockets of subscribers on other workers.

mod accept;
mod fresh;
mod handshake;
mod io;
mod task;
mod tls;
mod websocket;
mod worker;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use skein_plane::Plane;
use skein_types::Code;
use tokio::{sync::Notify, sync::Semaphore};

pub use self::accept::{ListenError, Listener, Transport};
pub use self::io::Stream;
pub use self::tls::{ClientCertificates, Demand, TlsError, TlsFiles, TlsSource};
pub use self::websocket::WebSocketIo;
pub use self::worker::Workers;
use self::{fresh::Fresh, io::Io, task::Connection};
use crate::{clock::Clock, settings::Settings};

/// What every connection of the door shares.
#[derive(Debug)]
pub struct Shared {
    /// The plane.
    pub plane: Arc<Plane>,
    /// The node's clock.
    pub clock: Clock,
    /// Password checks at once: each takes a core for tens of milliseconds.
    pub(crate) password_checks: Semaphore,
    /// Connections without a session yet.
    pub(crate) fresh: Fresh,
    /// Set once the server is shutting down; connections are told and closed.
    stopping: AtomicBool,
    stop: Notify,
}

impl Shared {
    /// What the connections of `plane` share; `cores` password checks run at once.
    #[must_use]
    pub fn new(plane: Arc<Plane>, clock: Clock, cores: usize) -> Arc<Self> {
        Arc::new(Self {
            plane,
            clock,
            password_checks: Semaphore::new(cores.max(1)),
            fresh: Fresh::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        })
    }

    /// Stops accepting and ends the connections that have no session yet. Those that have one are closed by
    /// [`Plane::disconnect`] with [`Code::ServerShuttingDown`].
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.notify_waiters();
        self.fresh.close();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub(crate) async fn stopped(&self) {
        let notified = self.stop.notified();
        if !self.is_stopping() {
            notified.await;
        }
    }
}

/// One listener's state: its settings for the next connections, and its counts.
#[derive(Debug)]
pub struct ListenerState {
    /// Settings of connections to come; replaced as a whole on reload.
    pub settings: ArcSwap<Settings>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its connections speak below MQTT.
    pub transport: &'static str,
    /// Connections open now.
    pub open: AtomicUsize,
    /// Connections accepted since the start.
    pub accepted: AtomicU64,
    /// Connections turned away because the listener was full.
    pub refused: AtomicU64,
}

impl ListenerState {
    /// The state of a listener on which nothing was accepted yet; `transport` is its word in listings.
    #[must_use]
    pub fn new(address: SocketAddr, transport: &'static str, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            address,
            transport,
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }
}

/// Serves MQTT on a stream that another door has accepted and prepared, until it ends; counted with `listener`.
pub async fn serve_stream(
    shared: Arc<Shared>,
    listener: Arc<ListenerState>,
    peer: SocketAddr,
    stream: Box<dyn Stream>,
) {
    match Place::take(&listener) {
        Some(place) => task::serve(Connection::new(shared, place, peer, Io::owned(stream), None)).await,
        None => log_full(peer),
    }
}

/// A connection's place among those its listener allows, given back however the connection ends.
#[derive(Debug)]
pub(crate) struct Place(Arc<ListenerState>);

impl Place {
    /// A place, unless the listener is full.
    pub(crate) fn take(listener: &Arc<ListenerState>) -> Option<Self> {
        let place = Self(listener.clone());
        if listener.open.fetch_add(1, Relaxed) >= listener.settings.load().connections_max {
            listener.refused.fetch_add(1, Relaxed);
            return None;
        }
        listener.accepted.fetch_add(1, Relaxed);
        Some(place)
    }

    /// The settings its connection comes with.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

fn log_full(peer: SocketAddr) {
    log_end(peer, None, Code::TooManyConnections, "the listener has as many connections as it allows");
}

/// Why a connection ended, for the one line in the log.
pub(crate) fn log_end(peer: SocketAddr, client: Option<&str>, code: Code, detail: &str) {
    match code {
        Code::Disconnected | Code::ConnectionLost | Code::ServerShuttingDown => {
            tracing::debug!(%peer, client, reason = code.name(), detail, "mqtt: connection ended");
        }
        _ => tracing::info!(%peer, client, reason = code.name(), detail, "mqtt: connection closed"),
    }
}
