//! The HTTP door over real sockets: every route, who may use it, and its bounds.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

mod access;
mod bounds;
mod client;
mod cluster;
mod fixture;
mod routes;
mod tls;
mod upgrade;
mod users;
mod waiting;
