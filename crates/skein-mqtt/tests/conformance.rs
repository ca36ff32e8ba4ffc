//! The numbered statements of MQTT 5.0, and those of 3.1 and 3.1.1 that differ, against the server at packet level.
//!
//! One file for each group of statements; tests carry the statements' ids. Packets are written and read by the test
//! kit, which knows nothing of the server's codec, so that both cannot share a fault. Statements that can be told
//! from one packet's bytes alone are tested with the codec; here only what the server does about them.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

/// Where the servers of these tests keep sessions; `conformance_disk.rs` runs the same tests on disk.
const DURABILITY: skein_plane::Durability = skein_plane::Durability::Memory;

#[path = "conformance/statements.rs"]
mod statements;
