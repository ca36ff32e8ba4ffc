//! The cluster: how nodes find each other, what they know of each other, and how messages cross between them.
//!
//! Start with [`Cluster`] in `cluster.rs`, what the plane uses, and [`Host`] in `host.rs`, what the cluster asks of the plane.
//! docs/adr/0010 has the whole design. Everything but `shell/` is without IO, clock and randomness, so that a simulation can
//! run whole clusters of it. It never depends on the plane or a door.
#![warn(missing_docs)]

mod cluster;
mod entry;
mod forward;
mod host;
mod identity;
mod notify;
mod own;
mod peer;
mod settings;
mod waits;

pub use cluster::Cluster;
pub use entry::{Change, Key, Load, RemoteWill, Value};
pub use forward::{EncodedRun, ForwardedRun, GroupTarget, RunEncoder, RunError};
pub use host::{Completion, Gone, Handled, Host, Inbound, Lane};
pub use identity::{NodeInfo, NodeState};
pub use notify::{NodeStatus, Notification};
pub use own::OwnState;
pub use peer::{Peer, PeerFigures, Peers, Sent, Told};
pub use settings::{DiscoverySettings, GossipSettings, LinkSettings, Secret, Settings};
pub use waits::Waits;
