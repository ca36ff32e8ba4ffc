//! Looking from outside at what is kept, and removing retained messages from there.
//!
//! Called by the HTTP door for operators; nothing here is on the path of a message.

use skein_types::{Moment, Topic};

use crate::{batch::Batch, delivery::QueuedMessage, plane::Plane, session::Session};

impl Plane {
    /// Removes the retained message of `topic`; false when there is none. Subscribers are not told. It is gone for good
    /// when the batch is finished and its commit, if any, done.
    pub fn remove_retained(&self, topic: &Topic, batch: &mut Batch) -> bool {
        let (version, told) = self.retained_version(topic);
        let removed = self.retained().remove_as(topic, version);
        if removed && told {
            self.announce_removed(topic, version, batch);
        }
        if removed && self.keeps(topic) {
            batch.effects.journal.retained_changed(topic);
            batch.effects.journal.promise();
        }
        removed
    }

    /// Whether the retained message of `topic` outlives the node.
    #[must_use]
    pub fn keeps(&self, topic: &Topic) -> bool {
        self.durable().is_some() && !topic.is_system()
    }
}

impl Session {
    /// Messages that are not done with: how many, and `count` of them in their order after the first `skip`.
    #[must_use]
    pub fn queue(&self, skip: usize, count: usize) -> (usize, Vec<QueuedMessage>) {
        let state = self.lock();
        (state.delivery.undone(), state.delivery.inspect(skip, count))
    }

    /// When the session ends if its client stays away; none while it is connected. [`Moment::NEVER`] is one that never
    /// does.
    #[must_use]
    pub fn expires_at(&self) -> Option<Moment> {
        self.lock().expires_at
    }
}
