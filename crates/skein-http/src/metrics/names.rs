//! The name of every metric, its labels and what it means: the only place where they stand.
//!
//! Names are `skein_<area>_<what>_<unit>`, counters end in `_total`. A name never changes its meaning. Labels are
//! bounded: no client, user or topic is ever one.

use std::fmt::Write as _;

/// Whether a metric only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It grows until the node starts again.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };)*

        /// Every metric, in the order of the output.
        pub(crate) const ALL: &[&Metric] = &[$(&$constant,)*];
    };
}

metrics! {
    NODE_INFO = Gauge "skein_node_info" ["name", "id", "version"],
        "Always 1; the labels say which node and program it is.";
    NODE_UPTIME = Gauge "skein_node_uptime_seconds" [], "Time since the node started.";
    NODE_READY = Gauge "skein_node_ready" [], "1 while the node takes clients, else 0.";
    MESSAGES_ACCEPTED = Counter "skein_messages_accepted_total" [], "Publishes taken over from clients.";
    MESSAGES_UNMATCHED = Counter "skein_messages_unmatched_total" [],
        "Accepted publishes that nobody had subscribed to.";
    DELIVERIES_ROUTED = Counter "skein_deliveries_routed_total" [],
        "Deliveries started, one per accepted publish and session it matched; at rest the sum of delivered, expired, \
         dropped and pending ones.";
    DELIVERIES_DELIVERED = Counter "skein_deliveries_delivered_total" [],
        "Deliveries that reached their client: written at QoS 0, acknowledged at QoS 1 and 2.";
    DELIVERIES_EXPIRED = Counter "skein_deliveries_expired_total" [], "Deliveries whose message expired first.";
    DELIVERIES_DROPPED = Counter "skein_deliveries_dropped_total" ["reason"],
        "Deliveries that ended without reaching their client, by the reason.";
    WILLS_FORBIDDEN = Counter "skein_wills_forbidden_total" [],
        "Wills that were not published because their user may not publish there any more, or is gone.";
    DELIVERIES_PENDING = Gauge "skein_deliveries_pending" [],
        "Deliveries in queues, outboxes, or waiting for an acknowledgement.";
    TRAFFIC_RECEIVED_BYTES = Counter "skein_traffic_received_bytes_total" [], "Bytes read from clients.";
    TRAFFIC_SENT_BYTES = Counter "skein_traffic_sent_bytes_total" [], "Bytes written to clients.";
    TRAFFIC_RECEIVED_PACKETS = Counter "skein_traffic_received_packets_total" [],
        "Protocol packets read from clients.";
    TRAFFIC_SENT_PACKETS = Counter "skein_traffic_sent_packets_total" [], "Protocol packets written to clients.";
    CLIENTS_CONNECTED = Gauge "skein_clients_connected" [], "Clients connected now.";
    CLIENTS_CONNECTED_MAX = Gauge "skein_clients_connected_max" [],
        "Most clients connected at once since the node started.";
    CLIENTS_CONNECTS = Counter "skein_clients_connects_total" [], "Connections that opened a session.";
    SESSIONS = Gauge "skein_sessions" [], "Sessions, those whose client is away included.";
    QUEUE_MESSAGES = Gauge "skein_queue_messages" [],
        "Messages in the queues of all sessions, waiting for their turn or for the client's return.";
    QUEUE_BYTES = Gauge "skein_queue_bytes" [], "Bytes of the messages in the queues of all sessions.";
    OUTBOX_BYTES = Gauge "skein_outbox_bytes" [], "Bytes waiting to be written to clients, over all connections.";
    OUTBOX_BYTES_MAX = Gauge "skein_outbox_bytes_max" [],
        "Bytes waiting for the one client for which most are waiting: near the bound it is a slow consumer.";
    SUBSCRIPTIONS = Gauge "skein_subscriptions" [], "Subscriptions of all sessions.";
    RETAINED_MESSAGES = Gauge "skein_retained_messages" [], "Topics with a retained message.";
    RETAINED_BYTES = Gauge "skein_retained_bytes" [],
        "Memory of the retained messages; mqtt.retained_bytes_max bounds it.";
    RETAINED_REFUSED = Counter "skein_retained_refused_total" [],
        "Messages not retained because as many topics as allowed had one, or they took as many bytes as allowed.";
    STORE_READ_ONLY = Gauge "skein_store_read_only" [],
        "1 while the store takes nothing new, because the disk is full or it has stopped; QoS 0 goes on.";
    STORE_ALARMS = Gauge "skein_store_alarms" [], "Things wrong with the store; /api/v1/status says which.";
    STORE_APPLIED_INDEX = Gauge "skein_store_applied_index" [], "Number of the last entry of the log that holds.";
    STORE_ROWS = Gauge "skein_store_rows" ["class"], "Objects in the store, by class.";
    STORE_BYTES = Gauge "skein_store_bytes" ["class"],
        "Memory of the objects and their index entries, by class; data.memory_bytes_max bounds the sum.";
    STORE_COMMITS = Counter "skein_store_commits_total" [], "Transactions and batches carried out.";
    STORE_CONFLICTS = Counter "skein_store_conflicts_total" [],
        "Transactions refused because another one came first; most are tried again.";
    STORE_DUPLICATES = Counter "skein_store_duplicates_total" [],
        "Transactions refused because an object with the same key was there.";
    STORE_GROUPS = Counter "skein_store_groups_total" [],
        "Writes to the log: each holds all that waited, so commits over groups is how much one sync serves.";
    STORE_SYNCS = Counter "skein_store_syncs_total" [], "Times the log was brought to the disk.";
    STORE_SYNC_SECONDS = Counter "skein_store_sync_seconds_total" [],
        "Time that took; over the number of times, what an acknowledgement waits for the disk.";
    STORE_SYNC_SECONDS_MAX = Gauge "skein_store_sync_seconds_max" [],
        "Time the longest of them took since the node started.";
    STORE_SNAPSHOTS = Counter "skein_store_snapshots_total" [], "Snapshot files written.";
    STORE_SNAPSHOT_AGE = Gauge "skein_store_snapshot_age_seconds" [],
        "Time since the newest snapshot file was written; no sample before the first one since the node started.";
    STORE_LOG_BYTES = Gauge "skein_store_log_bytes" [], "Disk space of the log.";
    STORE_LOG_SEGMENTS = Gauge "skein_store_log_segments" [], "Files of the log.";
    STORE_WAITING = Gauge "skein_store_waiting_commits" [], "Transactions and batches that wait for the log.";
    STORE_WAITING_BYTES = Gauge "skein_store_waiting_bytes" [], "Bytes those will take in the log, about.";
    CLUSTER_NODES = Gauge "skein_cluster_nodes" ["state"], "Nodes heard of, this one too, by how they stand.";
    CLUSTER_EVENTS = Counter "skein_cluster_events_total" ["event"],
        "What happened between this node and others: links made, cut and refused, copies, repairs, renewals.";
    LINK_UP = Gauge "skein_link_up" ["peer"], "1 while the link to the peer of this number is open, else 0.";
    LINK_SENT_MESSAGES = Counter "skein_link_sent_messages_total" ["peer"], "Messages handed to the link.";
    LINK_DROPPED_MESSAGES = Counter "skein_link_dropped_messages_total" ["peer"],
        "Messages of QoS 0 dropped because the link was cut or full.";
    LINK_QUEUED_BYTES = Gauge "skein_link_queued_bytes" ["peer"], "Bytes of messages that wait for the link.";
    LINK_UNHANDLED_RUNS = Gauge "skein_link_unhandled_runs" ["peer"],
        "Runs of messages that are kept until the peer has handled them.";
    LINK_UNHANDLED_BYTES = Gauge "skein_link_unhandled_bytes" ["peer"], "Bytes of those.";
    LINK_LANE_SENT_FRAMES = Counter "skein_link_lane_sent_frames_total" ["peer", "lane"],
        "Frames sent over a lane of the link.";
    LINK_LANE_SENT_BYTES = Counter "skein_link_lane_sent_bytes_total" ["peer", "lane"],
        "Bytes sent over a lane of the link.";
    LINK_LANE_RECEIVED_FRAMES = Counter "skein_link_lane_received_frames_total" ["peer", "lane"],
        "Frames that came over a lane of the link.";
    LINK_LANE_RECEIVED_BYTES = Counter "skein_link_lane_received_bytes_total" ["peer", "lane"],
        "Bytes that came over a lane of the link.";
    LISTENER_CONNECTIONS = Gauge "skein_listener_connections" ["listener", "transport", "address"],
        "Connections open now, by listener.";
    LISTENER_ACCEPTED = Counter "skein_listener_accepted_total" ["listener", "transport", "address"],
        "Connections accepted, by listener.";
    LISTENER_REFUSED = Counter "skein_listener_refused_total" ["listener", "transport", "address"],
        "Connections turned away because there were too many, by listener.";
    PROCESS_RESIDENT_BYTES = Gauge "skein_process_resident_bytes" [], "Memory of the process that is in RAM.";
    PROCESS_CPU_SECONDS = Counter "skein_process_cpu_seconds_total" [],
        "Processor time of the process, of all its threads.";
    PROCESS_THREADS = Gauge "skein_process_threads" [], "Threads of the process.";
}

/// The metrics of the store.
pub(super) fn of_store() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().copied().filter(|metric| metric.name.starts_with("skein_store_"))
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The text of `docs/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Written from the source by `cargo test -p skein-http`; change `metrics/names.rs` there, not this file.\n\n\
         A node shows its figures at `/metrics` of its HTTP door, in the text format of Prometheus. While there are no\n\
         users, programs on the same machine may read them there; everybody else logs in by HTTP Basic as a user with the\n\
         role `monitor` or `admin` (docs/access.md). Counters start at 0 when the node starts.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Metric { name, kind, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(text, "| `{name}` | {} | {} | {help} |", kind.name(), labels.join(", "))
            .expect("writing into memory does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::PathBuf};

    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut names = HashSet::new();
        for Metric { name, kind, labels, help } in ALL {
            assert!(names.insert(*name), "{name} is there twice");
            assert!(name.starts_with("skein_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.') && !help.contains(['|', '"', '\n']), "{name}: {help}");
            assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase())), "{name}");
        }
    }

    #[test]
    fn the_reference_is_current() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let expect = reference();
        if std::env::var_os("SKEIN_WRITE_REFERENCE").is_some() {
            fs::write(&path, &expect).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        let advice = "run SKEIN_WRITE_REFERENCE=1 cargo test -p skein-http reference";
        assert!(found == expect, "docs/metrics.md is not what the names file says: {advice}");
    }
}
