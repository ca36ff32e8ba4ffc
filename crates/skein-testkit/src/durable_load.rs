//! A load of durable MQTT sessions that knows what it was promised, for tests that kill servers under it.
//!
//! Forty clients publish, subscribe, go away, come back and change their minds while everything they were told is
//! written into a ledger. Whoever drives it ([`Load`]) may kill the server at any moment and let the clients go on
//! with the next one: what contradicts a promise made before the kill is a [`Violation`]. The clients are right
//! clients: they keep what MQTT makes a client keep, send again what was not acknowledged under the same id and take
//! no message of QoS 2 twice, so a fault that shows is the server's.
//!
//! - `packet.rs` writes and reads packets, `payload.rs` the content of messages.
//! - `client.rs` with `client/` is one client, without sockets: packets in, bytes out.
//! - `ledger.rs` with `ledger/` is what was sent, acknowledged and received, and every check of it.
//! - `cast.rs` says who takes part; `run.rs` connects everybody and pumps packets between sockets and clients.
//!
//! All decisions come from one seed; when the server does what is up to its threads. Nothing here may know how the
//! server keeps anything: the crash test of the `skein` program uses it, with any server it could be used.

mod cast;
mod client;
mod connection;
mod ledger;
mod packet;
mod payload;
mod random;
mod retained;
mod run;

use std::fmt;

pub use ledger::Figures;
pub use random::Random;
pub use run::{Load, Moment, Sight};

/// A promise that was not kept, or an answer that no right server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}
