//! The configuration of a node: one typed tree, put together from a file, variables and flags.
//!
//! Texts go in, a configuration or all of its faults come out; nothing here reads a file, the environment or a clock. The
//! program gathers the sources and calls [`Config::load`]. Each section owns its keys, defaults, documentation and checks;
//! to add a key, add a field to its section; to add a section, write its file and name it in `sections!`.

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
mod web;
mod yaml;

use std::path::PathBuf;

pub use cluster::ClusterConfig;
pub(crate) use cluster::check_secret_text;
pub use diff::Changed;
pub use fault::{Fault, Faults, Origin};
pub use flags::{SplitArguments, split_arguments};
pub use listen::Listen;
pub use mqtt::{Durability, MqttConfig, MqttDoor, MqttLimits, MqttListener, Transport};
pub use node::{DataConfig, DataSync, LogConfig, LogFormat, LogLevel, NodeConfig};
pub(crate) use peers::PORT_DEFAULT;
pub use peers::{Advertise, HostPort, Join, JoinAddress};
pub(crate) use secrets::url_without_password;
pub use secrets::{DatabaseUrl, Secret, secrets_in_flags};
pub use section::{Effect, Key};
pub use security::{AccessConfig, ClientAuth, HttpConfig, TlsConfig};
pub use texts::{Text, Urls};
pub use units::{Bytes, Memory, Span};
pub use web::{HostNames, Origins, WebConfig};

use check::Check;
use section::Section;
use setting::Given;

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

/// Makes the tree: each line is a section with what stands in it. All of a section's keys are in its own file.
macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = [$($($part:ident).+),+];)+) => {
        /// The configuration of a node.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Config {
            /// Every key, section by section.
            #[must_use]
            pub fn keys() -> Vec<Key> {
                let config = Self::default();
                [$($(section::keys_of(&config.$($part).+)),+),+].concat()
            }

            /// Every key with its value as TOML, in the order of [`Config::keys`].
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, String)> {
                [$($(self.$($part).+.values()),+),+].concat()
            }

            /// Sets a key; none when there is no such key.
            fn set(&mut self, section: &str, key: &str, given: Given<'_>) -> Option<Result<(), String>> {
                $($(
                    if section == section::name_of(&self.$($part).+)
                        && let Some(set) = self.$($part).+.set(key, given)
                    {
                        return Some(set);
                    }
                )+)+
                None
            }

            /// Looks at each section by itself.
            fn validate(&self, check: &mut Check<'_>) {
                $($(check.validate(&self.$($part).+);)+)+
            }
        }
    };
}

sections! {
    /// The node itself.
    node: NodeConfig = [node];
    /// What it keeps.
    data: DataConfig = [data];
    /// What it writes about itself.
    log: LogConfig = [log];
    /// The MQTT door.
    mqtt: MqttConfig = [mqtt.door, mqtt.limits];
    /// TLS.
    tls: TlsConfig = [tls];
    /// The HTTP door.
    http: HttpConfig = [http];
    /// Web pages, at every door that browsers reach.
    web: WebConfig = [web];
    /// Who may come in.
    access: AccessConfig = [access];
    /// Other nodes.
    cluster: ClusterConfig = [cluster];
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// Every fault of every source.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        load::load(sources)
    }
}

#[cfg(test)]
mod tests;
