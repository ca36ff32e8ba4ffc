//! Whole clusters in one thread, on a network that loses, delays and cuts, from seeds: real cores, peers and soft state around
//! a toy plane. docs/simulation.md says what is checked, and how each checker was shown to fail.
//!
//! `SKEIN_SIM_SEED=<n>` runs one schedule, `SKEIN_SIM_SCHEDULES=<count>` more of them, `SKEIN_SIM_TRACE=1` says what happens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says so when something is not as it should be"
)]

#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/gossip.rs"]
mod gossip;
#[path = "simulation/host.rs"]
mod host;
#[path = "simulation/ledger.rs"]
mod ledger;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/schedule.rs"]
mod schedule;
#[path = "simulation/world.rs"]
mod world;

const SCHEDULES: u64 = 300;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

fn reproduce(seed: u64) -> String {
    format!("SKEIN_SIM_SEED={seed} cargo test -p skein-cluster --test simulation -- --nocapture")
}

#[test]
fn every_schedule_ends_well() {
    let seeds = match number_from("SKEIN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number_from("SKEIN_SIM_SCHEDULES").unwrap_or(SCHEDULES),
    };
    let mut failed = Vec::new();
    let mut total = schedule::Figures::default();
    for seed in seeds {
        let outcome = schedule::run(seed);
        total.add(&outcome.figures);
        if !outcome.faults.is_empty() {
            println!("{}\n  {}", reproduce(seed), outcome.faults.join("\n  "));
            failed.push(seed);
        }
    }
    println!("{total:#?}");
    assert!(failed.is_empty(), "{} schedules failed, the first with\n{}", failed.len(), reproduce(failed[0]));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 1..=5 {
        let (first, second) = (schedule::run(seed), schedule::run(seed));
        assert!(first.trace.steps > 500, "something happened: {:?}", first.trace);
        assert_eq!(first.trace, second.trace, "{}", reproduce(seed));
        assert_ne!(first.trace, schedule::run(seed + 1000).trace);
    }
}
