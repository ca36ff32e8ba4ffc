//! Which isolation level prevents what: every anomaly as a scripted interleaving against a real store.
//!
//! Each scenario says what it expects at each level, is run in memory and on a log, and makes a line of the
//! table in docs/store/isolation.md, which must be what the runs gave.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that stated it")]

#[path = "isolation/fixture.rs"]
mod fixture;
#[path = "isolation/objects.rs"]
mod objects;
#[path = "isolation/observations.rs"]
mod observations;
#[path = "isolation/ranges.rs"]
mod ranges;
#[path = "isolation/table.rs"]
mod table;
