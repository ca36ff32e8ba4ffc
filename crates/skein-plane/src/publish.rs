//! The publish path, top to bottom: authorise, match, push to each recipient's outbox, flush.
//!
//! A connection's task reads what its socket holds, hands each decoded message to [`Plane::publish`] and calls
//! [`Plane::finish`] once. In between nothing waits and nothing is allocated per recipient at QoS 0.
//!
//! Consecutive messages of one publisher on one topic form a *run*: the topic is matched once, each recipient is
//! locked once, and the encoded frames are made once per form and appended as one piece. A run ends when the
//! topic, the quality of service or the retain flag changes, when anything else happens on the connection, and at
//! the end of the batch, so the order of a publisher's messages is never changed.

mod shared;

use std::sync::Arc;

use skein_access::{BoundAccess, Verdict};
use skein_types::{Message, Moment, QoS, SessionKey, Stamp};

use crate::{
    batch::Batch,
    durable::Commit,
    matcher::{Origin, Reach, Route, RouteCache},
    plane::Plane,
};

/// Who publishes: one per connection, kept as long as it lives.
#[derive(Debug, Default)]
pub struct Publisher {
    origin: SessionKey,
    access: Option<Arc<BoundAccess>>,
    cache: RouteCache,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Taken over; somebody gets it.
    Matched,
    /// Taken over; nobody wants it now.
    Unmatched,
    /// The publisher may not publish there; nothing happened.
    Denied,
    /// The store takes nothing more now, so that it could not be kept; nothing happened.
    Refused,
}

impl Publisher {
    /// A publisher for the session `origin`, whose messages are allowed by `access`, or all where there is none.
    #[must_use]
    pub fn new(origin: SessionKey, access: Option<Arc<BoundAccess>>) -> Self {
        Self { origin, access, cache: RouteCache::default() }
    }
}

impl Plane {
    /// Takes over a message. Its recipients have it in their outboxes or queues after [`Plane::settle`].
    pub fn publish(
        &self,
        publisher: &mut Publisher,
        batch: &mut Batch,
        message: Message,
        now: Moment,
    ) -> Published {
        if (message.retain || message.qos != QoS::AtMostOnce) && !self.has_room_for_more() {
            return Published::Refused;
        }
        self.take_over(publisher, batch, message, now)
    }

    /// The same whether the store has room or not: what it has no room for now it takes later.
    pub(crate) fn take_over(
        &self,
        publisher: &mut Publisher,
        batch: &mut Batch,
        mut message: Message,
        now: Moment,
    ) -> Published {
        message.origin = publisher.origin;
        let access = &publisher.access;
        let client = access.as_ref().map(|access| &access.identity().client_id);
        let origin = Origin { key: publisher.origin, client, reach: Reach::Cluster };
        let route = publisher.cache.route(self.matcher(), &message.topic, origin, || {
            access.as_ref().is_none_or(|access| access.check_publish(&message.topic) == Verdict::Allow)
        });
        if !route.allowed {
            return Published::Denied;
        }
        batch.effects.tally.accepted += 1;
        let version = if message.retain { self.retain(&message, batch, now) } else { None };
        let matched = !route.is_empty();
        if !matched {
            batch.effects.tally.unmatched += 1;
            if version.is_none() {
                return Published::Unmatched;
            }
        }
        self.add_to_run(batch, route, message, version, now);
        if matched { Published::Matched } else { Published::Unmatched }
    }

    /// Puts a message behind those that go the same way; `version` is that under which other nodes retain it.
    pub(crate) fn add_to_run(
        &self,
        batch: &mut Batch,
        route: Arc<Route>,
        message: Message,
        version: Option<Stamp>,
        now: Moment,
    ) {
        let same_route = batch.route.as_ref().is_some_and(|present| Arc::ptr_eq(present, &route));
        if !(same_route && batch.run.takes(&message)) {
            self.settle(batch, now);
            batch.run.begin(&route.topic);
            batch.route = Some(route);
        }
        batch.run.push(message, version);
    }

    /// Delivers the messages taken over so far. Called before anything that could change who gets them.
    pub fn settle(&self, batch: &mut Batch, now: Moment) {
        let Some(route) = batch.route.take() else { return };
        batch.effects.node_queue_full = self.queue().is_full(&batch.effects.tally);
        if !route.nodes.is_empty() || batch.run.version().is_some() {
            self.forward(&route, batch, now);
        }
        for to in &route.direct {
            let options = batch.run.options_for(to.qos, to.retain_as_published, to.ids.clone());
            let delivered = to.session.deliver(&options, &mut batch.run, now, &mut batch.effects);
            batch.note(&to.session, delivered);
        }
        for group in &route.groups {
            for index in 0..batch.run.len() {
                self.deliver_to_group(group, index, None, batch, now);
            }
        }
        self.end_run(batch);
    }

    /// Ends a batch: delivers, hands durable changes to the store, writes every touched outbox once, and brings the
    /// ledger up to date. What was promised to clients in the batch is said when the commit is done; who promised
    /// nothing may leave it to [`Plane::leave`].
    pub fn finish(&self, batch: &mut Batch, now: Moment) -> Option<Commit> {
        self.settle(batch, now);
        // Before anything is written, so that no acknowledgement comes before the row it removes.
        let commit = self.hand_over(batch);
        self.flush_cluster(batch);
        let Batch { touched, effects, .. } = batch;
        for session in touched.drain(..) {
            session.flush(self.sources(), now, effects);
        }
        // Retained messages for new subscriptions are found while outboxes are filled.
        let later = self.hand_over(batch);
        batch.effects.walked = 0;
        self.account(&mut batch.effects.tally);
        match (commit, later) {
            (Some(commit), Some(later)) => Some(commit.and(later)),
            (commit, later) => commit.or(later),
        }
    }

    /// Ends a batch in which nothing was promised to anybody who waits for it.
    pub fn finish_unattended(&self, batch: &mut Batch, now: Moment) {
        if let Some(commit) = self.finish(batch, now) {
            self.leave(commit);
        }
    }

    /// Keeps a message as the last of its topic, on disk too, or forgets the one that was. Returns the version under which
    /// other nodes are to do the same, if there are any.
    fn retain(&self, message: &Message, batch: &mut Batch, now: Moment) -> Option<Stamp> {
        let (version, told) = self.retained_version(&message.topic);
        match self.clustered() {
            None => self.retained().set(message, now),
            Some(_) => _ = self.retained().offer(message, version, now),
        }
        self.note_retained(message, batch);
        told.then_some(version)
    }

    /// Notes in the journal that the retained message of a topic changed.
    pub(crate) fn note_retained(&self, message: &Message, batch: &mut Batch) {
        if self.keeps(&message.topic) {
            batch.effects.journal.retained_changed(&message.topic);
            if message.qos != QoS::AtMostOnce {
                batch.effects.journal.promise();
            }
        }
    }

    pub(crate) fn end_run(&self, batch: &mut Batch) {
        if let Some(durable) = self.durable() {
            batch.effects.journal.record_run(&batch.run, durable.rows());
        }
        batch.run.clear();
    }
}
