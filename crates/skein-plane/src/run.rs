//! Consecutive messages that go the same way: matched once, encoded once per form, delivered to each recipient under one
//! lock. What fills and ends runs is `publish.rs`.

pub(crate) mod frames;

use std::sync::Arc;

use bytes::Bytes;
use skein_cluster::{EncodedRun, GroupTarget, RunEncoder};
use skein_types::{Message, Moment, QoS, Stamp, Topic};

use self::frames::{Frames, FramesPool};
use crate::{
    outbox::Memory,
    ticket::Ticket,
    wire::{DeliveryOptions, SubscriptionIds, Wire},
};

/// Messages of one run; more start the next one, so that the frames of a run stay in the processor's cache.
const RUN_MESSAGES_MAX: usize = 4096;

/// Consecutive messages of one publisher on one topic, with one route.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The topic, in memory of its own; none of messages outside of a route.
    topic: Option<Topic>,
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

    /// Says how large the buffer is that the messages to come were read into.
    pub(crate) fn read_from(&mut self, buffer_bytes: usize) {
        self.frames.buffer_bytes = Some(buffer_bytes);
    }

    /// What the message's payload keeps in memory.
    pub(crate) fn memory(&self, index: usize) -> Memory {
        Memory::of(&self.message(index).payload, self.frames.buffer_bytes)
    }

    /// The message for keeping: it owns its bytes, so that a read buffer is not kept for it. A payload that is most of its
    /// buffer stays shared.
    pub(crate) fn shared(&mut self, index: usize) -> Arc<Message> {
        let memory = self.memory(index);
        let RunMessage { message, shared, .. } = &mut self.messages[index];
        let topic = self.topic.as_ref();
        shared
            .get_or_insert_with(|| {
                let payload = &message.payload;
                Arc::new(Message {
                    topic: topic.map_or_else(|| message.topic.detached(), Clone::clone),
                    payload: match memory {
                        Memory::Own => payload.clone(),
                        Memory::Buffer => Bytes::copy_from_slice(payload),
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

    /// Whether a message of the same route may follow.
    pub(crate) fn takes(&self, message: &Message) -> bool {
        let alike =
            |first: &RunMessage| first.message.qos == message.qos && first.message.retain == message.retain;
        self.messages.len() < RUN_MESSAGES_MAX && self.messages.first().is_some_and(alike)
    }

    /// Begins a run on a topic, which is in memory of its own.
    pub(crate) fn begin(&mut self, topic: &Topic) {
        self.topic = Some(topic.clone());
    }

    /// Adds a message under whose `version` other nodes retain it.
    pub(crate) fn push(&mut self, message: Message, version: Option<Stamp>) {
        self.version = version;
        self.add(RunMessage { message, shared: None, ticket: None });
    }

    /// Adds a message outside of a route that owns its memory.
    pub(crate) fn push_owned(&mut self, message: Arc<Message>, ticket: Option<Ticket>) {
        self.add(RunMessage { message: Message::clone(&message), shared: Some(message), ticket });
    }

    fn add(&mut self, entry: RunMessage) {
        self.largest_bytes = self.largest_bytes.max(entry.message.size_bytes());
        self.messages.push(entry);
    }

    pub(crate) fn clear(&mut self) {
        self.topic = None;
        self.version = None;
        self.largest_bytes = 0;
        self.messages.clear();
        self.frames.clear();
    }
}
