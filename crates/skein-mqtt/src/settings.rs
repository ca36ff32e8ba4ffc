//! What an operator sets for one MQTT listener: limits and capabilities.
//!
//! Plain values: the configuration checks them, the connection obeys them. A listener's settings are replaced as a
//! whole; a connection keeps those it came with.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use skein_door::{ListenerSettings, Redirect};
use skein_plane::{Durability, EXPIRY_NEVER_SECS, QueueLimits, SessionLimits};
use skein_types::QoS;

/// Limits and capabilities of one listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What holds for its connections whatever is spoken on them.
    pub listener: ListenerSettings,
    /// Largest packet taken.
    pub packet_bytes_max: u32,
    /// Publishes one client may send per second before it is slowed down; 0 for any.
    pub publish_rate_messages_per_sec: u32,
    /// Bytes one client may send per second before it is slowed down; 0 for any.
    pub publish_rate_bytes_per_sec: u32,
    /// Unacknowledged messages taken from a client (its Receive Maximum towards us).
    pub receive_maximum: NonZeroU16,
    /// Most unacknowledged messages sent to a client, whatever it allows.
    pub inflight_max: NonZeroU16,
    /// Levels of a topic or filter.
    pub topic_levels_max: usize,
    /// Levels of a filter that are `+`.
    pub wildcard_levels_max: usize,
    /// Topic aliases a client may use.
    pub topic_alias_max: u16,
    /// Topic aliases we use towards a client, if it allows so many.
    pub topic_alias_out_max: u16,
    /// Longest keep alive; a client with a longer one or none is told to use this (MQTT-3.1.2-21). 0 for any.
    pub keep_alive_max_secs: u16,
    /// Keep alive every client gets, whatever it asks for; 0 for what it asks for.
    pub server_keep_alive_secs: u16,
    /// Longest time a session outlives its connection.
    pub session_expiry_max_secs: u32,
    /// Longest life of a message; 0 for any.
    pub message_expiry_max_secs: u32,
    /// Highest quality of service a client may publish with.
    pub maximum_qos: QoS,
    /// Whether messages are retained.
    pub retain_available: bool,
    /// Whether filters may have wildcards.
    pub wildcard_available: bool,
    /// Whether `$share` is understood.
    pub shared_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_id_available: bool,
    /// Where sessions are kept that outlive their connections, unless the client asks for something else.
    pub durability: Durability,
    /// Whether clients are sent elsewhere; the same for all listeners.
    pub redirect: Arc<Redirect>,
    /// Bounds of a session.
    pub session: Arc<SessionLimits>,
}

/// A listener on which everything is available and only what must have a bound has one. The configuration has defaults
/// of its own; these are for embedders and tests, which name what they care about.
impl Default for Settings {
    fn default() -> Self {
        Self {
            listener: ListenerSettings::default(),
            packet_bytes_max: 1 << 20,
            publish_rate_messages_per_sec: 0,
            publish_rate_bytes_per_sec: 0,
            receive_maximum: NonZeroU16::MIN.saturating_add(1023),
            inflight_max: NonZeroU16::MAX,
            topic_levels_max: 64,
            wildcard_levels_max: 64,
            topic_alias_max: 16,
            topic_alias_out_max: 0,
            keep_alive_max_secs: 0,
            server_keep_alive_secs: 0,
            session_expiry_max_secs: EXPIRY_NEVER_SECS,
            message_expiry_max_secs: 0,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_available: true,
            shared_available: true,
            subscription_id_available: true,
            durability: Durability::Memory,
            redirect: Arc::default(),
            session: Arc::new(SessionLimits {
                outbox_bytes_max: 1 << 20,
                queue: QueueLimits { messages_max: 100_000, bytes_max: 64 << 20 },
                slow_consumer_timeout: Duration::from_secs(10),
                subscriptions_max: 1000,
                subscriptions_bytes_max: usize::MAX,
            }),
        }
    }
}
