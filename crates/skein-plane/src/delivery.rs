//! The sending half of a session: what waits, what is under way, and in which order (sans-IO).
//!
//! Messages at QoS 1 and 2 get consecutive numbers when they come, and stay in the window, in order, until the
//! client has acknowledged them; what does not fit into the window waits in the queue. A door makes of the number what
//! its protocol has on the wire; it is the same after a restart. After a reconnect everything unacknowledged is sent
//! again in the original order before anything new (MQTT-4.4.0-1, MQTT-4.6.0-1).
//!
//! In a session that is kept on disk each of them has a stored row besides. A QoS 2 message is not sent before its row
//! is on disk, because a client that received it under an id must find the same message under that id later; rows that
//! are not needed any more are handed out by [`Delivery::take_freed`].

mod inspect;
mod node_queue;
mod on_disk;
mod window;

use std::{collections::VecDeque, sync::Arc};

use skein_types::{Message, Moment, QoS, Topic};

pub(crate) use self::on_disk::Restored;
pub use self::{
    inspect::{QueueState, QueuedMessage},
    node_queue::NodeQueue,
};
use crate::{
    stored::{Freed, OnDisk, Rest, free},
    subscription::GroupKey,
    ticket::Ticket,
    wire::DeliveryOptions,
};

/// How many messages a client takes before it acknowledges, as its door says when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Messages sent and not fully acknowledged (MQTT's Receive Maximum, MQTT-3.3.4-9).
    pub unacknowledged_max: u32,
    /// Numbers from the oldest message that is not acknowledged to the newest that is sent. A door whose numbers go
    /// round on the wire gives the size of its circle, so that no two messages under way have the same.
    pub span_max: u32,
}

impl WindowLimits {
    /// For a door that puts whole numbers on the wire.
    #[must_use]
    pub const fn unacknowledged(max: u32) -> Self {
        Self { unacknowledged_max: max, span_max: u32::MAX }
    }
}

/// Bounds of one session's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Messages that may wait, those in the window not counted.
    pub messages_max: usize,
    /// Bytes that may wait, by [`Message::size_bytes`].
    pub bytes_max: usize,
}

/// A message waiting for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The message, in memory of its own.
    pub message: Arc<Message>,
    /// How it goes out.
    pub options: DeliveryOptions,
    /// The shared group it came through, whose other members may get it if this session ends.
    pub group: Option<Arc<GroupKey>>,
    /// What another node keeps it under until this session is done with it.
    pub ticket: Option<Ticket>,
    /// Its stored row.
    pub on_disk: OnDisk,
    /// Its number among the session's messages at QoS 1 and 2; given by [`Delivery`].
    seq: u64,
    /// It may have been sent before the node was restarted.
    again: bool,
    /// It goes to a new subscription as the last retained message of its topic.
    retained: bool,
}

impl Waiting {
    pub(crate) fn new(
        message: Arc<Message>,
        options: DeliveryOptions,
        group: Option<Arc<GroupKey>>,
        on_disk: OnDisk,
    ) -> Self {
        Self { message, options, group, ticket: None, on_disk, seq: 0, again: false, retained: false }
    }

    /// The last retained message of its topic for a new subscription.
    pub(crate) fn of_retained(message: Arc<Message>, options: DeliveryOptions, on_disk: OnDisk) -> Self {
        Self { retained: true, ..Self::new(message, options, None, on_disk) }
    }

    /// Whether it goes to a new subscription as the last retained message of its topic.
    pub(crate) fn is_retained(&self) -> bool {
        self.retained
    }
}

/// Where the hand-over of a message in the window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// QoS 1, waits for PUBACK.
    Published,
    /// QoS 2, waits for PUBREC.
    PublishedTwice,
    /// QoS 2, PUBREL sent, waits for PUBCOMP.
    Released,
    /// Acknowledged, behind others that are not.
    Done,
}

#[derive(Debug)]
struct InFlight {
    phase: Phase,
    /// None once the client has the message (phases Released and Done).
    waiting: Option<Waiting>,
    on_disk: OnDisk,
}

/// What to do with a message offered to a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Send it under this number.
    Send {
        /// Its number.
        seq: u64,
    },
    /// It waits in the queue.
    Queued {
        /// Its number.
        seq: u64,
    },
    /// The queue is full; the message is given up.
    Full,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// The hand-over is complete.
    Done,
    /// A QoS 2 message arrived; its release must be sent (again).
    Release,
    /// No message is under way under this number. After a lost session and for an acknowledgement that comes twice that
    /// is nobody's fault.
    Unknown,
    /// The message under way under this number waits for an acknowledgement of another kind: nothing was done.
    WrongKind,
}

impl Acked {
    /// What an acknowledgement is that nothing waited for.
    fn unexpected(entry: Option<&mut InFlight>) -> Self {
        match entry {
            Some(entry) if entry.phase != Phase::Done => Self::WrongKind,
            _ => Self::Unknown,
        }
    }
}

/// Something to send now.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A message under its number; `again` when it was sent before.
    Publish {
        /// Its number.
        seq: u64,
        /// The message and its options.
        waiting: &'a Waiting,
        /// Whether it was sent on an earlier connection.
        again: bool,
    },
    /// The release of a message, sent again.
    Release(u64),
    /// A QoS 0 message.
    Unacknowledged(Waiting),
}

/// The window and queue of one session.
#[derive(Debug)]
pub(crate) struct Delivery {
    window: VecDeque<InFlight>,
    /// Number of the window's front.
    front: u64,
    /// Number of the next message.
    next_seq: u64,
    /// Entries of the window, from its front, that the present connection has been sent; the one behind them is not
    /// done.
    sent: usize,
    /// Sent and not fully acknowledged; at most `limits.unacknowledged_max`.
    unacknowledged: u32,
    limits: WindowLimits,
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    /// What of the queue is counted in the node's.
    counted_messages: u32,
    counted_bytes: usize,
    /// No message in the queue expires before this.
    queue_expires_at: Moment,
    freed: Vec<Freed>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            window: VecDeque::new(),
            front: 0,
            next_seq: 0,
            sent: 0,
            unacknowledged: 0,
            limits: WindowLimits::unacknowledged(u32::MAX),
            queue: VecDeque::new(),
            queue_bytes: 0,
            counted_messages: 0,
            counted_bytes: 0,
            queue_expires_at: Moment::NEVER,
            freed: Vec::new(),
        }
    }
}

impl Delivery {
    /// A client connected: everything in the window will be sent again, within `limits`.
    pub(crate) fn connected(&mut self, limits: WindowLimits) {
        self.limits = limits;
        self.sent = 0;
        self.unacknowledged = 0;
        self.pop_done();
    }

    /// Takes a new message at QoS 1 or 2. The caller sends it when told to, with [`Delivery::connected`] before.
    pub(crate) fn offer(
        &mut self,
        mut waiting: Waiting,
        online: bool,
        limits: QueueLimits,
        now: Moment,
        expired: &mut u64,
    ) -> Offer {
        if online && self.queue.is_empty() && self.has_room() && waiting.may_be_sent() {
            let seq = self.number();
            waiting.seq = seq;
            self.admit(waiting);
            return Offer::Send { seq };
        }
        if !self.has_queue_room(&waiting, limits) {
            // What expired meanwhile does not take the room of what did not.
            *expired += self.expire(now);
            if !self.has_queue_room(&waiting, limits) {
                return Offer::Full;
            }
        }
        Offer::Queued { seq: self.enqueue(waiting) }
    }

    /// Puts a message behind all others, whatever the queue's bounds are; says its number.
    pub(crate) fn enqueue(&mut self, mut waiting: Waiting) -> u64 {
        // One without a number stands before the next that gets one.
        waiting.seq = if waiting.is_numbered() { self.number() } else { self.next_seq };
        let seq = waiting.seq;
        self.push_back(waiting);
        seq
    }

    fn number(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn push_back(&mut self, waiting: Waiting) {
        self.queue_bytes += waiting.message.size_bytes();
        if let Some(expires_at) = waiting.message.expires_at {
            self.queue_expires_at = self.queue_expires_at.min(expires_at);
        }
        self.queue.push_back(waiting);
    }

    fn has_queue_room(&self, waiting: &Waiting, limits: QueueLimits) -> bool {
        self.queue.len() < limits.messages_max
            && self.queue_bytes.saturating_add(waiting.message.size_bytes()) <= limits.bytes_max
    }

    /// The next thing to send now, if the window has room. Messages that expired meanwhile are counted in
    /// `expired` and skipped; those sent before never expire (MQTT-4.3.2-3, MQTT-4.3.3-7).
    pub(crate) fn next(&mut self, now: Moment, expired: &mut u64) -> Option<Next<'_>> {
        if self.sent < self.window.len() {
            if self.unacknowledged >= self.limits.unacknowledged_max {
                return None;
            }
            let index = self.sent;
            let seq = self.front + index as u64;
            self.sent += 1;
            self.unacknowledged += 1;
            self.pass_done();
            let entry = self.window.get(index)?;
            return Some(match &entry.waiting {
                Some(waiting) => Next::Publish { seq, waiting, again: true },
                None => Next::Release(seq),
            });
        }
        loop {
            let head = self.queue.front()?;
            let numbered = head.is_numbered();
            let lives = !head.is_over(now);
            if lives && numbered && !(self.has_room_for(head.seq) && head.may_be_sent()) {
                return None;
            }
            let waiting = self.queue.pop_front()?;
            self.queue_bytes -= waiting.message.size_bytes();
            if !lives {
                *expired += 1;
                free(&mut self.freed, waiting.seq, waiting.on_disk);
                continue;
            }
            if !numbered {
                return Some(Next::Unacknowledged(waiting));
            }
            let (seq, again) = (waiting.seq, waiting.again);
            self.admit(waiting);
            let waiting = self.window.back()?.waiting.as_ref()?;
            return Some(Next::Publish { seq, waiting, again });
        }
    }

    /// PUBACK: ends a QoS 1 hand-over.
    pub(crate) fn published(&mut self, seq: u64) -> Acked {
        match self.entry(seq) {
            Some(entry) if entry.phase == Phase::Published => self.finish(seq),
            entry => Acked::unexpected(entry),
        }
    }

    /// PUBREC: a QoS 2 message arrived; or, with `rejected`, it was refused and the hand-over ends (MQTT-4.3.3-4).
    pub(crate) fn received(&mut self, seq: u64, rejected: bool) -> Acked {
        match self.entry(seq) {
            Some(entry) if entry.phase == Phase::PublishedTwice && rejected => self.finish(seq),
            Some(entry) if matches!(entry.phase, Phase::PublishedTwice | Phase::Released) => {
                let first = entry.phase == Phase::PublishedTwice;
                entry.phase = Phase::Released;
                entry.waiting = None;
                if first && let OnDisk::Stored { shared, .. } = &mut entry.on_disk {
                    let shared = shared.take();
                    self.freed.push(Freed { seq, rest: Rest::Released, shared });
                }
                Acked::Release
            }
            entry => Acked::unexpected(entry),
        }
    }

    /// PUBCOMP: ends a QoS 2 hand-over.
    pub(crate) fn completed(&mut self, seq: u64) -> Acked {
        match self.entry(seq) {
            Some(entry) if entry.phase == Phase::Released => self.finish(seq),
            entry => Acked::unexpected(entry),
        }
    }

    /// Ends the hand-over of every message sent up to `seq`, as a client says that acknowledges cumulatively; returns
    /// how many there were.
    pub(crate) fn completed_up_to(&mut self, seq: u64) -> u64 {
        let before = self.unacknowledged;
        // Nothing that is finished stays at the front.
        while self.front <= seq && self.entry(self.front).is_some() {
            self.finish(self.front);
        }
        u64::from(before - self.unacknowledged)
    }

    /// Number of the oldest message that is not fully acknowledged, or of the next one.
    pub(crate) fn front(&self) -> u64 {
        self.front
    }

    /// Gives up message `seq`, which could not be encoded.
    pub(crate) fn give_up(&mut self, seq: u64) {
        self.finish(seq);
    }

    /// Messages in the window that are not fully acknowledged.
    #[must_use]
    pub(crate) fn in_flight(&self) -> usize {
        self.window.iter().filter(|entry| entry.phase != Phase::Done).count()
    }

    /// Messages and bytes in the queue.
    #[must_use]
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.queue.len(), self.queue_bytes)
    }

    /// Takes out every message the client does not have yet, in order, for a session that ends; the second value
    /// counts hand-overs whose message the client has but never completed. A QoS 2 message that was sent once must
    /// not go to another member of its group (MQTT-4.8.2-5), so it is handed out without the group.
    pub(crate) fn drain(&mut self) -> (Vec<Waiting>, u64) {
        let mut held = 0;
        let mut waiting = Vec::new();
        for (entry, seq) in std::mem::take(&mut self.window).into_iter().zip(self.front..) {
            free(&mut self.freed, seq, entry.on_disk);
            match (entry.phase, entry.waiting) {
                (Phase::Done, _) => {}
                (Phase::PublishedTwice, Some(message)) => waiting.push(Waiting { group: None, ..message }),
                (_, Some(message)) => waiting.push(message),
                (_, None) => held += 1,
            }
        }
        for mut entry in std::mem::take(&mut self.queue) {
            free(&mut self.freed, entry.seq, std::mem::take(&mut entry.on_disk));
            waiting.push(entry);
        }
        self.front = self.next_seq;
        self.queue_bytes = 0;
        self.sent = 0;
        self.unacknowledged = 0;
        (waiting, held)
    }

    /// Takes out every message the client does not have yet and may not get; before it connects, so that nothing of the
    /// window is under way. One that may have been sent at QoS 2 stays, without its message: the client may know its id,
    /// which is released.
    pub(crate) fn take_forbidden(&mut self, may_receive: impl Fn(&Topic) -> bool) -> Vec<Waiting> {
        let mut taken = Vec::new();
        for (entry, seq) in self.window.iter_mut().zip(self.front..) {
            let Some(waiting) = entry.waiting.take_if(|waiting| !may_receive(&waiting.message.topic)) else {
                continue;
            };
            if entry.phase == Phase::PublishedTwice {
                entry.phase = Phase::Released;
                if let OnDisk::Stored { shared, .. } = &mut entry.on_disk {
                    self.freed.push(Freed { seq, rest: Rest::Released, shared: shared.take() });
                }
                continue;
            }
            entry.phase = Phase::Done;
            free(&mut self.freed, seq, std::mem::take(&mut entry.on_disk));
            taken.push(waiting);
        }
        self.pop_done();
        let forbidden = |waiting: &mut Waiting| !may_receive(&waiting.message.topic);
        let (freed, bytes) = (&mut self.freed, &mut self.queue_bytes);
        let mut rest = VecDeque::with_capacity(self.queue.len());
        for mut waiting in std::mem::take(&mut self.queue) {
            if forbidden(&mut waiting) {
                *bytes -= waiting.message.size_bytes();
                free(freed, waiting.seq, std::mem::take(&mut waiting.on_disk));
                taken.push(waiting);
            } else {
                rest.push_back(waiting);
            }
        }
        self.queue = rest;
        taken
    }

    /// Drops queued messages that expired; returns how many.
    fn expire(&mut self, now: Moment) -> u64 {
        if self.queue_expires_at > now {
            return 0;
        }
        let before = self.queue.len();
        let (mut bytes, mut expires_at) = (0, Moment::NEVER);
        let freed = &mut self.freed;
        self.queue.retain_mut(|waiting| {
            let keep = !waiting.is_over(now);
            if keep {
                bytes += waiting.message.size_bytes();
                expires_at = expires_at.min(waiting.message.expires_at.unwrap_or(Moment::NEVER));
            } else {
                free(freed, waiting.seq, std::mem::take(&mut waiting.on_disk));
            }
            keep
        });
        self.queue_bytes = bytes;
        self.queue_expires_at = expires_at;
        (before - self.queue.len()) as u64
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        if self.window.is_empty() && self.window.capacity() > 0 {
            self.window = VecDeque::new();
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
    }
}

impl Waiting {
    /// A QoS 2 message of a session kept on disk is sent only once it is there.
    fn may_be_sent(&self) -> bool {
        match &self.on_disk {
            OnDisk::No => true,
            OnDisk::Recorded => self.options.qos != QoS::ExactlyOnce,
            OnDisk::Stored { commit, .. } => commit.as_ref().is_none_or(|commit| commit.is_set()),
        }
    }

    /// Whether it expired. A QoS 2 message that may have been sent before a restart does not: the client may remember its
    /// id, under which it would take the next message for a resend and drop it.
    fn is_over(&self, now: Moment) -> bool {
        let may_be_known = self.again && self.options.qos == QoS::ExactlyOnce;
        self.message.is_expired(now) && !may_be_known
    }

    fn is_numbered(&self) -> bool {
        self.options.qos != QoS::AtMostOnce
    }
}

impl Phase {
    fn of(qos: QoS) -> Self {
        match qos {
            QoS::ExactlyOnce => Self::PublishedTwice,
            QoS::AtLeastOnce | QoS::AtMostOnce => Self::Published,
        }
    }
}

#[cfg(test)]
mod tests;
