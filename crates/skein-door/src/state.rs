//! A listener's settings and counts, and the places it has for connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

/// What an operator sets for one listener, whatever is spoken on it.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The listener's name in logs, metrics and listings.
    pub name: Arc<str>,
    /// Connections at once.
    pub connections_max: usize,
    /// New connections per second; 0 for any.
    pub connect_rate_per_sec: u32,
    /// Time for everything below the protocol, and again for the protocol's first packet.
    pub connect_timeout: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            name: Arc::from("listener"),
            connections_max: usize::MAX,
            connect_rate_per_sec: 0,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// One listener's state: its settings for the next connections, and its counts.
#[derive(Debug)]
pub struct ListenerState {
    /// Settings of connections to come; replaced as a whole on reload.
    pub settings: ArcSwap<ListenerSettings>,
    /// The door behind it.
    pub door: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its connections speak below the protocol.
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
    pub fn new(
        door: &'static str,
        address: SocketAddr,
        transport: &'static str,
        settings: ListenerSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            door,
            address,
            transport,
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }
}

/// A connection's place among those its listener allows, given back however the connection ends.
#[derive(Debug)]
pub struct Place(Arc<ListenerState>);

impl Place {
    /// A place, unless the listener is full.
    #[must_use]
    pub fn take(listener: &Arc<ListenerState>) -> Option<Self> {
        let place = Self(listener.clone());
        if listener.open.fetch_add(1, Relaxed) >= listener.settings.load().connections_max {
            listener.refused.fetch_add(1, Relaxed);
            return None;
        }
        listener.accepted.fetch_add(1, Relaxed);
        Some(place)
    }

    /// Its listener.
    #[must_use]
    pub fn listener(&self) -> &ListenerState {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
