//! The cluster over HTTP: which nodes there are, what crosses between them, and emptying this one.
//!
//! What it shows comes from the [`crate::ClusterView`] that the node gave the door.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, Json, body::Bytes, extract::State};
use serde::{Deserialize, Serialize};

use crate::{
    cluster_view::{ClusterFigures, LinkFigures, NodeRow},
    door::Shared,
    guard::Caller,
    problem::{Kind, Problem},
};

/// Clients moved per second where nobody says how many.
const DRAIN_RATE_DEFAULT: u32 = 500;
/// More in a second is no rate any more.
const DRAIN_RATE_MAX: u32 = 1_000_000;

/// The cluster in `/api/v1/status`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    nodes: BTreeMap<&'static str, usize>,
    links: Vec<LinkFigures>,
    events: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainWanted {
    rate_per_sec: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Draining {
    draining: bool,
    connected: usize,
}

/// Answers `GET /api/v1/cluster/nodes`.
pub(crate) async fn nodes(State(shared): State<Arc<Shared>>) -> Json<Vec<NodeRow>> {
    Json(shared.node.cluster.nodes())
}

/// Answers `POST /api/v1/cluster/drain`; without a body at the usual rate.
pub(crate) async fn drain(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Draining>, Problem> {
    let wanted = if body.is_empty() { DrainWanted::default() } else { read_wanted(&body)? };
    let rate = wanted.rate_per_sec.unwrap_or(DRAIN_RATE_DEFAULT);
    if rate == 0 || rate > DRAIN_RATE_MAX {
        return Err(bad_body(format!("rate_per_sec is {rate}; it is 1 to {DRAIN_RATE_MAX}")));
    }
    let user = caller.user.as_deref();
    tracing::info!(rate, by = %caller.peer, user, "http: drain asked for by an operator");
    shared.node.cluster.drain(rate);
    Ok(Json(Draining { draining: true, connected: shared.plane.sessions().connected() }))
}

fn read_wanted(body: &Bytes) -> Result<DrainWanted, Problem> {
    let read = Json::<DrainWanted>::from_bytes(body);
    read.map(|Json(wanted)| wanted).map_err(|error| bad_body(error.body_text()))
}

fn bad_body(error: String) -> Problem {
    Problem::new(Kind::BadBody, error, "send nothing, or {\"rate_per_sec\": 500}")
}

pub(crate) fn summary(shared: &Shared) -> Summary {
    let cluster = &shared.node.cluster;
    let mut nodes = BTreeMap::from([("up", 0), ("leaving", 0), ("down", 0)]);
    for node in cluster.nodes() {
        *nodes.entry(node.state).or_default() += 1;
    }
    let ClusterFigures { links, events } = cluster.figures();
    Summary { nodes, links, events }
}
