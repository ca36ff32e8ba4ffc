//! The receiving half of a session: ids of QoS 2 messages that arrived and are not released yet (sans-IO).

use std::collections::HashSet;

use foldhash::fast::RandomState;

/// Ids of QoS 2 messages between PUBLISH and PUBREL; kept with the session, so that a resend on a new connection is
/// recognised (MQTT-4.3.3-10, guarantee G3).
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    #[expect(clippy::box_collection, reason = "most sessions receive nothing at QoS 2 and have no set")]
    ids: Option<Box<HashSet<u64, RandomState>>>,
}

impl Inbound {
    /// Notes an id; false when it is known, so that its message must not be delivered again.
    pub(crate) fn receive(&mut self, id: u64) -> bool {
        self.ids.get_or_insert_default().insert(id)
    }

    /// Forgets an id; false when it was not known.
    pub(crate) fn release(&mut self, id: u64) -> bool {
        self.ids.as_mut().is_some_and(|ids| ids.remove(&id))
    }

    /// Ids that are not released.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.iter().flat_map(|ids| ids.iter().copied())
    }

    /// How many are not released.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.ids.as_ref().map_or(0, |ids| ids.len())
    }

    /// Whether none is waiting for its release.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            self.ids = None;
        }
    }
}
