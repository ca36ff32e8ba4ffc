//! The command line of `skein bench`.
//!
//! It turns arguments into a [`Config`], runs it and prints the report: the figures on stdout, errors and progress
//! on stderr. The exit code is 0 only when the run was made and the server kept its promises.

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::{BenchError, CompareArgs, Config, Length, Protocol, Qos, Workload, progress};

mod shape;

use shape::Shape;

/// The arguments of `skein bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    door: Door,
}

#[derive(Subcommand, Clone, Debug)]
enum Door {
    /// Load an MQTT server.
    Mqtt(Box<MqttArgs>),
    /// Start several servers in turn, load each and compare them.
    Compare(Box<CompareArgs>),
}

#[derive(Args, Clone, Debug)]
struct MqttArgs {
    #[command(subcommand)]
    shape: Shape,
}

#[derive(Args, Clone, Debug)]
struct Common {
    /// Address of the server; cross, visible and takeover take one for each node of a cluster.
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "HOST:PORT")]
    host: Vec<String>,
    /// Quality of service of publications and subscriptions.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Bytes of each payload, at least 16.
    #[arg(long, default_value_t = 16, value_name = "BYTES")]
    payload: usize,
    /// Publish this many messages in total instead of for a time.
    #[arg(long, value_name = "TOTAL", conflicts_with = "seconds")]
    messages: Option<u64>,
    /// Measure for this long.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Traffic before the figures count, in seconds.
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS")]
    warmup: f64,
    /// Messages of one publisher published and not delivered at most: 1 is ping style, 0 the workload's default
    /// (100, fanout 32, paced 1000). It bounds the memory of both sides.
    #[arg(long, default_value_t = 0, value_name = "MESSAGES")]
    window: u64,
    /// Protocol version: 3 (3.1.1) or 5.
    #[arg(long, default_value_t = 3, value_parser = protocol_number)]
    protocol: u8,
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    password: Option<String>,
    /// Process id of the server, or one for each node: measures processor time and memory, all together.
    #[arg(long)]
    pid: Vec<u32>,
    /// Open sessions that outlive their connections, so that the server has to keep what waits for them.
    #[arg(long)]
    durable: bool,
    /// Start of client ids and topics; one of its own for each run by default.
    #[arg(long, value_name = "TEXT")]
    client_id_prefix: Option<String>,
    /// End the run when nothing arrived for this long; what is missing counts as lost.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    quiet: f64,
    /// Keep alive asked of the server, in seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    keep_alive: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn protocol_number(text: &str) -> Result<u8, String> {
    match text {
        "3" | "3.1.1" | "4" => Ok(3),
        "5" => Ok(5),
        _ => Err("choose 3 (for 3.1.1) or 5".to_owned()),
    }
}

impl BenchArgs {
    /// Runs what the arguments ask for and prints the outcome.
    pub fn execute(self) -> ExitCode {
        let mqtt = match self.door {
            Door::Mqtt(mqtt) => mqtt,
            Door::Compare(compare) => return compare.execute(),
        };
        let (workload, common, ratio) = mqtt.shape.into_parts();
        let json = common.json;
        let outcome = common.into_config(workload).and_then(|config| match ratio {
            Some(rounds) => {
                crate::cross_ratio(&config, rounds).map(|ratio| print(&ratio, ratio.is_faulty(), json))
            }
            None => crate::run(&config).map(|report| print(&report, report.is_faulty(), json)),
        });
        outcome.unwrap_or_else(|error| {
            complain(&error.to_string());
            ExitCode::FAILURE
        })
    }
}

/// Runs a command line of its own, for an example or another program; the first argument is the program's name.
pub fn main_from_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    #[derive(Parser)]
    #[command(name = "bench", about = "Loads a server and measures it.")]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }
    match Cli::try_parse_from(args) {
        Ok(cli) => cli.bench.execute(),
        Err(error) => {
            let code = error.exit_code();
            // Nothing can be said when the terminal itself is gone.
            drop(error.print());
            ExitCode::from(u8::try_from(code).unwrap_or(2))
        }
    }
}

impl Common {
    fn into_config(self, workload: Workload) -> Result<Config, BenchError> {
        let mut addresses =
            self.host.iter().map(|host| resolve(host)).collect::<Result<Vec<_>, _>>()?.into_iter();
        let address = addresses.next().map_or_else(|| resolve("127.0.0.1:1883"), Ok)?;
        let length = match self.messages {
            Some(total) => Length::Messages(total),
            None => Length::Time(duration("--seconds", self.seconds)?),
        };
        Ok(Config {
            qos: Qos::from_bits(self.qos).unwrap_or(Qos::AtMostOnce),
            protocol: if self.protocol == 5 { Protocol::V5 } else { Protocol::V3 },
            payload_bytes: self.payload,
            length,
            warmup: duration("--warmup", self.warmup)?,
            window: (self.window > 0).then_some(self.window),
            user: self.user,
            password: self.password,
            server_pids: self.pid,
            more_addresses: addresses.collect(),
            durable: self.durable,
            client_id_prefix: self.client_id_prefix,
            quiet: duration("--quiet", self.quiet)?,
            keep_alive_seconds: self.keep_alive,
            progress: progress::wanted(),
            ..Config::new(workload, address)
        })
    }
}

fn duration(setting: &'static str, seconds: f64) -> Result<Duration, BenchError> {
    let reason = || "it must be a number of seconds from 0 to a million".to_owned();
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= 1e6 => Ok(duration),
        _ => Err(BenchError::Setting { setting, value: seconds.to_string(), reason: reason() }),
    }
}

fn resolve(host: &str) -> Result<SocketAddr, BenchError> {
    let wrong = |reason: String| BenchError::Setting { setting: "--host", value: host.to_owned(), reason };
    let mut addresses = host
        .to_socket_addrs()
        .map_err(|error| wrong(format!("{error}; give host:port, such as 127.0.0.1:1883")))?;
    addresses.next().ok_or_else(|| wrong("the name has no address".to_owned()))
}

fn print(report: &(impl Serialize + Display), is_faulty: bool, json: bool) -> ExitCode {
    let text = if json {
        serde_json::to_string(report).map(|text| text + "\n").unwrap_or_else(|error| error.to_string())
    } else {
        report.to_string()
    };
    if io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if is_faulty {
        complain("bench: the server broke its promises; the counts are in the report");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn complain(text: &str) {
    // A closed stderr leaves the exit code to tell.
    drop(writeln!(io::stderr(), "{text}"));
}
