//! From what an operator writes to what the doors work with.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use skein_mqtt::Settings;
use skein_plane::{EXPIRY_NEVER_SECS, PlaneLimits, QueueLimits, SessionLimits};
use skein_types::QoS;

use crate::config::{Config, MqttLimits, MqttListener, Span};

/// Topic aliases used towards clients that allow so many: enough for the few topics a usual client listens to.
const TOPIC_ALIAS_OUT_MAX: u16 = 32;

/// The settings of one MQTT listener.
pub(crate) fn mqtt_settings(listener: &MqttListener) -> Settings {
    let limits = &listener.limits;
    Settings {
        name: Arc::from(listener.name.as_str()),
        connections_max: none_if_zero(limits.max_connections).map_or(usize::MAX, |max| max as usize),
        connect_rate_per_sec: limits.connect_rate_per_sec,
        connect_timeout: limits.connect_timeout,
        packet_bytes_max: u32::try_from(limits.packet_bytes_max.0).unwrap_or(u32::MAX),
        publish_rate_messages_per_sec: limits.publish_rate_messages_per_sec,
        publish_rate_bytes_per_sec: u32::try_from(limits.publish_rate_bytes_per_sec.0).unwrap_or(u32::MAX),
        receive_maximum: at_least_one(limits.receive_maximum),
        inflight_max: NonZeroU16::new(limits.inflight_max).unwrap_or(NonZeroU16::MAX),
        topic_levels_max: usize::from(limits.topic_levels_max),
        topic_alias_max: limits.topic_alias_max,
        topic_alias_out_max: TOPIC_ALIAS_OUT_MAX,
        keep_alive_max_secs: seconds_u16(limits.keep_alive_max),
        server_keep_alive_secs: seconds_u16(limits.server_keep_alive),
        session_expiry_max_secs: seconds_u32(limits.session_expiry_max).unwrap_or(EXPIRY_NEVER_SECS),
        message_expiry_max_secs: seconds_u32(limits.message_expiry_max).unwrap_or(0),
        maximum_qos: QoS::from_u8(limits.maximum_qos).unwrap_or(QoS::ExactlyOnce),
        retain_available: limits.retain_available,
        wildcard_available: limits.wildcard_available,
        shared_available: limits.shared_available,
        subscription_id_available: limits.subscription_id_available,
        session: Arc::new(session_limits(limits)),
    }
}

/// The bounds of the plane.
pub(crate) fn plane_limits(config: &Config) -> PlaneLimits {
    let max = none_if_zero(config.mqtt.door.retained_messages_max);
    PlaneLimits { retained_messages_max: max.map_or(usize::MAX, |max| max as usize) }
}

fn session_limits(limits: &MqttLimits) -> SessionLimits {
    SessionLimits {
        outbox_bytes_max: size(limits.outbox_bytes_max.0),
        queue: QueueLimits {
            messages_max: limits.queue_messages_max as usize,
            bytes_max: size(limits.queue_bytes_max.0),
        },
        slow_consumer_timeout: limits.slow_consumer_timeout,
        subscriptions_max: limits.subscriptions_max as usize,
    }
}

fn none_if_zero(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn at_least_one(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn seconds_u16(time: Duration) -> u16 {
    u16::try_from(time.as_secs()).unwrap_or(u16::MAX)
}

fn seconds_u32(span: Span) -> Option<u32> {
    match span {
        Span::Never => None,
        Span::Finite(time) => Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
    }
}
