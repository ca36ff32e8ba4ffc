//! Every flag and file key of comqtt, and what each means here.
//!
//! A flag and the key of the file that says the same are one row. Rows that mean nothing here say why.

/// A row of the table.
#[derive(Debug)]
pub(super) struct Known {
    /// The key in comqtt's file, or the name of a flag that has none.
    pub(super) path: &'static str,
    pub(super) flags: &'static [&'static str],
    pub(super) is_in_files: bool,
    pub(super) meaning: Meaning,
}

/// What a row means here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    Conf,
    Mode,
    Tcp,
    Ws,
    Http,
    AuthWay,
    Datasource,
    Storage,
    NodeName,
    BindAddress,
    BindPort,
    AdvertiseAddress,
    AdvertisePort,
    Members,
    /// What comqtt's cluster needs and this one does not.
    OfOldCluster,
    PacketBytes,
    /// A plain number.
    Number(&'static str),
    /// Seconds, where the largest number means never.
    Expiry(&'static str),
    /// Seconds, or a time with its unit.
    Interval(&'static str),
    /// 0 or 1.
    Switch(&'static str),
    Path(&'static str),
    /// One of comqtt's values, with ours.
    OneOf(&'static str, &'static [(&'static str, &'static str)]),
    /// Nothing, unless the value is one that asks for nothing.
    Missing {
        inert: &'static [&'static str],
        reason: &'static str,
    },
    /// As `Missing`, as long as comqtt would use the part it belongs to. The value is not shown: it may be a secret.
    PartOf(Part, &'static str),
    Bridge,
    LogOutput,
}

/// Parts of comqtt that another key switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Auth,
    Bridge,
    Cluster,
    LogFiles,
    Disk,
    Redis,
}

/// Flags that may stand without a value, as Go's flag package has it for truth values.
const SWITCHES: [&str; 4] =
    ["log.enable", "cluster.raft-bootstrap", "cluster.grpc-enable", "mqtt.tls.zero-rtt"];

impl Known {
    pub(super) fn is_switch(&self) -> bool {
        SWITCHES.contains(&self.path)
    }
}

const fn both(path: &'static str, flags: &'static [&'static str], meaning: Meaning) -> Known {
    Known { path, flags, is_in_files: true, meaning }
}

const fn flag(name: &'static str, flags: &'static [&'static str], meaning: Meaning) -> Known {
    Known { path: name, flags, is_in_files: false, meaning }
}

const fn key(path: &'static str, meaning: Meaning) -> Known {
    Known { path, flags: &[], is_in_files: true, meaning }
}

const fn missing(reason: &'static str) -> Meaning {
    Meaning::Missing { inert: &[], reason }
}

/// Levels of today, and 1 to 3 and -1 of earlier versions. 0 was debug then and is info now.
const LOG_LEVELS: &[(&str, &str)] = &[
    ("-4", "debug"),
    ("-1", "trace"),
    ("0", "info"),
    ("1", "info"),
    ("2", "warn"),
    ("3", "error"),
    ("4", "warn"),
    ("8", "error"),
];

const OFF: &[&str] = &["", "0", "false"];
const REDIS: Meaning = Meaning::PartOf(
    Part::Redis,
    "is about Redis, which is not needed: nodes keep and share what it would hold",
);
const COMPATIBILITY: Meaning =
    Meaning::Missing { inert: OFF, reason: "is a deviation from MQTT that is not offered" };
const LOG_FILE: Meaning = Meaning::PartOf(
    Part::LogFiles,
    "is about log files; messages go to the standard error stream, keep them from there",
);
const LOG_SHAPE: Meaning =
    Meaning::Missing { inert: OFF, reason: "is about comqtt's own log messages and has no counterpart" };
const DASHBOARD: Meaning =
    missing("is about comqtt's dashboard; users of this server stand in its access file");
const BUFFER: Meaning = missing("is about comqtt's own buffers; here buffers grow and shrink with their use");

pub(super) const KNOWN: &[Known] = &[
    flag("conf", &["conf"], Meaning::Conf),
    flag("mode", &["mode"], Meaning::Mode),
    both("mqtt.tcp", &["tcp"], Meaning::Tcp),
    both("mqtt.ws", &["ws"], Meaning::Ws),
    both("mqtt.http", &["http"], Meaning::Http),
    both(
        "mqtt.quic",
        &["quic"],
        Meaning::Missing { inert: &[""], reason: "asks for QUIC, which is not supported yet" },
    ),
    key("mqtt.tls.ca-cert", Meaning::Path("tls.client_ca")),
    key("mqtt.tls.server-cert", Meaning::Path("tls.cert")),
    key("mqtt.tls.server-key", Meaning::Path("tls.key")),
    both(
        "mqtt.tls.zero-rtt",
        &["zero-rtt"],
        Meaning::Missing { inert: OFF, reason: "is about QUIC, which is not supported yet" },
    ),
    both("storage-way", &["storage-way"], Meaning::Storage),
    key(
        "storage-path",
        Meaning::PartOf(Part::Disk, "is comqtt's own file and is not read; what is kept lies in data.dir"),
    ),
    both("auth.way", &["auth-way"], Meaning::AuthWay),
    both("auth.datasource", &["auth-ds"], Meaning::Datasource),
    both(
        "auth.conf-path",
        &["auth-path"],
        Meaning::PartOf(Part::Auth, "is a source of users that is not supported yet"),
    ),
    key("auth.blacklist-path", Meaning::PartOf(Part::Auth, "is a file ledger, which is not supported yet")),
    key("bridge-way", Meaning::Bridge),
    key("bridge-path", Meaning::PartOf(Part::Bridge, "is about a bridge, which is not supported yet")),
    key("pprof-enable", Meaning::Missing { inert: OFF, reason: "is about profiling Go programs" }),
    key("dashboard-enable", DASHBOARD),
    key("dashboard.secret-file", DASHBOARD),
    key("dashboard.users-file", DASHBOARD),
    key("mqtt.options.client-write-buffer-size", BUFFER),
    key("mqtt.options.client-read-buffer-size", BUFFER),
    key("mqtt.options.sys-topic-resend-interval", Meaning::Interval("mqtt.sys_interval")),
    key("mqtt.options.inline-client", missing("is not needed: the HTTP interface publishes without it")),
    key(
        "mqtt.options.capabilities.maximum-message-expiry-interval",
        Meaning::Expiry("mqtt.message_expiry_max"),
    ),
    key(
        "mqtt.options.capabilities.maximum-session-expiry-interval",
        Meaning::Expiry("mqtt.session_expiry_max"),
    ),
    key(
        "mqtt.options.capabilities.maximum-client-writes-pending",
        Meaning::Number("mqtt.queue_messages_max"),
    ),
    key("mqtt.options.capabilities.maximum-packet-size", Meaning::PacketBytes),
    key("mqtt.options.capabilities.receive-maximum", Meaning::Number("mqtt.receive_maximum")),
    key("mqtt.options.capabilities.topic-alias-maximum", Meaning::Number("mqtt.topic_alias_max")),
    key("mqtt.options.capabilities.maximum-qos", Meaning::Number("mqtt.maximum_qos")),
    key("mqtt.options.capabilities.retain-available", Meaning::Switch("mqtt.retain_available")),
    key("mqtt.options.capabilities.wildcard-sub-available", Meaning::Switch("mqtt.wildcard_available")),
    key("mqtt.options.capabilities.sub-id-available", Meaning::Switch("mqtt.subscription_id_available")),
    key("mqtt.options.capabilities.shared-sub-available", Meaning::Switch("mqtt.shared_available")),
    key(
        "mqtt.options.capabilities.minimum-protocol-version",
        Meaning::Missing {
            inert: &["", "0", "3"],
            reason: "cannot be set; clients of MQTT 3.1, 3.1.1 and 5.0 are served",
        },
    ),
    key("mqtt.options.capabilities.compatibilities.obscure-not-authorized", COMPATIBILITY),
    key("mqtt.options.capabilities.compatibilities.passive-client-disconnect", COMPATIBILITY),
    key("mqtt.options.capabilities.compatibilities.always-return-response", COMPATIBILITY),
    key("mqtt.options.capabilities.compatibilities.restore-sys-info-restart", COMPATIBILITY),
    both("redis.options.addr", &["redis"], REDIS),
    both("redis.options.password", &["redis-pass"], REDIS),
    both("redis.options.db", &["redis-db"], REDIS),
    key("redis.options.username", REDIS),
    key("redis.prefix", REDIS),
    both(
        "log.enable",
        &["log-enable"],
        Meaning::Missing {
            inert: &["", "1", "true"],
            reason: "cannot be switched off; set log.level = \"error\"",
        },
    ),
    key("log.format", Meaning::OneOf("log.format", &[("0", "text"), ("1", "json")])),
    key("log.level", Meaning::OneOf("log.level", LOG_LEVELS)),
    key("log.output", Meaning::LogOutput),
    both("log.filename", &["log-file"], LOG_FILE),
    key("log.maxsize", LOG_FILE),
    key("log.max-age", LOG_FILE),
    key("log.max-backups", LOG_FILE),
    key("log.compress", LOG_FILE),
    key("log.localtime", LOG_FILE),
    key("log.info-file", LOG_FILE),
    key("log.error-file", LOG_FILE),
    key("log.thirdparty-file", LOG_FILE),
    key("log.sampler.burst", LOG_SHAPE),
    key("log.sampler.period", LOG_SHAPE),
    key("log.caller", LOG_SHAPE),
    key("log.env", LOG_SHAPE),
    both("cluster.node-name", &["node-name"], Meaning::NodeName),
    both("cluster.bind-addr", &["bind-ip"], Meaning::BindAddress),
    both("cluster.bind-port", &["gossip-port", "port"], Meaning::BindPort),
    both("cluster.members", &["members"], Meaning::Members),
    both("cluster.raft-port", &["raft-port"], Meaning::OfOldCluster),
    both("cluster.raft-bootstrap", &["raft-bootstrap"], Meaning::OfOldCluster),
    both("cluster.raft-log-level", &["raft-log-level"], Meaning::OfOldCluster),
    both("cluster.grpc-enable", &["grpc-enable"], Meaning::OfOldCluster),
    both("cluster.grpc-port", &["grpc-port"], Meaning::OfOldCluster),
    both("cluster.nodes-file-dir", &["nodes-file-dir"], Meaning::OfOldCluster),
    key("cluster.discovery-way", Meaning::OfOldCluster),
    key("cluster.advertise-addr", Meaning::AdvertiseAddress),
    key("cluster.advertise-port", Meaning::AdvertisePort),
    key("cluster.queue-depth", Meaning::OfOldCluster),
    key("cluster.tags", Meaning::OfOldCluster),
    key("cluster.raft-impl", Meaning::OfOldCluster),
    key("cluster.raft-dir", Meaning::OfOldCluster),
    key("cluster.inbound-pool-size", Meaning::OfOldCluster),
    key("cluster.outbound-pool-size", Meaning::OfOldCluster),
    key("cluster.inout-pool-nonblocking", Meaning::OfOldCluster),
];
