//! One Skein node as a library: configuration, wiring, and the order in which things start and stop.
//!
//! The program and embedders use it; nothing below it knows it. Start with [`Node::start`] in `node.rs`.
#![warn(missing_docs)]

pub mod config;
mod node;
mod settings;
mod sys;

pub use node::{Node, StartError};
pub use skein_mqtt::Clock;
