//! Limits fixed by the protocols; what an operator may change is in the configuration instead.

/// Longest topic or filter, in UTF-8 bytes (MQTT-4.7.3-3).
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Highest id of an unacknowledged message on one connection (MQTT 5.0 section 2.2.1).
pub const MESSAGE_ID_MAX: u16 = u16::MAX;
