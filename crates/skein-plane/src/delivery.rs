//! The sending half of a session: what waits, what is under way, and in which order (sans-IO).
//!
//! Messages at QoS 1 and 2 get consecutive ids and stay in the window, in order, until the client has
//! acknowledged them; what does not fit into the window waits in the queue. After a reconnect everything
//! unacknowledged is sent again in the original order before anything new (MQTT-4.4.0-1, MQTT-4.6.0-1).

use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

use skein_types::{Message, Moment, QoS};

use crate::{matcher::Group, wire::DeliveryOptions};

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
}

/// What to do with a message offered to a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Send it under this id.
    Send(NonZeroU16),
    /// It waits in the queue.
    Queued,
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
    /// Position in the id circle of the window's front: its id minus one.
    front: u16,
    /// Entries of the window, from its front, that the present connection has been sent; the one behind them is not
    /// done.
    sent: u16,
    /// Sent and not fully acknowledged; at most `receive_maximum`.
    unacknowledged: u16,
    /// How many unacknowledged messages the client takes (MQTT-3.3.4-9).
    receive_maximum: u16,
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    /// No message in the queue expires before this.
    queue_expires_at: Moment,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            window: VecDeque::new(),
            front: 0,
            sent: 0,
            unacknowledged: 0,
            receive_maximum: ID_COUNT,
            queue: VecDeque::new(),
            queue_bytes: 0,
            queue_expires_at: Moment::NEVER,
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

    /// Takes a new message at QoS 1 or 2. The caller sends it when told to, with [`Delivery::connected`] before.
    pub(crate) fn offer(
        &mut self,
        waiting: Waiting,
        online: bool,
        limits: QueueLimits,
        now: Moment,
        expired: &mut u64,
    ) -> Offer {
        if online && self.queue.is_empty() && self.has_room() {
            return Offer::Send(self.admit(waiting));
        }
        if !self.has_queue_room(&waiting, limits) {
            // What expired meanwhile does not take the room of what did not.
            *expired += self.expire(now);
            if !self.has_queue_room(&waiting, limits) {
                return Offer::Full;
            }
        }
        self.enqueue(waiting);
        Offer::Queued
    }

    /// Puts a message behind all others, whatever the queue's bounds are.
    pub(crate) fn enqueue(&mut self, waiting: Waiting) {
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
            if !head.message.is_expired(now) && needs_id && !self.has_room() {
                return None;
            }
            let waiting = self.queue.pop_front()?;
            self.queue_bytes -= waiting.message.size_bytes();
            if waiting.message.is_expired(now) {
                *expired += 1;
                continue;
            }
            if !needs_id {
                return Some(Next::Unacknowledged(waiting));
            }
            let id = self.admit(waiting);
            let waiting = self.window.back()?.waiting.as_ref()?;
            return Some(Next::Publish { id, waiting, again: false });
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
        match self.entry(id) {
            Some(entry) if entry.phase == Phase::PublishedTwice && rejected => self.finish(id),
            Some(entry) if matches!(entry.phase, Phase::PublishedTwice | Phase::Released) => {
                entry.phase = Phase::Released;
                entry.waiting = None;
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
        for entry in std::mem::take(&mut self.window) {
            match (entry.phase, entry.waiting) {
                (Phase::Done, _) => {}
                (Phase::PublishedTwice, Some(message)) => waiting.push(Waiting { group: None, ..message }),
                (_, Some(message)) => waiting.push(message),
                (_, None) => held += 1,
            }
        }
        waiting.extend(std::mem::take(&mut self.queue));
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
        self.queue.retain(|Waiting { message, .. }| {
            let keep = !message.is_expired(now);
            if keep {
                bytes += message.size_bytes();
                expires_at = expires_at.min(message.expires_at.unwrap_or(Moment::NEVER));
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

    /// Whether the window takes a message now.
    pub(crate) fn has_room(&self) -> bool {
        // Everything left from earlier connections goes first, and the circle of ids is not to be closed.
        usize::from(self.sent) == self.window.len()
            && self.unacknowledged < self.receive_maximum
            && self.window.len() < usize::from(ID_COUNT)
    }

    fn admit(&mut self, waiting: Waiting) -> NonZeroU16 {
        let phase = match waiting.options.qos {
            QoS::ExactlyOnce => Phase::PublishedTwice,
            QoS::AtLeastOnce | QoS::AtMostOnce => Phase::Published,
        };
        let id = self.id_at(self.sent);
        self.window.push_back(InFlight { phase, waiting: Some(waiting) });
        self.sent += 1;
        self.unacknowledged += 1;
        id
    }

    fn id_at(&self, index: u16) -> NonZeroU16 {
        let position = (u32::from(self.front) + u32::from(index)) % u32::from(ID_COUNT);
        let id = u16::try_from(position).unwrap_or_default().saturating_add(1);
        NonZeroU16::new(id).unwrap_or(NonZeroU16::MIN)
    }

    fn index_of(&self, id: NonZeroU16) -> usize {
        let position = u32::from(id.get() - 1);
        ((position + u32::from(ID_COUNT) - u32::from(self.front)) % u32::from(ID_COUNT)) as usize
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
            self.front = (self.front + 1) % ID_COUNT;
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
