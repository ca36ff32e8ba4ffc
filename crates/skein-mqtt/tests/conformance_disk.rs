//! The tests of `conformance.rs` against a server that keeps its sessions on disk: what clients see is the same.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

/// Where the servers of these tests keep sessions.
const DURABILITY: skein_plane::Durability = skein_plane::Durability::Disk;

#[path = "conformance/statements.rs"]
mod statements;
