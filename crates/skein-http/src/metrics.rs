//! `/metrics`: the node's figures in the text format of Prometheus, read when they are asked for.
//!
//! The names stand in `metrics/names.rs` and nowhere else; `docs/metrics.md` is written from them.

mod cluster;
mod names;
mod store;
mod text;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use skein_plane::DropReason;

pub use self::names::reference;
use self::text::{Exposition, Value};
use crate::{
    door::{Readiness, Shared},
    problem::Problem,
    process::ProcessFigures,
};

/// Answers `/metrics`.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let text = shared.walk(render_blocking).await?;
    Ok(([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response())
}

fn render_blocking(shared: &Shared) -> String {
    let mut out = Exposition::default();
    node(shared, &mut out);
    messages(shared, &mut out);
    sessions(shared, &mut out);
    store::store(shared, &mut out);
    cluster::cluster(shared, &mut out);
    listeners(shared, &mut out);
    process(&mut out);
    out.into_text()
}

fn node(shared: &Shared, out: &mut Exposition) {
    let node = &shared.node;
    out.labelled(
        &names::NODE_INFO,
        [([&*node.name, &node.id.to_string(), &node.version], Value::from(1_u64))],
    );
    out.one(&names::NODE_UPTIME, shared.uptime_seconds());
    out.one(&names::NODE_READY, u64::from(shared.readiness.get() == Readiness::Ready));
}

fn messages(shared: &Shared, out: &mut Exposition) {
    let figures = shared.plane.ledger().figures();
    out.one(&names::MESSAGES_ACCEPTED, figures.accepted);
    out.one(&names::MESSAGES_UNMATCHED, figures.unmatched);
    out.one(&names::DELIVERIES_ROUTED, figures.routed);
    out.one(&names::DELIVERIES_DELIVERED, figures.delivered);
    out.one(&names::DELIVERIES_EXPIRED, figures.expired);
    let reasons = DropReason::ALL.iter().zip(figures.dropped);
    out.labelled(
        &names::DELIVERIES_DROPPED,
        reasons.map(|(reason, count)| ([reason.label()], Value::from(count))),
    );
    out.one(&names::WILLS_FORBIDDEN, figures.wills_forbidden);
    out.one(&names::DELIVERIES_PENDING, figures.pending);
    let traffic = shared.plane.traffic();
    out.one(&names::TRAFFIC_RECEIVED_BYTES, traffic.received_bytes.load(Relaxed));
    out.one(&names::TRAFFIC_SENT_BYTES, traffic.sent_bytes.load(Relaxed));
    out.one(&names::TRAFFIC_RECEIVED_PACKETS, traffic.received_packets.load(Relaxed));
    out.one(&names::TRAFFIC_SENT_PACKETS, traffic.sent_packets.load(Relaxed));
}

fn sessions(shared: &Shared, out: &mut Exposition) {
    let sessions = shared.plane.sessions();
    out.one(&names::CLIENTS_CONNECTED, sessions.connected());
    out.one(&names::CLIENTS_CONNECTED_MAX, sessions.connected_max());
    out.one(&names::CLIENTS_CONNECTS, sessions.connects());
    out.one(&names::SESSIONS, sessions.len());
    let load = sessions.load();
    out.one(&names::QUEUE_MESSAGES, load.queued_messages);
    out.one(&names::QUEUE_BYTES, load.queued_bytes);
    out.one(&names::OUTBOX_BYTES, load.outbox_bytes);
    out.one(&names::OUTBOX_BYTES_MAX, load.outbox_bytes_max);
    out.one(&names::SUBSCRIPTIONS, shared.plane.matcher().subscriptions());
    out.one(&names::RETAINED_MESSAGES, shared.plane.retained().len());
    out.one(&names::RETAINED_BYTES, shared.plane.retained().bytes());
    out.one(&names::RETAINED_REFUSED, shared.plane.retained().refused());
}

fn listeners(shared: &Shared, out: &mut Exposition) {
    let all: Vec<_> =
        shared.listeners().into_iter().map(|figures| (figures.address.to_string(), figures)).collect();
    let labels = |at: usize| {
        all.get(at).map_or(["", "", ""], |(address, figures)| [&*figures.name, &*figures.transport, address])
    };
    let values = |of: fn(&crate::ListenerFigures) -> u64| {
        all.iter().enumerate().map(move |(at, (_, figures))| (labels(at), Value::from(of(figures))))
    };
    out.labelled(&names::LISTENER_CONNECTIONS, values(|figures| figures.open));
    out.labelled(&names::LISTENER_ACCEPTED, values(|figures| figures.accepted));
    out.labelled(&names::LISTENER_REFUSED, values(|figures| figures.refused));
}

fn process(out: &mut Exposition) {
    let figures = ProcessFigures::read_blocking();
    if let Some(bytes) = figures.resident_bytes {
        out.one(&names::PROCESS_RESIDENT_BYTES, bytes);
    }
    if let Some(seconds) = figures.cpu_seconds {
        out.one(&names::PROCESS_CPU_SECONDS, seconds);
    }
    if let Some(threads) = figures.threads {
        out.one(&names::PROCESS_THREADS, threads);
    }
}
