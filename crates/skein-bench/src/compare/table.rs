//! The tables of a comparison as Markdown.

use std::fmt::Write;

use super::{Figures, Outcome, Row};
use crate::Report;

pub(super) fn markdown(outcome: &Outcome) -> String {
    let mut text = String::from("# Servers side by side\n");
    let has_messages = |row: &&Row| !row.workload.starts_with("idle");
    let (flows, idles): (Vec<&Row>, Vec<&Row>) = outcome.rows.iter().partition(has_messages);
    if !flows.is_empty() {
        let title = "Processor seconds of the server per million delivered";
        write_table(&mut text, title, &outcome.servers, &flows, |figures| {
            format!("{:.2}", figures.cpu_seconds_per_million)
        });
        let title = "Thousand messages delivered per second (and p99 in ms)";
        write_table(&mut text, title, &outcome.servers, &flows, |figures| {
            format!("{:.0} ({:.1})", figures.messages_per_second / 1e3, figures.p99_ms)
        });
        let title = "Processor seconds of the generator per million delivered";
        write_table(&mut text, title, &outcome.servers, &flows, |figures| {
            format!("{:.2}", figures.generator_cpu_seconds_per_million)
        });
        write_ratios(&mut text, outcome, &flows);
    }
    if !idles.is_empty() {
        let title = "Idle connections: bytes of server memory each (and connects per second)";
        write_table(&mut text, title, &outcome.servers, &idles, |figures| {
            format!("{:.0} ({:.0})", figures.rss_bytes_per_connection, figures.connects_per_second)
        });
    }
    write_failures(&mut text, outcome);
    text
}

fn write_table(
    text: &mut String,
    title: &str,
    columns: &[String],
    rows: &[&Row],
    show: fn(&Figures) -> String,
) {
    line(text, &format!("\n## {title}\n"));
    head(text, columns);
    for row in rows {
        let cells = columns.iter().map(|server| {
            let median = row.servers.get(server).and_then(|cell| cell.median.as_ref());
            median.map_or_else(|| "–".to_owned(), show)
        });
        line(text, &format!("| {} | {} |", row.workload, cells.collect::<Vec<_>>().join(" | ")));
    }
}

/// The subject's figures divided by each peer's: below one is better for time, above one for messages.
fn write_ratios(text: &mut String, outcome: &Outcome, rows: &[&Row]) {
    let peers: Vec<String> =
        outcome.servers.iter().filter(|server| **server != outcome.subject).cloned().collect();
    if peers.len() == outcome.servers.len() || peers.is_empty() {
        return;
    }
    line(
        text,
        &format!("\n## {} divided by each peer: processor time, messages per second, p99\n", outcome.subject),
    );
    head(text, &peers);
    for row in rows {
        let median = |server: &str| row.servers.get(server).and_then(|cell| cell.median);
        let cells = peers.iter().map(|peer| match (median(&outcome.subject), median(peer)) {
            (Some(own), Some(other)) => [
                ratio(own.cpu_seconds_per_million, other.cpu_seconds_per_million),
                ratio(own.messages_per_second, other.messages_per_second),
                ratio(own.p99_ms, other.p99_ms),
            ]
            .join(", "),
            _ => "–".to_owned(),
        });
        line(text, &format!("| {} | {} |", row.workload, cells.collect::<Vec<_>>().join(" | ")));
    }
}

fn ratio(own: f64, other: f64) -> String {
    if other > 0.0 { format!("{:.2}", own / other) } else { "–".to_owned() }
}

fn head(text: &mut String, columns: &[String]) {
    line(text, &format!("| workload | {} |", columns.join(" | ")));
    line(text, &format!("|---|{}", "---|".repeat(columns.len())));
}

fn write_failures(text: &mut String, outcome: &Outcome) {
    let failures = outcome.rows.iter().flat_map(|row| {
        row.servers.iter().flat_map(move |(server, cell)| {
            cell.failures.iter().map(move |failure| format!("- {} {server}: {failure}", row.workload))
        })
    });
    for (index, failure) in failures.enumerate() {
        if index == 0 {
            line(text, "\n## What went wrong\n");
        }
        line(text, &failure);
    }
}

/// The faults of one run in words.
pub(super) fn findings(report: &Report) -> String {
    format!(
        "{} lost, {} duplicated, {} reordered, {} corrupted, {} unacknowledged of {}",
        report.lost,
        report.duplicated,
        report.reordered,
        report.corrupted,
        report.unacknowledged,
        report.expected
    )
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}
