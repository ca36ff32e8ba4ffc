//! Whole clusters of gossip in simulation: loss, delay, reordering, duplicates, recorded packets, partitions, pauses,
//! crashes, restarts and leaves, all from one seed.
//!
//! A failing seed prints the command that repeats it. `SKEIN_SIM_SEED` runs one seed, `SKEIN_SIM_SEEDS` that many. There is
//! no real time and no network here: a run is the same every time.

#[path = "gossip/checks.rs"]
mod checks;
#[path = "gossip/network.rs"]
mod network;
#[path = "gossip/schedule.rs"]
mod schedule;

use schedule::{Kind, run};

/// Runs a kind of schedule over its seeds.
fn simulate(kind: Kind, test: &str, seeds: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SKEIN_SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SKEIN_SIM_SEEDS").unwrap_or(seeds),
    };
    for seed in seeds {
        let fault = run(kind, seed).err().unwrap_or_default();
        let again = format!("SKEIN_SIM_SEED={seed} cargo test -p skein-cluster --test gossip {test}");
        assert!(fault.is_empty(), "seed {seed}: {fault}\nto repeat: {again}");
    }
}

/// No loss, no pause, no cut: nobody is taken for dead who is not, who is is noticed within three seconds, and a leave
/// at once.
#[test]
fn calm() {
    simulate(Kind::Calm, "calm", 30);
}

/// Everything at once; then the network heals and all agree.
#[test]
fn storm() {
    simulate(Kind::Storm, "storm", 30);
}

/// Every node is stopped for up to half a minute, one or some at a time, and nothing else happens.
#[test]
fn pauses() {
    simulate(Kind::Pauses, "pauses", 15);
}

/// The same seed gives the same run.
#[test]
fn runs_repeat() {
    assert_eq!(run(Kind::Storm, 4), run(Kind::Storm, 4));
}
