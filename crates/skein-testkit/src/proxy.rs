//! A detour between two processes on loopback, on which a test lets pass, delays, freezes or cuts what they say.
//!
//! A [`Gate`] holds the state of the way; [`TcpProxy`] and [`UdpProxy`] obey it, and one gate may rule both, so
//! that a node's cluster port is cut as a whole ([`Detour`]). A frozen TCP direction keeps what it took until it
//! is resumed and takes no more than its buffer; a frozen or cut UDP direction drops datagrams, as a network
//! does. Nothing here looks into what passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

mod tcp;
mod udp;

pub use tcp::TcpProxy;
pub use udp::UdpProxy;

/// A way through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected or sent first to the address behind the proxy.
    ToServer,
    /// Back.
    ToClient,
}

impl Direction {
    fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// The state of a way; a fresh one lets everything pass at once.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_frozen: [bool; 2],
    is_cut: bool,
    delay: Duration,
    /// Connections made before this many cuts are to end.
    cuts: u64,
    drop_permille: u64,
}

impl Gate {
    /// A gate that is open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes all connections on both sides, and every new one at once, until [`Self::resume`].
    pub fn cut(&self) {
        self.change(|state| {
            state.is_cut = true;
            state.cuts += 1;
        });
    }

    /// Closes all connections on both sides; new ones pass.
    pub fn close_connections(&self) {
        self.change(|state| state.cuts += 1);
    }

    /// Lets nothing pass in one direction. Connections stay, and new ones are accepted.
    pub fn freeze(&self, direction: Direction) {
        self.change(|state| state.is_frozen[direction.index()] = true);
    }

    /// Lets nothing pass in either direction.
    pub fn freeze_both(&self) {
        self.change(|state| state.is_frozen = [true, true]);
    }

    /// Lets everything pass again, after the delay if there is one.
    pub fn resume(&self) {
        self.change(|state| {
            state.is_frozen = [false, false];
            state.is_cut = false;
        });
    }

    /// Holds everything for so long on its way, in each direction; zero ends that. It counts for what comes from
    /// now on.
    pub fn delay(&self, delay: Duration) {
        self.change(|state| state.delay = delay);
    }

    /// Drops so many of a thousand datagrams in each direction. Streams lose nothing.
    pub fn drop_datagrams(&self, permille: u64) {
        assert!(permille <= 1000, "of a thousand datagrams {permille} cannot be dropped");
        self.change(|state| state.drop_permille = permille);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock());
        self.0.changed.notify_all();
    }

    fn now(&self) -> State {
        *self.0.state.lock()
    }

    /// When what comes now is due on the other side.
    fn due(&self) -> Instant {
        Instant::now() + self.now().delay
    }
}

/// A TCP and a UDP proxy on one port, with one gate: what stands before the cluster port of a node.
#[derive(Debug)]
pub struct Detour {
    /// What passes.
    pub gate: Gate,
    /// The streams.
    pub tcp: TcpProxy,
    /// The datagrams.
    pub udp: UdpProxy,
}

impl Detour {
    /// Listens on `listen` and leads to `target`; `seed` chooses the datagrams that are dropped.
    #[track_caller]
    pub fn start(listen: SocketAddr, target: SocketAddr, seed: u64) -> Self {
        let gate = Gate::new();
        let tcp = TcpProxy::start(listen, target, &gate);
        let udp = UdpProxy::start(listen, target, &gate, seed);
        Self { gate, tcp, udp }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.tcp.address()
    }
}
