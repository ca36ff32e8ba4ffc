//! How to start the servers that are compared, as data.
//!
//! In arguments, configuration and environment `{port}` is the MQTT port, `{port2}` a second free one, `{dir}` an
//! empty folder of this run, `{config}` the written configuration and `{files}` the limit of open files. Each
//! server gets the settings that limit it least, so that the comparison is one of work, not of defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerDefinition {
    /// Its name in the tables.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// The program's arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// The text of its configuration file, if it wants one.
    #[serde(default)]
    pub config: Option<String>,
    /// The end of the configuration file's name; some servers judge by it.
    #[serde(default)]
    pub config_suffix: String,
    /// The highest quality of service it has.
    #[serde(default = "qos_max_default")]
    pub qos_max: u8,
    /// Starts of workload names that it cannot do.
    #[serde(default)]
    pub cannot: Vec<String>,
    /// It writes down what it keeps, so that it is compared only where something is to be kept.
    #[serde(default)]
    pub durable_only: bool,
}

fn qos_max_default() -> u8 {
    2
}

impl ServerDefinition {
    fn new(name: &str, program: PathBuf, args: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            config: None,
            config_suffix: ".conf".to_owned(),
            qos_max: 2,
            cannot: Vec::new(),
            durable_only: false,
        }
    }
}

/// The definition of a known server at `program`.
pub fn built_in(name: &str, program: PathBuf) -> Option<ServerDefinition> {
    let with_config = |args: &[&str], config: &str| ServerDefinition {
        config: Some(config.to_owned()),
        ..ServerDefinition::new(name, program.clone(), args)
    };
    let definition = match name {
        // Its peers keep nothing either, or write it down without waiting for the disk.
        "skein" | "skein-disk" => {
            let durability = if name == "skein" { "memory" } else { "disk" };
            let args = ["serve", "--mqtt.listen", "127.0.0.1:{port}", "--data.dir", "{dir}/data"];
            let args = args.into_iter().chain(["--mqtt.durability", durability]);
            ServerDefinition::new(name, program, &args.collect::<Vec<_>>())
        }
        "mosquitto" => with_config(&["-c", "{config}"], &format!("{MOSQUITTO}persistence false\n")),
        "mosquitto-saved" => with_config(&["-c", "{config}"], &format!("{MOSQUITTO}{MOSQUITTO_SAVED}")),
        "nats" => ServerDefinition {
            qos_max: 1,
            cannot: vec!["shared".to_owned()],
            ..with_config(&["-c", "{config}"], NATS)
        },
        "flashmq" => with_config(&["--config-file", "{config}"], FLASHMQ),
        "rumqttd" => ServerDefinition {
            config_suffix: ".toml".to_owned(),
            // A new subscriber gets only some of ten thousand retained messages, so a run never completes.
            cannot: vec!["retained".to_owned()],
            ..with_config(&["-c", "{config}"], RUMQTTD)
        },
        "relay" => ServerDefinition {
            cannot: ["fanin", "shared", "retained", "fanout-q1", "fanout-q2"].map(str::to_owned).to_vec(),
            ..ServerDefinition::new(name, program, &["{port}"])
        },
        _ => return None,
    };
    let durable_only = name.ends_with("-disk") || name.ends_with("-saved");
    Some(ServerDefinition { durable_only, ..definition })
}

const MOSQUITTO: &str = "\
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
log_type none
";

/// Everything is written to a file once a second, without waiting for the disk and without regard to what was
/// acknowledged meanwhile.
const MOSQUITTO_SAVED: &str = "\
persistence true
persistence_location {dir}/
autosave_interval 1
";

const NATS: &str = "\
listen: \"127.0.0.1:{port2}\"
server_name: bench
max_connections: 100000
max_pending: 1GB
write_deadline: \"60s\"
jetstream { store_dir: \"{dir}/jetstream\" }
mqtt { listen: \"127.0.0.1:{port}\", max_ack_pending: 65535, ack_wait: \"60s\" }
";

const FLASHMQ: &str = "\
allow_anonymous true
thread_count 1
rlimit_nofile {files}
log_file {dir}/flashmq.log
log_level error
log_subscriptions false
max_qos_msg_pending_per_client 65535
max_qos_bytes_pending_per_client 1073741824
client_max_write_buffer_size 268435456
minimum_wildcard_subscription_depth 0
retained_messages_delivery_limit 4294967295
retained_messages_node_limit 4294967295
overload_mode log
listen {
  protocol mqtt
  inet_protocol ip4
  inet4_bind_address 127.0.0.1
  tcp_nodelay true
  port {port}
}
";

const RUMQTTD: &str = "\
id = 0

[router]
id = 0
max_connections = 100000
max_outgoing_packet_count = 1000
max_segment_size = 104857600
max_segment_count = 10

[v4.1]
name = \"v4-1\"
listen = \"127.0.0.1:{port}\"
next_connection_delay_ms = 0

[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 1000
dynamic_filters = true
";
