//! The publish path, top to bottom: authorise, match, push to each recipient's outbox, flush.
//!
//! A connection's task reads what its socket holds, hands each decoded message to [`Plane::publish`] and calls
//! [`Plane::finish`] once. In between nothing waits and nothing is allocated per recipient at QoS 0.
//!
//! Consecutive messages of one publisher on one topic form a *run*: the topic is matched once, each recipient is
//! locked once, and the encoded frames are made once per form and appended as one piece. A run ends when the
//! topic, the quality of service or the retain flag changes, when anything else happens on the connection, and at
//! the end of the batch, so the order of a publisher's messages is never changed.

mod congestion;
pub(crate) mod frames;
mod shared;

use std::sync::Arc;

use bytes::Bytes;
use skein_access::{BoundAccess, Verdict};
use skein_cluster::{EncodedRun, GroupTarget, Peer, RunEncoder, Sent, Waits};
use skein_types::{Message, Moment, QoS, SessionKey, Stamp};

pub use self::congestion::Congestion;
use self::frames::{Frames, FramesPool};
use crate::{
    cluster::Ticket,
    durable::{Commit, Journal},
    ledger::Tally,
    matcher::{Origin, Reach, Route, RouteCache},
    outbox::SHARE_PAYLOAD_BYTES_MIN,
    plane::Plane,
    session::{Epoch, Session, deliver::Delivered},
    wire::{DeliveryOptions, SubscriptionIds, Wire},
};

/// Messages of one run; more start the next one, so that the frames of a run stay in the processor's cache.
const RUN_MESSAGES_MAX: usize = 4096;

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

/// The work of one read batch; one per thread, lent to whichever connection is being handled.
#[derive(Debug, Default)]
pub struct Batch {
    run: Run,
    touched: Vec<Arc<Session>>,
    /// Other nodes that were sent something.
    peers: Vec<Arc<Peer>>,
    /// Who does not keep up; the publisher waits for them before it reads on.
    congestion: Congestion,
    /// What it changes beside sessions.
    pub effects: Effects,
}

/// What work on sessions comes to beside the sessions themselves.
#[derive(Debug, Default)]
pub struct Effects {
    /// Counted so far, not yet in the ledger.
    pub tally: Tally,
    /// Nothing more may wait in the queues of the node, as of the beginning of the present run.
    pub(crate) node_queue_full: bool,
    /// What must be remembered and is not in the store yet.
    pub(crate) journal: Journal,
    /// What other nodes must have done before clients are answered.
    pub(crate) waits: Waits,
    /// A connection whose client is greeted then.
    pub(crate) held: Option<(Arc<Session>, Epoch)>,
    /// The node has something new to say of itself to the others.
    pub(crate) said: bool,
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
        if !batch.run.takes(&route, &message) {
            self.settle(batch, now);
            batch.run.route = Some(route);
        }
        batch.run.version = version;
        batch.run.push(RunMessage { message, shared: None, ticket: None });
    }

    /// Delivers the messages taken over so far. Called before anything that could change who gets them.
    pub fn settle(&self, batch: &mut Batch, now: Moment) {
        let Some(route) = batch.run.route.take() else { return };
        batch.effects.node_queue_full = self.queue().is_full(&batch.effects.tally);
        if !route.nodes.is_empty() || batch.run.version.is_some() {
            self.forward(&route, batch, now);
        }
        for to in &route.direct {
            let delivered = to.session.deliver(to, &mut batch.run, now, &mut batch.effects);
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
        let commit = self.hand_over(&mut batch.effects);
        self.flush_cluster(batch);
        let Batch { touched, effects, .. } = batch;
        for session in touched.drain(..) {
            session.flush(self, now, effects);
        }
        // Retained messages for new subscriptions are found while outboxes are filled.
        let later = self.hand_over(effects);
        self.account(&mut effects.tally);
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
            batch.effects.journal.record_run(&batch.run, durable);
        }
        batch.run.clear();
    }
}

impl Batch {
    /// Remembers that `session`'s outbox has something to flush.
    pub fn touch(&mut self, session: &Arc<Session>) {
        self.touched.push(session.clone());
    }

    /// Who does not keep up, for the publisher to wait for.
    pub fn take_congestion(&mut self) -> Congestion {
        std::mem::take(&mut self.congestion)
    }

    /// Whether what was asked for in this batch may only be answered once its commit is done.
    #[must_use]
    pub fn is_promise(&self) -> bool {
        self.effects.journal.is_promised() || !self.effects.waits.is_empty()
    }

    /// Whether messages taken over and not delivered yet may make this batch one that promises something.
    #[must_use]
    pub fn may_promise(&self) -> bool {
        let may_wait = |route: &Arc<Route>| {
            route.has_kept_sessions() || route.goes_further() || self.run.version.is_some()
        };
        self.run.is_acknowledged() && self.run.route.as_ref().is_some_and(may_wait)
    }

    /// Sends the present run, or a message of it, to another node.
    pub(crate) fn send(&mut self, peer: &Arc<Peer>, run: &EncodedRun, acknowledged: bool) -> Sent {
        let sent = peer.send(run);
        self.effects.tally.forwarded += u64::from(run.messages);
        match sent {
            Sent::Kept(number) if acknowledged => self.effects.waits.handled(peer, number),
            Sent::Down => self.effects.tally.link_dropped += u64::from(run.messages),
            _ => {}
        }
        self.touch_peer(peer);
        self.congestion.note_peer(peer);
        sent
    }

    /// Remembers that something waits for the link to `peer`.
    pub(crate) fn touch_peer(&mut self, peer: &Arc<Peer>) {
        if !self.peers.iter().any(|known| Arc::ptr_eq(known, peer)) {
            self.peers.push(peer.clone());
        }
    }

    pub(crate) fn take_peers(&mut self) -> std::vec::Drain<'_, Arc<Peer>> {
        self.peers.drain(..)
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    fn note(&mut self, session: &Arc<Session>, delivered: Delivered) {
        if delivered.touched {
            self.touched.push(session.clone());
        }
        if delivered.congested {
            self.congestion.note_session(session);
        }
    }
}

/// Consecutive messages with one route.
#[derive(Debug, Default)]
pub(crate) struct Run {
    route: Option<Arc<Route>>,
    messages: Vec<RunMessage>,
    largest_bytes: usize,
    /// Under which other nodes retain the last of them.
    version: Option<Stamp>,
    frames: FramesPool,
}

#[derive(Debug)]
struct RunMessage {
    message: Message,
    /// The message in memory of its own, made when the first recipient has to keep it.
    shared: Option<Arc<Message>>,
    /// It was given to this node for a member of a group here.
    ticket: Option<Ticket>,
}

impl Run {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        self.messages.first().is_some_and(|first| first.message.qos != QoS::AtMostOnce)
    }

    pub(crate) fn message(&self, index: usize) -> &Message {
        &self.messages[index].message
    }

    /// What the message was given to this node under, for the member that takes it.
    pub(crate) fn take_ticket(&mut self, index: usize) -> Option<Ticket> {
        self.messages[index].ticket.take()
    }

    pub(crate) fn version(&self) -> Option<Stamp> {
        self.version
    }

    /// The run as other nodes get it.
    pub(crate) fn encode(&self, now: Moment) -> EncodedRun {
        let mut encoder = RunEncoder::new(self.message(0), self.version, None, now);
        self.messages.iter().for_each(|entry| encoder.push(&entry.message));
        encoder.finish()
    }

    /// One message of the run as the node gets it that chooses a member of a group for it.
    pub(crate) fn encode_one(&self, index: usize, target: &GroupTarget, now: Moment) -> EncodedRun {
        let mut encoder = RunEncoder::new(self.message(index), None, Some(target), now);
        encoder.push(self.message(index));
        encoder.finish()
    }

    /// The message for keeping: it owns its bytes, so that a read buffer is not kept for it. A large payload is
    /// most of its buffer and stays shared.
    pub(crate) fn shared(&mut self, index: usize) -> Arc<Message> {
        let RunMessage { message, shared, .. } = &mut self.messages[index];
        let topic = self.route.as_ref().map(|route| &route.topic);
        shared
            .get_or_insert_with(|| {
                let payload = &message.payload;
                Arc::new(Message {
                    topic: topic.map_or_else(|| message.topic.detached(), Clone::clone),
                    payload: match payload.len() {
                        SHARE_PAYLOAD_BYTES_MIN.. => payload.clone(),
                        _ => Bytes::copy_from_slice(payload),
                    },
                    properties: message.properties.as_ref().map(|properties| Box::new(properties.detached())),
                    ..*message
                })
            })
            .clone()
    }

    /// How the run goes to a recipient that asked for these options.
    pub(crate) fn options_for(
        &self,
        qos_max: QoS,
        retain_as_published: bool,
        ids: SubscriptionIds,
    ) -> DeliveryOptions {
        let first = self.messages.first().map(|first| &first.message);
        let (qos, retain) = first.map_or((QoS::AtMostOnce, false), |message| (message.qos, message.retain));
        DeliveryOptions { qos: qos.min(qos_max), retain: retain && retain_as_published, ids }
    }

    /// The run's frames in the form this wire shares with others; none when it has to encode by itself.
    pub(crate) fn frames(
        &mut self,
        options: &DeliveryOptions,
        wire: &mut dyn Wire,
        now: Moment,
    ) -> Option<&Frames> {
        let form = wire.form(options, self.largest_bytes)?;
        let messages = self.messages.iter().map(|entry| &entry.message);
        Some(self.frames.of(form, messages, options, wire, now))
    }

    fn takes(&self, route: &Arc<Route>, message: &Message) -> bool {
        let same_route = self.route.as_ref().is_some_and(|present| Arc::ptr_eq(present, route));
        let alike =
            |first: &RunMessage| first.message.qos == message.qos && first.message.retain == message.retain;
        same_route && self.messages.len() < RUN_MESSAGES_MAX && self.messages.first().is_some_and(alike)
    }

    fn push(&mut self, entry: RunMessage) {
        self.largest_bytes = self.largest_bytes.max(entry.message.size_bytes());
        self.messages.push(entry);
    }

    fn clear(&mut self) {
        self.route = None;
        self.version = None;
        self.largest_bytes = 0;
        self.messages.clear();
        self.frames.clear();
    }
}
