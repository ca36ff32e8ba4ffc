//! Retained messages: the last message of each topic, for those who subscribe later (MQTT 5.0 section 3.3.1.3).
//!
//! They lie in shards by the first level of their topic, so that who retains a message waits only for others of its shard. In
//! each a hash table finds a topic; topics stand in the order of their levels besides, for filters (`retained/walk.rs`).
//!
//! In a cluster every node keeps all of them, each with its version: the newest wins, wherever it was published
//! (`retained/versions.rs`).

mod order;
mod versions;
mod walk;

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashSet},
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use skein_types::{Message, Moment, Stamp, Topic};

use self::{
    order::InOrder,
    versions::{Versions, hash_of},
};
pub(crate) use self::{
    versions::{BUCKETS, BucketDigest, Known},
    walk::{Budget, Cursor},
};

const SINGLE: &str = "+";
const MULTI: &str = "#";

/// How many shards there are.
const SHARDS: usize = 16;
/// What a message costs beside itself: its places in table and order, and the spare room of both.
const ENTRY_BYTES: usize = 128;
/// Room for so many messages stays in a shard whose messages are gone.
const ROOM_KEPT: usize = 1024;
/// Messages that expire while a shard is locked once.
const EXPIRE_AT_ONCE: usize = 256;

/// The last retained message of every topic.
#[derive(Debug)]
pub struct Retained {
    shards: [RwLock<Shard>; SHARDS],
    count: AtomicUsize,
    bytes: AtomicUsize,
    messages_max: AtomicUsize,
    bytes_max: AtomicUsize,
    refused: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    messages: HashSet<ByTopic, RandomState>,
    /// The same topics in order.
    order: BTreeSet<InOrder>,
    /// Topics of messages that expire, by deadline.
    deadlines: BTreeSet<(Moment, Topic)>,
    /// What other nodes are compared with, in a cluster.
    versions: Option<Box<Versions>>,
}

/// A message and which change of its topic it is.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) message: Arc<Message>,
    pub(crate) version: Stamp,
}

/// A message, found by its topic.
#[derive(Debug)]
struct ByTopic(Stored);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.message.topic.as_str()
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.0.message.topic == other.0.message.topic
    }
}

impl Eq for ByTopic {}

impl Hash for ByTopic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.message.topic.as_str().hash(state);
    }
}

impl Stored {
    /// Bytes it is accounted with.
    fn cost(&self) -> usize {
        cost_of(&self.message)
    }
}

fn cost_of(message: &Message) -> usize {
    message.size_bytes() + message.topic.len() + ENTRY_BYTES
}

/// The shard of all topics that begin with `level`.
fn shard_of_level(level: &str) -> usize {
    usize::from(hash_of(level.as_bytes())) % SHARDS
}

fn shard_of(topic: &Topic) -> usize {
    shard_of_level(topic.levels().next().unwrap_or_default())
}

impl Retained {
    /// An empty store of at most `messages_max` topics and `bytes_max` bytes.
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            shards: Default::default(),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            messages_max: AtomicUsize::new(messages_max),
            bytes_max: AtomicUsize::new(bytes_max),
            refused: AtomicUsize::new(0),
        }
    }

    fn shard(&self, topic: &Topic) -> &RwLock<Shard> {
        &self.shards[shard_of(topic)]
    }

    /// From now on versions are kept for comparison with other nodes.
    pub(crate) fn join(&self) {
        self.shards.iter().for_each(|shard| shard.write().versions = Some(Box::default()));
    }

    /// Keeps `message` as the last of its topic; an empty payload removes what was kept (MQTT-3.3.1-6). What is above a
    /// bound is not kept, and counted; the message is still delivered live.
    pub fn set(&self, message: &Message, now: Moment) {
        self.put(&mut self.shard(&message.topic).write(), message, Stamp::default(), now);
    }

    /// The same for a change that may come after a newer one of its topic; false if nothing changed.
    pub(crate) fn offer(&self, message: &Message, version: Stamp, now: Moment) -> bool {
        let mut shard = self.shard(&message.topic).write();
        shard.is_newer(message, version) && self.put(&mut shard, message, version, now)
    }

    fn put(&self, shard: &mut Shard, message: &Message, version: Stamp, now: Moment) -> bool {
        let remove = |shard: &mut Shard| {
            let removed = self.removed(shard.remove(&message.topic));
            shard.bury(&message.topic, version);
            removed
        };
        if message.payload.is_empty() || message.is_expired(now) {
            remove(shard);
            return true;
        }
        let before = shard.get(&message.topic).map(Stored::cost);
        if !self.reserve(before, cost_of(message)) {
            self.refused.fetch_add(1, Relaxed);
            // An older one must not be left, to be sent after the newer was delivered live (guarantee G7).
            return before.is_some() && remove(shard);
        }
        let kept = Message { retain: true, ..message.detached() };
        shard.insert(Stored { message: Arc::new(kept), version });
        true
    }

    /// Makes room for a message in place of one of `before` bytes; false above a bound.
    fn reserve(&self, before: Option<usize>, cost: usize) -> bool {
        if before == Some(cost) {
            return true;
        }
        let messages_max = self.messages_max.load(Relaxed);
        let one_more = |count: usize| (count < messages_max).then_some(count + 1);
        if before.is_none() && self.count.fetch_update(Relaxed, Relaxed, one_more).is_err() {
            return false;
        }
        let bytes_max = self.bytes_max.load(Relaxed);
        let changed = |bytes: usize| {
            let after = bytes - before.unwrap_or(0) + cost;
            // The bound may have been lowered since.
            (after <= bytes_max || after <= bytes).then_some(after)
        };
        let fits = self.bytes.fetch_update(Relaxed, Relaxed, changed).is_ok();
        if !fits && before.is_none() {
            self.count.fetch_sub(1, Relaxed);
        }
        fits
    }

    /// The message kept for `topic`.
    #[must_use]
    pub fn get(&self, topic: &Topic, now: Moment) -> Option<Arc<Message>> {
        let shard = self.shard(topic).read();
        shard.get(topic).map(|stored| &stored.message).filter(|message| !message.is_expired(now)).cloned()
    }

    /// The message kept for `topic`, expired or not.
    pub(crate) fn last(&self, topic: &Topic) -> Option<Stored> {
        self.shard(topic).read().get(topic).cloned()
    }

    /// Keeps a message found in the store, whatever the bounds are.
    pub(crate) fn restore(&self, message: Message, version: Stamp) {
        let stored = Stored { message: Arc::new(message), version };
        let cost = stored.cost();
        let before = self.shard(&stored.message.topic).write().insert(stored);
        self.removed(before);
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(cost, Relaxed);
    }

    /// Removes what is kept for `topic`; false when there was nothing.
    pub fn remove(&self, topic: &Topic) -> bool {
        let removed = self.shard(topic).write().remove(topic);
        self.removed(removed)
    }

    /// The same as a change that other nodes are told of.
    pub(crate) fn remove_as(&self, topic: &Topic, version: Stamp) -> bool {
        let mut shard = self.shard(topic).write();
        let removed = shard.remove(topic);
        shard.bury(topic, version);
        self.removed(removed)
    }

    /// Removes messages that expired; returns their topics.
    pub fn expire(&self, now: Moment) -> Vec<Topic> {
        let mut expired = Vec::new();
        for shard in &self.shards {
            shard.write().sweep_tombstones(now);
            while self.expire_some(&mut shard.write(), now, &mut expired) {}
        }
        expired
    }

    /// True when there may be more.
    fn expire_some(&self, shard: &mut Shard, now: Moment, expired: &mut Vec<Topic>) -> bool {
        for _ in 0..EXPIRE_AT_ONCE {
            let due = shard.deadlines.first().filter(|(deadline, _)| *deadline <= now).cloned();
            let Some((deadline, topic)) = due else { return false };
            if self.removed(shard.remove(&topic)) {
                expired.push(topic.clone());
            }
            shard.deadlines.remove(&(deadline, topic));
        }
        true
    }

    /// Changes the bounds; what is kept already stays.
    pub fn set_limits(&self, messages_max: usize, bytes_max: usize) {
        self.messages_max.store(messages_max, Relaxed);
        self.bytes_max.store(bytes_max, Relaxed);
    }

    /// Number of topics with a message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that the messages take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Messages that were not kept because a bound was reached.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }

    fn removed(&self, removed: Option<Stored>) -> bool {
        if let Some(removed) = &removed {
            self.count.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub(removed.cost(), Relaxed);
        }
        removed.is_some()
    }
}

impl Shard {
    fn get(&self, topic: &Topic) -> Option<&Stored> {
        self.messages.get(topic.as_str()).map(|ByTopic(stored)| stored)
    }

    fn insert(&mut self, stored: Stored) -> Option<Stored> {
        if let Some(versions) = &mut self.versions {
            versions.insert(&stored);
        }
        let message = stored.message.clone();
        let before = self.messages.replace(ByTopic(stored)).map(|ByTopic(before)| before);
        self.forget(before.as_ref());
        if before.is_none() {
            self.order.insert(InOrder(message.topic.as_str().into()));
        }
        if let Some(deadline) = message.expires_at {
            self.deadlines.insert((deadline, message.topic.clone()));
        }
        before
    }

    fn remove(&mut self, topic: &Topic) -> Option<Stored> {
        let ByTopic(removed) = self.messages.take(topic.as_str())?;
        self.order.remove(&InOrder(topic.as_str().into()));
        self.forget(Some(&removed));
        if let Some(versions) = &mut self.versions {
            versions.remove(topic);
        }
        let (present, room) = (self.messages.len(), self.messages.capacity());
        if room > ROOM_KEPT && present < room / 8 {
            self.messages.shrink_to(present * 2);
        }
        Some(removed)
    }

    /// What is gone or replaced has no deadline any more, and no part in comparisons.
    fn forget(&mut self, before: Option<&Stored>) {
        let Some(before) = before else { return };
        if let Some(deadline) = before.message.expires_at {
            self.deadlines.remove(&(deadline, before.message.topic.clone()));
        }
        if let Some(versions) = &mut self.versions {
            versions.forget(before);
        }
    }
}

#[cfg(test)]
mod tests;
