//! The cluster as the HTTP door shows it.

use std::{collections::BTreeMap, sync::Arc};

use skein_cluster::{
    Cluster, Lane, Load, NodeStatus, Peer, PeerFigures,
    shell::{Figures, Running},
};
use skein_http::{ClusterFigures, ClusterView, LaneFigures, LinkFigures, NodeRow};
use skein_types::NodeId;

use super::drain::Drain;

/// What the door asks.
#[derive(Debug)]
pub(crate) struct View {
    cluster: Arc<Cluster>,
    running: Option<Arc<Running>>,
    drain: Arc<Drain>,
}

impl View {
    pub(super) fn new(cluster: Arc<Cluster>, running: Option<Arc<Running>>, drain: Arc<Drain>) -> Self {
        Self { cluster, running, drain }
    }
}

impl ClusterView for View {
    fn nodes(&self) -> Vec<NodeRow> {
        let me = self.cluster.id();
        let nodes = self.cluster.nodes().into_iter();
        nodes.map(|node| row(self.cluster.load(node.info.id), node, me)).collect()
    }

    fn figures(&self) -> ClusterFigures {
        let Some(running) = &self.running else { return ClusterFigures::default() };
        let figures = running.figures();
        let links = self.cluster.peers().iter().map(|peer| link(peer, &figures)).collect();
        ClusterFigures { links, events: events(&figures) }
    }

    fn drain(&self, rate_per_sec: u32) {
        self.drain.begin(rate_per_sec);
    }
}

fn row(load: Option<Load>, node: NodeStatus, me: NodeId) -> NodeRow {
    let info = node.info;
    // A node that runs alone has no address that anybody dials.
    let has_address = info.advertise.port() != 0;
    NodeRow {
        node_id: info.id.0,
        name: info.name.to_string(),
        address: if has_address { info.advertise.to_string() } else { String::new() },
        qrank: info.qrank,
        incarnation: info.incarnation.0,
        state: node.state.word(),
        server_reference: info.server_reference.as_deref().map(str::to_owned),
        is_self: info.id == me,
        clients: load.map(|load| load.clients),
        messages_per_sec: load.map(|load| load.messages_per_sec),
    }
}

fn link(peer: &Arc<Peer>, figures: &Figures) -> LinkFigures {
    let PeerFigures {
        sent_messages,
        dropped_messages,
        queued_bytes,
        unhandled_runs,
        unhandled_bytes,
        linked,
        ..
    } = peer.figures();
    let of_link = figures.links.iter().find(|link| link.node == peer.id());
    let lanes = of_link.map(|link| {
        let counts = link.sent.iter().zip(&link.received);
        let lane = |(lane, (sent, received)): (Lane, (&_, &_))| lane_figures(lane, sent, received);
        Lane::ALL.into_iter().zip(counts).map(lane).collect()
    });
    LinkFigures {
        node_id: peer.id().0,
        linked,
        sent_messages,
        dropped_messages,
        queued_bytes: queued_bytes as u64,
        unhandled_runs: unhandled_runs as u64,
        unhandled_bytes: unhandled_bytes as u64,
        lanes: lanes.unwrap_or_default(),
    }
}

fn lane_figures(
    lane: Lane,
    sent: &skein_cluster::link::LaneCount,
    received: &skein_cluster::link::LaneCount,
) -> LaneFigures {
    LaneFigures {
        lane: lane.label(),
        sent_frames: sent.frames,
        sent_bytes: sent.bytes,
        received_frames: received.frames,
        received_bytes: received.bytes,
    }
}

fn events(figures: &Figures) -> BTreeMap<String, u64> {
    let mut events: BTreeMap<String, u64> =
        figures.faults.labelled().map(|(fault, count)| (format!("link_{fault}"), count)).collect();
    let core = &figures.core;
    for (refused, of) in [("refused", &core.refused), ("refused_elsewhere", &core.refused_elsewhere)] {
        events.extend(of.iter().map(|(reason, count)| (format!("{refused}_{reason}"), *count)));
    }
    for (event, count) in [
        ("links_established", core.links_established),
        ("links_cut", core.links_cut),
        ("links_replaced", core.links_replaced),
        ("dials_failed", core.dials_failed),
        ("faulty_links", core.faulty_links),
        ("copies_received", core.copies_received),
        ("digest_repairs", core.digest_repairs),
        ("declared_down", core.declared_down),
        ("renewals", core.renewals),
        ("unreadable_runs", figures.unreadable_runs),
        ("datagrams_sent", figures.datagrams_sent),
        ("datagrams_received", figures.datagrams_received),
        ("datagrams_refused", figures.datagrams_refused),
    ] {
        events.insert(event.to_owned(), count);
    }
    events
}
