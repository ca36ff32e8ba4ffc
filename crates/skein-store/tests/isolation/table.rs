//! The table of docs/store/isolation.md, made from what the scenarios showed.

use std::fmt::Write;
use std::path::Path;

use super::fixture::{LEVELS, Scenario, Seen, in_memory, on_a_log};
use super::{objects, ranges};

const HEAD: &str = "\
# What each isolation level prevents

Written by `cargo test -p skein-store --test isolation` from what its scenarios showed on a real store; change the
scenarios in crates/skein-store/tests/isolation, not this file.

A transaction is begun at one of three levels; repeatable read is the default. *hidden* means that the transaction's reads do not
show the anomaly, *refused* that the later of the two commits ends as a conflict (or, for a unique key, as a duplicate), and
**possible** that everything is committed.

| anomaly | read committed | repeatable read | serializable | |
|---|---|---|---|---|
";

const TAIL: &str = "
- *Read committed*: each statement sees what is committed by then. A write is refused when another changed the object between
  the statement and the commit, so commits never mix; but an update computed from an earlier read overwrites what
  was committed between the two.
- *Repeatable read*: all statements see one snapshot, the newest at the first read. Of two transactions that write one object the first to
  commit wins.
- *Serializable*: in addition everything that was read must be unchanged at the commit: objects, the absence of objects, and the part
  of each range that was looked at. A transaction that wrote nothing is never refused: its snapshot is a state of the store.
- An *exclusive* transaction keeps other commits waiting from its begin to its end, and never ends as a conflict.
- A batch of blind writes reads nothing. It is never refused, and counts as a transaction of its own.

Histories of concurrent threads are checked as well (`--test histories`): at serializable they are strictly serializable, at
repeatable read they are snapshot isolation with the newest snapshot, at read committed none of G0, G1a, G1b and G1c shows.
";

fn scenarios() -> impl Iterator<Item = Scenario> {
    objects::SCENARIOS.into_iter().chain(ranges::SCENARIOS)
}

#[test]
fn each_level_prevents_what_it_promises() {
    for scenario in scenarios() {
        for (isolation, expected) in LEVELS.into_iter().zip(scenario.expected) {
            let seen = (scenario.run)(&in_memory(), isolation);
            assert_eq!(seen, expected, "{} at {isolation:?}", scenario.name);
        }
    }
}

#[test]
fn a_log_changes_nothing() {
    for scenario in scenarios() {
        for (isolation, expected) in LEVELS.into_iter().zip(scenario.expected) {
            let seen = (scenario.run)(&on_a_log(), isolation);
            assert_eq!(seen, expected, "{} at {isolation:?}", scenario.name);
        }
    }
}

#[test]
fn the_documentation_has_the_table() {
    let mut expect = HEAD.to_owned();
    for scenario in scenarios() {
        let cells = LEVELS.map(|isolation| match (scenario.run)(&in_memory(), isolation) {
            Seen::Possible => "**possible**",
            Seen::Hidden => "hidden",
            Seen::Refused => "refused",
        });
        let Scenario { name, text, .. } = scenario;
        writeln!(expect, "| {name} | {} | {text} |", cells.join(" | ")).unwrap();
    }
    expect.push_str(TAIL);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/store/isolation.md");
    if std::env::var_os("SKEIN_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expect).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let advice = "run SKEIN_WRITE_REFERENCE=1 cargo test -p skein-store --test isolation";
    assert!(found == expect, "docs/store/isolation.md is not what the scenarios showed: {advice}");
}
