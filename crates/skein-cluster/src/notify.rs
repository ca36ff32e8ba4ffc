//! What the node's operator is told of the cluster: each change of a node's state once.

use skein_types::Moment;

use crate::{Gone, NodeInfo, NodeState};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// A node is up.
    Up(NodeInfo),
    /// A node says that it will leave; it takes no new clients.
    Leaving(NodeInfo),
    /// A node is gone.
    Down(NodeInfo, Gone),
}

/// A node as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Who it is.
    pub info: NodeInfo,
    /// How it stands.
    pub state: NodeState,
    /// Since when.
    pub since: Moment,
}
