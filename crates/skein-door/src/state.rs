//! A listener's settings and counts, and the places it has for connections.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    origin::WebRules,
    pending::{Pending, PendingPlace},
};

/// What an operator sets for one listener, whatever is spoken on it.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The listener's name in logs, metrics and listings.
    pub name: Arc<str>,
    /// Connections at once.
    pub connections_max: usize,
    /// What this listener shares with others: all their connections together are bounded, too. It stays as it is when the
    /// other settings are replaced.
    pub together: Arc<SharedLimit>,
    /// New connections per second; 0 for any.
    pub connect_rate_per_sec: u32,
    /// Time for everything below the protocol, and again for the protocol's first packet.
    pub connect_timeout: Duration,
    /// Connections at once that nobody has logged in on.
    pub unauthenticated_max: usize,
    /// The same from one address; in IPv6 from one network of 64 bits.
    pub unauthenticated_per_address_max: usize,
    /// Whether every connection begins with a PROXY header, which says where the client is.
    pub proxy_protocol: bool,
    /// Which web pages may come, where they can.
    pub web: Arc<WebRules>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            name: Arc::from("listener"),
            connections_max: usize::MAX,
            together: Arc::default(),
            connect_rate_per_sec: 0,
            connect_timeout: Duration::from_secs(10),
            unauthenticated_max: usize::MAX,
            unauthenticated_per_address_max: usize::MAX,
            proxy_protocol: false,
            web: Arc::default(),
        }
    }
}

/// A bound on the connections of several listeners together, such as the open files that the process may have.
#[derive(Debug)]
pub struct SharedLimit {
    open: AtomicUsize,
    max: usize,
}

impl SharedLimit {
    /// So many connections at once on all listeners that share it.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), max })
    }
}

impl Default for SharedLimit {
    fn default() -> Self {
        Self { open: AtomicUsize::new(0), max: usize::MAX }
    }
}

/// One listener's state: its settings for the next connections, and its counts.
#[derive(Debug)]
pub struct ListenerState {
    /// Settings of connections to come; replaced as a whole on reload.
    pub settings: ArcSwap<ListenerSettings>,
    /// The door behind it.
    pub door: &'static str,
    /// What it shares with other listeners.
    together: Arc<SharedLimit>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its connections speak below the protocol.
    pub transport: &'static str,
    /// Connections open now.
    pub open: AtomicUsize,
    /// Connections accepted since the start.
    pub accepted: AtomicU64,
    /// Connections turned away because there were too many.
    pub refused: AtomicU64,
    /// Connections that nobody has logged in on yet.
    pub pending: Arc<Pending>,
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
            together: settings.together.clone(),
            settings: ArcSwap::from_pointee(settings),
            door,
            address,
            transport,
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            pending: Arc::default(),
        })
    }
}

/// A connection's place among those its listener allows, given back however the connection ends.
#[derive(Debug)]
pub struct ConnectionPermit {
    listener: Arc<ListenerState>,
    /// Its place among those that have not logged in; boxed, because an open connection has none.
    pending: Option<Box<PendingPlace>>,
}

impl ConnectionPermit {
    /// A place, unless the listener is full, or all that share its limit. It counts as one that has not logged in until [`ConnectionPermit::logged_in`].
    #[must_use]
    pub fn take(listener: &Arc<ListenerState>) -> Option<Self> {
        let mut place = Self { listener: listener.clone(), pending: None };
        let (settings, together) = (listener.settings.load(), &listener.together);
        let is_full = listener.open.fetch_add(1, Relaxed) >= settings.connections_max;
        let are_full = together.open.fetch_add(1, Relaxed) >= together.max;
        if !is_full && !are_full {
            place.pending = listener.pending.enter(settings.unauthenticated_max).map(Box::new);
        }
        if place.pending.is_none() {
            listener.refused.fetch_add(1, Relaxed);
            return None;
        }
        listener.accepted.fetch_add(1, Relaxed);
        Some(place)
    }

    /// Says where the client is, once that is known for sure. False when too many from there have not logged in.
    #[must_use]
    pub fn is_from(&mut self, address: IpAddr) -> bool {
        let max = self.listener.settings.load().unauthenticated_per_address_max;
        let fits = self.pending.as_mut().is_none_or(|pending| pending.is_from(address, max));
        if !fits {
            self.listener.refused.fetch_add(1, Relaxed);
        }
        fits
    }

    /// Somebody was let in on the connection.
    pub fn logged_in(&mut self) {
        self.pending = None;
    }

    /// Its listener.
    #[must_use]
    pub fn listener(&self) -> &ListenerState {
        &self.listener
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.listener.open.fetch_sub(1, Relaxed);
        self.listener.together.open.fetch_sub(1, Relaxed);
    }
}

impl ListenerState {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(together: &Arc<SharedLimit>, connections_max: usize) -> Arc<ListenerState> {
        let settings =
            ListenerSettings { connections_max, together: together.clone(), ..ListenerSettings::default() };
        ListenerState::new("test", ([127, 0, 0, 1], 1).into(), "tcp", settings)
    }

    #[test]
    fn listeners_that_share_a_limit_are_full_together() {
        let together = SharedLimit::new(3);
        let (one, other) = (listener(&together, usize::MAX), listener(&together, 2));
        let of_one = ConnectionPermit::take(&one).unwrap();
        let of_other = [ConnectionPermit::take(&other), ConnectionPermit::take(&other)];
        assert!(of_other.iter().all(Option::is_some));
        assert!(ConnectionPermit::take(&one).is_none() && ConnectionPermit::take(&other).is_none());
        assert_eq!((one.refused.load(Relaxed), other.refused.load(Relaxed)), (1, 1));
        drop(of_one);
        assert!(ConnectionPermit::take(&other).is_none(), "it has a limit of its own, too");
        assert!(ConnectionPermit::take(&one).is_some());
    }
}
