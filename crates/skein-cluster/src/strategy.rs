//! Strategies: which nodes a message is sent to.
//!
//! `interest` sends to nodes that have subscribers, `broadcast` to all, and programs add their own, alone or as a kind of
//! which the configuration names one, such as scripts ([`Strategies`]). A strategy decides about nodes only: the node that gets a message matches its
//! own sessions. The plane asks when it makes a route, never for each message, and must not be made to wait.

mod named;

use skein_types::{ClientId, NodeId, Topic};

pub use self::named::{BoxError, Strategies, StrategyError};
use crate::NodeInfo;

/// Decides which nodes a message is sent to. The calls about sessions and nodes tell what goes on; none of them may wait.
pub trait Strategy: Send + Sync + std::fmt::Debug {
    /// A session began on this node.
    fn session_up(&self, _client: &ClientId) {}

    /// A session of this node ended.
    fn session_down(&self, _client: &ClientId) {}

    /// A peer is up.
    fn node_up(&self, _node: &NodeInfo) {}

    /// A peer is gone.
    fn node_down(&self, _node: &NodeInfo) {}

    /// The peers a message goes to, of those that are up. Asked when a route is made, not per message: the answer holds until
    /// subscriptions, nodes or the strategy ([`Strategy::generation`]) change.
    fn targets(&self, message: &Outgoing<'_>, view: &View<'_>) -> Targets;

    /// Another number than before once earlier answers hold no longer.
    fn generation(&self) -> u64 {
        0
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its topic.
    pub topic: &'a Topic,
    /// Who published it, if a client did.
    pub publisher: Option<&'a ClientId>,
}

/// The peers, as this node sees them now; both lists are sorted.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// Those that have subscribers of the topic.
    pub interested: &'a [NodeId],
    /// Those that are up.
    pub live: &'a [NodeId],
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// To the peers that have subscribers.
    Interested,
    /// To every peer.
    All,
    /// To these.
    Only(Vec<NodeId>),
}

impl Targets {
    /// The peers by number, sorted, each once and only those that are up, whatever the strategy named.
    #[must_use]
    pub fn nodes(self, view: &View<'_>) -> Vec<NodeId> {
        match self {
            Self::Interested => view.interested.to_vec(),
            Self::All => view.live.to_vec(),
            Self::Only(mut nodes) => {
                nodes.retain(|node| view.live.binary_search(node).is_ok());
                nodes.sort_unstable();
                nodes.dedup();
                nodes
            }
        }
    }
}

/// Sends to nodes that have subscribers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interest;

impl Strategy for Interest {
    fn targets(&self, _message: &Outgoing<'_>, _view: &View<'_>) -> Targets {
        Targets::Interested
    }
}

/// Sends to every node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

impl Strategy for Broadcast {
    fn targets(&self, _message: &Outgoing<'_>, _view: &View<'_>) -> Targets {
        Targets::All
    }
}

#[cfg(test)]
mod tests;
