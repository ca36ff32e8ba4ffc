//! Real nodes that are killed, paused, cut off, parted, drained and attacked, with traffic between their clients meanwhile.
//!
//! docs/chaos.md says what each case shows and how to run it for longer. Nothing here is timed: what is measured is printed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that stated it")]
#![allow(clippy::print_stdout, reason = "what is measured is shown with --nocapture")]

#[path = "chaos/cuts.rs"]
mod cuts;
#[path = "chaos/flow.rs"]
mod flow;
#[path = "chaos/groups.rs"]
mod groups;
#[path = "chaos/load.rs"]
mod load;
#[path = "chaos/nodes.rs"]
mod nodes;
#[path = "chaos/rolling.rs"]
mod rolling;
#[path = "chaos/strangers.rs"]
mod strangers;

use skein_testkit::{Cluster, ClusterOptions};

const SKEIN: &str = env!("CARGO_BIN_EXE_skein");

fn start(nodes: u16) -> Cluster {
    Cluster::start(SKEIN, &ClusterOptions { nodes, ..ClusterOptions::default() })
}

/// A number from the environment, for runs that are longer than usual.
fn times(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// The value of a figure in a node's metrics; 0 where there is no such line.
fn figure(cluster: &Cluster, id: u16, name: &str) -> u64 {
    let (_, metrics) = cluster.node(id).get("/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}
