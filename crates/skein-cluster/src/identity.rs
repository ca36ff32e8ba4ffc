//! Who a node is: what it says of itself in a link's first frame and in gossip.

use std::{net::SocketAddr, sync::Arc};

use skein_types::{Incarnation, NodeId};

/// A node as others know it. Equal in all parts for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeInfo {
    /// Its number.
    pub id: NodeId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: Arc<str>,
    /// What others dial, by TCP and UDP.
    pub advertise: SocketAddr,
    /// Its weight in a quorum, once there is one.
    pub qrank: u8,
    /// What clients are told to connect to when they are sent to this node (MQTT 5.0 section 4.13), if it says.
    pub server_reference: Option<Arc<str>>,
}

/// How a node stands, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// Its link is open and gossip hears it.
    Up,
    /// It says good-bye: it is up and takes no new clients.
    Leaving,
    /// It is gone.
    Down,
}

impl NodeState {
    /// The state as listings write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Leaving => "leaving",
            Self::Down => "down",
        }
    }
}
