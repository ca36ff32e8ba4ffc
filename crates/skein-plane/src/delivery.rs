//! The sending half of a session: what waits, what is under way, and in which order (sans-IO).
//!
//! Messages at QoS 1 and 2 get consecutive numbers when they come, and stay in the window, in order, until the
//! client has acknowledged them; what does not fit into the window waits in the queue. A message's id on the wire is
//! its number on a circle, so that it is the same after a restart. After a reconnect everything unacknowledged is
//! sent again in the original order before anything new (MQTT-4.4.0-1, MQTT-4.6.0-1).
//!
//! In a session that is kept on disk each of them has a stored row besides. A QoS 2 message is not sent before its row
//! is on disk, because a client that received it under an id must find the same message under that id later; rows that
//! are not needed any more are handed out by [`Delivery::take_freed`].

mod inspect;
mod node_queue;

use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

use skein_types::{Message, Moment, QoS};

use crate::{
    durable::{CommitFlag, SharedRow},
    matcher::Group,
    wire::DeliveryOptions,
};

pub(crate) use self::node_queue::QueueTally;
pub use self::{
    inspect::{QueueState, QueuedMessage},
    node_queue::NodeQueue,
};

/// Ids are 1 to 65 535 and used round and round.
const ID_COUNT: u16 = u16::MAX;

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
    pub group: Option<Arc<Group>>,
    /// Its stored row.
    pub kept: Kept,
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
        group: Option<Arc<Group>>,
        kept: Kept,
    ) -> Self {
        Self { message, options, group, kept, seq: 0, again: false, retained: false }
    }

    /// The last retained message of its topic for a new subscription.
    pub(crate) fn of_retained(message: Arc<Message>, options: DeliveryOptions, kept: Kept) -> Self {
        Self { retained: true, ..Self::new(message, options, None, kept) }
    }

    /// Whether it goes to a new subscription as the last retained message of its topic.
    pub(crate) fn is_retained(&self) -> bool {
        self.retained
    }
}

/// Where the stored row of a message in a session stands.
#[derive(Clone, Debug, Default)]
pub(crate) enum Kept {
    /// It has none.
    #[default]
    No,
    /// In a batch that is not handed to the store yet. If the message goes before that, the batch removes the row.
    Recorded,
    /// Handed to the store.
    Stored {
        /// Set once it is on disk; none when nothing waits for that.
        commit: Option<Arc<CommitFlag>>,
        /// The row of the message itself where several sessions refer to it.
        shared: Option<Arc<SharedRow>>,
    },
}

/// A stored row that changes because its message went on.
#[derive(Debug)]
pub(crate) struct Freed {
    /// The message's number.
    pub seq: u64,
    /// What is left to remember.
    pub rest: Rest,
    /// The row of the message itself, which this session does not refer to any more.
    pub shared: Option<Arc<SharedRow>>,
}

/// What is left to remember of a message that went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: the hand-over is complete or given up.
    Nothing,
    /// The client has a QoS 2 message; its release is under way.
    Released,
}

/// A message found in the store.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Its number.
    pub seq: u64,
    /// None once the client has it and its release is under way.
    pub waiting: Option<Waiting>,
    /// The row of the message itself where several sessions refer to it.
    pub shared: Option<Arc<SharedRow>>,
    /// It was sent before the restart, for sure.
    pub sent: bool,
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
    kept: Kept,
}

/// What to do with a message offered to a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Send it under this id.
    Send {
        /// Its id.
        id: NonZeroU16,
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
    /// No message waits for this acknowledgement under this id.
    Unknown,
}

/// Something to send now.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A message under an id; `again` when it was sent before.
    Publish {
        /// Its id.
        id: NonZeroU16,
        /// The message and its options.
        waiting: &'a Waiting,
        /// Whether it was sent on an earlier connection.
        again: bool,
    },
    /// The release of an id, sent again.
    Release(NonZeroU16),
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
    sent: u16,
    /// Sent and not fully acknowledged; at most `receive_maximum`.
    unacknowledged: u16,
    /// How many unacknowledged messages the client takes (MQTT-3.3.4-9).
    receive_maximum: u16,
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    /// What of the queue is counted in the node's.
    counted: QueueTally,
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
            receive_maximum: ID_COUNT,
            queue: VecDeque::new(),
            queue_bytes: 0,
            counted: QueueTally::default(),
            queue_expires_at: Moment::NEVER,
            freed: Vec::new(),
        }
    }
}

impl Delivery {
    /// A client connected: everything in the window will be sent again, at most `receive_maximum` at a time.
    pub(crate) fn connected(&mut self, receive_maximum: NonZeroU16) {
        self.receive_maximum = receive_maximum.get();
        self.sent = 0;
        self.unacknowledged = 0;
        self.pop_done();
    }

    /// What the store remembers of a session, in the order of its numbers.
    pub(crate) fn restored(entries: Vec<Restored>) -> Self {
        let mut delivery = Self::default();
        // Messages are sent in order, so everything before one that was sent had been sent too.
        let sent_before = entries
            .iter()
            .rposition(|entry| entry.sent || entry.waiting.is_none())
            .map_or(0, |last| last + 1);
        for (index, Restored { seq, waiting, shared, .. }) in entries.into_iter().enumerate() {
            let kept = Kept::Stored { commit: None, shared };
            match waiting {
                Some(waiting) if index >= sent_before => {
                    delivery.push_back(Waiting { kept, seq, again: true, ..waiting });
                }
                waiting => {
                    delivery.reach(seq);
                    let phase = match &waiting {
                        None => Phase::Released,
                        Some(waiting) => Phase::of(waiting.options.qos),
                    };
                    delivery.window.push_back(InFlight { phase, waiting, kept });
                }
            }
            delivery.next_seq = seq + 1;
        }
        delivery
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
            return Offer::Send { id: self.admit(waiting), seq };
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

    /// The batch that recorded message `seq` handed its row to the store; false when the message is gone by now.
    pub(crate) fn stored(&mut self, seq: u64, kept: Kept) -> bool {
        if let Some(index) = seq.checked_sub(self.front)
            && let Some(entry) = usize::try_from(index).ok().and_then(|index| self.window.get_mut(index))
        {
            let present = entry.phase != Phase::Done;
            if present {
                entry.kept = kept;
            }
            return present;
        }
        let before = |waiting: &Waiting| waiting.seq < seq || (waiting.seq == seq && !waiting.is_numbered());
        let after = self.queue.partition_point(before);
        match self.queue.get_mut(after) {
            Some(waiting) if waiting.seq == seq && waiting.is_numbered() => {
                waiting.kept = kept;
                true
            }
            _ => false,
        }
    }

    /// The session is to be kept on disk from now on: hands every message that has no row to `keep`, with its number and
    /// whether it was sent; none for one that the client has and whose release is under way.
    pub(crate) fn keep(&mut self, mut keep: impl FnMut(u64, Option<&Waiting>, bool)) {
        for (entry, seq) in self.window.iter_mut().zip(self.front..) {
            match entry.phase {
                Phase::Done => continue,
                Phase::Released => entry.kept = Kept::Stored { commit: None, shared: None },
                Phase::Published | Phase::PublishedTwice => entry.kept = Kept::Recorded,
            }
            keep(seq, entry.waiting.as_ref(), true);
        }
        for waiting in self.queue.iter_mut().filter(|waiting| waiting.is_numbered()) {
            waiting.kept = Kept::Recorded;
            keep(waiting.seq, Some(waiting), waiting.again);
        }
    }

    /// Whether a batch that is not handed over yet has recorded a message that is still here.
    pub(crate) fn has_recorded(&self) -> bool {
        let kept = self.window.iter().map(|entry| &entry.kept);
        kept.chain(self.queue.iter().map(|waiting| &waiting.kept)).any(|kept| matches!(kept, Kept::Recorded))
    }

    /// The session is not kept on disk any more: frees every row. Not while it [has](Self::has_recorded) any to come.
    pub(crate) fn unkeep(&mut self) {
        for (entry, seq) in self.window.iter_mut().zip(self.front..) {
            free(&mut self.freed, seq, std::mem::take(&mut entry.kept));
        }
        for waiting in &mut self.queue {
            free(&mut self.freed, waiting.seq, std::mem::take(&mut waiting.kept));
        }
    }

    /// Stored rows that changed since the last call.
    pub(crate) fn take_freed(&mut self) -> impl Iterator<Item = Freed> {
        std::mem::take(&mut self.freed).into_iter()
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
        if usize::from(self.sent) < self.window.len() {
            if self.unacknowledged >= self.receive_maximum {
                return None;
            }
            let index = self.sent;
            let id = self.id_at(index);
            self.sent += 1;
            self.unacknowledged += 1;
            self.pass_done();
            let entry = self.window.get(usize::from(index))?;
            return Some(match &entry.waiting {
                Some(waiting) => Next::Publish { id, waiting, again: true },
                None => Next::Release(id),
            });
        }
        loop {
            let head = self.queue.front()?;
            let needs_id = head.options.qos != QoS::AtMostOnce;
            let lives = !head.is_over(now);
            if lives && needs_id && !(self.has_room_for(head.seq) && head.may_be_sent()) {
                return None;
            }
            let waiting = self.queue.pop_front()?;
            self.queue_bytes -= waiting.message.size_bytes();
            if !lives {
                *expired += 1;
                free(&mut self.freed, waiting.seq, waiting.kept);
                continue;
            }
            if !needs_id {
                return Some(Next::Unacknowledged(waiting));
            }
            let again = waiting.again;
            let id = self.admit(waiting);
            let waiting = self.window.back()?.waiting.as_ref()?;
            return Some(Next::Publish { id, waiting, again });
        }
    }

    /// PUBACK: ends a QoS 1 hand-over.
    pub(crate) fn published(&mut self, id: NonZeroU16) -> Acked {
        match self.entry(id) {
            Some(entry) if entry.phase == Phase::Published => self.finish(id),
            _ => Acked::Unknown,
        }
    }

    /// PUBREC: a QoS 2 message arrived; or, with `rejected`, it was refused and the hand-over ends (MQTT-4.3.3-4).
    pub(crate) fn received(&mut self, id: NonZeroU16, rejected: bool) -> Acked {
        let seq = self.seq_of(id);
        match self.entry(id) {
            Some(entry) if entry.phase == Phase::PublishedTwice && rejected => self.finish(id),
            Some(entry) if matches!(entry.phase, Phase::PublishedTwice | Phase::Released) => {
                let first = entry.phase == Phase::PublishedTwice;
                entry.phase = Phase::Released;
                entry.waiting = None;
                if first && let Kept::Stored { shared, .. } = &mut entry.kept {
                    let shared = shared.take();
                    self.freed.push(Freed { seq, rest: Rest::Released, shared });
                }
                Acked::Release
            }
            _ => Acked::Unknown,
        }
    }

    /// PUBCOMP: ends a QoS 2 hand-over.
    pub(crate) fn completed(&mut self, id: NonZeroU16) -> Acked {
        match self.entry(id) {
            Some(entry) if entry.phase == Phase::Released => self.finish(id),
            _ => Acked::Unknown,
        }
    }

    /// Gives up the message last admitted under `id`, because it could not be encoded.
    pub(crate) fn give_up(&mut self, id: NonZeroU16) {
        self.finish(id);
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
            free(&mut self.freed, seq, entry.kept);
            match (entry.phase, entry.waiting) {
                (Phase::Done, _) => {}
                (Phase::PublishedTwice, Some(message)) => waiting.push(Waiting { group: None, ..message }),
                (_, Some(message)) => waiting.push(message),
                (_, None) => held += 1,
            }
        }
        for mut entry in std::mem::take(&mut self.queue) {
            free(&mut self.freed, entry.seq, std::mem::take(&mut entry.kept));
            waiting.push(entry);
        }
        self.front = self.next_seq;
        self.queue_bytes = 0;
        self.sent = 0;
        self.unacknowledged = 0;
        (waiting, held)
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
                free(freed, waiting.seq, std::mem::take(&mut waiting.kept));
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

    /// Whether the window takes a new message now.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(self.next_seq)
    }

    fn has_room_for(&self, seq: u64) -> bool {
        // Everything left from earlier connections goes first, and the circle of ids is not to be closed.
        usize::from(self.sent) == self.window.len()
            && self.unacknowledged < self.receive_maximum
            && (self.window.is_empty() || seq - self.front < u64::from(ID_COUNT))
    }

    fn admit(&mut self, mut waiting: Waiting) -> NonZeroU16 {
        self.reach(waiting.seq);
        self.sent =
            u16::try_from(self.window.len()).expect("the window is not longer than the circle of ids");
        let id = self.id_at(self.sent);
        let (phase, kept) = (Phase::of(waiting.options.qos), std::mem::take(&mut waiting.kept));
        self.window.push_back(InFlight { phase, waiting: Some(waiting), kept });
        self.sent += 1;
        self.unacknowledged += 1;
        id
    }

    /// Makes `seq` the number behind the window. The numbers in between were given to messages that expired.
    fn reach(&mut self, seq: u64) {
        if self.window.is_empty() {
            self.front = seq;
        }
        while self.front + (self.window.len() as u64) < seq {
            self.window.push_back(InFlight { phase: Phase::Done, waiting: None, kept: Kept::No });
        }
    }

    fn id_at(&self, index: u16) -> NonZeroU16 {
        let position = (self.front + u64::from(index)) % u64::from(ID_COUNT);
        let id = u16::try_from(position).unwrap_or_default().saturating_add(1);
        NonZeroU16::new(id).unwrap_or(NonZeroU16::MIN)
    }

    fn index_of(&self, id: NonZeroU16) -> usize {
        let (position, circle) = (u64::from(id.get() - 1), u64::from(ID_COUNT));
        ((position + circle - self.front % circle) % circle) as usize
    }

    fn seq_of(&self, id: NonZeroU16) -> u64 {
        self.front + self.index_of(id) as u64
    }

    fn entry(&mut self, id: NonZeroU16) -> Option<&mut InFlight> {
        let index = self.index_of(id);
        // An id the present connection was not sent cannot be acknowledged by it.
        if index < usize::from(self.sent) { self.window.get_mut(index) } else { None }
    }

    fn finish(&mut self, id: NonZeroU16) -> Acked {
        let Some(entry) = self.entry(id) else { return Acked::Unknown };
        entry.phase = Phase::Done;
        entry.waiting = None;
        let kept = std::mem::take(&mut entry.kept);
        let seq = self.seq_of(id);
        free(&mut self.freed, seq, kept);
        self.unacknowledged -= 1;
        self.pop_done();
        Acked::Done
    }

    /// What the client acknowledged on an earlier connection is not sent again.
    fn pass_done(&mut self) {
        while self.window.get(usize::from(self.sent)).is_some_and(|entry| entry.phase == Phase::Done) {
            self.sent += 1;
        }
    }

    fn pop_done(&mut self) {
        while self.window.front().is_some_and(|entry| entry.phase == Phase::Done) {
            self.window.pop_front();
            self.front += 1;
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

impl Waiting {
    /// A QoS 2 message of a session kept on disk is sent only once it is there.
    fn may_be_sent(&self) -> bool {
        match &self.kept {
            Kept::No => true,
            Kept::Recorded => self.options.qos != QoS::ExactlyOnce,
            Kept::Stored { commit, .. } => commit.as_ref().is_none_or(|commit| commit.is_set()),
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

/// Notes that the row of message `seq` is not needed any more. One that is not handed to the store yet is left to its
/// batch.
fn free(freed: &mut Vec<Freed>, seq: u64, kept: Kept) {
    if let Kept::Stored { shared, .. } = kept {
        freed.push(Freed { seq, rest: Rest::Nothing, shared });
    }
}

#[cfg(test)]
mod tests;
