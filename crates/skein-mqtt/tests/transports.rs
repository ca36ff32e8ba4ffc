//! MQTT over TLS and WebSocket: real sockets, real certificates, and clients that do it wrong.
//!
//! The server is made as the node makes it, on threads of its own; clients speak MQTT with the crate's own codec.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

#[path = "transports/balancer.rs"]
mod balancer;
#[path = "transports/client.rs"]
mod client;
#[path = "transports/flood.rs"]
mod flood;
#[path = "transports/panic.rs"]
mod panic;
#[path = "transports/passwords.rs"]
mod passwords;
#[path = "transports/server.rs"]
mod server;
#[path = "transports/tls.rs"]
mod tls;
#[path = "transports/web_pages.rs"]
mod web_pages;
#[path = "transports/websocket.rs"]
mod websocket;
