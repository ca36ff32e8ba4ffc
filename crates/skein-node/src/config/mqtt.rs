//! The MQTT door: its listeners and the limits of the connections they take.
//!
//! Limits stand once for all listeners; an entry of `[[mqtt.listeners]]` is one more listener with limits of its own
//! wherever it sets them.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use super::{
    check::Check,
    listen::Listen,
    section::{Section, section, section_parts},
    setting::{Setting, choice},
    units::{Bytes, Memory, Span},
};

/// Largest packet MQTT can express: a remaining length of 268 435 455 and a fixed header of 5 bytes (MQTT 5.0 section
/// 1.5.5).
const PACKET_BYTES_MAX: u64 = 268_435_460;
/// A CONNECT with a client id of 23 letters must always be taken (MQTT-3.1.3-5).
const PACKET_BYTES_MIN: u64 = 128;
/// Keep alive and session expiry are whole seconds; keep alive has two bytes (MQTT 5.0 section 3.1.2.10).
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(65_535);

/// Everything about the MQTT door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MqttConfig {
    /// Addresses and what is one for the whole door.
    pub door: MqttDoor,
    /// Limits of listeners that have none of their own.
    pub limits: MqttLimits,
    /// Further listeners.
    pub listeners: Vec<MqttListener>,
}

/// A listener of the MQTT door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttListener {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What carries the packets.
    pub transport: Transport,
    /// The limits of its connections.
    pub limits: MqttLimits,
}

section! {
    /// What is one for the whole MQTT door.
    MqttDoor = "mqtt" {
        /// Where MQTT over TCP is served.
        listen: Listen = Listen(vec![([127, 0, 0, 1], 1883).into()]), Restart;
        /// Where MQTT over TLS is served; `127.0.0.1:8883` as soon as tls.cert is set.
        tls_listen: Listen = Listen(vec![]), Restart;
        /// Where MQTT over WebSocket is served.
        ws_listen: Listen = Listen(vec![([127, 0, 0, 1], 1882).into()]), Restart;
        /// Where MQTT over WebSocket over TLS is served.
        wss_listen: Listen = Listen(vec![]), Restart;
        /// Time between two publications of the $SYS topics; 0 switches them off.
        sys_interval: Duration = Duration::from_secs(10), Restart;
        /// Retained messages the node keeps; 0 means no limit.
        retained_messages_max: u32 = 1_000_000, Reload;
        /// Bytes of memory that retained messages take, their topics among them; what does not fit is not retained, and
        /// counted. 0 means no limit.
        retained_bytes_max: Memory = Memory::Percent(15), Reload;
        /// Messages that wait in the queues of all sessions together; more are dropped and counted. 0 means no limit.
        node_queue_messages_max: u32 = 0, Reload;
        /// Bytes of messages that wait in the queues of all sessions together. 0 means no limit.
        node_queue_bytes_max: Memory = Memory::Percent(20), Reload;
    }
}

section! {
    /// Limits of the connections of a listener.
    MqttLimits = "mqtt" {
        /// Connections a listener holds at a time; 0 means as many as the process may have files open, less what the node needs for itself. More than that is never held.
        max_connections: u32 = 0, NewConnections;
        /// Largest packet accepted from a client, announced to MQTT 5 clients.
        packet_bytes_max: Bytes = Bytes(1 << 20), NewConnections;
        /// Time a new connection has for its CONNECT packet and all of its authentication.
        connect_timeout: Duration = Duration::from_secs(10), NewConnections;
        /// Connections of a listener at a time that nobody has logged in on; 0 means no limit.
        max_unauthenticated: u32 = 16_384, NewConnections;
        /// The same from one address, in IPv6 from one network of 64 bits; 0 means no limit.
        max_unauthenticated_per_address: u32 = 4096, NewConnections;
        /// Whether every connection begins with a PROXY header (version 1 or 2) that says where the client is. Only for
        /// listeners that nobody but a load balancer reaches: the header is believed, and refused when it is missing.
        proxy_protocol: bool = false, NewConnections;
        /// Connections a listener accepts per second; 0 means no limit.
        connect_rate_per_sec: u32 = 0, NewConnections;
        /// Messages a client may publish per second; 0 means no limit.
        publish_rate_messages_per_sec: u32 = 0, NewConnections;
        /// Bytes a client may publish per second; 0 means no limit.
        publish_rate_bytes_per_sec: Bytes = Bytes(0), NewConnections;
        /// Unacknowledged messages of QoS 1 and 2 that a client may have sent, announced to MQTT 5 clients.
        receive_maximum: u16 = 1024, NewConnections;
        /// Unacknowledged messages of QoS 1 and 2 sent to a client; 0 means as many as the client accepts.
        inflight_max: u16 = 0, NewConnections;
        /// Messages queued for a session whose client is disconnected or slow.
        queue_messages_max: u32 = 10_000, NewConnections;
        /// Bytes of messages queued for a session whose client is disconnected or slow.
        queue_bytes_max: Bytes = Bytes(16 << 20), NewConnections;
        /// Bytes buffered for one connection; what does not fit is dropped (QoS 0) or queued (QoS 1 and 2).
        outbox_bytes_max: Bytes = Bytes(4 << 20), NewConnections;
        /// Levels of a topic or filter.
        topic_levels_max: u16 = 128, NewConnections;
        /// Levels of a filter that are the wildcard +; a filter with more is refused as not valid (0x8F). Beyond that the
        /// patterns of filters of more than 8 levels are bounded, for a session and for the node (0x97).
        wildcard_levels_max: u16 = 16, NewConnections;
        /// Subscriptions of one session. One SUBSCRIBE or UNSUBSCRIBE has at most 10,000 filters, whatever this is.
        subscriptions_max: u32 = 10_000, NewConnections;
        /// Bytes of memory that the subscriptions of one session take, about: some 300 beside the filter, and 200 for each
        /// level of a filter with wildcards.
        subscriptions_bytes_max: Bytes = Bytes(16 << 20), NewConnections;
        /// Topic aliases a client may use; 0 switches them off.
        topic_alias_max: u16 = 64, NewConnections;
        /// Longest keep alive of a client; a client that asks for more or for none gets this. 0 means any.
        keep_alive_max: Duration = Duration::ZERO, NewConnections;
        /// Keep alive every client gets, whatever it asks for; 0 means what it asks for.
        server_keep_alive: Duration = Duration::ZERO, NewConnections;
        /// Longest time a session is kept after its client has disconnected.
        session_expiry_max: Span = Span::Finite(Duration::from_secs(7 * 86_400)), NewConnections;
        /// Longest time a message waits for its receivers; holds for retained messages too.
        message_expiry_max: Span = Span::Never, NewConnections;
        /// Whether clients may retain messages.
        retain_available: bool = true, NewConnections;
        /// Whether clients may subscribe with wildcards.
        wildcard_available: bool = true, NewConnections;
        /// Whether clients may use shared subscriptions.
        shared_available: bool = true, NewConnections;
        /// Whether clients may use subscription identifiers.
        subscription_id_available: bool = true, NewConnections;
        /// Highest QoS a client may publish with: 0, 1 or 2.
        maximum_qos: u8 = 2, NewConnections;
        /// Time after which a client that does not read what is sent to it is disconnected.
        slow_consumer_timeout: Duration = Duration::from_secs(30), NewConnections;
        /// Where persistent sessions are stored, and so what an acknowledgement means. A client may choose the other with the user property `durability` of its CONNECT.
        durability: Durability = Durability::Disk, NewConnections;
    }
}

choice! {
    /// What carries MQTT packets.
    Transport {
        /// TCP.
        Tcp = "tcp",
        /// TLS over TCP.
        Tls = "tls",
        /// WebSocket.
        Ws = "ws",
        /// WebSocket over TLS.
        Wss = "wss",
    }
}

choice! {
    /// What acknowledged means.
    Durability {
        /// In the node's memory: gone when the node stops.
        Memory = "memory",
        /// On the node's disk: what is acknowledged is there.
        Disk = "disk",
    }
}

impl Transport {
    /// Whether it needs a certificate.
    #[must_use]
    pub const fn uses_tls(self) -> bool {
        match self {
            Self::Tls | Self::Wss => true,
            Self::Tcp | Self::Ws => false,
        }
    }
}

impl MqttConfig {
    /// Every listener there is to open: those of the addresses first, under the name of their transport.
    #[must_use]
    pub fn all_listeners(&self) -> Vec<MqttListener> {
        let mut all = Vec::new();
        for (_, listen, transport) in self.door.addresses() {
            for (index, address) in listen.0.iter().enumerate() {
                let name = match index {
                    0 => transport.name().to_owned(),
                    _ => format!("{}-{}", transport.name(), index + 1),
                };
                all.push(MqttListener { name, address: *address, transport, limits: self.limits.clone() });
            }
        }
        all.extend(self.listeners.iter().cloned());
        all
    }
}

impl MqttDoor {
    /// The keys that hold addresses, and what they are served over.
    pub(super) fn addresses(&self) -> [(&'static str, &Listen, Transport); 4] {
        [
            ("mqtt.listen", &self.listen, Transport::Tcp),
            ("mqtt.tls_listen", &self.tls_listen, Transport::Tls),
            ("mqtt.ws_listen", &self.ws_listen, Transport::Ws),
            ("mqtt.wss_listen", &self.wss_listen, Transport::Wss),
        ]
    }
}

impl Section for MqttDoor {
    section_parts!("mqtt");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}

impl Section for MqttLimits {
    section_parts!("mqtt");

    fn validate(&self, path: &str, check: &mut Check<'_>) {
        self.validate_sizes(path, check);
        self.validate_times(path, check);
    }
}

impl MqttLimits {
    fn validate_sizes(&self, path: &str, check: &mut Check<'_>) {
        let mut range = |key: &str, value: u64, range: RangeInclusive<u64>, show: fn(u64) -> String| {
            if !range.contains(&value) {
                let (low, high) = (show(*range.start()), show(*range.end()));
                let text = format!("is {}; write {low} to {high}", show(value));
                check.fault(&format!("{path}.{key}"), text);
            }
        };
        let size = |bytes: u64| Bytes(bytes).to_toml();
        let count = |number: u64| number.to_string();
        let packet_bytes_max = self.packet_bytes_max.0;
        range("packet_bytes_max", packet_bytes_max, PACKET_BYTES_MIN..=PACKET_BYTES_MAX, size);
        // MQTT 5.0 section 3.2.2.3.3: a receive maximum of 0 is a protocol error.
        range("receive_maximum", self.receive_maximum.into(), 1..=65_535, count);
        range("queue_messages_max", self.queue_messages_max.into(), 1..=u32::MAX.into(), count);
        range("queue_bytes_max", self.queue_bytes_max.0, 1024..=1 << 40, size);
        range("topic_levels_max", self.topic_levels_max.into(), 1..=65_535, count);
        range("subscriptions_bytes_max", self.subscriptions_bytes_max.0, 1024..=1 << 40, size);
        range("subscriptions_max", self.subscriptions_max.into(), 1..=u32::MAX.into(), count);
        range("maximum_qos", self.maximum_qos.into(), 0..=2, count);
        if self.outbox_bytes_max < self.packet_bytes_max {
            let (outbox, packet) = (self.outbox_bytes_max.to_toml(), self.packet_bytes_max.to_toml());
            let text =
                format!("is {outbox}, less than packet_bytes_max of {packet}, so the largest messages could");
            check.fault(
                &format!("{path}.outbox_bytes_max"),
                format!("{text} never be delivered; raise it or lower that"),
            );
        }
    }

    fn validate_times(&self, path: &str, check: &mut Check<'_>) {
        for (key, time) in
            [("connect_timeout", self.connect_timeout), ("slow_consumer_timeout", self.slow_consumer_timeout)]
        {
            if time.is_zero() {
                check.fault(
                    &format!("{path}.{key}"),
                    "is 0, which would close every connection at once; write a time such as \"10s\"",
                );
            }
        }
        for (key, time) in
            [("keep_alive_max", self.keep_alive_max), ("server_keep_alive", self.server_keep_alive)]
        {
            if time.subsec_nanos() != 0 || time > KEEP_ALIVE_MAX {
                let text =
                    format!("is {}; MQTT counts keep alive in whole seconds up to 65535s", time.to_toml());
                check.fault(&format!("{path}.{key}"), text);
            }
        }
        for (key, span) in
            [("session_expiry_max", self.session_expiry_max), ("message_expiry_max", self.message_expiry_max)]
        {
            if let Span::Finite(time) = span
                && (time.subsec_nanos() != 0 || time.as_secs() >= u64::from(u32::MAX))
            {
                let text =
                    format!("is {}; MQTT counts expiry in whole seconds below 4294967295s", time.to_toml());
                check.fault(&format!("{path}.{key}"), format!("{text}; \"never\" is more"));
            }
        }
    }
}
