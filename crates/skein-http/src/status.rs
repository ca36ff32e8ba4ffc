//! `/api/v1/status`: the node at a glance.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering::Relaxed};

use axum::{Json, extract::State};
use serde::Serialize;
use skein_plane::DropReason;

use crate::{
    cluster::{self, Summary},
    door::{ListenerFigures, Shared},
    problem::Problem,
    process::ProcessFigures,
    timestamp::rfc3339,
};

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    node: NodeStatus,
    clients: Clients,
    messages: Messages,
    traffic: Traffic,
    subscriptions: usize,
    retained: Retained,
    store: Option<Store>,
    cluster: Summary,
    listeners: Vec<Listener>,
    process: Process,
}

#[derive(Debug, Serialize)]
struct NodeStatus {
    name: String,
    id: u16,
    version: String,
    readiness: &'static str,
    started_at: String,
    uptime_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Clients {
    connected: usize,
    connected_max: usize,
    connects: u64,
    sessions: usize,
}

#[derive(Debug, Serialize)]
struct Messages {
    accepted: u64,
    unmatched: u64,
    routed: u64,
    delivered: u64,
    expired: u64,
    dropped: BTreeMap<&'static str, u64>,
    pending: i64,
}

#[derive(Debug, Serialize)]
struct Traffic {
    received_bytes: u64,
    sent_bytes: u64,
    received_packets: u64,
    sent_packets: u64,
}

#[derive(Debug, Serialize)]
struct Retained {
    messages: usize,
    refused: usize,
}

/// What the node keeps on disk; null when it keeps nothing.
#[derive(Debug, Serialize)]
struct Store {
    read_only: bool,
    alarms: Vec<String>,
    objects: BTreeMap<String, u64>,
    bytes: u64,
    log_bytes: u64,
    commits: u64,
    snapshots: u64,
    waiting: usize,
}

#[derive(Debug, Serialize)]
struct Listener {
    name: String,
    transport: String,
    address: String,
    open: u64,
    accepted: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
struct Process {
    resident_bytes: Option<u64>,
    threads: Option<u64>,
    cpu_seconds: Option<f64>,
}

/// Answers `/api/v1/status`.
pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<Status>, Problem> {
    shared.walk(status_blocking).await.map(Json)
}

fn status_blocking(shared: &Shared) -> Status {
    let plane = &shared.plane;
    let (sessions, traffic) = (plane.sessions(), plane.traffic());
    let process = ProcessFigures::read_blocking();
    Status {
        node: NodeStatus {
            name: shared.node.name.clone(),
            id: shared.node.id,
            version: shared.node.version.clone(),
            readiness: shared.readiness.get().name(),
            started_at: rfc3339(shared.node.started_at),
            uptime_seconds: shared.uptime_seconds(),
        },
        clients: Clients {
            connected: sessions.connected(),
            connected_max: sessions.connected_max(),
            connects: sessions.connects(),
            sessions: sessions.len(),
        },
        messages: messages(shared),
        traffic: Traffic {
            received_bytes: traffic.received_bytes.load(Relaxed),
            sent_bytes: traffic.sent_bytes.load(Relaxed),
            received_packets: traffic.received_packets.load(Relaxed),
            sent_packets: traffic.sent_packets.load(Relaxed),
        },
        subscriptions: plane.matcher().subscriptions(),
        retained: Retained { messages: plane.retained().len(), refused: plane.retained().refused() },
        store: store(shared),
        cluster: cluster::summary(shared),
        listeners: shared.listeners().into_iter().map(Listener::from).collect(),
        process: Process {
            resident_bytes: process.resident_bytes,
            threads: process.threads,
            cpu_seconds: process.cpu_seconds,
        },
    }
}

fn messages(shared: &Shared) -> Messages {
    let figures = shared.plane.ledger().figures();
    let reasons = DropReason::ALL.iter().map(|reason| reason.label());
    Messages {
        accepted: figures.accepted,
        unmatched: figures.unmatched,
        routed: figures.routed,
        delivered: figures.delivered,
        expired: figures.expired,
        dropped: reasons.zip(figures.dropped).collect(),
        pending: figures.pending,
    }
}

fn store(shared: &Shared) -> Option<Store> {
    let store = shared.plane.durable()?.store();
    let stats = store.stats();
    Some(Store {
        read_only: !store.writable(),
        alarms: stats.alarms,
        objects: stats.classes.into_iter().map(|class| (class.name, class.rows)).collect(),
        bytes: stats.bytes,
        log_bytes: stats.log_bytes,
        commits: stats.commits,
        snapshots: stats.snapshots,
        waiting: stats.queued,
    })
}

impl From<ListenerFigures> for Listener {
    fn from(figures: ListenerFigures) -> Self {
        let ListenerFigures { name, transport, address, open, accepted, refused } = figures;
        Self { name, transport, address: address.to_string(), open, accepted, refused }
    }
}

impl Shared {
    /// Seconds since the node started.
    pub(crate) fn uptime_seconds(&self) -> f64 {
        self.now().since(skein_types::Moment::ZERO).as_secs_f64()
    }
}
