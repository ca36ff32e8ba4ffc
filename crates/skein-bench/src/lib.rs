//! Load generator and measuring tools behind `skein bench`.
//!
//! It loads any MQTT 3.1.1 or 5 server from one thread, checks every message it gets and reports rates, latencies
//! and the server's processor time per million messages. It must cost far less than the servers it measures
//! and shares no code with them, so that it is also a check on them. The `skein` program embeds
//! [`BenchArgs`]; tests call [`run`]; [`compare()`] sets several servers side by side.
//!
//! # Clusters
//!
//! With several `--host` the workloads cross, visible and takeover look at what nodes promise together; with one
//! they run against that one. Everything is seen by one thread, so an order of events is an order of cause, and two
//! connections are read in the order in which the kernel got their bytes. An older connection that was closed
//! before the CONNACK was sent can still be heard of behind it, when the two take different ways: that is
//! `closed_behind`, and only one that is open when it is looked for is a violation. The figures are strict on one
//! machine; over a network the difference of two ways counts into them.
//!
//! # Windows
//!
//! A publisher has at most `--window` messages on their way: published and not delivered, counted until the last
//! of its subscribers has them. This bounds the queues of the server and the memory of this program; above QoS 0 it
//! bounds the publications without an acknowledgement too. The default is 100 (fanout 32, paced 1000). A window of
//! 1 measures round trips, a larger one lets the server batch.
//!
//! # Fields of the JSON form
//!
//! Counts are of the whole run, rates and times of the measured part.
//!
//! | field | meaning |
//! |---|---|
//! | `workload`, `protocol`, `qos`, `payload_bytes`, `window` | what was run |
//! | `publishers`, `subscribers`, `connections` | numbers of connections |
//! | `connects_per_second` | TCP, CONNECT and SUBSCRIBE with their answers |
//! | `measured_seconds`, `measured_delivered`, `messages_per_second` | deliveries |
//! | `latency_ms.p50`, `.p99`, `.p999`, `.max` | from publishing, or from the time it was due, to delivery |
//! | `sent`, `expected`, `delivered` | publications, deliveries due, different deliveries seen |
//! | `lost`, `duplicated`, `reordered`, `corrupted`, `unacknowledged` | broken promises; loss is allowed at QoS 0 |
//! | `server.cpu_seconds`, `server.cpu_seconds_per_million` | user and system time of the server |
//! | `server.rss_bytes_before`, `server.rss_bytes_after` | resident memory before the first connection and at the end |
//! | `server.rss_bytes_per_connection`, `.pss_…`, `.private_…` | growth per connection |
//! | `generator.cpu_seconds`, `generator.cpu_seconds_per_million` | time of this program |
//!
//! | `visible.times`, `.misses`, `.late` | subscriptions tried; messages not there at the quiet deadline; of them, came after it |
//! | `visible.suback_ms` | SUBSCRIBE to SUBACK |
//! | `takeover.times`, `.violations`, `.closed_behind` | takeovers; older connection open at the CONNACK; closed then, but behind it |
//! | `takeover.never_closed`, `.wrong_reason`, `.closed_late_ms_max` | older connection open at the quiet deadline; not told 0x8E (MQTT 5); worst violation |
//! | `storm.clients`, `.connects`, `.turned_away` | client ids; accepted connects; attempts without CONNACK |
//! | `storm.alive_once`, `.alive_twice`, `.dead` | client ids with one, several, no connection that answers at the end |
//!
//! With `cross --ratio` the object has `messages_per_second` and `cpu_per_message`, the ratios of the medians, and
//! the reports of all runs under `single` and `cross`.
//!
//! `server` is all nodes together, and null without `--pid`. For the workload idle the delivery fields are 0; for retained and
//! visible the latency counts from SUBSCRIBE, for takeover and storm from CONNECT to CONNACK.

mod cli;
mod codec;
mod compare;
mod config;
mod cross;
mod driver;
mod error;
mod flow;
mod handshake;
mod histogram;
mod idle;
mod measure;
mod process;
mod progress;
mod random;
mod relay;
mod report;
mod retained;
mod sequence;
mod takeover;
mod visible;

pub use cli::{BenchArgs, main_from_args};
pub use codec::{Protocol, Qos};
pub use compare::{
    Case, Cell, CompareArgs, Comparison, Figures, Outcome, Row, ServerDefinition, built_in, compare,
};
pub use config::{Config, Length, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Workload};
pub use cross::{Ratio, cross_ratio};
pub use error::BenchError;
pub use relay::Relay;
pub use report::{Cpu, Latency, Report, ServerUse, Storm, Takeover, Visible};

/// Runs one workload to its end.
///
/// # Errors
/// Any [`BenchError`]: a setting that cannot work, a refused or lost connection, a broken protocol. Lost and
/// duplicated messages are counted in the report instead.
pub fn run(config: &Config) -> Result<Report, BenchError> {
    config.check()?;
    let result = match config.workload {
        Workload::Idle { connections } => idle::run(config, connections),
        Workload::Retained { messages, subscribers } => retained::run(config, messages, subscribers),
        Workload::Visible { times, parallel } => visible::run(config, times, parallel),
        Workload::Takeover { times, parallel, seed } => takeover::run(config, times, parallel, seed),
        Workload::Storm { clients, seed } => takeover::run_storm(config, clients, seed),
        Workload::Pairs { .. }
        | Workload::Fanout { .. }
        | Workload::Fanin { .. }
        | Workload::Shared { .. }
        | Workload::Paced { .. }
        | Workload::Cross { .. } => flow::run(config),
    };
    if config.progress {
        progress::clear();
    }
    result
}

/// The payload of every publication: sixteen bytes for number and time, and a pattern that is compared on arrival.
fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).expect("a remainder of 251 fits a byte")).collect()
}

/// The start of all client ids and topics of a run.
fn run_prefix(config: &Config) -> String {
    if let Some(prefix) = &config.client_id_prefix {
        return prefix.clone();
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("b{}-{:x}", std::process::id(), now.as_micros() & 0xFFFF_FFFF)
}
