//! Pairs over two nodes against the same pairs on one, in turn, so that both see the same machine.
//!
//! The order within a round changes from round to round. The ratio is that of the medians.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BenchError, Config, Report, Workload};

/// Rounds of both when the user names no number.
pub(crate) const ROUNDS_DEFAULT: usize = 5;

/// What crossing nodes costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Messages per second across nodes for one on a single node, by the medians of the rounds.
    pub messages_per_second: f64,
    /// Processor time of all nodes per delivered message across nodes, for one on a single node. `None`
    /// without the process ids of the nodes, or when a run used too little to be measured.
    pub cpu_per_message: Option<f64>,
    /// The runs on the first node alone.
    pub single: Vec<Report>,
    /// The runs across nodes.
    pub cross: Vec<Report>,
}

impl Ratio {
    /// Whether the server broke a promise in any of the runs.
    pub fn is_faulty(&self) -> bool {
        self.single.iter().chain(&self.cross).any(Report::is_faulty)
    }
}

/// Runs the workload cross and the same pairs on the first node alone `rounds` times in turn.
///
/// # Errors
/// What [`crate::run`] returns, and [`BenchError::Setting`] for another workload or no round.
pub fn cross_ratio(config: &Config, rounds: usize) -> Result<Ratio, BenchError> {
    let Workload::Cross { pairs, .. } = config.workload else {
        return Err(setting(config.workload.name(), "only cross has a ratio to one node"));
    };
    if rounds == 0 {
        return Err(setting("0", "there must be at least one round"));
    }
    let single_config =
        Config { workload: Workload::Pairs { pairs }, more_addresses: Vec::new(), ..config.clone() };
    let (mut single, mut cross) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round.is_multiple_of(2) {
            single.push(crate::run(&single_config)?);
            cross.push(crate::run(config)?);
        } else {
            cross.push(crate::run(config)?);
            single.push(crate::run(&single_config)?);
        }
    }
    let rate = |reports: &[Report]| median(reports.iter().map(|report| report.messages_per_second));
    let messages_per_second = quotient(rate(&cross), rate(&single)).unwrap_or(0.0);
    let cpu_per_message = match (cpu(&cross), cpu(&single)) {
        (Some(cross), Some(single)) => quotient(cross, single),
        _ => None,
    };
    Ok(Ratio { messages_per_second, cpu_per_message, single, cross })
}

fn setting(value: &str, reason: &str) -> BenchError {
    BenchError::Setting { setting: "--ratio", value: value.to_owned(), reason: reason.to_owned() }
}

/// Seconds of processor time per million messages, of all nodes together.
fn cpu(reports: &[Report]) -> Option<f64> {
    let each: Option<Vec<f64>> =
        reports.iter().map(|report| Some(report.server?.cpu.cpu_seconds_per_million)).collect();
    each.map(|each| median(each.into_iter()))
}

fn quotient(of: f64, by: f64) -> Option<f64> {
    (by > 0.0).then(|| of / by)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => 0.0,
        values if values.len().is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        values => values[middle],
    }
}

/// The table for people: each run in a line, then the ratios.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, reports) in [("one node", &self.single), ("cross", &self.cross)] {
            for report in reports {
                write!(
                    f,
                    "{name:<14} {:.0}/s, latency ms {}",
                    report.messages_per_second, report.latency_ms
                )?;
                if let Some(server) = &report.server {
                    write!(f, ", {:.2} CPU s per million", server.cpu.cpu_seconds_per_million)?;
                }
                let faults = report.lost + report.duplicated + report.reordered + report.corrupted;
                writeln!(f, ", {} delivered, {faults} faults", report.delivered)?;
            }
        }
        writeln!(f, "{:<14} {:.2} x the messages per second of one node", "ratio", self.messages_per_second)?;
        match self.cpu_per_message {
            Some(cpu) => writeln!(f, "{:<14} {cpu:.2} x the processor time per message, all nodes", ""),
            None => writeln!(f, "{:<14} processor time: not measured; give --pid for each node", ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{median, quotient};

    #[test]
    fn medians_and_quotients() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
        assert_eq!((quotient(1.0, 4.0), quotient(1.0, 0.0)), (Some(0.25), None));
    }
}
