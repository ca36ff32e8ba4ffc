//! Load generator and measuring tools behind `skein bench`.
//!
//! It loads any MQTT 3.1.1 or 5 server from one thread, checks every message it gets and reports rates, latencies
//! and the server's processor time per million messages. It must cost far less than the servers it measures
//! and shares no code with them, so that it is also a check on them. The `skein` program embeds
//! [`BenchArgs`]; tests call [`run`].

mod cli;
mod codec;
mod config;
mod driver;
mod error;
mod flow;
mod handshake;
mod histogram;
mod idle;
mod measure;
mod process;
mod progress;
mod relay;
mod report;
mod retained;
mod sequence;

pub use cli::{BenchArgs, main_from_args};
pub use codec::{Protocol, Qos};
pub use config::{Config, Length, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Workload};
pub use error::BenchError;
pub use relay::Relay;
pub use report::{Cpu, Latency, Report, ServerUse};

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
        Workload::Pairs { .. }
        | Workload::Fanout { .. }
        | Workload::Fanin { .. }
        | Workload::Shared { .. }
        | Workload::Paced { .. } => flow::run(config),
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
