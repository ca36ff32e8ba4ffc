//! What a session's window and queue hold, for those who look at it from outside.

use super::{Delivery, InFlight, OnDisk, Phase, Waiting};
use skein_types::{Message, Moment, QoS, Topic};
use std::sync::Arc;

/// How far a message of a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// It waits for its turn or for the client's return.
    Waiting,
    /// It was sent and is not acknowledged.
    InFlight,
    /// The client has it; the hand-over at QoS 2 is not complete.
    Released,
}

/// A message of a session that is not done with.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    /// Its number among the session's messages at QoS 1 and 2; of one at QoS 0 that of the next with a number.
    pub seq: u64,
    /// How it goes out.
    pub qos: QoS,
    /// How far it has come.
    pub state: QueueState,
    /// Whether it has a stored row, so that it outlives the node.
    pub durable: bool,
    /// The message; none once the client has it.
    pub message: Option<Arc<Message>>,
}

impl QueueState {
    /// The state as listings show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in_flight",
            Self::Released => "released",
        }
    }
}

impl QueuedMessage {
    /// Its topic, while it is there.
    #[must_use]
    pub fn topic(&self) -> Option<&Topic> {
        self.message.as_ref().map(|message| &message.topic)
    }

    /// What it is accounted with.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.size_bytes())
    }

    /// When it expires, if it does; what was sent once does not.
    #[must_use]
    pub fn expires_at(&self) -> Option<Moment> {
        let waits = self.state == QueueState::Waiting;
        self.message.as_ref().and_then(|message| message.expires_at).filter(|_| waits)
    }
}

impl Delivery {
    /// How many messages are not done with.
    pub(crate) fn undone(&self) -> usize {
        self.in_flight() + self.queue.len()
    }

    /// Some of the messages that are not done with, in their order.
    pub(crate) fn inspect(&self, skip: usize, count: usize) -> Vec<QueuedMessage> {
        let sent = self.window.iter().zip(self.front..).filter(|(entry, _)| entry.phase != Phase::Done);
        let sent = sent.map(|(entry, seq)| entry.inspected(seq));
        let waiting = self.queue.iter().map(Waiting::inspected);
        sent.chain(waiting).skip(skip).take(count).collect()
    }
}

impl InFlight {
    fn inspected(&self, seq: u64) -> QueuedMessage {
        let state = if self.phase == Phase::Released { QueueState::Released } else { QueueState::InFlight };
        QueuedMessage {
            seq,
            qos: self.waiting.as_ref().map_or(QoS::ExactlyOnce, |waiting| waiting.options.qos),
            state,
            durable: !matches!(self.on_disk, OnDisk::No),
            message: self.waiting.as_ref().map(|waiting| waiting.message.clone()),
        }
    }
}

impl Waiting {
    fn inspected(&self) -> QueuedMessage {
        QueuedMessage {
            seq: self.seq,
            qos: self.options.qos,
            state: QueueState::Waiting,
            durable: !matches!(self.on_disk, OnDisk::No),
            message: Some(self.message.clone()),
        }
    }
}
