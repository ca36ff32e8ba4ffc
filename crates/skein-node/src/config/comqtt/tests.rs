//! comqtt's command lines and files, those of its own documentation among them.

use std::path::Path;

use super::*;

fn from_flags(arguments: &[&str]) -> Result<Translation, Faults> {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    translate(&arguments, None)
}

fn from_file(text: &str) -> Result<Translation, Faults> {
    translate(&["--conf=./conf.yml".to_owned()], Some((Path::new("conf.yml"), text)))
}

fn mentions(translation: &Translation, part: &str) -> bool {
    translation.warnings.iter().any(|warning| warning.contains(part))
}

#[test]
fn without_flags_it_is_comqtt_by_default() {
    let translation = from_flags(&[]).unwrap();
    let expect = "\
[mqtt]
listen = \"0.0.0.0:1883\"
ws_listen = \"0.0.0.0:1882\"
sys_interval = \"1s\"
topic_alias_max = 65535
session_expiry_max = \"never\"
message_expiry_max = \"1d\"

[http]
listen = \"0.0.0.0:8080\"

[access]
anonymous = true
";
    assert_eq!(translation.toml, expect);
    assert!(translation.config.is_ok());
    for part in ["mqtt.listen = 0.0.0.0:1883: as in comqtt", "everybody is admitted", "bolt is not used"] {
        assert!(mentions(&translation, part), "{part}: {:?}", translation.warnings);
    }
}

#[test]
fn the_command_lines_of_its_documentation() {
    for arguments in [
        &["--mode=2", "--gossip-port=7946", "--raft-port=8701"][..],
        &[
            "--mode=true",
            "--gossip-port=7947",
            "--raft-port=8702",
            "--members=localhost:7946",
            "--tcp=:1885",
            "--ws=:1886",
            "--http=:1881",
        ],
        &[
            "-mode",
            "2",
            "-tcp",
            ":1887",
            "-ws",
            ":1888",
            "-http",
            ":1882",
            "-members",
            "localhost:7946",
            "-port",
            "7948",
        ],
    ] {
        let translation = from_flags(arguments).unwrap();
        let config = translation.config.as_ref().unwrap_or_else(|faults| panic!("{faults}"));
        let port: u16 = config.cluster.listen.unwrap().port();
        assert_eq!(config.node.id, port, "three nodes on one machine differ");
        assert_eq!(config.data.dir, PathBuf::from(format!("data/comqtt-{port}")));
        let join = if port == 7946 { "[]" } else { "\"localhost:7946\"" };
        assert_eq!(config.cluster.join.to_toml(), join);
        assert!(mentions(&translation, "from the gossip port"), "{:?}", translation.warnings);
    }
    assert!(mentions(
        &from_flags(&["--mode=2", "--raft-port=8701"]).unwrap(),
        "cluster.raft-port is not needed"
    ));
    assert!(mentions(&from_flags(&["--mode=2", "--redis=a:1"]).unwrap(), "about Redis, which is not needed"));
    let alone = from_flags(&["--mode=1", "--gossip-port=7946"]).unwrap();
    assert!(!alone.config.as_ref().unwrap().cluster.is_on());
    assert!(mentions(&alone, "mode = 1: the node runs alone"));
    let one = from_flags(&["-tcp=:1885", "-ws=", "--http", "localhost:1881", "-storage-way=0"]).unwrap();
    let config = one.config.unwrap();
    assert_eq!(config.mqtt.door.listen.to_toml(), "\"0.0.0.0:1885\"");
    assert_eq!(config.mqtt.door.ws_listen.to_toml(), "\"off\"");
    assert_eq!(config.http.listen.to_toml(), "\"127.0.0.1:1881\"");
    assert!(!one.warnings.iter().any(|warning| warning.contains("storage")), "{:?}", one.warnings);
}

#[test]
fn arguments_that_are_not_comqtts() {
    let faults = from_flags(&["--tpc=:1", "stray", "-tcp", "-raft-bootstrap"]).unwrap_err().to_string();
    let expect = "\
--stray: is not a flag of comqtt
--tcp: has no value; write -tcp=VALUE
--tpc: is not a flag of comqtt; did you mean -tcp?";
    assert_eq!(faults, expect);
}

#[test]
fn a_file_replaces_every_flag() {
    let arguments: Vec<String> = ["-conf", "conf.yml", "--tcp=:9", "-log-enable"].map(str::to_owned).to_vec();
    assert_eq!(conf_file(&arguments).unwrap(), Some(PathBuf::from("conf.yml")));
    let translation = translate(&arguments, Some((Path::new("conf.yml"), "mqtt:\n  tcp: :1999\n"))).unwrap();
    assert_eq!(translation.config.as_ref().unwrap().mqtt.door.listen.to_toml(), "\"0.0.0.0:1999\"");
    assert!(mentions(
        &translation,
        "--tcp, --log-enable: ignored, because the file of conf replaces every flag"
    ));
    assert_eq!(conf_file(&["-tcp=:1".to_owned()]).unwrap(), None);
}

const FILE: &str = "
storage-way: 3
bridge-way: 1
bridge-path: ./bridge.yml
pprof-enable: false
auth:
  way: 0
  datasource: 0
mqtt:
  tcp: :1883
  ws: 127.0.0.1:1882
  http: :8080
  tls:
    ca-cert:
  options:
    client-write-buffer-size: 2048
    sys-topic-resend-interval: 10
    capabilities:
      maximum-message-expiry-interval: 3600
      maximum-session-expiry-interval: 4294967295
      maximum-client-writes-pending: 65535
      maximum-packet-size: 0
      receive-maximum: 512
      topic-alias-maximum: 10
      maximum-qos: 1
      retain-available: 0
      wildcard-sub-available: 1
      minimum-protocol-version: 4
      compatibilities:
        obscure-not-authorized: false
        passive-client-disconnect: true
redis:
  options:
    addr: localhost:6379
    password: hidden
log:
  enable: true
  format: 1
  output: 2
  level: 4
cluster:
  discovery-way: 0
  node-name: 7
  members: [ localhost:7946, localhost:7947 ]
unheard-of: 1
";

#[test]
fn a_file_is_translated_key_by_key() {
    let translation = from_file(FILE).unwrap();
    let config = translation.config.as_ref().unwrap_or_else(|faults| panic!("{faults}"));
    let (door, limits) = (&config.mqtt.door, &config.mqtt.limits);
    assert_eq!(door.ws_listen.to_toml(), "\"127.0.0.1:1882\"");
    assert_eq!(door.sys_interval.to_toml(), "\"10s\"");
    assert_eq!(limits.message_expiry_max.to_toml(), "\"1h\"");
    assert_eq!(limits.session_expiry_max.to_toml(), "\"never\"");
    assert_eq!(
        (limits.queue_messages_max, limits.receive_maximum, limits.topic_alias_max),
        (65_535, 512, 10)
    );
    assert_eq!((limits.maximum_qos, limits.retain_available, limits.wildcard_available), (1, false, true));
    assert_eq!((config.node.id, &*config.node.name), (7, "7"));
    assert_eq!(config.cluster.listen, Some(([127, 0, 0, 1], 7946).into()));
    assert_eq!(config.cluster.join.to_toml(), r#"["localhost:7946", "localhost:7947"]"#);
    assert_eq!((config.log.level.name(), config.log.format.name()), ("warn", "json"));
    for part in [
        "bridge-way = 1: bridges are not supported yet",
        "conf.yml:4:14: bridge-path is about a bridge",
        "redis is not used",
        "0 means packets of any size; here they are bounded by mqtt.packet_bytes_max = \"1MiB\"",
        "minimum-protocol-version = \"4\" cannot be set",
        "passive-client-disconnect",
        "redis.options.addr is about Redis",
        "redis.options.password is about Redis",
        "log.output: messages go to the standard error stream only",
        "cluster.discovery-way is not needed",
        "node.id = 7: from node-name",
        "client-write-buffer-size",
        "unheard-of is not a known key of comqtt",
    ] {
        assert!(mentions(&translation, part), "{part}: {:#?}", translation.warnings);
    }
    for part in ["hidden", "obscure-not-authorized", "pprof", "log.enable"] {
        assert!(!mentions(&translation, part), "{part}: {:#?}", translation.warnings);
    }
}

#[test]
fn every_key_of_the_cluster_is_used_or_named() {
    let text = "cluster:\n  discovery-way: 1\n  node-name: co3\n  bind-addr: 127.0.0.1\n  bind-port: 7948\n  \
                advertise-addr: localhost\n  advertise-port: 7999\n  members: localhost:7946\n  queue-depth: 1\n  tags: x\n  \
                raft-impl: 1\n  raft-port: 8703\n  raft-dir: d\n  raft-bootstrap: true\n  raft-log-level: error\n  \
                grpc-enable: true\n  grpc-port: 17948\n  inbound-pool-size: 1\n  outbound-pool-size: 1\n  \
                inout-pool-nonblocking: true\n  nodes-file-dir: d\n";
    let translation = from_file(text).unwrap();
    let config = translation.config.as_ref().unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!((config.node.id, &*config.node.name), (3, "co3"));
    assert_eq!(config.cluster.advertise.to_toml(), "\"localhost:7999\"");
    assert_eq!(config.cluster.listen.to_toml(), "\"127.0.0.1:7948\"");
    let named =
        translation.warnings.iter().filter(|warning| warning.contains("is not needed: nodes agree")).count();
    assert_eq!(named, 14, "{:#?}", translation.warnings);
}

#[test]
fn a_cluster_that_others_reach_needs_a_secret() {
    let translation = from_flags(&["--mode=2", "--bind-ip=192.0.2.1"]).unwrap();
    let faults = translation.config.unwrap_err().to_string();
    assert!(faults.contains("set cluster.secret"), "{faults}");
    assert!(translation.toml.contains("listen = \"192.0.2.1:7946\""));
}

#[test]
fn parts_that_are_switched_off_are_not_warned_of() {
    let text = "storage-way: 0\nstorage-path: x.db\nbridge-way: 0\nbridge-path: b.yml\nauth:\n  way: 0\n  datasource: 1\n  \
                conf-path: a.yml\n  blacklist-path: b.yml\nredis:\n  options:\n    addr: a:1\nlog:\n  output: 0\n  \
                filename: x.log\n  level: 1\nmqtt:\n  tcp: localhost:1\n  ws: localhost:2\n  http: localhost:3\n  tls:\n    ca-cert:\n";
    let translation = from_file(text).unwrap();
    assert_eq!(translation.warnings.len(), 1, "{:#?}", translation.warnings);
    assert!(mentions(&translation, "everybody is admitted"));
}

#[test]
fn a_certificate_moves_the_listeners_to_tls() {
    let text = "mqtt:\n  tls:\n    ca-cert: ca.pem\n    server-cert: s.pem\n    server-key: s.key\n";
    let config = from_file(text).unwrap().config.unwrap();
    let beside = "tls:\n  ca-cert: ca.pem\n  server-cert: s.pem\n  server-key: s.key\n";
    assert_eq!(from_file(beside).unwrap().config.as_ref(), Ok(&config));
    let door = &config.mqtt.door;
    assert_eq!((door.listen.0.len(), door.ws_listen.0.len()), (0, 0));
    assert_eq!(
        (door.tls_listen.to_toml(), door.wss_listen.to_toml()),
        ("\"0.0.0.0:1883\"".into(), "\"0.0.0.0:1882\"".into())
    );
    assert_eq!((config.tls.client_auth.name(), config.tls.cert), ("require", Some(PathBuf::from("s.pem"))));
}

#[test]
fn authentication_that_cannot_be_translated_never_opens_the_server() {
    let translation = from_flags(&["-auth-way=1", "-auth-ds=1", "-auth-path=./redis.yml"]).unwrap();
    assert!(mentions(&translation, "auth way 1 with datasource 1"));
    assert!(mentions(&translation, "--auth-path: auth.conf-path is a source of users"));
    assert!(translation.toml.contains("anonymous = false"));
    let faults = translation.config.unwrap_err().to_string();
    assert!(faults.contains("set access.file"), "{faults}");
}

#[test]
fn values_that_comqtt_would_not_take() {
    let capabilities =
        "mqtt:\n  options:\n    capabilities:\n      retain-available: 2\n      receive-maximum: many\n";
    let expect = "\
conf.yml:4:25: mqtt.options.capabilities.retain-available = \"2\" cannot be translated; write 0 or 1
conf.yml:5:24: mqtt.options.capabilities.receive-maximum = \"many\" cannot be translated; write a whole number";
    assert_eq!(from_file(capabilities).unwrap_err().to_string(), expect);
    assert!(from_file("mqtt: [\n").unwrap_err().to_string().starts_with("conf.yml:"));
}

#[test]
fn every_row_of_the_table_is_reached_and_leads_to_a_known_key() {
    let keys = Config::keys();
    for (index, row) in KNOWN.iter().enumerate() {
        assert!(KNOWN.iter().take(index).all(|other| other.path != row.path), "{} stands twice", row.path);
        assert!(row.is_in_files || !row.flags.is_empty(), "{} cannot be given", row.path);
        let key = match row.meaning {
            Meaning::Number(key) | Meaning::Expiry(key) | Meaning::Interval(key) => key,
            Meaning::Switch(key) | Meaning::Path(key) | Meaning::OneOf(key, _) => key,
            _ => continue,
        };
        assert!(keys.iter().any(|known| known.name == key), "{key} of {}", row.path);
    }
}
