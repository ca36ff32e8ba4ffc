//! What has to be true: of every promise when it is given, and of everything once the network has healed.

use std::collections::BTreeMap;

use skein_cluster::{Claim, Key, NodeState, Notification, Value};

use super::{
    node::{Node, Promise, node_id},
    world::World,
};

impl World {
    /// What a client was just told is true on every node that this one and which itself have as up.
    pub(crate) fn check_promise(&mut self, place: usize, promise: &Promise) {
        let Some(node) = &self.nodes[place] else { return };
        let mut faults = Vec::new();
        for other in self.nodes.iter().flatten() {
            if other.process == node.process || !node.has_up(other) || !other.has_up(node) {
                continue;
            }
            let there = other.host.state.lock();
            let (here, name) = (node.cluster.id(), other.cluster.id());
            match promise {
                Promise::Published => {}
                Promise::Subscribed(key, number) => {
                    let matches = there.said.get(&here).is_some_and(|said| said.contains_key(key));
                    // It may have been taken back meanwhile.
                    if !matches && node.routed.get(key) == Some(number) {
                        faults.push(format!("n{here} acknowledged {key:?}, which n{name} does not match"));
                    }
                }
                // A client that has lost its connection meanwhile is told nothing.
                Promise::Connected(client, claim) if !node.host.owns(client, *claim) => {}
                Promise::Connected(client, claim) => {
                    if let Some((theirs, _)) =
                        there.connections.get(client).filter(|(theirs, _)| theirs < claim)
                    {
                        faults.push(format!(
                            "n{here} welcomed {client} by {claim}, still on n{name} by {theirs}"
                        ));
                    }
                }
            }
        }
        if let Promise::Connected(client, claim) = promise
            && let Some(connection) = node.host.state.lock().connections.get_mut(client)
            && connection.0 == *claim
        {
            connection.1 = true;
        }
        self.fault(faults);
    }

    fn fault(&mut self, faults: Vec<String>) {
        for fault in faults {
            self.say(|| format!("FAULT {fault}"));
            self.faults.push(format!("at {} ms: {fault}", self.now));
        }
    }

    /// What is not yet as it should be after the network has healed.
    pub(crate) fn check_healed(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let nodes: Vec<_> = self.nodes.iter().flatten().collect();
        for node in &nodes {
            self.check_tables(node, &nodes, &mut faults);
            check_statuses(node, &nodes, &mut faults);
            if !node.waits.is_empty() {
                faults.push(format!("n{}: {} waits hang", node.cluster.id(), node.waits.len()));
            }
            faults.extend(
                node.host.state.lock().faults.iter().map(|fault| format!("n{}: {fault}", node.cluster.id())),
            );
            let repairs = node.core.figures().digest_repairs;
            if repairs > 0 {
                faults.push(format!("n{}: {repairs} digests differed", node.cluster.id()));
            }
        }
        check_owners(&nodes, &mut faults);
        self.check_notes(&nodes, &mut faults);
        self.ledger.check(&mut faults);
        faults
    }

    /// Each node has what every other one says of itself, and nothing of anyone else.
    fn check_tables(&self, node: &Node, nodes: &[&Node], faults: &mut Vec<String>) {
        let id = node.cluster.id();
        let state = node.host.state.lock();
        let others = nodes.iter().filter(|other| other.process != node.process);
        let expected: Vec<_> = others.map(|other| other.cluster.id()).collect();
        if expected.iter().ne(state.up.keys()) {
            faults.push(format!("n{id} has {:?} up, there are {expected:?}", state.up.keys()));
        }
        if node.cluster.peers().iter().map(|peer| peer.id()).ne(expected.iter().copied()) {
            faults.push(format!("n{id} has peers {:?}, there are {expected:?}", node.cluster.peers()));
        }
        for (about, said) in &state.said {
            if !expected.contains(about) && !said.is_empty() {
                faults.push(format!("n{id} has {} ghosts of n{about}", said.len()));
            }
        }
        for other in nodes.iter().filter(|other| other.process != node.process) {
            let about = other.cluster.id();
            let (_, own, _) = other.cluster.own().entries_after(None, usize::MAX, usize::MAX);
            let own: BTreeMap<_, _> = own.into_iter().collect();
            let said = state.said.get(&about).cloned().unwrap_or_default();
            if own != said {
                faults.push(format!("n{id} has {said:?} of n{about}, which says {own:?}"));
            }
        }
    }

    /// Each change of a node's state was told once to each life of each other node.
    fn check_notes(&self, nodes: &[&Node], faults: &mut Vec<String>) {
        for (place, notes) in &self.old_notes {
            check_order(&format!("an earlier n{}", node_id(*place)), notes, faults);
        }
        for node in nodes {
            let name = format!("n{}", node.cluster.id());
            let (last, earlier) = node.notes.split_last().expect("a node has a life");
            for notes in earlier {
                let open = check_order(&name, notes, faults);
                if !open.is_empty() {
                    faults.push(format!("{name}: an earlier life was not told of the end of {open:?}"));
                }
            }
            let others = nodes.iter().filter(|other| other.process != node.process);
            let expected: Vec<_> = others.map(|other| (other.cluster.id().0, other.incarnation())).collect();
            let open = check_order(&name, last, faults);
            if open != expected {
                faults.push(format!("{name} was told that {open:?} are up, there are {expected:?}"));
            }
        }
    }
}

/// Up, then perhaps leaving, then down, each once; returns who is up in the end.
fn check_order(name: &str, notes: &[Notification], faults: &mut Vec<String>) -> Vec<(u16, u64)> {
    let mut seen: BTreeMap<(u16, u64), &'static str> = BTreeMap::new();
    for note in notes {
        let (info, now) = match note {
            Notification::Up(info) => (info, "up"),
            Notification::Leaving(info) => (info, "leaving"),
            Notification::Down(info, _) => (info, "down"),
        };
        let before = seen.insert((info.id.0, info.incarnation.0), now);
        let is_right = matches!(
            (before, now),
            (None, "up") | (Some("up"), "leaving") | (Some("up" | "leaving"), "down")
        );
        if !is_right {
            faults.push(format!("{name} was told {before:?}, then {note:?}"));
        }
    }
    seen.into_iter().filter(|(_, state)| *state != "down").map(|(node, _)| node).collect()
}

/// At most one connection of a client, and its claim alone is left.
fn check_owners(nodes: &[&Node], faults: &mut Vec<String>) {
    let mut owners: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for node in nodes {
        let state = node.host.state.lock();
        for (client, (claim, answered)) in &state.connections {
            owners.entry(client.clone()).or_default().push((node.cluster.id(), *claim));
            let own = node.cluster.own().get(&Key::Client(client.clone()));
            if own != Some(Value::Claim(Claim::of(*claim))) || !answered {
                faults.push(format!("n{}: {client} has {claim} and says {own:?}", node.cluster.id()));
            }
        }
    }
    for (client, owners) in owners.into_iter().filter(|(_, owners)| owners.len() > 1) {
        faults.push(format!("{client} is connected at {owners:?}"));
    }
}

/// Listings show who is there and who is gone.
fn check_statuses(node: &Node, nodes: &[&Node], faults: &mut Vec<String>) {
    for status in node.cluster.nodes() {
        let there = nodes.iter().find(|other| other.cluster.id() == status.info.id);
        let incarnation = status.info.incarnation.0;
        let is_right = match there {
            Some(there) => {
                there.incarnation() == incarnation
                    && matches!(status.state, NodeState::Up | NodeState::Leaving)
            }
            None => status.state == NodeState::Down,
        };
        if !is_right {
            faults.push(format!("n{} lists {status:?}", node.cluster.id()));
        }
    }
}
