//! A small MQTT 3.1.1 and 5 client codec: what a load generator writes, and what a server answers.
//!
//! It shares nothing with the server's codec, on purpose: a misreading of the standard on one side shows up
//! as a fault on the other. It does no IO and keeps no state; the bytes it reads come from a server under
//! test and are never trusted. The connection driver and the workloads call it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod decode;
mod encode;

pub(crate) use decode::{CodecError, ConnAck, Decoded, Packet, Publish, decode, reason_text};
pub(crate) use encode::{
    Ack, ConnectFields, PublishFields, PublishTemplate, write_ack, write_connect, write_disconnect,
    write_pingreq, write_publish, write_subscribe, write_unsubscribe,
};

/// The two versions of the protocol the generator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    /// MQTT 3.1.1 (protocol level 4).
    #[serde(rename = "3.1.1")]
    V3,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
}

/// Quality of service of publications and subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The two bits of the wire.
    pub fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// The quality of service of two wire bits; 3 is forbidden (MQTT-3.3.1-4).
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
