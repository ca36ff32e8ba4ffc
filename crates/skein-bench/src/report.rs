//! What a run found, for people and for programs.
//!
//! The names of the fields are stable: the comparison runner and others read them. The crate's
//! documentation lists them with their units.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::{Config, Protocol, histogram::Histogram};

mod cluster;

pub use cluster::{Storm, Takeover, Visible};

/// The figures of one run. All counts are of the whole run; rates, latencies and processor times are of the
/// measured part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The workload's name.
    pub workload: String,
    /// The protocol version.
    pub protocol: Option<Protocol>,
    /// Quality of service.
    pub qos: u8,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Messages in flight per publisher at most.
    pub window: u64,
    /// Publishing connections.
    pub publishers: usize,
    /// Subscribing connections.
    pub subscribers: usize,
    /// Connections opened.
    pub connections: usize,
    /// Connections opened per second: TCP, CONNECT and SUBSCRIBE with their answers.
    pub connects_per_second: f64,
    /// Length of the measured part.
    pub measured_seconds: f64,
    /// Messages delivered in the measured part.
    pub measured_delivered: u64,
    /// Delivered per second.
    pub messages_per_second: f64,
    /// From publishing to delivery.
    pub latency_ms: Latency,
    /// Messages published.
    pub sent: u64,
    /// Deliveries that should happen.
    pub expected: u64,
    /// Different messages delivered.
    pub delivered: u64,
    /// Deliveries that did not happen before the quiet deadline.
    pub lost: u64,
    /// Messages delivered again.
    pub duplicated: u64,
    /// Messages delivered behind a later one of the same publisher.
    pub reordered: u64,
    /// Messages with another topic or payload than was published.
    pub corrupted: u64,
    /// Publications above QoS 0 whose handshake did not end.
    pub unacknowledged: u64,
    /// The server's processor time and memory, when its process id was given.
    pub server: Option<ServerUse>,
    /// The generator's own processor time.
    pub generator: Cpu,
    /// What the workload visible found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible: Option<Visible>,
    /// What the workload takeover found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
    /// What the workload storm found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the messages were faster.
    pub p50: f64,
    /// 99 % were faster.
    pub p99: f64,
    /// 99.9 % were faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// Processor time in the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// User and system seconds.
    pub cpu_seconds: f64,
    /// The same per million delivered messages; 0 when none was delivered.
    pub cpu_seconds_per_million: f64,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerUse {
    /// Processor time.
    #[serde(flatten)]
    pub cpu: Cpu,
    /// Resident memory before the connections were opened.
    pub rss_bytes_before: u64,
    /// Resident memory at the end of the measured part.
    pub rss_bytes_after: u64,
    /// Growth of the resident memory per connection.
    pub rss_bytes_per_connection: f64,
    /// Growth of the proportional set size per connection.
    pub pss_bytes_per_connection: f64,
    /// Growth of the private memory per connection.
    pub private_bytes_per_connection: f64,
}

impl Report {
    pub(crate) fn begin(config: &Config) -> Self {
        Self {
            workload: config.workload.name().to_owned(),
            protocol: Some(config.protocol),
            qos: config.qos.bits(),
            payload_bytes: config.payload_bytes,
            window: config.window(),
            ..Self::default()
        }
    }

    pub(crate) fn set_measured(&mut self, seconds: f64, delivered: u64) {
        self.measured_seconds = seconds;
        self.measured_delivered = delivered;
        self.messages_per_second = if seconds > 0.0 { delivered as f64 / seconds } else { 0.0 };
    }

    /// Whether the server broke a promise: with QoS 0 loss is allowed, except behind a SUBACK; all else never.
    pub fn is_faulty(&self) -> bool {
        let of_cluster = self.visible.is_some_and(|visible| visible.is_faulty())
            || self.takeover.is_some_and(|takeover| takeover.is_faulty())
            || self.storm.is_some_and(|storm| storm.is_faulty());
        if of_cluster {
            return true;
        }
        let lost = self.qos > 0 && self.lost + self.unacknowledged > 0;
        lost || self.duplicated + self.reordered + self.corrupted > 0
    }
}

impl Latency {
    pub(crate) fn from_histogram(histogram: &Histogram) -> Self {
        let ms = |ns: u64| ns as f64 / 1e6;
        Self {
            p50: ms(histogram.quantile(0.5)),
            p99: ms(histogram.quantile(0.99)),
            p999: ms(histogram.quantile(0.999)),
            max: ms(histogram.max()),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999, max } = self;
        write!(f, "p50 {p50:.3}  p99 {p99:.3}  p99.9 {p999:.3}  max {max:.3}")
    }
}

impl Cpu {
    pub(crate) fn new(cpu_seconds: f64, delivered: u64) -> Self {
        let per_million = if delivered > 0 { cpu_seconds * 1e6 / delivered as f64 } else { 0.0 };
        Self { cpu_seconds, cpu_seconds_per_million: per_million }
    }
}

/// The table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<(&'static str, String)> = Vec::new();
        let mut workload = self.workload.clone();
        if self.publishers + self.subscribers > 0 {
            // Writing to a String cannot fail.
            let _ = write!(
                workload,
                " {} to {}, QoS {}, {} bytes, window {}",
                self.publishers, self.subscribers, self.qos, self.payload_bytes, self.window
            );
        }
        rows.push(("workload", workload));
        rows.push(("connections", format!("{} ({:.0}/s)", self.connections, self.connects_per_second)));
        if self.expected > 0 {
            self.message_rows(&mut rows);
        }
        self.cluster_rows(&mut rows);
        if let Some(server) = &self.server {
            let per_million = server.cpu.cpu_seconds_per_million;
            rows.push((
                "server CPU",
                format!("{:.2} s, {per_million:.2} s per million", server.cpu.cpu_seconds),
            ));
            let (before, after) = (server.rss_bytes_before / 1024, server.rss_bytes_after / 1024);
            let each = server.rss_bytes_per_connection;
            rows.push(("server memory", format!("{before} to {after} KiB, {each:.0} bytes per connection")));
        }
        let own = &self.generator;
        rows.push((
            "own CPU",
            format!("{:.2} s, {:.2} s per million", own.cpu_seconds, own.cpu_seconds_per_million),
        ));
        rows.iter().try_for_each(|(name, text)| writeln!(f, "{name:<14} {text}"))
    }
}

impl Report {
    fn cluster_rows(&self, rows: &mut Vec<(&'static str, String)>) {
        if self.takeover.is_some() || self.storm.is_some() {
            rows.push(("CONNACK ms", self.latency_ms.to_string()));
        }
        if let Some(visible) = &self.visible {
            visible.rows(rows);
        }
        if let Some(takeover) = &self.takeover {
            takeover.rows(rows);
        }
        if let Some(storm) = &self.storm {
            storm.rows(rows);
        }
    }

    fn message_rows(&self, rows: &mut Vec<(&'static str, String)>) {
        let (count, seconds) = (self.measured_delivered, self.measured_seconds);
        rows.push(("delivered", format!("{:.0}/s ({count} in {seconds:.2} s)", self.messages_per_second)));
        rows.push(("latency ms", self.latency_ms.to_string()));
        let mut text = format!("{} sent, {} of {} delivered", self.sent, self.delivered, self.expected);
        let findings = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.corrupted, "corrupted"),
            (self.unacknowledged, "unacknowledged"),
        ];
        for (count, what) in findings.into_iter().filter(|(count, _)| *count > 0) {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {count} {what}");
        }
        rows.push(("whole run", text));
    }
}
