//! The configuration of a node: one typed tree, put together from a file, variables and flags.
//!
//! Texts go in, a configuration or all of its faults come out; nothing here reads a file, the environment or a clock. The
//! program gathers the sources and calls [`Config::load`]. Each section owns its keys, defaults, documentation and checks;
//! to add a key, add a field to its section.

mod check;
mod cluster;
pub mod comqtt;
mod diff;
mod document;
mod fault;
mod flags;
mod listen;
mod load;
mod mqtt;
mod node;
mod peers;
mod reference;
mod secrets;
mod section;
mod security;
mod setting;
mod texts;
mod units;
mod yaml;

use std::path::PathBuf;

pub use cluster::ClusterConfig;
pub(crate) use cluster::check_secret_text;
pub use diff::Changed;
pub use fault::{Fault, Faults, Place};
pub use flags::{SplitArguments, split_arguments};
pub use listen::Listen;
pub use mqtt::{Durability, MqttConfig, MqttDoor, MqttLimits, MqttListener, Transport};
pub use node::{DataConfig, DataSync, LogConfig, LogFormat, LogLevel, NodeConfig};
pub(crate) use peers::PORT_DEFAULT;
pub use peers::{Advertise, HostPort, Join, JoinAddress};
pub use secrets::{DatabaseUrl, Secret};
pub use section::{Effect, Key};
pub use security::{AccessConfig, ClientAuth, HttpConfig, TlsConfig};
pub use texts::{Text, Urls};
pub use units::{Bytes, Span};

use section::Section;

/// What the variables of the environment that set keys start with.
pub const VARIABLE_PREFIX: &str = "SKEIN_";

/// Where a configuration comes from. Later fields go before earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file's name and its text. The name decides between YAML and TOML.
    pub file: Option<(PathBuf, String)>,
    /// The environment; only variables that start with [`VARIABLE_PREFIX`] are looked at.
    pub env: Vec<(String, String)>,
    /// Flags, without their dashes, and their values.
    pub flags: Vec<(String, String)>,
}

/// The configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// What it keeps.
    pub data: DataConfig,
    /// What it writes about itself.
    pub log: LogConfig,
    /// The MQTT door.
    pub mqtt: MqttConfig,
    /// TLS.
    pub tls: TlsConfig,
    /// The HTTP door.
    pub http: HttpConfig,
    /// Who may come in.
    pub access: AccessConfig,
    /// Other nodes.
    pub cluster: ClusterConfig,
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// Every fault of every source.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        load::load(sources)
    }

    /// Every key, section by section.
    #[must_use]
    pub fn keys() -> Vec<Key> {
        [
            NodeConfig::keys(),
            DataConfig::keys(),
            LogConfig::keys(),
            MqttDoor::keys(),
            MqttLimits::keys(),
            TlsConfig::keys(),
            HttpConfig::keys(),
            AccessConfig::keys(),
            ClusterConfig::keys(),
        ]
        .concat()
    }

    /// Every key with its value as TOML, in the order of [`Config::keys`].
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, String)> {
        [
            self.node.values(),
            self.data.values(),
            self.log.values(),
            self.mqtt.door.values(),
            self.mqtt.limits.values(),
            self.tls.values(),
            self.http.values(),
            self.access.values(),
            self.cluster.values(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests;
