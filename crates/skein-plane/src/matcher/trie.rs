//! Filters with wildcards, as a trie whose edges are one lock-free hash table.
//!
//! An edge leads from a node by one level's text; `+` and `#` are texts like any other here, since no topic
//! contains them. A lookup follows, level by level, the edge of the topic's level and the edge `+` of every
//! node reached so far, and collects what `#` leads to on the way. Nodes that no filter needs are removed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use bytestring::ByteString;
use foldhash::fast::RandomState;
use skein_types::{Filter, Topic};

use super::Subscribers;

const SINGLE: &str = "+";
const MULTI: &str = "#";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    from: u64,
    level: ByteString,
}

/// A borrowed [`Edge`] to look one up by.
#[derive(PartialEq, Eq, Hash)]
struct EdgeRef<'a> {
    from: u64,
    level: &'a str,
}

impl Edge {
    fn as_ref(&self) -> EdgeRef<'_> {
        EdgeRef { from: self.from, level: &self.level }
    }
}

impl std::hash::Hash for Edge {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl papaya::Equivalent<Edge> for EdgeRef<'_> {
    fn equivalent(&self, edge: &Edge) -> bool {
        *self == edge.as_ref()
    }
}

#[derive(Debug, Default)]
struct TrieNode {
    id: u64,
    subscribers: ArcSwapOption<Subscribers>,
    /// Filters that end here or below; changed by writers only.
    filters: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Trie {
    edges: papaya::HashMap<Edge, Arc<TrieNode>, RandomState>,
    root: TrieNode,
    last_id: AtomicU64,
}

impl Trie {
    /// Calls `found` with the subscribers of every filter that matches `topic`.
    pub(super) fn visit(&self, topic: &Topic, found: &mut impl FnMut(&Subscribers)) {
        if self.edges.is_empty() {
            return;
        }
        let edges = self.edges.pin();
        let follow =
            |from: &TrieNode, level: &str| edges.get(&EdgeRef { from: from.id, level }).map(|node| &**node);
        let mut visit = |node: &TrieNode| {
            if let Some(subscribers) = &*node.subscribers.load() {
                found(subscribers);
            }
        };
        let mut reached = vec![&self.root];
        let mut next = Vec::new();
        for (depth, level) in topic.levels().enumerate() {
            // MQTT-4.7.2-1: no wildcard at the start of a filter matches a topic that starts with $.
            let wildcards = depth > 0 || !topic.is_system();
            for from in reached.drain(..) {
                if wildcards {
                    follow(from, MULTI).inspect(|node| visit(node));
                    next.extend(follow(from, SINGLE));
                }
                next.extend(follow(from, level));
            }
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut reached, &mut next);
        }
        for node in reached {
            visit(node);
            // MQTT-4.7.1-2: `a/#` matches `a` too.
            follow(node, MULTI).inspect(|below| visit(below));
        }
    }

    /// The subscribers of one filter.
    pub(super) fn get(&self, filter: &Filter) -> Option<Arc<Subscribers>> {
        let edges = self.edges.pin();
        let mut node = &self.root;
        for level in filter.levels() {
            node = edges.get(&EdgeRef { from: node.id, level })?;
        }
        node.subscribers.load_full()
    }

    /// Replaces the subscribers of one filter by what `change` makes of them; returns whether there were any and are.
    /// Writers take turns outside.
    pub(super) fn change(
        &self,
        filter: &Filter,
        change: impl FnOnce(&Subscribers) -> Subscribers,
    ) -> (bool, bool) {
        let path = self.path(filter);
        let Some((_, end)) = path.last() else { return (false, false) };
        let before = end.subscribers.load_full();
        let changed = change(before.as_deref().unwrap_or(&Subscribers::default()));
        let (was, is) = (before.is_some(), !changed.is_empty());
        match (was, is) {
            (false, true) => path.iter().for_each(|(_, node)| _ = node.filters.fetch_add(1, Relaxed)),
            (true, false) => path.iter().for_each(|(_, node)| _ = node.filters.fetch_sub(1, Relaxed)),
            _ => {}
        }
        end.subscribers.store(is.then(|| Arc::new(changed)));
        let edges = self.edges.pin();
        for (edge, node) in path.iter().rev() {
            if node.filters.load(Relaxed) == 0 {
                edges.remove(edge);
            }
        }
        (was, is)
    }

    /// The edges and nodes from the root to the end of `filter`, made where they are missing.
    fn path(&self, filter: &Filter) -> Vec<(Edge, Arc<TrieNode>)> {
        let edges = self.edges.pin();
        let mut from = self.root.id;
        let mut path = Vec::new();
        for level in filter.levels() {
            let edge = Edge { from, level: ByteString::from(level) };
            let node = edges.get(&edge).cloned().unwrap_or_else(|| {
                let id = self.last_id.fetch_add(1, Relaxed) + 1;
                let node = Arc::new(TrieNode { id, ..TrieNode::default() });
                edges.insert(edge.clone(), node.clone());
                node
            });
            from = node.id;
            path.push((edge, node));
        }
        path
    }

    /// Nodes that a match visits, those of `#` not counted.
    #[cfg(test)]
    pub(super) fn visited(&self, topic: &Topic) -> usize {
        let edges = self.edges.pin();
        let (mut reached, mut visited) = (vec![self.root.id], 0);
        for level in topic.levels() {
            let below =
                reached.iter().flat_map(|from| ["+", level].map(|level| EdgeRef { from: *from, level }));
            reached = below.filter_map(|edge| edges.get(&edge)).map(|node| node.id).collect();
            visited += reached.len();
        }
        visited
    }

    /// Edges, for the test that nothing is left behind.
    #[cfg(test)]
    pub(super) fn edges(&self) -> usize {
        self.edges.len()
    }
}
