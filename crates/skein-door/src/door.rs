//! What a door is: one protocol, as a value that is handed connections.
//!
//! A door never accepts, shakes hands, counts or owns a thread; it says what it needs of those who do. To add a
//! protocol, write one crate with a type that is a [`Door`] and add it to the list of the node (docs/adr/0011).

use std::{fmt, net::SocketAddr, sync::Arc};

use skein_types::UserName;
use tokio_util::task::TaskTracker;

use crate::{
    shared::Shared,
    state::{ConnectionPermit, ListenerState},
    stream::Carrier,
};

/// A protocol of the node.
pub trait Door: Send + Sync + fmt::Debug {
    /// Its word in logs, listings and the configuration.
    fn name(&self) -> &'static str;

    /// What is spoken inside TLS, as clients may name it (RFC 7301); clients that name nothing are let in too.
    fn alpn(&self) -> &'static [u8];

    /// How the protocol is spoken inside a WebSocket on the listener of this name; none when it is not.
    fn websocket(&self, listener: &str) -> Option<WebSocketProtocol>;

    /// What a client is told for which there is no place, as far as its socket takes it at once.
    fn full(&self) -> &'static [u8] {
        &[]
    }

    /// Whether it takes connections before the node has found its cluster.
    fn is_open_early(&self) -> bool {
        false
    }

    /// Called several times a second on the control thread; must not block.
    fn tick(&self) {}

    /// Takes over a connection on which everything below the protocol is done. It starts a task among `tasks`, which
    /// run on the thread of the connection, and returns: that task is all an open connection costs. The door bounds the
    /// time in which the client has to log in, and tells its place when it has ([`ConnectionPermit::logged_in`]).
    fn serve(&self, incoming: Incoming, tasks: &TaskTracker);
}

/// A path at which a door takes WebSockets on the ports of another that speaks HTTP. The node hands it from the one to
/// the other, so that doors need not know each other.
#[derive(Clone, Debug)]
pub struct UpgradeRoute {
    /// The path, such as `/mqtt`.
    pub path: &'static str,
    /// Whose connections they become.
    pub door: Arc<dyn Door>,
    /// Their limits and counts. It has no socket of its own.
    pub listener: Arc<ListenerState>,
}

/// How a protocol is spoken inside a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketProtocol {
    /// The names of the subprotocol (RFC 6455 section 1.9), best first. One of them must be offered.
    pub subprotocols: &'static [&'static str],
    /// Largest packet of the protocol; a message may be a little longer.
    pub packet_bytes_max: u32,
}

/// An accepted connection on its way to its door.
#[derive(Debug)]
pub struct Incoming {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// Its place among those its listener allows; given back when dropped.
    pub place: ConnectionPermit,
    /// The client's address; what a PROXY header says, where one is asked for.
    pub peer: SocketAddr,
    /// Its bytes.
    pub carrier: Carrier,
    /// Who the client's certificate says it is, where that is wanted.
    pub user: Option<UserName>,
}
