//! Gossip at size: how long until a silent node is noticed, and what gossip costs a node, in clusters of 10 to 10 000.
//!
//! Simulated with the core that nodes run, in one process, without loss, each datagram under way for a millisecond; the same
//! numbers each time. It writes a table (CSV) and a plot (SVG) as docs/scale.md shows them:
//! `cargo run --release -p skein-cluster --example scale -- 10 100 1000 10000`.

#[path = "scale/cluster.rs"]
mod cluster;
#[path = "scale/plot.rs"]
mod plot;

use std::{fmt::Write as _, time::Instant};

use cluster::Cluster;

/// How many silent nodes each size is measured with, and at most how many in one cluster.
const VICTIMS: usize = 30;
const VICTIMS_MAX: usize = 10;
/// A part of a cluster that may be silent at once.
const VICTIMS_PART: usize = 10;
const WARM_UP: u64 = 2000;
const QUIET: u64 = 10_000;
const NOTICE_MAX: u64 = 15_000;

/// What was measured at one size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) nodes: usize,
    pub(crate) victims: usize,
    /// Milliseconds from the crash to the first node that is told, and to the last: median and worst of the victims.
    pub(crate) first: [u64; 2],
    pub(crate) last: [u64; 2],
    /// Sent by a node in a second, with seal, UDP and IP: while nothing happens, and in the busiest second after crashes.
    pub(crate) quiet_bytes: f64,
    pub(crate) quiet_datagrams: f64,
    pub(crate) busiest_bytes: f64,
    pub(crate) seconds: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(nodes: usize) -> Row {
    let started = Instant::now();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut row = Row { nodes, ..Row::default() };
    let clusters = VICTIMS.div_ceil((nodes / VICTIMS_PART).clamp(1, VICTIMS_MAX));
    // The largest is built once: building is most of its time.
    let clusters = if nodes > 1000 { 1 } else { clusters };
    for seed in 0..clusters {
        let mut cluster = Cluster::new(nodes, seed as u64);
        cluster.run(WARM_UP);
        let before = cluster.sent;
        cluster.run(QUIET);
        let node_seconds = (nodes * clusters) as f64 * QUIET as f64 / 1000.0;
        row.quiet_bytes += (cluster.sent.bytes - before.bytes) as f64 / node_seconds;
        row.quiet_datagrams += (cluster.sent.datagrams - before.datagrams) as f64 / node_seconds;
        for _ in 0..(nodes / VICTIMS_PART).clamp(1, VICTIMS_MAX) {
            cluster.silence_one();
            cluster.run(37);
        }
        let end = cluster.now + NOTICE_MAX;
        while cluster.now < end && !cluster.all_noticed() {
            let before = cluster.sent.bytes;
            cluster.run(1000);
            let bytes = (cluster.sent.bytes - before) as f64 / nodes as f64;
            row.busiest_bytes = row.busiest_bytes.max(bytes);
        }
        assert!(cluster.all_noticed(), "{nodes} nodes, seed {seed}: not noticed within {NOTICE_MAX} ms");
        for victim in &cluster.silent {
            row.victims += 1;
            first.push(victim.first_noticed);
            last.push(victim.last_noticed);
        }
    }
    row.first = median_and_worst(&mut first);
    row.last = median_and_worst(&mut last);
    row.seconds = started.elapsed().as_secs_f64();
    row
}

fn median_and_worst(times: &mut [u64]) -> [u64; 2] {
    times.sort_unstable();
    [times.get(times.len() / 2), times.last()].map(|time| time.copied().unwrap_or_default())
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "nodes,victims,first_ms_median,first_ms_worst,all_ms_median,all_ms_worst,quiet_bytes_per_node_s,\
         quiet_datagrams_per_node_s,busiest_bytes_per_node_s\n",
    );
    for row in rows {
        let _infallible = writeln!(
            text,
            "{},{},{},{},{},{},{:.0},{:.1},{:.0}",
            row.nodes,
            row.victims,
            row.first[0],
            row.first[1],
            row.last[0],
            row.last[1],
            row.quiet_bytes,
            row.quiet_datagrams,
            row.busiest_bytes
        );
    }
    text
}

fn main() -> std::io::Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100, 1000, 10_000] } else { sizes };
    let mut rows = Vec::new();
    for size in sizes {
        let row = measure(size);
        eprintln!("{row:?}");
        rows.push(row);
        std::fs::write("docs/scale.csv", table(&rows))?;
        std::fs::write("docs/scale.svg", plot::svg(&rows))?;
    }
    eprintln!("written: docs/scale.csv docs/scale.svg");
    Ok(())
}
