//! The `skein` program as people use it: started, signalled, asked for help, wrongly called.
//!
//! Every test starts the real binary with addresses of its own and waits for what it writes.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

mod bench;
mod compat;
mod modes;
mod node;
mod open_files;
mod pub_sub;
mod reload;
mod serve;
mod store;
mod texts;
mod user;
mod watch;
