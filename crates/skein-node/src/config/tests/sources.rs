//! Listeners, defaults and arguments.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::{named, pairs, toml};
use crate::config::{Bytes, Config, Sources, Transport, split_arguments};

fn listeners(config: &Config) -> Vec<(String, SocketAddr, Transport)> {
    config.mqtt.all_listeners().into_iter().map(|one| (one.name, one.address, one.transport)).collect()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn a_node_without_configuration_listens_on_loopback_only() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config, Config::default());
    let expect = [("tcp".to_owned(), at(1883), Transport::Tcp), ("ws".to_owned(), at(1882), Transport::Ws)];
    assert_eq!(listeners(&config), expect);
    assert_eq!(config.http.listen.0, [at(8080)]);
}

#[test]
fn a_certificate_switches_tls_on() {
    let tls = "tls.cert = 'c.pem'\ntls.key = 'k.pem'\n";
    let config = toml(tls).unwrap();
    assert!(listeners(&config).contains(&("tls".to_owned(), at(8883), Transport::Tls)));
    let elsewhere = toml(&format!("{tls}mqtt.tls_listen = '127.0.0.1:1'\n")).unwrap();
    assert_eq!(elsewhere.mqtt.door.tls_listen.0, [at(1)]);
    assert_eq!(toml(&format!("{tls}mqtt.tls_listen = 'off'\n")).unwrap().mqtt.door.tls_listen.0, []);
}

#[test]
fn a_listener_has_the_limits_of_all_but_for_its_own() {
    let listener =
        "[[mqtt.listeners]]\nname = 'field'\nlisten = 'localhost:1999'\npacket_bytes_max = '4KiB'\n";
    let all = "[mqtt]\nlisten = ['127.0.0.1:1', '[::1]:1']\nws_listen = ''\nreceive_maximum = 7\n";
    let config = toml(&format!("{all}{listener}")).unwrap();
    assert_eq!(toml(&format!("{listener}{all}")).unwrap(), config, "the order in the file does not matter");
    let names: Vec<_> = listeners(&config).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["tcp", "tcp-2", "field"]);
    let all = config.mqtt.all_listeners();
    let limits = |index: usize| (all[index].limits.receive_maximum, all[index].limits.packet_bytes_max);
    assert_eq!(limits(0), (7, Bytes(1 << 20)));
    assert_eq!(limits(2), (7, Bytes(4096)));
}

#[test]
fn limits_by_flag_reach_listeners_of_the_file() {
    let text = "[[mqtt.listeners]]\nname = 'a'\nlisten = '127.0.0.1:1'\n";
    let flags = pairs(&[("mqtt.maximum_qos", "1")]);
    let sources = Sources { file: Some(("a.toml".into(), text.to_owned())), flags, ..Sources::default() };
    assert_eq!(Config::load(&sources).unwrap().mqtt.listeners[0].limits.maximum_qos, 1);
}

#[test]
fn flags_of_lists_may_be_repeated() {
    let flags = pairs(&[("mqtt.listen", "127.0.0.1:1,127.0.0.1:2"), ("mqtt.listen", "127.0.0.1:3")]);
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    assert_eq!(config.mqtt.door.listen.0, [at(1), at(2), at(3)]);
}

#[test]
fn arguments_are_split() {
    let split = |arguments: &[&str]| split_arguments(arguments.iter().map(|text| (*text).to_owned()));
    let found = split(&[
        "serve",
        "--node.id",
        "3",
        "--http.tls",
        "--mqtt.listen=off",
        "--tls.subject_as_user",
        "false",
        "-v",
        "--config",
        "a.toml",
        "--http.tls",
        "pub",
        "--",
        "--node.id",
        "9",
    ])
    .unwrap();
    let expect = pairs(&[
        ("node.id", "3"),
        ("http.tls", "true"),
        ("mqtt.listen", "off"),
        ("tls.subject_as_user", "false"),
        ("http.tls", "true"),
    ]);
    assert_eq!(found.flags, expect);
    assert_eq!(found.rest, ["serve", "-v", "--config", "a.toml", "pub", "--", "--node.id", "9"]);
    let faults = split(&["--node.id", "--node.name"]).unwrap_err().to_string();
    assert_eq!(
        faults,
        "--node.id: has no value; write --node.id VALUE or --node.id=VALUE\n\
         --node.name: has no value; write --node.name VALUE or --node.name=VALUE"
    );
}

proptest! {
    #[test]
    fn arbitrary_sources_never_panic(
        text in any::<String>(), variable in "SKEIN_[A-Z_]{0,12}", flag in "[a-z._]{0,12}", value in any::<String>(),
    ) {
        for name in ["a.toml", "a.yaml"] {
            let _ = named(name, &text);
        }
        let env = vec![(variable, value.clone())];
        let flags = vec![(flag, value)];
        let _ = Config::load(&Sources { file: None, env, flags });
    }

    #[test]
    fn arbitrary_values_never_panic(which in any::<prop::sample::Index>(), value in "[ -~]{0,16}") {
        let keys = Config::keys();
        let key = which.get(&keys);
        let flags = vec![(key.name.to_owned(), value.clone())];
        let _ = Config::load(&Sources { flags, ..Sources::default() });
        if let Ok(config) = toml(&format!("{} = {value}", key.name)) {
            prop_assert_eq!(toml(&config.to_toml()), Ok(config));
        }
    }
}
