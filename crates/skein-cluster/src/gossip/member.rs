//! A node as foca sees it: what tells two apart, and which of two lives of a node wins.
//!
//! It must stay small: a node keeps one for every member it knows. Only this module's parent and its neighbours use it.

use std::sync::Arc;

use skein_types::{Incarnation, NodeId};

use crate::NodeInfo;

/// One life of one node. Two are equal when id and incarnation are; the rest is what it says of itself.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) info: Arc<NodeInfo>,
    /// Beside the pointer, because foca looks members up by it one after another.
    id: NodeId,
    /// With news of its end: it said good-bye.
    pub(super) left: bool,
}

impl Life {
    pub(super) fn new(info: Arc<NodeInfo>) -> Self {
        Self { id: info.id, info, left: false }
    }

    pub(super) const fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.info.incarnation
    }
}

impl PartialEq for Life {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.info.incarnation == other.info.incarnation
    }
}

impl Eq for Life {}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.id, self.info.incarnation)
    }
}

impl foca::Identity for Life {
    type Addr = NodeId;

    /// Never by itself: a node that was given up has more to begin anew than its gossip.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> NodeId {
        self.id
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.info.incarnation > adversary.info.incarnation
    }
}
