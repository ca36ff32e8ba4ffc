//! What an operator reads when a configuration is wrong.

use super::{named, pairs, toml};
use crate::config::{Config, Sources};

fn fault_of(text: &str) -> String {
    toml(text).map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn faults_of_keys() {
    for (text, expect) in [
        ("[mqt]\n", "skein.toml:1:2: there is no section \"mqt\"; did you mean \"mqtt\"?"),
        (
            "[redis]\n",
            "skein.toml:1:2: there is no section \"redis\"; sections are node, data, log, mqtt, tls, http, web, access, cluster",
        ),
        ("node = 1\n", "skein.toml:1:8: node = 1 is not a section: write [node] and its keys below"),
        ("[mqtt]\nlisen = 'off'\n", "skein.toml:2:1: there is no key mqtt.lisen; did you mean mqtt.listen?"),
        (
            "[data]\npath = 'x'\n",
            "skein.toml:2:1: there is no key data.path; known are data.dir, data.sync, data.memory_bytes_max, \
          data.snapshot_log_bytes",
        ),
        ("[node]\nid = '1'\n", "skein.toml:2:6: node.id = \"1\" is not a whole number from 0 to 65535"),
        ("[node]\nid = 70000\n", "skein.toml:2:6: node.id = 70000 is not a whole number from 0 to 65535"),
        ("[node]\nid = -1\n", "skein.toml:2:6: node.id = -1 is not a whole number from 0 to 65535"),
        ("[node]\nid = 0\n", "skein.toml:2:6: node.id is 0, which stands for no node; write 1 or more"),
        (
            "[node]\nname = '-x'\n",
            "skein.toml:2:8: node.name is \"-x\"; a name starts with a letter or digit, goes on with letters, digits, \
             -, _ and ., and has at most 63 of them",
        ),
        (
            "[log]\nlevel = 'inof'\n",
            "skein.toml:2:9: log.level = \"inof\" is none of error, warn, info, debug, trace; did you mean \"info\"?",
        ),
        ("[data]\ndir = ''\n", "skein.toml:2:7: data.dir = \"\" is not a path: it is empty"),
        ("[http]\ntls = 'yes'\n", "skein.toml:2:7: http.tls = \"yes\" is not true or false"),
        (
            "[mqtt]\npacket_bytes_max = 65536\n",
            "skein.toml:2:20: mqtt.packet_bytes_max = 65536 is not a size: write a number and B, KiB, MiB or GiB, \
             such as \"64KiB\"",
        ),
        (
            "[mqtt]\nconnect_timeout = 10\n",
            "skein.toml:2:19: mqtt.connect_timeout = 10 is not a time: write a number and ms, s, m, h or d, such as \"30s\"",
        ),
        (
            "[mqtt]\nsession_expiry_max = 'always'\n",
            "skein.toml:2:22: mqtt.session_expiry_max = \"always\" is neither a time such as \"30s\" nor \"never\"",
        ),
        (
            "[mqtt]\nlisten = ':1883'\n",
            "skein.toml:2:10: mqtt.listen = \":1883\" does not say which addresses: write \"0.0.0.0:1883\" for every \
             IPv4 address, \"[::]:1883\" for every address, \"127.0.0.1:1883\" for this machine only",
        ),
        (
            "[access]\nanonymous = 'yes'\n",
            "skein.toml:2:13: access.anonymous = \"yes\" is not \"loopback\", true or false",
        ),
        (
            "[mqtt]\nlisteners = 1\n",
            "skein.toml:2:13: mqtt.listeners = 1 is not a list: write [[mqtt.listeners]] before each listener",
        ),
    ] {
        assert_eq!(fault_of(text), expect, "{text}");
    }
}

#[test]
fn faults_of_values_together() {
    for (text, expect) in [
        ("[mqtt]\nreceive_maximum = 0\n", "skein.toml:2:19: mqtt.receive_maximum is 0; write 1 to 65535"),
        ("[mqtt]\nmaximum_qos = 3\n", "skein.toml:2:15: mqtt.maximum_qos is 3; write 0 to 2"),
        (
            "[mqtt]\npacket_bytes_max = '1B'\n",
            "skein.toml:2:20: mqtt.packet_bytes_max is \"1B\"; write \"128B\" to \"268435460B\"",
        ),
        (
            "[mqtt]\npacket_bytes_max = '8MiB'\n",
            "mqtt.outbox_bytes_max (default): mqtt.outbox_bytes_max is \"4MiB\", less than packet_bytes_max of \"8MiB\", \
             so the largest messages could never be delivered; raise it or lower that",
        ),
        (
            "[mqtt]\nconnect_timeout = 0\n",
            "skein.toml:2:19: mqtt.connect_timeout is 0, which would close every connection at once; write a time such as \"10s\"",
        ),
        (
            "[mqtt]\nserver_keep_alive = '500ms'\n",
            "skein.toml:2:21: mqtt.server_keep_alive is \"500ms\"; MQTT counts keep alive in whole seconds up to 65535s",
        ),
        (
            "[mqtt]\nsession_expiry_max = '60000d'\n",
            "skein.toml:2:22: mqtt.session_expiry_max is \"60000d\"; MQTT counts expiry in whole seconds below 4294967295s; \
             \"never\" is more",
        ),
        (
            "[tls]\ncert = 'c'\n",
            "skein.toml:2:8: tls.cert is set but tls.key is not; set tls.key to its private key",
        ),
        (
            "[tls]\nkey = 'k'\n",
            "skein.toml:2:7: tls.key is set but tls.cert is not; set tls.cert to its certificate",
        ),
        (
            "[tls]\nclient_auth = 'require'\n",
            "skein.toml:2:15: tls.client_auth is \"require\" but there are no CA certificates to check with; \
             set tls.client_ca to the CA certificates of the clients",
        ),
        (
            "[tls]\nsubject_as_user = true\n",
            "skein.toml:2:19: tls.subject_as_user is true but clients show no certificate; \
             set tls.client_auth to \"optional\" or \"require\"",
        ),
        (
            "[mqtt]\nwss_listen = '127.0.0.1:1'\n",
            "skein.toml:2:14: mqtt.wss_listen is served over TLS but there is no certificate; set tls.cert and tls.key",
        ),
        (
            "[http]\ntls = true\n",
            "http.listen (default): http.listen is served over TLS but there is no certificate; set tls.cert and tls.key",
        ),
        (
            "[http]\nlisten = '127.0.0.1:1883'\n",
            "skein.toml:2:10: http.listen is 127.0.0.1:1883, which mqtt.listen uses too; choose another port",
        ),
    ] {
        assert_eq!(fault_of(text), expect, "{text}");
    }
}

#[test]
fn faults_of_listeners() {
    let listener = "[[mqtt.listeners]]\nname = 'a'\nlisten = '127.0.0.1:1'\n";
    for (text, expect) in [
        (listener.to_owned(), String::new()),
        ("[mqtt]\nlisteners = [1]\n".to_owned(), "skein.toml:2:14: mqtt.listeners[0] = 1 is not a listener: write its keys".to_owned()),
        (
            "[[mqtt.listeners]]\n".to_owned(),
            "skein.toml:1:1: mqtt.listeners[0] has no address; add listen = \"127.0.0.1:1884\" or another\n\
             skein.toml:1:1: mqtt.listeners[0] has no name; add name = \"…\""
                .to_owned(),
        ),
        (
            format!("{listener}transport = 'udp'\n"),
            "skein.toml:4:13: mqtt.listeners[0].transport = \"udp\" is none of tcp, tls, ws, wss".to_owned(),
        ),
        (
            format!("{listener}maximum_qso = 1\n"),
            "skein.toml:4:1: there is no key mqtt.listeners[0].maximum_qso; did you mean maximum_qos?".to_owned(),
        ),
        (
            format!("{listener}receive_maximum = 0\n"),
            "skein.toml:4:19: mqtt.listeners[0].receive_maximum is 0; write 1 to 65535".to_owned(),
        ),
        (
            format!("{listener}{}", listener.replace(":1'", ":2'")),
            "skein.toml:5:8: mqtt.listeners[1].name is \"a\", which is the name of another listener; choose another name".to_owned(),
        ),
        (
            listener.replace("'a'", "'tcp'"),
            "skein.toml:2:8: mqtt.listeners[0].name is \"tcp\", which is the name of another listener; choose another name".to_owned(),
        ),
        (
            listener.replace("'127.0.0.1:1'", "['127.0.0.1:1', '127.0.0.1:2']"),
            "skein.toml:3:10: mqtt.listeners[0].listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"] is not one address: \
             write an entry of its own for each"
                .to_owned(),
        ),
    ] {
        assert_eq!(fault_of(&text), expect, "{text}");
    }
}

#[test]
fn a_server_open_to_others_without_users_does_not_start() {
    let advice = "can be reached from other machines, but there are no users; set access.file, listen on a \
                  loopback address, or set access.anonymous = true to admit everybody";
    for (text, expect) in [
        ("mqtt.listen = '0.0.0.0:1883'\n", format!("skein.toml:1:15: mqtt.listen = 0.0.0.0:1883 {advice}")),
        ("http.listen = '[::]:80'\n", format!("skein.toml:1:15: http.listen = [::]:80 {advice}")),
        (
            "mqtt.ws_listen = '192.0.2.1:1'\naccess.anonymous = false\n",
            format!("skein.toml:1:18: mqtt.ws_listen = 192.0.2.1:1 {advice}"),
        ),
        ("mqtt.listen = '0.0.0.0:1883'\naccess.anonymous = true\n", String::new()),
        ("mqtt.listen = '0.0.0.0:1883'\naccess.file = 'access.toml'\n", String::new()),
        ("mqtt.listen = ['127.0.0.2:1', '[::1]:1', '[::ffff:127.0.0.1]:2']\n", String::new()),
    ] {
        assert_eq!(fault_of(text), expect, "{text}");
    }
    let listener = "[[mqtt.listeners]]\nname = 'a'\nlisten = '0.0.0.0:1'\n";
    assert_eq!(fault_of(listener), format!("skein.toml:3:10: mqtt.listeners[0].listen = 0.0.0.0:1 {advice}"));
}

#[test]
fn all_faults_of_all_sources_are_told_at_once() {
    let text = "[node]\nid = 0\nnmae = 'x'\n[mqtt]\nlisten = 1\nreceive_maximum = 'x'\n[tls]\ncert = 'c'\n";
    let sources = Sources {
        file: Some(("skein.toml".into(), text.to_owned())),
        env: pairs(&[("SKEIN_LOG_LEVEL", "loud"), ("SKEIN_HTTP_LISTENS", "x"), ("SKEIN_OTHER_THINGS", "x")]),
        flags: pairs(&[("http.tls", "perhaps"), ("node.idd", "2"), ("data.dir", "a"), ("data.dir", "b")]),
    };
    let faults = Config::load(&sources).unwrap_err();
    let expect = "\
skein.toml:3:1: there is no key node.nmae; did you mean node.name?
skein.toml:5:10: mqtt.listen = 1 is not an address: write an IP address and a port, such as \"127.0.0.1:1883\" or \"[::1]:1883\"
skein.toml:6:19: mqtt.receive_maximum = \"x\" is not a whole number from 0 to 65535
SKEIN_HTTP_LISTENS: there is no such variable; did you mean SKEIN_HTTP_LISTEN?
SKEIN_LOG_LEVEL: log.level = \"loud\" is none of error, warn, info, debug, trace
SKEIN_OTHER_THINGS: there is no such variable; remove it, or see the list of variables; no other may start with SKEIN_
--data.dir: is given 2 times; give it once
--http.tls: http.tls = \"perhaps\" is not true or false
--node.idd: there is no such flag; did you mean --node.id?";
    assert_eq!(faults.to_string(), expect);
}

#[test]
fn what_can_be_checked_is_checked_beside_other_faults() {
    let text = "[node]\nid = 0\n[log]\nlevel = 1\n[mqtt]\nlisten = '0.0.0.0:1'\n";
    let faults = toml(text).unwrap_err();
    let lines: Vec<String> = faults.as_slice().iter().map(|fault| fault.origin.to_string()).collect();
    assert_eq!(lines, ["skein.toml:2:6", "skein.toml:4:9", "skein.toml:6:10"]);
}

#[test]
fn broken_files() {
    let toml_fault = fault_of("[node]\nid = \n");
    assert!(toml_fault.starts_with("skein.toml:2:"), "{toml_fault}");
    assert!(toml_fault.contains("this is not TOML: "), "{toml_fault}");
    assert!(
        fault_of("[node]\nid = 1\nid = 2\n").starts_with("skein.toml:3:1: this is not TOML: duplicate key")
    );
    for (text, line) in
        [("node:\n  id: [\n", 0), ("node:\n  id: 1\n  id: 2\n", 3), ("- 1\n", 1), ("a: *b\n", 1)]
    {
        let fault = named("skein.yaml", text).unwrap_err().to_string();
        let start = if line == 0 { "skein.yaml:".to_owned() } else { format!("skein.yaml:{line}:") };
        assert!(fault.starts_with(&start) && !fault.contains('\n'), "{fault}");
    }
}

#[test]
fn yaml_faults_have_their_places() {
    let text = "node:\n  id: x\n  nmae: a\nmqtt:\n  listeners:\n    - name: a\n      listne: b\n";
    let expect = "\
skein.yaml:2:7: node.id = \"x\" is not a whole number from 0 to 65535
skein.yaml:3:3: there is no key node.nmae; did you mean node.name?
skein.yaml:7:7: there is no key mqtt.listeners[0].listne; did you mean listen?";
    assert_eq!(named("skein.yaml", text).unwrap_err().to_string(), expect);
    let twice = named("skein.yaml", "node.id: 1\nnode:\n  id: 2\n").unwrap_err().to_string();
    assert_eq!(twice, "skein.yaml:3:3: node.id is there twice, first at skein.yaml:1:10; remove one");
}
