//! Measures several servers side by side in one run and prints their ratios.
//!
//! Absolute figures drift from machine to machine and from minute to minute; ratios of runs that alternate
//! do not. Each run starts a fresh server on ports of its own, pinned to one core, and the generator as a
//! process of its own on another; the rounds go A B C, A B C; the tables show medians. The servers are data
//! ([`ServerDefinition`]), so others can be measured without a change here. The command line `compare` calls
//! [`compare`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{BenchError, Report, progress};

mod args;
mod case;
mod chart;
mod definition;
mod server;
mod table;

pub use args::CompareArgs;
pub use case::Case;
pub use definition::{ServerDefinition, built_in};

/// What to compare and how.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The servers, in the order of their columns.
    pub servers: Vec<ServerDefinition>,
    /// The server whose ratios to the others are shown.
    pub subject: String,
    /// The workloads, in the order of their rows.
    pub cases: Vec<Case>,
    /// Runs of each server per workload.
    pub rounds: usize,
    /// Seconds of the measured part of each run.
    pub seconds: f64,
    /// The generator's program with the arguments before the workload's name.
    pub generator: Vec<String>,
    /// The core of the server and the core of the generator; `None` leaves both to the scheduler.
    pub cores: Option<(usize, usize)>,
    /// Where configurations and the outcome are written.
    pub folder: PathBuf,
}

/// All figures of a comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The server whose ratios to the others are of interest.
    pub subject: String,
    /// The servers in the order of their columns.
    pub servers: Vec<String>,
    /// A row per workload.
    pub rows: Vec<Row>,
}

/// The figures of one workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The workload's name, such as `pairs-q1-16-w1`.
    pub workload: String,
    /// By server; one that cannot do the workload is missing.
    pub servers: BTreeMap<String, Cell>,
}

/// The runs of one server under one workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    /// Medians over the rounds that gave figures; `None` when none did.
    pub median: Option<Figures>,
    /// The report of each round that gave figures.
    pub reports: Vec<Report>,
    /// Why rounds gave none or the server broke a promise.
    pub failures: Vec<String>,
}

/// The figures that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Processor seconds of the server per million delivered messages.
    pub cpu_seconds_per_million: f64,
    /// Messages delivered per second.
    pub messages_per_second: f64,
    /// 99 % of the messages were faster, in milliseconds.
    pub p99_ms: f64,
    /// Connections opened per second.
    pub connects_per_second: f64,
    /// Resident memory of the server per connection, in bytes.
    pub rss_bytes_per_connection: f64,
    /// Processor seconds of the generator per million delivered messages.
    pub generator_cpu_seconds_per_million: f64,
}

/// Runs the comparison and writes `compare.md`, `compare.json` and `compare.svg` into its folder.
///
/// A run that fails is noted in its cell; the others go on.
///
/// # Errors
/// [`BenchError`] when the folder cannot be written.
pub fn compare(comparison: &Comparison) -> Result<Outcome, BenchError> {
    let folder = &comparison.folder;
    std::fs::create_dir_all(folder)
        .map_err(|source| BenchError::system(format!("make the folder {}", folder.display()), source))?;
    let mut outcome = Outcome {
        subject: comparison.subject.clone(),
        servers: comparison.servers.iter().map(|server| server.name.clone()).collect(),
        rows: Vec::new(),
    };
    for (done, case) in comparison.cases.iter().enumerate() {
        let row = run_case(comparison, case, done);
        outcome.rows.push(row);
        // Written after each row: a comparison takes minutes, and what was measured must not be lost.
        write_outcome(folder, &outcome)?;
    }
    progress_done();
    Ok(outcome)
}

fn run_case(comparison: &Comparison, case: &Case, done: usize) -> Row {
    let able: Vec<_> = comparison.servers.iter().filter(|server| case.suits(server)).collect();
    let mut row = Row { workload: case.name.clone(), servers: BTreeMap::new() };
    for round in 0..comparison.rounds {
        for server in &able {
            show(comparison, done, round, &format!("{} round {} {}", case.name, round + 1, server.name));
            let cell = row.servers.entry(server.name.clone()).or_default();
            match server::run_once(comparison, server, case) {
                Ok(report) => {
                    if report.is_faulty() || report.lost > 0 {
                        cell.failures.push(table::findings(&report));
                    }
                    cell.reports.push(report);
                }
                Err(error) => cell.failures.push(error.to_string()),
            }
        }
    }
    for cell in row.servers.values_mut() {
        cell.median = median(&cell.reports);
    }
    row
}

fn show(comparison: &Comparison, done: usize, round: usize, text: &str) {
    if progress::wanted() {
        let all = (comparison.cases.len() * comparison.rounds).max(1);
        progress::draw((done * comparison.rounds + round) as f64 / all as f64, text);
    }
}

fn progress_done() {
    if progress::wanted() {
        progress::clear();
    }
}

/// The median of each figure by itself.
fn median(reports: &[Report]) -> Option<Figures> {
    let of = |figure: fn(&Report) -> f64| {
        let mut values: Vec<f64> = reports.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get(values.len().saturating_sub(1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    };
    Some(Figures {
        cpu_seconds_per_million: of(|report| report.server.unwrap_or_default().cpu.cpu_seconds_per_million)?,
        messages_per_second: of(|report| report.messages_per_second)?,
        p99_ms: of(|report| report.latency_ms.p99)?,
        connects_per_second: of(|report| report.connects_per_second)?,
        rss_bytes_per_connection: of(|report| report.server.unwrap_or_default().rss_bytes_per_connection)?,
        generator_cpu_seconds_per_million: of(|report| report.generator.cpu_seconds_per_million)?,
    })
}

fn write_outcome(folder: &Path, outcome: &Outcome) -> Result<(), BenchError> {
    let json = serde_json::to_string_pretty(outcome)
        .map_err(|error| BenchError::system("write the figures as JSON", error.into()))?;
    let files = [
        ("compare.md", table::markdown(outcome)),
        ("compare.json", json + "\n"),
        ("compare.svg", chart::svg(outcome)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .map_err(|source| BenchError::system(format!("write {}", path.display()), source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
