//! What the door sees of the cluster.
//!
//! The door knows no cluster. The node gives it a [`ClusterView`] when it is made; a node that runs alone has one too, with
//! itself in it.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// What the node knows of its cluster, and can do about it.
pub trait ClusterView: Send + Sync + fmt::Debug {
    /// Every node heard of since the start, this one too, by its number.
    fn nodes(&self) -> Vec<NodeRow>;

    /// What crosses between this node and others.
    fn figures(&self) -> ClusterFigures;

    /// Sends all clients to other nodes, so many in a second, then leaves and stops. Once begun it goes on.
    fn drain(&self, rate_per_sec: u32);
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// Its number.
    pub node_id: u16,
    /// Its name.
    pub name: String,
    /// Where other nodes reach it.
    pub address: String,
    /// Its weight in a quorum, once there is one.
    pub qrank: u8,
    /// Which life of it.
    pub incarnation: u64,
    /// `up`, `leaving` or `down`.
    pub state: &'static str,
    /// Where clients reach it, if it says.
    pub server_reference: Option<String>,
    /// Whether it is the node that answers.
    pub is_self: bool,
    /// Connected clients there a moment ago; none where that is not known.
    pub clients: Option<u32>,
    /// Messages it took over in the second before; none where that is not known.
    pub messages_per_sec: Option<u32>,
}

/// What crosses between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Each peer that is up.
    pub links: Vec<LinkFigures>,
    /// What happened between this node and others since it started, by name.
    pub events: BTreeMap<String, u64>,
}

/// What goes over the link to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkFigures {
    /// The peer's number.
    pub node_id: u16,
    /// Whether the link is open.
    pub linked: bool,
    /// Messages handed to it.
    pub sent_messages: u64,
    /// QoS 0 messages dropped, because the link was cut or full.
    pub dropped_messages: u64,
    /// Bytes of messages that wait for it.
    pub queued_bytes: u64,
    /// Runs of messages that are kept until the peer has handled them.
    pub unhandled_runs: u64,
    /// Their bytes.
    pub unhandled_bytes: u64,
    /// Its lanes.
    pub lanes: Vec<LaneFigures>,
}

/// What went over one lane of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneFigures {
    /// The lane.
    pub lane: &'static str,
    /// Frames sent.
    pub sent_frames: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Frames received.
    pub received_frames: u64,
    /// Bytes received.
    pub received_bytes: u64,
}
