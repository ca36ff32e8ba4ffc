//! The MQTT door: MQTT 3.1, 3.1.1 and 5.0 on one port, over TCP, TLS and WebSocket.
//!
//! Start with `connection.rs`, the state machine of one connection; `codec.rs` has the packets, `wire.rs` how the
//! plane's messages become packets, `server.rs` the sockets and threads around them.
#![warn(missing_docs)]

mod circle;
mod clock;
pub mod codec;
mod connection;
mod reason;
mod redirect;
mod server;
mod settings;
mod wire;

pub use clock::Clock;
pub use connection::{Closed, Context, MqttConnection, Origin, PasswordCheck, Step};
pub use redirect::Redirect;
pub use server::{
    ClientCertificates, Demand, ListenError, Listener, ListenerState, Shared, Stream, TlsError, TlsFiles,
    TlsSource, Transport, WebSocketIo, Workers, serve_stream,
};
pub use settings::Settings;
