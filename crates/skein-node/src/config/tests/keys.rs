//! Every key: its names, its place in the reference, and that what is written reads back.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{pairs, toml};
use crate::config::{Changed, Config, Effect, Sources};

/// A value for each key that is not its default, as TOML.
fn other_value(key: &str, kind: &str, default: &str) -> String {
    match (key, kind) {
        ("mqtt.durability", _) => "\"memory\"".to_owned(),
        ("data.sync", _) => "\"interval\"".to_owned(),
        ("log.level", _) => "\"debug\"".to_owned(),
        ("log.format", _) => "\"json\"".to_owned(),
        ("tls.client_auth", _) => "\"require\"".to_owned(),
        ("mqtt.maximum_qos", _) => "1".to_owned(),
        ("mqtt.outbox_bytes_max", _) => "\"9MiB\"".to_owned(),
        ("node.name", _) => "\"other\"".to_owned(),
        ("cluster.listen", _) => "\"[::1]:5777\"".to_owned(),
        ("cluster.advertise", _) => "\"localhost:5778\"".to_owned(),
        ("cluster.join", _) => "\"localhost:5779\"".to_owned(),
        ("cluster.registry", _) => "\"mysql://db/cluster\"".to_owned(),
        // Only one of the two may be set.
        ("cluster.registry_file", _) => "\"\"".to_owned(),
        ("cluster.strategy", _) => "\"broadcast\"".to_owned(),
        ("cluster.server_reference", _) => "\"elsewhere:1883\"".to_owned(),
        ("cluster.webhooks", _) => "\"http://localhost:1/\"".to_owned(),
        ("http.tls_listen", _) => "\"127.0.0.1:20443\"".to_owned(),
        ("web.origins", _) => "\"https://app.example\"".to_owned(),
        ("web.host_names", _) => "\"mqtt.example\"".to_owned(),
        // What is hidden does not read back.
        ("cluster.secret", _) => "\"\"".to_owned(),
        ("cluster.probe_interval", _) => "\"7s\"".to_owned(),
        ("cluster.probe_timeout", _) => "\"6s\"".to_owned(),
        ("cluster.suspect_timeout" | "cluster.keepalive_interval" | "cluster.link_timeout", _) => {
            "\"17s\"".to_owned()
        }
        (_, "number") => "77".to_owned(),
        (_, "size, or share of memory") => "\"7%\"".to_owned(),
        (_, "size") => "\"77KiB\"".to_owned(),
        (_, "time" | "time, or \"never\"") => "\"77s\"".to_owned(),
        (_, "true or false") => (default != "true").to_string(),
        (_, kind) if kind.starts_with("path") => "\"some/file\"".to_owned(),
        (_, kind) if kind.starts_with("address") => {
            let port = 20_000 + key.bytes().map(usize::from).sum::<usize>();
            format!("\"127.0.0.1:{port}\"")
        }
        ("access.anonymous", _) => "true".to_owned(),
        other => panic!("say a value for {other:?}"),
    }
}

fn all_changed() -> Vec<(&'static str, String)> {
    Config::keys().iter().map(|key| (key.name, other_value(key.name, key.kind, &key.default))).collect()
}

fn nothing_but(values: &[(&'static str, String)]) -> Config {
    let text: String = values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    toml(&text).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn every_key_has_a_flag_a_variable_and_a_meaning() {
    let keys = Config::keys();
    let names: BTreeSet<_> = keys.iter().map(|key| key.name).collect();
    let variables: BTreeSet<_> = keys.iter().map(|key| key.variable()).collect();
    assert_eq!((names.len(), variables.len()), (keys.len(), keys.len()), "names are not unique");
    for key in &keys {
        assert!(key.doc.trim().ends_with('.') && !key.doc.contains('|'), "{}", key.name);
        assert_eq!(key.flag(), format!("--{}", key.name));
        assert!(
            key.variable().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{}",
            key.variable()
        );
    }
    let listen = keys.iter().find(|key| key.name == "mqtt.tls_listen").unwrap();
    assert_eq!(listen.variable(), "SKEIN_MQTT_TLS_LISTEN");
    for name in [
        "node.id",
        "node.name",
        "node.workers",
        "data.dir",
        "log.level",
        "log.format",
        "mqtt.listen",
        "mqtt.tls_listen",
        "mqtt.ws_listen",
        "mqtt.wss_listen",
        "http.listen",
        "http.tls",
        "tls.cert",
        "tls.key",
        "tls.client_ca",
        "access.file",
        "access.anonymous",
    ] {
        assert!(names.contains(name), "{name} is gone");
    }
}

#[test]
fn file_flag_and_variable_set_the_same() {
    let values = all_changed();
    let from_file = nothing_but(&values);
    assert_eq!(from_file.values(), values, "every key is read from a file");
    let bare = |value: &str| value.trim_matches('"').to_owned();
    let flags: Vec<_> = values.iter().map(|(key, value)| ((*key).to_owned(), bare(value))).collect();
    let env =
        Config::keys().iter().zip(&values).map(|(key, (_, value))| (key.variable(), bare(value))).collect();
    let by_flags = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let by_variables = Config::load(&Sources { env, ..Sources::default() }).unwrap();
    assert_eq!(by_flags, from_file);
    assert_eq!(by_variables, from_file);
}

#[test]
fn a_written_configuration_reads_back() {
    assert_eq!(Config::default().to_toml(), "");
    let listener = "[[mqtt.listeners]]\nname = \"x\"\nlisten = \"127.0.0.1:1999\"\ntransport = \"ws\"\nmaximum_qos = 0\n";
    let mut config = nothing_but(&all_changed());
    config.mqtt.listeners = toml(listener).unwrap().mqtt.listeners;
    config.mqtt.listeners[0].limits = config.mqtt.limits.clone();
    config.mqtt.listeners[0].limits.receive_maximum = 5;
    assert_eq!(
        toml(&config.to_toml()).unwrap_or_else(|faults| panic!("{faults}\n{}", config.to_toml())),
        config
    );
}

#[test]
fn yaml_and_toml_are_the_same() {
    let values = all_changed();
    let mut yaml = String::new();
    let mut section = "";
    for (name, value) in &values {
        let (own, key) = name.split_once('.').unwrap();
        if own != section {
            yaml += &format!("{own}:\n");
            section = own;
        }
        yaml += &format!("  {key}: {value}\n");
    }
    let expect = nothing_but(&values);
    for name in ["skein.yaml", "skein.yml"] {
        assert_eq!(super::named(name, &yaml).unwrap_or_else(|faults| panic!("{faults}")), expect);
    }
    let dotted: String = values.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    assert_eq!(super::named("skein.yaml", &dotted).unwrap_or_else(|faults| panic!("{faults}")), expect);
    let json = "{\"mqtt\": {\"listen\": [\"127.0.0.1:1\", \"[::1]:1\"], \"listeners\": \
                [{\"name\": \"a\", \"listen\": \"127.0.0.1:2\"}]}}";
    let same = "[mqtt]\nlisten = ['127.0.0.1:1', '[::1]:1']\n[[mqtt.listeners]]\nname = 'a'\nlisten = '127.0.0.1:2'\n";
    assert_eq!(super::named("skein.yaml", json).unwrap(), toml(same).unwrap());
    for empty in ["", "# nothing\n", "mqtt:\n"] {
        assert_eq!(super::named("skein.yaml", empty).unwrap(), Config::default(), "{empty:?}");
    }
}

#[test]
fn the_reference_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let expect = Config::reference();
    if std::env::var_os("SKEIN_WRITE_REFERENCE").is_some() {
        fs::write(&path, &expect).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let advice = "run SKEIN_WRITE_REFERENCE=1 cargo test -p skein-node reference";
    assert!(found == expect, "docs/configuration.md is not what the sections say: {advice}");
    for key in Config::keys() {
        assert!(expect.contains(&format!("| `{}` |", key.name)), "{} is not in the reference", key.name);
    }
}

#[test]
fn a_diff_says_what_a_reload_changes() {
    let old = Config::default();
    assert_eq!(Config::reloadable_diff(&old, &old), []);
    let changed: Vec<_> = Config::reloadable_diff(&old, &nothing_but(&all_changed()))
        .into_iter()
        .map(|change| change.key)
        .collect();
    let keys = Config::keys();
    let unchanged = ["cluster.secret", "cluster.registry_file"];
    let shown = keys.iter().filter(|key| !unchanged.contains(&key.name));
    let expect: Vec<_> = shown.map(|key| key.name.to_owned()).collect();
    assert_eq!(changed, expect, "each changed key is told once");
    for (text, key, effect) in [
        ("log.level = 'debug'", "log.level", Effect::Reload),
        ("access.file = 'a.toml'", "access.file", Effect::Reload),
        ("mqtt.packet_bytes_max = '2MiB'", "mqtt.packet_bytes_max", Effect::NewConnections),
        ("mqtt.listen = '127.0.0.1:9'", "mqtt.listen", Effect::Restart),
        ("node.id = 2", "node.id", Effect::Restart),
        ("log.format = 'json'", "log.format", Effect::Restart),
    ] {
        let diff = Config::reloadable_diff(&old, &toml(text).unwrap());
        assert_eq!(
            diff.iter().map(|change| (&*change.key, change.effect)).collect::<Vec<_>>(),
            [(key, effect)]
        );
    }
}

#[test]
fn a_diff_of_listeners_goes_by_name() {
    let listener = |name: &str, port: u16, qos: u8| {
        format!("[[mqtt.listeners]]\nname = '{name}'\nlisten = '127.0.0.1:{port}'\nmaximum_qos = {qos}\n")
    };
    let old = toml(&[listener("a", 1, 2), listener("b", 2, 2), listener("c", 3, 2)].concat()).unwrap();
    let new = toml(&[listener("d", 4, 2), listener("b", 2, 1), listener("a", 9, 2)].concat()).unwrap();
    let shown = |port: u16| format!("{{ listen = \"127.0.0.1:{port}\", transport = \"tcp\" }}");
    let change =
        |key: &str, old: String, new: String, effect| Changed { key: key.to_owned(), old, new, effect };
    assert_eq!(
        Config::reloadable_diff(&old, &new),
        [
            change("mqtt.listeners[a]", shown(1), shown(9), Effect::Restart),
            change("mqtt.listeners[b].maximum_qos", "2".into(), "1".into(), Effect::NewConnections),
            change("mqtt.listeners[c]", shown(3), String::new(), Effect::Restart),
            change("mqtt.listeners[d]", String::new(), shown(4), Effect::Restart),
        ]
    );
}

#[test]
fn a_later_source_goes_before_an_earlier_one() {
    let mut sources = Sources::default();
    let id = |sources: &Sources| Config::load(sources).unwrap().node.id;
    assert_eq!(id(&sources), 1);
    sources.file = Some(("skein.toml".into(), "node.id = 2".to_owned()));
    assert_eq!(id(&sources), 2);
    sources.env = pairs(&[("SKEIN_NODE_ID", "3"), ("HOME", "/"), ("SKEIN_CONFIG", "skein.toml")]);
    assert_eq!(id(&sources), 3);
    sources.flags = pairs(&[("node.id", "4")]);
    assert_eq!(id(&sources), 4);
}
