//! Why a run could not be made or had to stop.
//!
//! Each text says what failed with the value, why, and what to do about it. Loss, duplication and
//! reordering are findings in the report, not errors.

use std::{io, net::SocketAddr};

/// A run that gave no usable figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A setting that cannot work.
    #[error("bench: {setting} = {value} cannot be used: {reason}")]
    Setting {
        /// The option's name.
        setting: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what would do.
        reason: String,
    },
    /// The operating system refused something that is not about one connection.
    #[error("bench: cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// No connection could be made.
    #[error("bench: connection {connection} to {address} failed while {step}: {source}. {advice}")]
    Connect {
        /// The client id.
        connection: String,
        /// The server.
        address: SocketAddr,
        /// What it was waiting for.
        step: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The server answered with a refusal.
    #[error("bench: server refused {request} of connection {connection}: {code} ({meaning}). {advice}")]
    Refused {
        /// The client id.
        connection: String,
        /// CONNECT, SUBSCRIBE or PUBLISH.
        request: &'static str,
        /// The code as it stood on the wire.
        code: String,
        /// The code in words.
        meaning: &'static str,
        /// What to do.
        advice: String,
    },
    /// The server ended a connection during the run.
    #[error("bench: server closed connection {connection} while {step}: {reason}. {advice}")]
    Closed {
        /// The client id.
        connection: String,
        /// What the connection was doing.
        step: &'static str,
        /// What the server or the system said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server sent something the standard does not allow.
    #[error(
        "bench: server broke the protocol on connection {connection}: {detail}. Report it to the server's makers."
    )]
    Protocol {
        /// The client id.
        connection: String,
        /// The rule that was broken.
        detail: String,
    },
    /// An answer did not come in time.
    #[error(
        "bench: no answer on connection {connection} after {seconds} s while {step} ({ready} of {wanted} connections were ready). Check that the server is not overloaded and speaks MQTT on this port."
    )]
    Timeout {
        /// The client id.
        connection: String,
        /// What it was waiting for.
        step: &'static str,
        /// How long.
        seconds: u64,
        /// Connections that were ready.
        ready: usize,
        /// Connections wanted.
        wanted: usize,
    },
    /// A server of a comparison could not be started.
    #[error("bench: cannot start server {server}: {reason}")]
    Server {
        /// The server's name.
        server: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl BenchError {
    pub(crate) fn system(action: impl Into<String>, source: io::Error) -> Self {
        Self::System { action: action.into(), source }
    }
}
