//! The peers that are up, as one value that is swapped when one comes or goes.

use std::sync::Arc;

use skein_types::NodeId;

use crate::Peer;

/// The peers that are up, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Peers(Vec<Arc<Peer>>);

impl Peers {
    /// The peer of this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Arc<Peer>> {
        let found = self.0.binary_search_by_key(&id, |peer| peer.id()).ok()?;
        self.0.get(found)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this node is alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn with(&self, peer: &Arc<Peer>) -> Self {
        let mut peers: Vec<_> = self.0.iter().filter(|present| present.id() != peer.id()).cloned().collect();
        peers.push(peer.clone());
        peers.sort_by_key(|peer| peer.id());
        Self(peers)
    }

    pub(crate) fn without(&self, peer: &Arc<Peer>) -> Self {
        Self(self.0.iter().filter(|present| !Arc::ptr_eq(present, peer)).cloned().collect())
    }
}
