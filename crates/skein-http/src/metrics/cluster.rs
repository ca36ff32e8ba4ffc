//! The figures of the cluster: its nodes, and the links to them lane by lane.

use super::{
    names,
    text::{Exposition, Value},
};
use crate::{
    cluster_view::{LaneFigures, LinkFigures},
    door::Shared,
};

pub(super) fn cluster(shared: &Shared, out: &mut Exposition) {
    let view = &shared.node.cluster;
    let nodes = view.nodes();
    let figures = view.figures();
    let count = |state: &str| nodes.iter().filter(|node| node.state == state).count() as u64;
    out.labelled(
        &names::CLUSTER_NODES,
        ["up", "leaving", "down"].map(|state| ([state], Value::from(count(state)))),
    );
    let events = figures.events.iter().map(|(event, count)| ([event.as_str()], Value::from(*count)));
    out.labelled(&names::CLUSTER_EVENTS, events);
    let peers: Vec<(String, LinkFigures)> =
        figures.links.into_iter().map(|link| (link.node_id.to_string(), link)).collect();
    let links = |of: fn(&LinkFigures) -> u64| {
        peers.iter().map(move |(peer, link)| ([peer.as_str()], Value::from(of(link))))
    };
    out.labelled(&names::LINK_UP, links(|link| u64::from(link.linked)));
    out.labelled(&names::LINK_SENT_MESSAGES, links(|link| link.sent_messages));
    out.labelled(&names::LINK_DROPPED_MESSAGES, links(|link| link.dropped_messages));
    out.labelled(&names::LINK_QUEUED_BYTES, links(|link| link.queued_bytes));
    out.labelled(&names::LINK_UNHANDLED_RUNS, links(|link| link.unhandled_runs));
    out.labelled(&names::LINK_UNHANDLED_BYTES, links(|link| link.unhandled_bytes));
    let lanes = |of: fn(&LaneFigures) -> u64| {
        let lanes = peers.iter().flat_map(|(peer, link)| link.lanes.iter().map(move |lane| (peer, lane)));
        lanes.map(move |(peer, lane)| ([peer.as_str(), lane.lane], Value::from(of(lane))))
    };
    out.labelled(&names::LINK_LANE_SENT_FRAMES, lanes(|lane| lane.sent_frames));
    out.labelled(&names::LINK_LANE_SENT_BYTES, lanes(|lane| lane.sent_bytes));
    out.labelled(&names::LINK_LANE_RECEIVED_FRAMES, lanes(|lane| lane.received_frames));
    out.labelled(&names::LINK_LANE_RECEIVED_BYTES, lanes(|lane| lane.received_bytes));
}
