//! The dependencies between transactions as a graph.
//!
//! Nodes below the number of transactions are transactions; those above are moments, which carry
//! the order of real time: a transaction leads to the moment of its end, each moment to the next,
//! and the last moment before a transaction's begin to that transaction. So the order of real time
//! takes a number of edges in proportion to the history, not to its square.

use std::collections::BTreeMap;

use super::versions::{KeyVersions, Read, Versions};
use super::{History, Order, Outcome};

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependency {
    /// `value` was appended after `seen`.
    WriteWrite,
    /// `value` was read.
    WriteRead,
    /// A list was read up to `seen`, before `value` was appended.
    ReadWrite,
    Session,
    RealTime,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) to: usize,
    pub(super) dependency: Dependency,
    pub(super) key: u64,
    pub(super) seen: Option<u64>,
    pub(super) value: u64,
}

#[derive(Debug)]
pub(super) struct Graph<'h> {
    pub(super) history: &'h History,
    /// Edges by source: those of node `n` are `edges[starts[n]..starts[n + 1]]`.
    starts: Vec<usize>,
    edges: Vec<Edge>,
}

impl<'h> Graph<'h> {
    pub(super) fn build(history: &'h History, versions: &Versions<'h>, order: Order) -> Self {
        let mut draft = Draft { nodes: history.transactions.len(), edges: Vec::new() };
        for (name, key) in &versions.keys {
            draft.overwrites(*name, key);
        }
        for read in &versions.reads {
            if let Some(key) = versions.keys.get(&read.key) {
                draft.reads(read, key);
            }
        }
        match order {
            Order::None => {}
            Order::Session => draft.sessions(history, versions),
            Order::RealTime => draft.real_time(history, versions),
        }
        draft.finish(history)
    }

    pub(super) fn node_count(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn edges(&self, node: usize) -> &[Edge] {
        &self.edges[self.starts[node]..self.starts[node + 1]]
    }

    /// Whether a node is a transaction and not a moment.
    pub(super) fn is_transaction(&self, node: usize) -> bool {
        node < self.history.transactions.len()
    }
}

struct Draft {
    nodes: usize,
    edges: Vec<(usize, Edge)>,
}

impl Draft {
    fn overwrites(&mut self, name: u64, key: &KeyVersions<'_>) {
        let mut last: Option<(usize, u64)> = None;
        for (writer, value) in key.writers.iter().zip(key.order) {
            let Some(writer) = *writer else { continue };
            if let Some((before, seen)) = last {
                self.data(before, writer, Dependency::WriteWrite, (name, Some(seen), *value));
            }
            last = Some((writer, *value));
        }
        let Some((before, seen)) = last else { return };
        for (writer, value) in &key.unread {
            self.data(before, *writer, Dependency::WriteWrite, (name, Some(seen), *value));
        }
    }

    fn reads(&mut self, read: &Read<'_>, key: &KeyVersions<'_>) {
        let version = read.list.len();
        let (older, newer) = key.writers.split_at(version);
        let seen = read.list.last().copied();
        let last = older.iter().zip(read.list).rev().find_map(|(writer, value)| Some(((*writer)?, *value)));
        if let Some((writer, value)) = last {
            self.data(writer, read.transaction, Dependency::WriteRead, (read.key, None, value));
        }
        let values = key.order.iter().skip(version);
        let next = newer.iter().zip(values).find_map(|(writer, value)| Some(((*writer)?, *value)));
        // Later appends follow from the next one, because they overwrite it.
        let unread = if next.is_none() { key.unread.as_slice() } else { &[] };
        for (writer, value) in next.iter().chain(unread) {
            self.data(read.transaction, *writer, Dependency::ReadWrite, (read.key, seen, *value));
        }
    }

    fn data(&mut self, from: usize, to: usize, dependency: Dependency, why: (u64, Option<u64>, u64)) {
        let (key, seen, value) = why;
        if from != to {
            self.edges.push((from, Edge { to, dependency, key, seen, value }));
        }
    }

    fn order(&mut self, from: usize, to: usize, dependency: Dependency) {
        self.edges.push((from, Edge { to, dependency, key: 0, seen: None, value: 0 }));
    }

    fn sessions(&mut self, history: &History, versions: &Versions<'_>) {
        let mut processes: BTreeMap<u64, Vec<(u64, usize)>> = BTreeMap::new();
        for (number, transaction) in history.transactions.iter().enumerate() {
            if versions.is_committed(number) {
                processes.entry(transaction.process).or_default().push((transaction.invoked, number));
            }
        }
        for mut transactions in processes.into_values() {
            transactions.sort_unstable();
            let mut last = None;
            for (_, number) in transactions {
                if let Some(last) = last {
                    self.order(last, number, Dependency::Session);
                }
                // What came without an answer may still commit after what its process did next.
                if history.transactions[number].outcome == Outcome::Committed {
                    last = Some(number);
                }
            }
        }
    }

    fn real_time(&mut self, history: &History, versions: &Versions<'_>) {
        // At the same moment a begin stands before an end: the two count as concurrent.
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (number, transaction) in history.transactions.iter().enumerate() {
            if !versions.is_committed(number) {
                continue;
            }
            events.push((transaction.invoked, false, number));
            if transaction.outcome == Outcome::Committed {
                events.push((transaction.completed, true, number));
            }
        }
        events.sort_unstable();
        let mut moment = None;
        for (_, is_end, number) in events {
            if is_end {
                let next = self.nodes;
                self.nodes += 1;
                self.order(number, next, Dependency::RealTime);
                if let Some(last) = moment.replace(next) {
                    self.order(last, next, Dependency::RealTime);
                }
            } else if let Some(last) = moment {
                self.order(last, number, Dependency::RealTime);
            }
        }
    }

    fn finish(mut self, history: &History) -> Graph<'_> {
        // Keys are walked in no fixed order: the same history gives the same graph, and so the same report.
        self.edges.sort_unstable_by_key(|(from, edge)| (*from, edge.to, edge.key, edge.value));
        let mut starts = vec![0; self.nodes + 1];
        for (from, _) in &self.edges {
            starts[from + 1] += 1;
        }
        for node in 0..self.nodes {
            starts[node + 1] += starts[node];
        }
        let edges = self.edges.into_iter().map(|(_, edge)| edge).collect();
        Graph { history, starts, edges }
    }
}
