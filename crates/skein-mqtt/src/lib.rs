//! The MQTT door: what lies between a socket and the plane for MQTT 3.1, 3.1.1 and 5.0.

pub mod codec;
