//! A graph of modules and its circles.

use std::collections::{BTreeMap, BTreeSet};

/// Modules, and the first place where one uses another.
#[derive(Debug, Default)]
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeMap<String, String>>,
}

impl Graph {
    pub(super) fn add_module(&mut self, name: &str) {
        self.edges.entry(name.to_owned()).or_default();
    }

    pub(super) fn has_module(&self, name: &str) -> bool {
        self.edges.contains_key(name)
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &str> {
        self.edges.keys().map(String::as_str)
    }

    pub(super) fn add_edge(&mut self, from: &str, to: &str, place: impl FnOnce() -> String) {
        let edges = self.edges.entry(from.to_owned()).or_default();
        if !edges.contains_key(to) {
            edges.insert(to.to_owned(), place());
        }
    }

    /// The sets of modules of which each reaches each other, sorted. Crates are small: what reaches what is simply followed.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.modules().map(|name| (name, self.reach(name))).collect();
        let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|reach| reach.contains(to));
        let mut circles = BTreeSet::new();
        for name in self.modules() {
            let circle: Vec<String> = self
                .modules()
                .filter(|other| reaches(name, other) && reaches(other, name))
                .map(str::to_owned)
                .collect();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reach(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(name) = open.pop() {
            for next in self.edges.get(name).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// The edges within a circle, a line each.
    pub(super) fn shown(&self, circle: &[String]) -> String {
        let within = |from: &String| {
            let edges = self.edges.get(from).into_iter().flatten();
            let edges = edges.filter(|(to, _)| circle.contains(to));
            edges.map(|(to, place)| format!("  {from} -> {to} ({place})")).collect::<Vec<_>>()
        };
        circle.iter().flat_map(within).collect::<Vec<_>>().join("\n")
    }
}
