//! Nodes as processes that find each other: what an operator sees, and what clients are told when a node goes.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

#[path = "cluster/drain.rs"]
mod drain;
#[path = "cluster/finding.rs"]
mod finding;
#[path = "cluster/notifications.rs"]
mod notifications;
#[path = "cluster/owners.rs"]
mod owners;

use skein_testkit::{Cluster, ClusterOptions};

/// Nodes of the program, with more arguments for each.
fn start(nodes: u16, arguments: &[&str]) -> Cluster {
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    Cluster::start(
        env!("CARGO_BIN_EXE_skein"),
        &ClusterOptions { nodes, arguments, ..ClusterOptions::default() },
    )
}
