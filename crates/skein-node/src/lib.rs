//! One Skein node as a library: configuration, wiring, and the order in which things start and stop.
//!
//! The program and embedders use it; nothing below it knows it. Start with [`Node::start`] in `node.rs`.
#![warn(missing_docs)]

mod access_file;
mod cluster;
pub mod config;
mod doors;
mod durable;
mod machine;
mod node;
mod operator;
mod private;
mod settings;
mod start_error;
mod sys;

pub use access_file::{read_access_file, write_file_atomically};
pub use cluster::{ClusterEvent, Ended};
pub use node::Node;
pub use operator::OPERATOR_FILE;
pub use private::create_private_directory;
/// Users and rules, and the editing of texts that hold them.
pub use skein_access as access;
/// The cluster, for embedders that look at it or bring a strategy of their own.
pub use skein_cluster;
pub use skein_door::Clock;
/// The packets of MQTT, for programs that are clients too.
pub use skein_mqtt::codec as mqtt_codec;
/// The words the other crates share: topics, filters, quality of service.
pub use skein_types as types;
pub use start_error::{ClusterSetUpError, StartError};
