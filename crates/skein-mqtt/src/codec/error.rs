//! Why bytes are not a packet.
//!
//! Must never carry bytes of the packet: errors are logged, payloads and secrets are not.

use super::{ReasonCode, Version};

/// A packet that must not be processed; whoever reads it closes the connection (MQTT-4.13.1-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({reason})")]
pub struct DecodeError {
    /// What a CONNACK or DISCONNECT should say about it.
    pub reason: ReasonCode,
    /// What is wrong, for the log and the reason string.
    pub what: &'static str,
    /// The version in which a refused CONNECT can be answered; none when its protocol name is unknown, so that
    /// closing is the only answer, and for every other packet, whose connection has a version already.
    pub answer: Option<Version>,
}

impl DecodeError {
    /// An error with a reason of its own.
    #[must_use]
    pub const fn new(reason: ReasonCode, what: &'static str) -> Self {
        Self { reason, what, answer: None }
    }

    /// Bytes that cannot be parsed (MQTT 5.0 section 4.13.1).
    #[must_use]
    pub const fn malformed(what: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, what)
    }

    /// A packet that can be parsed and says what the protocol forbids (MQTT 5.0 section 4.13.1).
    #[must_use]
    pub const fn protocol(what: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, what)
    }

    /// The same error of a CONNECT, which can be answered in `version`.
    pub(super) const fn answered_in(self, version: Version) -> Self {
        Self { answer: Some(version), ..self }
    }
}
