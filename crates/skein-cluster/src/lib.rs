//! The cluster: how nodes find each other, what they know of each other, and how messages cross between them.
//!
//! Start with [`Cluster`] in `cluster.rs`, what the plane uses, and [`Host`] in `host.rs`, what the cluster asks of the plane.
//! docs/adr/0010 has the whole design. Everything is without IO, clock and randomness, so that a simulation can run whole
//! clusters of it, but `shell/`. Addresses of other nodes come in through [`shell::Running::candidates`], whoever found them. It
//! never depends on the plane or a door, and needs no client of any other server.
#![warn(missing_docs)]

mod cluster;
mod core;
mod entry;
mod forward;
mod gossip;
mod host;
mod identity;
mod lane;
pub mod link;
mod notify;
mod peer;
mod settings;
pub mod shell;
mod soft;
pub mod strategy;
mod waits;

pub use crate::core::{Action, CloseReason, Core, CoreFigures, Event, JoinRefused, LinkId};
pub use cluster::Cluster;
pub use entry::{Change, Claim, DoorKind, Key, Load, RemoteWill, Value, WillOwner};
pub use forward::{EncodedRun, ForwardedRun, GroupTarget, RunEncoder, RunError};
pub use gossip::{DATAGRAM_BYTES_MAX, GossipAction, GossipError, Membership, Seal, SealError, Standing};
pub use host::{Completion, Gone, Handled, Host, Inbound};
pub use identity::{NodeInfo, NodeState};
pub use lane::Lane;
pub use notify::{NodeStatus, Notification};
pub use peer::{Announcement, Peer, PeerFigures, Peers, Room, Sent, Taken};
pub use settings::{GossipSettings, LinkSettings, Secret, Settings};
pub use soft::{Digest, OwnState};
pub use strategy::{Broadcast, Interest, Outgoing, Strategy, Targets, View};
pub use waits::Waits;
