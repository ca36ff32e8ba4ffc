//! Kills the `skein` program at random moments under durable sessions and looks for broken promises.
//!
//! A run is a seed and a number of kills: forty clients work (`skein_testkit::durable_load`), the process is killed
//! with SIGKILL, another is started on the same directory, the clients go on. Whatever the clients were told before
//! must be true after. docs/crash-test.md says what is checked, what is not, and which planted faults it finds.
//!
//! `SKEIN_CRASH_KILLS` and `SKEIN_CRASH_SEED` choose another run; a failing run prints the command that repeats it.
#![expect(clippy::panic, reason = "a failed expectation ends the test that stated it")]

#[path = "crash/moments.rs"]
mod moments;
#[path = "crash/node.rs"]
mod node;

use std::time::{Duration, Instant};

use skein_testkit::durable_load::{Load, Random, Violation};

use crate::moments::Kill;
use crate::node::Node;

/// Kills in a run that says nothing of them.
const KILLS: u64 = 20;
/// Every so many kills everything is brought to its end and compared.
const DRAIN_EVERY: u64 = 4;

struct Run {
    seed: u64,
    kills: u64,
    random: Random,
    load: Load,
    node: Node,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let seed = number("SKEIN_CRASH_SEED").unwrap_or(1);
    let kills = number("SKEIN_CRASH_KILLS").unwrap_or(KILLS);
    // Seen when the test fails, in whatever way.
    println!(
        "to repeat: SKEIN_CRASH_SEED={seed} SKEIN_CRASH_KILLS={kills} cargo test -p skein --test crash -- --nocapture"
    );
    let start = Instant::now();
    let mut run = Run::new(seed, kills);
    run.carry_out();
    let load = &run.load;
    println!(
        "seed {seed}: {kills} kills, {} clients, {:?}, {:#?}",
        load.client_count(),
        start.elapsed(),
        load.figures()
    );
}

/// Without a disk the sessions are gone with the process: a run that does not see that would see nothing.
#[test]
fn sessions_in_memory_are_found_missing() {
    let mut run = Run::new(1, 1);
    run.node = Node::prepare(&["--mqtt.durability", "memory"]);
    let violation = run.round(1).and_then(|()| run.start()).expect_err("memory does not survive");
    let text = violation.to_string();
    assert!(text.contains("session is lost") || text.contains("retained"), "{text}");
}

impl Run {
    fn new(seed: u64, kills: u64) -> Self {
        let node = Node::prepare(&["--mqtt.durability", "disk"]);
        // The load has its own numbers, so that its decisions do not depend on how often a moment was chosen.
        Self { seed, kills, random: Random::new(!seed), load: Load::new(seed), node }
    }

    fn carry_out(&mut self) {
        for kill in 1..=self.kills {
            let result = self.round(kill);
            self.holds(kill, result);
        }
        let result = self.start().and_then(|()| self.load.drain());
        self.holds(self.kills, result);
        self.node.stop();
    }

    /// From one kill to the next.
    fn round(&mut self, kill: u64) -> Result<(), Violation> {
        match Kill::choose(&mut self.random) {
            Kill::WhileStarting(after) => {
                self.node.launch();
                self.load.pass_time(after);
                self.node.kill();
                Ok(())
            }
            Kill::AtWork(moment) => {
                self.start()?;
                if kill.is_multiple_of(DRAIN_EVERY) {
                    self.load.drain()?;
                }
                self.load.run(&moment)?;
                self.node.kill();
                self.load.server_died()
            }
        }
    }

    fn start(&mut self) -> Result<(), Violation> {
        let address = self.node.start();
        self.load.start(address)
    }

    fn holds(&self, kill: u64, result: Result<(), Violation>) {
        if let Err(violation) = result {
            panic!(
                "seed {}, after {} kills: {violation}\nthe data is in {}",
                self.seed,
                kill - 1,
                self.node.data().display()
            );
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; it must be a number")))
}

/// How long a round may last at most; it ends much sooner when it sees what it waits for.
const ROUND_MAX: Duration = Duration::from_millis(600);
