//! Cycles in the graph of dependencies: whether there are any that a level forbids, and a short one to show.
//!
//! Each phase admits some kinds of edges, finds the strongly connected components, and takes in each
//! of them a shortest cycle through an edge of the kind that the phase adds. It decides nothing of
//! which dependencies there are. Called by [`super::History::check`] alone.

use std::collections::HashMap;
use std::fmt::Write;

use super::graph::{Dependency, Edge, Graph};
use super::walk::{Kinds, Step, View, Walk, components, path};
use super::{Anomaly, Level, Order, Phenomenon};

/// How many edges of one component are tried as the beginning of its shortest cycle.
const TRIES_MAX: usize = 16;

/// How many components of one phase are reported.
const EXAMPLES_MAX: usize = 8;

pub(super) fn find(graph: &Graph<'_>, level: Level) -> Vec<Anomaly> {
    let mut phases = vec![
        Phase { through: Kinds::WRITE_WRITE, within: Kinds::WRITE_WRITE, walk: Walk::Free },
        Phase {
            through: Kinds::WRITE_READ,
            within: Kinds::WRITE_WRITE.and(Kinds::WRITE_READ),
            walk: Walk::Free,
        },
    ];
    if level.order() != Order::None {
        phases.push(Phase { through: Kinds::ORDER, within: Kinds::FORWARD, walk: Walk::Free });
    }
    if level != Level::ReadCommitted {
        phases.push(Phase { through: Kinds::READ_WRITE, within: Kinds::ALL, walk: Walk::Apart });
    }
    if level.is_serializable() {
        phases.push(Phase { through: Kinds::READ_WRITE, within: Kinds::ALL, walk: Walk::Free });
    }
    let mut anomalies: Vec<Anomaly> = Vec::new();
    for phase in phases {
        for cycle in cycles(graph, &phase) {
            let found = explain(graph, &cycle);
            // The free walk may come upon a cycle that an earlier phase has told already.
            if anomalies
                .iter()
                .all(|known| known.phenomenon != found.phenomenon || phase.tells(found.phenomenon))
            {
                anomalies.push(found);
            }
        }
    }
    anomalies
}

#[derive(Debug, Clone, Copy)]
struct Phase {
    /// A cycle holds at least one of these.
    through: Kinds,
    /// And nothing but these.
    within: Kinds,
    walk: Walk,
}

impl Phase {
    /// Whether this is the phase that looks for `phenomenon`.
    fn tells(&self, phenomenon: Phenomenon) -> bool {
        match self.walk {
            Walk::Apart => true,
            Walk::Free => phenomenon == Phenomenon::G2Item || self.within != Kinds::ALL,
        }
    }
}

/// One short cycle of each component, of a bounded number of components.
fn cycles<'g>(graph: &'g Graph<'g>, phase: &Phase) -> Vec<Vec<Step<'g>>> {
    let view = View { graph, within: phase.within, walk: phase.walk };
    let components = components(&view);
    let mut beginnings: HashMap<usize, Vec<(usize, &Edge)>> = HashMap::new();
    for place in 0..view.place_count() {
        for edge in view.edges(place).iter().filter(|edge| phase.through.admits(edge)) {
            if view.follow(place, edge).is_some_and(|to| components[to] == components[place]) {
                beginnings.entry(components[place]).or_default().push((place, edge));
            }
        }
    }
    let mut beginnings: Vec<_> = beginnings.into_values().collect();
    // The components come out of the map in no fixed order.
    beginnings.sort_unstable_by_key(|edges| edges.first().map(|(place, _)| *place));
    beginnings.iter().take(EXAMPLES_MAX).filter_map(|edges| shortest(&view, &components, edges)).collect()
}

fn shortest<'g>(
    view: &View<'g>,
    components: &[usize],
    beginnings: &[(usize, &'g Edge)],
) -> Option<Vec<Step<'g>>> {
    let stride = beginnings.len().div_ceil(TRIES_MAX).max(1);
    let mut best: Option<Vec<Step<'g>>> = None;
    for (place, edge) in beginnings.iter().step_by(stride) {
        let bound = best.as_ref().map_or(usize::MAX, |cycle| cycle.len() - 1);
        let Some(mut cycle) = cycle_through(view, components, (*place, edge), bound) else { continue };
        cycle.insert(0, (view.node(*place), edge));
        if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
            best = Some(cycle);
        }
    }
    best
}

/// The way back from the end of `beginning` to its start, in fewer than `bound` steps.
fn cycle_through<'g>(
    view: &View<'g>,
    components: &[usize],
    beginning: (usize, &'g Edge),
    bound: usize,
) -> Option<Vec<Step<'g>>> {
    let (place, edge) = beginning;
    let within = |place: usize| components[place];
    if view.walk == Walk::Apart {
        // A way back without a second anti-dependency tells more: it is looked for first.
        let plain = View { within: Kinds::FORWARD, walk: Walk::Free, ..*view };
        let component = |node: usize| components[node * 2];
        let back = path(&plain, &component, edge.to, view.node(place), bound);
        if back.is_some() {
            return back;
        }
    }
    path(view, &within, view.follow(place, edge)?, place, bound)
}

fn classify(cycle: &[Step<'_>]) -> Phenomenon {
    let is_anti = |step: &Step<'_>| step.1.dependency == Dependency::ReadWrite;
    let adjacent = (0..cycle.len()).any(|at| is_anti(&cycle[at]) && is_anti(&cycle[(at + 1) % cycle.len()]));
    match cycle.iter().filter(|step| is_anti(step)).count() {
        0 if cycle.iter().all(|(_, edge)| edge.dependency == Dependency::WriteWrite) => Phenomenon::G0,
        0 => Phenomenon::G1c,
        1 => Phenomenon::GSingle,
        _ if adjacent => Phenomenon::G2Item,
        _ => Phenomenon::GNonadjacent,
    }
}

fn explain(graph: &Graph<'_>, cycle: &[Step<'_>]) -> Anomaly {
    let mut steps = cycle.to_vec();
    let first = steps.iter().position(|(from, _)| graph.is_transaction(*from)).unwrap_or(0);
    steps.rotate_left(first);
    let transactions: Vec<usize> =
        steps.iter().map(|(from, _)| *from).filter(|node| graph.is_transaction(*node)).collect();
    let mut text = String::new();
    let mut told = transactions.clone();
    told.sort_unstable();
    told.dedup();
    for number in told {
        let _ = writeln!(text, "  T{number} {}", graph.history.transactions[number]);
    }
    // A way over moments is one step: its last edge stands for it.
    let arrivals = steps.iter().map(|(_, edge)| edge).filter(|edge| graph.is_transaction(edge.to));
    for (from, edge) in transactions.iter().copied().zip(arrivals) {
        let to = edge.to;
        let _ = writeln!(text, "  T{from} comes before T{to}: {}", reason(from, edge));
    }
    let order = steps.iter().map(|(_, edge)| order(edge)).max().unwrap_or(Order::None);
    Anomaly { phenomenon: classify(&steps), order, transactions, explanation: text }
}

fn order(edge: &Edge) -> Order {
    match edge.dependency {
        Dependency::WriteWrite | Dependency::WriteRead | Dependency::ReadWrite => Order::None,
        Dependency::Session => Order::Session,
        Dependency::RealTime => Order::RealTime,
    }
}

fn reason(from: usize, edge: &Edge) -> String {
    let Edge { to, key, value, .. } = edge;
    let seen = edge.seen.map_or("empty".to_owned(), |seen| format!("up to {seen}"));
    match edge.dependency {
        Dependency::WriteWrite => {
            let before = edge.seen.unwrap_or_default();
            format!("T{to} appended {value} to key {key} after T{from}'s {before} (ww)")
        }
        Dependency::WriteRead => format!("T{to} read key {key} with {value} of T{from} (wr)"),
        Dependency::ReadWrite => format!("T{from} read key {key} {seen}, without {value} of T{to} (rw)"),
        Dependency::Session => "its process ran it first".to_owned(),
        Dependency::RealTime => "it had ended when the other began".to_owned(),
    }
}
