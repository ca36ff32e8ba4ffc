//! From what an operator writes to what the doors work with.

use std::{
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, SystemTime},
};

use skein_access::OperatorToken;
use skein_door::{
    ClientCertificates, Clock, Demand, ListenerSettings, ListenerState, Redirect, Shared, SharedLimit,
    TlsFiles, TlsSource, Transport, UpgradeRoute, WebRules,
};
use skein_http::{ClusterView, HttpDoor, HttpSettings, ListenerFigures, NodeInfo, ReadinessSwitch};
use skein_mqtt::Settings;
use skein_plane::{Durability, EXPIRY_NEVER_SECS, PlaneLimits, QueueLimits, SessionLimits};
use skein_types::QoS;

use crate::{
    config::{self, ClientAuth, Config, MqttLimits, MqttListener, Span},
    machine::{self, OpenFiles},
};

/// Topic aliases used towards clients that allow so many: enough for the few topics a usual client listens to.
const TOPIC_ALIAS_OUT_MAX: u16 = 32;

/// What holds on one MQTT listener below MQTT.
pub(crate) fn listener_settings(
    config: &Config,
    listener: &MqttListener,
    web: &Arc<WebRules>,
    together: &Arc<SharedLimit>,
) -> ListenerSettings {
    let limits = &listener.limits;
    let allowed = OpenFiles::now(config, worker_count(config)).mqtt_connections_max;
    let or_any = |max: u32| none_if_zero(max).map_or(usize::MAX, |max| max as usize);
    ListenerSettings {
        name: Arc::from(listener.name.as_str()),
        connections_max: allowed.min(or_any(limits.max_connections)),
        together: together.clone(),
        connect_rate_per_sec: limits.connect_rate_per_sec,
        connect_timeout: limits.connect_timeout,
        unauthenticated_max: or_any(limits.max_unauthenticated),
        unauthenticated_per_address_max: or_any(limits.max_unauthenticated_per_address),
        proxy_protocol: limits.proxy_protocol,
        web: web.clone(),
    }
}

/// What the limit of open files leaves room for on all MQTT listeners together.
pub(crate) fn mqtt_connections(config: &Config) -> Arc<SharedLimit> {
    SharedLimit::new(OpenFiles::now(config, worker_count(config)).mqtt_connections_max)
}

/// Warns of listeners that were to hold more connections than the limit of open files leaves room for.
pub(crate) fn warn_of_many_connections(config: &Config) {
    let limit = OpenFiles::now(config, worker_count(config)).mqtt_connections_max;
    for listener in config.mqtt.all_listeners() {
        let (name, wanted) = (&*listener.name, listener.limits.max_connections as usize);
        if wanted > limit {
            let text = "mqtt: the limit of open files allows fewer connections than max_connections";
            tracing::warn!(name, wanted, limit, "{text}");
        }
    }
}

/// What holds on each listener of the HTTP door: together they have the door's share of the open files.
pub(crate) fn http_listener_settings(config: &Config, web: &Arc<WebRules>) -> ListenerSettings {
    let connections_max = OpenFiles::now(config, worker_count(config)).http_connections_max;
    ListenerSettings {
        name: Arc::from("http"),
        connections_max: (connections_max / config.http.addresses().count().max(1)).max(1),
        proxy_protocol: config.http.proxy_protocol,
        web: web.clone(),
        ..ListenerSettings::default()
    }
}

/// The settings of one MQTT listener.
pub(crate) fn mqtt_settings(
    config: &Config,
    listener: &MqttListener,
    redirect: &Arc<Redirect>,
    web: &Arc<WebRules>,
) -> Settings {
    let limits = &listener.limits;
    Settings {
        listener: listener_settings(config, listener, web, &Arc::default()),
        packet_bytes_max: u32::try_from(limits.packet_bytes_max.0).unwrap_or(u32::MAX),
        publish_rate_messages_per_sec: limits.publish_rate_messages_per_sec,
        publish_rate_bytes_per_sec: u32::try_from(limits.publish_rate_bytes_per_sec.0).unwrap_or(u32::MAX),
        receive_maximum: at_least_one(limits.receive_maximum),
        inflight_max: NonZeroU16::new(limits.inflight_max).unwrap_or(NonZeroU16::MAX),
        topic_levels_max: usize::from(limits.topic_levels_max),
        wildcard_levels_max: usize::from(limits.wildcard_levels_max),
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
        durability: match limits.durability {
            config::Durability::Memory => Durability::Memory,
            config::Durability::Disk => Durability::Disk,
        },
        redirect: redirect.clone(),
        session: Arc::new(session_limits(limits)),
    }
}

/// Which web pages may come: what the operator lists, and the names that are told to others.
pub(crate) fn web_rules(config: &Config) -> Arc<WebRules> {
    let cluster = &config.cluster;
    let reference = cluster.server_reference.0.as_deref();
    let told = [
        cluster.advertise.0.as_ref().map(|advertise| advertise.host.clone()),
        reference.map(|text| text.rsplit_once(':').map_or(text, |(host, _port)| host).to_owned()),
    ];
    let host_names = config.web.host_names.0.iter().cloned().chain(told.into_iter().flatten()).collect();
    Arc::new(WebRules { origins: config.web.origins.0.clone(), host_names })
}

/// The certificate files, if there is TLS.
pub(crate) fn tls_files(config: &Config) -> Option<TlsFiles> {
    let tls = &config.tls;
    let demand = match tls.client_auth {
        ClientAuth::None => None,
        ClientAuth::Optional => Some(Demand::Optional),
        ClientAuth::Require => Some(Demand::Required),
    };
    let client_certificates = demand.zip(tls.client_ca.clone()).map(|(demand, ca_file)| ClientCertificates {
        ca_file,
        demand,
        subject_as_user: tls.subject_as_user,
    });
    let (certificate_file, key_file) = tls.cert.clone().zip(tls.key.clone())?;
    Some(TlsFiles { certificate_file, key_file, client_certificates })
}

/// What carries a listener's packets; none when it needs a certificate and there is none.
pub(crate) fn transport_of(transport: config::Transport, tls: Option<&Arc<TlsSource>>) -> Option<Transport> {
    match transport {
        config::Transport::Tcp => Some(Transport::Tcp),
        config::Transport::Ws => Some(Transport::WebSocket),
        config::Transport::Tls => tls.cloned().map(Transport::Tls),
        config::Transport::Wss => tls.cloned().map(Transport::SecureWebSocket),
    }
}

/// What the HTTP door may know of the node.
pub(crate) fn node_info(config: &Config, clock: Clock, cluster: Arc<dyn ClusterView>) -> NodeInfo {
    NodeInfo {
        name: config.node.name.clone(),
        id: config.node.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: SystemTime::now(),
        clock: Arc::new(move || clock.now()),
        cluster,
    }
}

/// The HTTP door.
pub(crate) fn http_door(
    node: NodeInfo,
    shared: &Arc<Shared>,
    listeners: &[Arc<ListenerState>],
    readiness: &Arc<ReadinessSwitch>,
    operator_token: Option<OperatorToken>,
    upgrades: &[UpgradeRoute],
) -> Arc<HttpDoor> {
    let states = listeners.to_vec();
    let figures = Arc::new(move || states.iter().map(|state| ListenerFigures::of(state)).collect());
    let settings = HttpSettings { operator_token, ..HttpSettings::default() };
    HttpDoor::new(shared.plane.clone(), node, figures, readiness.clone(), settings, upgrades)
}

/// The bounds of the plane.
pub(crate) fn plane_limits(config: &Config) -> PlaneLimits {
    let door = &config.mqtt.door;
    PlaneLimits {
        retained_messages_max: none_if_zero(door.retained_messages_max)
            .map_or(usize::MAX, |max| max as usize),
        retained_bytes_max: machine::memory_bytes(door.retained_bytes_max).map_or(usize::MAX, size),
    }
}

/// The bounds of the queues of all sessions together.
pub(crate) fn node_queue_limits(config: &Config) -> QueueLimits {
    let door = &config.mqtt.door;
    QueueLimits {
        messages_max: none_if_zero(door.node_queue_messages_max).map_or(usize::MAX, |max| max as usize),
        bytes_max: machine::memory_bytes(door.node_queue_bytes_max).map_or(usize::MAX, size),
    }
}

/// The bounds of a session.
pub(crate) fn session_limits(limits: &MqttLimits) -> SessionLimits {
    SessionLimits {
        outbox_bytes_max: size(limits.outbox_bytes_max.0),
        queue: QueueLimits {
            messages_max: limits.queue_messages_max as usize,
            bytes_max: size(limits.queue_bytes_max.0),
        },
        slow_consumer_timeout: limits.slow_consumer_timeout,
        subscriptions_max: limits.subscriptions_max as usize,
        subscriptions_bytes_max: usize::try_from(limits.subscriptions_bytes_max.0).unwrap_or(usize::MAX),
    }
}

/// One worker per core this process may use, unless the operator says otherwise.
pub(crate) fn worker_count(config: &Config) -> usize {
    match config.node.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => usize::from(count),
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
