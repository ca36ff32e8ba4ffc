//! The MQTT door: MQTT 3.1, 3.1.1 and 5.0 on one port, over TCP, TLS and WebSocket.
//!
//! Start with `connection.rs`, the state machine of one connection; `codec.rs` has the packets, `wire.rs` how the
//! plane's messages become packets, `server.rs` what joins them with the connections of `skein-door`.
#![warn(missing_docs)]

mod circle;
pub mod codec;
mod connection;
mod reason;
mod server;
mod settings;
mod wire;

pub use connection::{Closed, Context, MqttConnection, Origin, PasswordCheck, Step};
pub use server::MqttDoor;
pub use settings::Settings;
