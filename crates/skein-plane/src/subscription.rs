//! What a subscription says beside its filter, and what a shared one belongs to.

use std::{fmt, num::NonZeroU32};

use skein_types::{Filter, GroupName, QoS};

/// What a shared group is found by (MQTT 5.0 section 4.8.2); shared by all messages that came through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupKey {
    pub(crate) filter: Filter,
    pub(crate) name: GroupName,
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$share/{}/{}", self.name, self.filter)
    }
}

/// What a subscription asks for beside its filter (MQTT 5.0 section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Highest quality of service of deliveries.
    pub qos: QoS,
    /// Never send the session its own messages (MQTT-3.8.3-3).
    pub no_local: bool,
    /// Keep the retain flag as published (MQTT-3.3.1-13).
    pub retain_as_published: bool,
    /// Sent along with every message that matches.
    pub id: Option<NonZeroU32>,
    /// Whether access rules forbid some of the topics the filter matches, so that each topic is asked about.
    pub partly_allowed: bool,
}

/// When a subscription gets the retained messages it matches (MQTT-3.3.1-9 to -11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// Whenever it is made.
    #[default]
    Always,
    /// Only when it is new.
    IfNew,
    /// Never.
    Never,
}
