//! The subscribers of one filter: an immutable set, cheap to share and to change by one member.
//!
//! Members are kept in order of their session's key in chunks, so that a filter with a hundred thousand
//! subscribers copies one chunk and a short list of chunks per change, and a filter with one subscriber is small.

use std::sync::Arc;

use skein_cluster::Peer;
use skein_types::{GroupName, SessionKey, SubscriptionFilter};

use super::{Group, Subscriber};
use crate::subscription::GroupKey;

/// A full chunk is split in two halves.
const CHUNK_MAX: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers {
    direct: Chunks,
    groups: Vec<Arc<Group>>,
    /// Other nodes with ordinary subscribers.
    nodes: Option<Arc<[Arc<Peer>]>>,
}

#[derive(Clone, Debug, Default)]
enum Chunks {
    #[default]
    None,
    One(Subscriber),
    /// Sorted by key, no chunk empty.
    Many(Vec<Arc<[Subscriber]>>),
}

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.direct, Chunks::None) && self.groups.is_empty() && self.nodes.is_none()
    }

    /// Ordinary subscribers.
    pub(super) fn direct(&self) -> impl Iterator<Item = &Subscriber> {
        let (one, many): (Option<&Subscriber>, &[Arc<[Subscriber]>]) = match &self.direct {
            Chunks::None => (None, &[]),
            Chunks::One(subscriber) => (Some(subscriber), &[]),
            Chunks::Many(chunks) => (None, chunks),
        };
        one.into_iter().chain(many.iter().flat_map(|chunk| chunk.iter()))
    }

    /// Other nodes with ordinary subscribers.
    pub(super) fn nodes(&self) -> &[Arc<Peer>] {
        self.nodes.as_deref().unwrap_or_default()
    }

    pub(super) fn groups(&self) -> &[Arc<Group>] {
        &self.groups
    }

    pub(super) fn group(&self, name: &GroupName) -> Option<&Arc<Group>> {
        self.groups.iter().find(|group| group.is_named(name))
    }

    /// The set with `subscriber` added or replaced, and whether it is new.
    pub(super) fn with(&self, filter: &SubscriptionFilter, subscriber: Subscriber) -> (Self, bool) {
        let Some(name) = &filter.group else {
            let (direct, new) = self.direct.with(subscriber);
            return (Self { direct, ..self.clone_rest() }, new);
        };
        let mut groups = self.groups.clone();
        let new = match groups.iter_mut().find(|group| group.is_named(name)) {
            Some(group) => {
                let (changed, new) = group.with(subscriber);
                *group = Arc::new(changed);
                new
            }
            None => {
                groups.push(Arc::new(Group::new(
                    GroupKey { filter: filter.filter.clone(), name: name.clone() },
                    subscriber,
                )));
                true
            }
        };
        (Self { groups, ..self.clone() }, new)
    }

    /// The set without the session, and whether it was in it.
    pub(super) fn without(&self, group: Option<&GroupName>, session: SessionKey) -> (Self, bool) {
        let Some(name) = group else {
            let (direct, found) = self.direct.without(session);
            return (Self { direct, ..self.clone_rest() }, found);
        };
        let mut groups = self.groups.clone();
        let mut found = false;
        groups.retain_mut(|group| {
            if !group.is_named(name) {
                return true;
            }
            let (changed, was_there) = group.without(session);
            found = was_there;
            let keep = !changed.is_empty();
            *group = Arc::new(changed);
            keep
        });
        (Self { groups, ..self.clone() }, found)
    }
}

impl Subscribers {
    /// Everything but the ordinary subscribers, whose list may be long.
    fn clone_rest(&self) -> Self {
        Self { direct: Chunks::None, groups: self.groups.clone(), nodes: self.nodes.clone() }
    }

    /// The set as it is when a node has so many members of a group, or subscribers.
    pub(super) fn with_node(&self, filter: &SubscriptionFilter, peer: &Arc<Peer>, members: u32) -> Self {
        let Some(name) = &filter.group else {
            let others = self.nodes().iter().filter(|known| known.id() != peer.id());
            let mut nodes: Vec<_> = others.chain([peer]).cloned().collect();
            nodes.sort_by_key(|peer| peer.id());
            return Self { nodes: Some(nodes.into()), ..self.clone() };
        };
        let mut groups = self.groups.clone();
        match groups.iter_mut().find(|group| group.is_named(name)) {
            Some(group) => *group = Arc::new(group.with_node(peer, members)),
            None => {
                let empty = Group::empty(GroupKey { filter: filter.filter.clone(), name: name.clone() });
                groups.push(Arc::new(empty.with_node(peer, members)));
            }
        }
        Self { groups, ..self.clone() }
    }

    /// The set as it is when a node has none.
    pub(super) fn without_node(&self, filter: &SubscriptionFilter, peer: &Arc<Peer>) -> Self {
        let Some(name) = &filter.group else {
            let nodes: Vec<_> =
                self.nodes().iter().filter(|known| known.id() != peer.id()).cloned().collect();
            return Self { nodes: (!nodes.is_empty()).then(|| nodes.into()), ..self.clone() };
        };
        let mut groups = self.groups.clone();
        groups.retain_mut(|group| {
            if group.is_named(name) {
                *group = Arc::new(group.without_node(peer));
            }
            !group.is_empty()
        });
        Self { groups, ..self.clone() }
    }
}

impl Chunks {
    fn with(&self, subscriber: Subscriber) -> (Self, bool) {
        let key = subscriber.key();
        match self {
            Self::None => (Self::One(subscriber), true),
            Self::One(present) if present.key() == key => (Self::One(subscriber), false),
            Self::One(present) => {
                let mut both = [present.clone(), subscriber];
                both.sort_by_key(Subscriber::key);
                (Self::Many(vec![Arc::from(both)]), true)
            }
            Self::Many(chunks) => {
                let mut chunks = chunks.clone();
                let at = chunk_of(&chunks, key);
                let Some(chunk) = chunks.get_mut(at) else { return (Self::One(subscriber), true) };
                let mut members = chunk.to_vec();
                let new = match members.binary_search_by_key(&key, Subscriber::key) {
                    Ok(index) => {
                        if let Some(member) = members.get_mut(index) {
                            *member = subscriber;
                        }
                        false
                    }
                    Err(index) => {
                        members.insert(index, subscriber);
                        true
                    }
                };
                if members.len() > CHUNK_MAX {
                    let upper = members.split_off(CHUNK_MAX / 2);
                    chunks.insert(at + 1, Arc::from(upper));
                }
                if let Some(chunk) = chunks.get_mut(at) {
                    *chunk = Arc::from(members);
                }
                (Self::Many(chunks), new)
            }
        }
    }

    fn without(&self, session: SessionKey) -> (Self, bool) {
        match self {
            Self::None => (Self::None, false),
            Self::One(present) if present.key() == session => (Self::None, true),
            Self::One(_) => (self.clone(), false),
            Self::Many(chunks) => {
                let at = chunk_of(chunks, session);
                let Some(chunk) = chunks.get(at) else { return (self.clone(), false) };
                let Ok(index) = chunk.binary_search_by_key(&session, Subscriber::key) else {
                    return (self.clone(), false);
                };
                let mut members = chunk.to_vec();
                members.remove(index);
                let mut chunks = chunks.clone();
                if members.is_empty() {
                    chunks.remove(at);
                } else if let Some(chunk) = chunks.get_mut(at) {
                    *chunk = Arc::from(members);
                }
                if chunks.is_empty() { (Self::None, true) } else { (Self::Many(chunks), true) }
            }
        }
    }
}

/// The chunk that holds `key` or would.
fn chunk_of(chunks: &[Arc<[Subscriber]>], key: SessionKey) -> usize {
    let after = chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first.key() <= key));
    after.saturating_sub(1)
}
