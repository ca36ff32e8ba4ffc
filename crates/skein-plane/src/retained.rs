//! Retained messages: the last message of each topic, for those who subscribe later (MQTT 5.0 section 3.3.1.3).
//!
//! In a cluster every node keeps all of them, each with its version: the newest wins, wherever it was published
//! (`retained/versions.rs`).

mod versions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use skein_types::{Filter, Message, Moment, Stamp, Topic};

use self::versions::Versions;
pub(crate) use self::versions::{BUCKETS, BucketDigest, Known};

const SINGLE: &str = "+";
const MULTI: &str = "#";

/// The last retained message of every topic, as a tree of topic levels.
#[derive(Debug)]
pub struct Retained {
    tree: RwLock<Tree>,
    count: AtomicUsize,
    messages_max: AtomicUsize,
    refused: AtomicUsize,
}

#[derive(Debug, Default)]
struct Tree {
    root: Node,
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

#[derive(Debug, Default)]
struct Node {
    stored: Option<Stored>,
    #[expect(clippy::box_collection, reason = "most nodes are leaves and have no table")]
    children: Option<Box<HashMap<Box<str>, Node, RandomState>>>,
}

impl Retained {
    /// An empty store of at most `messages_max` topics.
    #[must_use]
    pub fn new(messages_max: usize) -> Self {
        Self {
            tree: RwLock::default(),
            count: AtomicUsize::new(0),
            messages_max: AtomicUsize::new(messages_max),
            refused: AtomicUsize::new(0),
        }
    }

    /// From now on versions are kept for comparison with other nodes.
    pub(crate) fn join(&self) {
        self.tree.write().versions = Some(Box::default());
    }

    /// Keeps `message` as the last of its topic; an empty payload removes what was kept (MQTT-3.3.1-6). A new topic
    /// above the bound is not kept, and counted. The message is still delivered live.
    pub fn set(&self, message: &Message, now: Moment) {
        self.put(&mut self.tree.write(), message, Stamp::default(), now);
    }

    /// The same for a change that may come after a newer one of its topic; false if it does, or above the bound.
    pub(crate) fn offer(&self, message: &Message, version: Stamp, now: Moment) -> bool {
        let mut tree = self.tree.write();
        tree.is_newer(message, version) && self.put(&mut tree, message, version, now)
    }

    fn put(&self, tree: &mut Tree, message: &Message, version: Stamp, now: Moment) -> bool {
        if message.payload.is_empty() || message.is_expired(now) {
            self.removed(tree.remove(&message.topic));
            tree.bury(&message.topic, version);
            return true;
        }
        if self.count.load(Relaxed) >= self.messages_max.load(Relaxed) && tree.get(&message.topic).is_none() {
            self.refused.fetch_add(1, Relaxed);
            return false;
        }
        let kept = Message { retain: true, ..message.detached() };
        if tree.insert(Stored { message: Arc::new(kept), version }).is_none() {
            self.count.fetch_add(1, Relaxed);
        }
        true
    }

    /// The message kept for `topic`.
    #[must_use]
    pub fn get(&self, topic: &Topic, now: Moment) -> Option<Arc<Message>> {
        let tree = self.tree.read();
        tree.get(topic).map(|stored| &stored.message).filter(|message| !message.is_expired(now)).cloned()
    }

    /// The message kept for `topic`, expired or not.
    pub(crate) fn last(&self, topic: &Topic) -> Option<Stored> {
        self.tree.read().get(topic).cloned()
    }

    /// Keeps a message found in the store, whatever the bound is.
    pub(crate) fn restore(&self, message: Message, version: Stamp) {
        if self.tree.write().insert(Stored { message: Arc::new(message), version }).is_none() {
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Removes what is kept for `topic`; false when there was nothing.
    pub fn remove(&self, topic: &Topic) -> bool {
        let removed = self.tree.write().remove(topic);
        self.removed(removed)
    }

    /// The same as a change that other nodes are told of.
    pub(crate) fn remove_as(&self, topic: &Topic, version: Stamp) -> bool {
        let mut tree = self.tree.write();
        let removed = tree.remove(topic);
        tree.bury(topic, version);
        self.removed(removed)
    }

    /// Topics with a message that `filter` matches.
    #[must_use]
    pub fn matching(&self, filter: &Filter) -> Vec<Topic> {
        let tree = self.tree.read();
        tree.matching(filter)
    }

    /// Removes messages that expired; returns their topics.
    pub fn expire(&self, now: Moment) -> Vec<Topic> {
        let mut tree = self.tree.write();
        let mut expired = Vec::new();
        tree.sweep_tombstones(now);
        while let Some((deadline, topic)) = tree.deadlines.first().cloned() {
            if deadline > now {
                break;
            }
            if self.removed(tree.remove(&topic)) {
                expired.push(topic.clone());
            }
            tree.deadlines.remove(&(deadline, topic));
        }
        expired
    }

    /// Changes the bound; what is kept already stays.
    pub fn set_messages_max(&self, messages_max: usize) {
        self.messages_max.store(messages_max, Relaxed);
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

    /// Messages that were not kept because the bound was reached.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }

    fn removed(&self, removed: Option<Stored>) -> bool {
        if removed.is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
        removed.is_some()
    }
}

impl Tree {
    fn get(&self, topic: &Topic) -> Option<&Stored> {
        let mut node = &self.root;
        for level in topic.levels() {
            node = node.children.as_ref()?.get(level)?;
        }
        node.stored.as_ref()
    }

    fn insert(&mut self, stored: Stored) -> Option<Stored> {
        let message = stored.message.clone();
        if let Some(versions) = &mut self.versions {
            versions.insert(&stored);
        }
        let mut node = &mut self.root;
        for level in message.topic.levels() {
            let children = node.children.get_or_insert_default();
            if !children.contains_key(level) {
                children.insert(level.into(), Node::default());
            }
            node = children.get_mut(level)?;
        }
        let before = node.stored.replace(stored);
        self.forget(before.as_ref());
        if let Some(deadline) = message.expires_at {
            self.deadlines.insert((deadline, message.topic.clone()));
        }
        before
    }

    fn remove(&mut self, topic: &Topic) -> Option<Stored> {
        let removed = self.cut(topic);
        self.forget(removed.as_ref());
        if let (Some(versions), Some(_)) = (&mut self.versions, &removed) {
            versions.remove(topic);
        }
        removed
    }

    /// Takes a message out, and with it the nodes that led to nothing else.
    fn cut(&mut self, topic: &Topic) -> Option<Stored> {
        let levels: Vec<&str> = topic.levels().collect();
        // The last node on the way that is there for something else as well; everything below it goes.
        let mut kept_depth = 0;
        let mut node = &self.root;
        for (depth, level) in levels.iter().enumerate() {
            let children = node.children.as_ref()?;
            if node.stored.is_some() || children.len() > 1 {
                kept_depth = depth;
            }
            node = children.get(*level)?;
        }
        let is_leaf = node.children.is_none();
        node.stored.as_ref()?;
        let (way, below) = levels.split_at(if is_leaf { kept_depth } else { levels.len() });
        let mut node = &mut self.root;
        for level in way {
            node = node.children.as_mut()?.get_mut(*level)?;
        }
        let Some(first) = below.first() else { return node.stored.take() };
        let children = node.children.as_mut()?;
        let mut end = children.remove(*first)?;
        if children.is_empty() {
            node.children = None;
        }
        while let Some(children) = end.children.take() {
            end = children.into_values().next()?;
        }
        end.stored
    }

    fn matching(&self, filter: &Filter) -> Vec<Topic> {
        let levels: Vec<&str> = filter.levels().collect();
        let mut found = Vec::new();
        let mut reached = vec![(&self.root, levels.as_slice())];
        while let Some((node, levels)) = reached.pop() {
            // MQTT-4.7.1-2: `a/#` matches `a` too.
            if matches!(levels, [] | [MULTI]) {
                found.extend(node.stored.iter().map(|stored| stored.message.topic.clone()));
            }
            let (Some((level, rest)), Some(children)) = (levels.split_first(), &node.children) else {
                continue;
            };
            // MQTT-4.7.2-1: a wildcard at the start does not match a first level that starts with $.
            let is_root = std::ptr::eq(node, &self.root);
            let below = || children.iter().filter(move |(name, _)| !is_root || !name.starts_with('$'));
            match *level {
                MULTI => reached.extend(below().map(|(_, child)| (child, levels))),
                SINGLE => reached.extend(below().map(|(_, child)| (child, rest))),
                _ => reached.extend(children.get(*level).map(|child| (child, rest))),
            }
        }
        found
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

/// A topic may have as many levels as it has characters: no walk over the tree may recurse, this one included.
impl Drop for Tree {
    fn drop(&mut self) {
        let mut rest = vec![std::mem::take(&mut self.root)];
        while let Some(node) = rest.pop() {
            rest.extend(node.children.into_iter().flat_map(|children| children.into_values()));
        }
    }
}

#[cfg(test)]
mod tests;
