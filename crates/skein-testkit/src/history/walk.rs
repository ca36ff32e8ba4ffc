//! Walking the graph of dependencies: its strongly connected components and shortest paths.
//!
//! A walk admits some kinds of edges. Snapshot isolation forbids exactly the cycles in which no two
//! anti-dependencies are adjacent (Cerone and Gotsman); for it the graph is walked as one that holds
//! each node twice, the second copy entered by an anti-dependency and left by none. What a cycle
//! means is not decided here but in [`super::cycles`], the one caller.

use std::collections::{HashMap, VecDeque};

use super::graph::{Dependency, Edge, Graph};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const WRITE_WRITE: Self = Self(1);
    pub(super) const WRITE_READ: Self = Self(2);
    pub(super) const READ_WRITE: Self = Self(4);
    pub(super) const ORDER: Self = Self(8);
    /// Everything that leads from a commit to a later begin.
    pub(super) const FORWARD: Self = Self(1 | 2 | 8);
    pub(super) const ALL: Self = Self(15);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn admits(self, edge: &Edge) -> bool {
        let kind = match edge.dependency {
            Dependency::WriteWrite => Self::WRITE_WRITE,
            Dependency::WriteRead => Self::WRITE_READ,
            Dependency::ReadWrite => Self::READ_WRITE,
            Dependency::Session | Dependency::RealTime => Self::ORDER,
        };
        self.0 & kind.0 != 0
    }
}

/// Which paths count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Free,
    /// No two anti-dependencies follow each other.
    Apart,
}

/// One step of a cycle: where it starts, and its edge.
pub(super) type Step<'g> = (usize, &'g Edge);

/// The graph as a phase walks it. Under [`Walk::Apart`] node `n` has the places `2n` and `2n + 1`,
/// the second for those that came by an anti-dependency.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'g> {
    pub(super) graph: &'g Graph<'g>,
    pub(super) within: Kinds,
    pub(super) walk: Walk,
}

impl<'g> View<'g> {
    pub(super) fn place_count(&self) -> usize {
        match self.walk {
            Walk::Free => self.graph.node_count(),
            Walk::Apart => self.graph.node_count() * 2,
        }
    }

    pub(super) fn node(&self, place: usize) -> usize {
        match self.walk {
            Walk::Free => place,
            Walk::Apart => place / 2,
        }
    }

    pub(super) fn edges(&self, place: usize) -> &'g [Edge] {
        self.graph.edges(self.node(place))
    }

    /// Where `edge` leads from `place`, if it may be taken there.
    pub(super) fn follow(&self, place: usize, edge: &Edge) -> Option<usize> {
        if !self.within.admits(edge) {
            return None;
        }
        match (self.walk, edge.dependency == Dependency::ReadWrite) {
            (Walk::Free, _) => Some(edge.to),
            (Walk::Apart, false) => Some(edge.to * 2),
            (Walk::Apart, true) => (place.is_multiple_of(2)).then_some(edge.to * 2 + 1),
        }
    }
}

/// A shortest path of fewer than `bound` steps that stays in the component of `to`.
pub(super) fn path<'g>(
    view: &View<'g>,
    component: &dyn Fn(usize) -> usize,
    from: usize,
    to: usize,
    bound: usize,
) -> Option<Vec<Step<'g>>> {
    let mut came_by: HashMap<usize, (usize, &'g Edge)> = HashMap::new();
    let mut queue = VecDeque::from([(from, 0)]);
    while let Some((place, length)) = queue.pop_front() {
        if place == to {
            return Some(trace(view, &came_by, from, to));
        }
        if length + 1 >= bound {
            continue;
        }
        for edge in view.edges(place) {
            let Some(next) = view.follow(place, edge) else { continue };
            if component(next) == component(to) && next != from && !came_by.contains_key(&next) {
                came_by.insert(next, (place, edge));
                queue.push_back((next, length + 1));
            }
        }
    }
    None
}

fn trace<'g>(
    view: &View<'g>,
    came_by: &HashMap<usize, (usize, &'g Edge)>,
    from: usize,
    to: usize,
) -> Vec<Step<'g>> {
    let mut steps = Vec::new();
    let mut place = to;
    while place != from {
        let (before, edge) = came_by[&place];
        steps.push((view.node(before), edge));
        place = before;
    }
    steps.reverse();
    steps
}

/// Tarjan's algorithm, without recursion: the number of the component of each place.
pub(super) fn components(view: &View<'_>) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let count = view.place_count();
    let mut component = vec![UNSEEN; count];
    let mut number = vec![UNSEEN; count];
    let mut lowest = vec![0; count];
    let mut open: Vec<usize> = Vec::new();
    let (mut numbers, mut found) = (0, 0);
    for root in 0..count {
        if number[root] != UNSEEN {
            continue;
        }
        let mut walk = vec![(root, 0)];
        while let Some((place, position)) = walk.last_mut() {
            let place = *place;
            if *position == 0 && number[place] == UNSEEN {
                number[place] = numbers;
                lowest[place] = numbers;
                numbers += 1;
                open.push(place);
            }
            if let Some(edge) = view.edges(place).get(*position) {
                *position += 1;
                let Some(to) = view.follow(place, edge) else { continue };
                if number[to] == UNSEEN {
                    walk.push((to, 0));
                } else if component[to] == UNSEEN {
                    lowest[place] = lowest[place].min(number[to]);
                }
                continue;
            }
            walk.pop();
            if let Some((parent, _)) = walk.last() {
                lowest[*parent] = lowest[*parent].min(lowest[place]);
            }
            if lowest[place] == number[place] {
                while let Some(member) = open.pop() {
                    component[member] = found;
                    if member == place {
                        break;
                    }
                }
                found += 1;
            }
        }
    }
    component
}
