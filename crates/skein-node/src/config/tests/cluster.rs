//! The section of the cluster: what is refused, and that its secret is never shown.

use super::{pairs, toml};
use crate::config::{Changed, Config, Effect, Sources};

const SECRET: &str = "correct horse battery";

fn faults(text: &str) -> String {
    toml(text).map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn a_node_alone_opens_no_port() {
    assert!(!Config::default().cluster.is_on());
    let joins = toml("cluster.join = 'localhost:5778'").unwrap().cluster;
    assert_eq!(joins.listen.map(|listen| listen.to_string()).as_deref(), Some("127.0.0.1:5777"));
    assert!(toml("cluster.listen = '127.0.0.1:1'").unwrap().cluster.is_on());
}

#[test]
fn what_cannot_work_is_refused_with_what_to_do() {
    for (text, expect) in [
        (
            "cluster.listen = '192.0.2.1:5777'",
            "cluster.listen = 192.0.2.1:5777 can be reached from other machines, but there is no secret to authenticate nodes; set cluster.secret_file to a file with the same text on all nodes, or listen on a loopback address",
        ),
        ("cluster.secret = 'sesame'", "cluster.secret has 6 characters and could be guessed"),
        (
            "cluster.secret = 'correct horse battery'\ncluster.secret_file = 'f'",
            "cluster.secret_file is set and cluster.secret is too; remove one",
        ),
        (
            "cluster.registry = 'mysql://db/x'\ncluster.registry_file = 'f'\ncluster.secret = 'correct horse battery'",
            "cluster.registry_file is set and cluster.registry is too; remove one",
        ),
        (
            "cluster.secret = 'correct horse battery'\ncluster.listen = '0.0.0.0:5777'",
            "cluster.listen = 0.0.0.0:5777 is a wildcard address, which nobody can dial; set cluster.advertise",
        ),
        (
            "cluster.join = ['localhost', 'node-2']",
            "cluster.listen = 127.0.0.1:5777 cannot be reached from other machines, but cluster.join names node-2",
        ),
        (
            "cluster.join = 'node-2:1'\ncluster.advertise = 'localhost:5777'",
            "cluster.advertise = localhost:5777 is a loopback address, but cluster.join names node-2:1",
        ),
        (
            "cluster.join = 'srv:_skein._tcp.example.org'\ncluster.advertise = '127.0.0.1'",
            "cluster.advertise = 127.0.0.1 is a loopback address",
        ),
        (
            "cluster.advertise = '0.0.0.0:1'\ncluster.listen = '127.0.0.1:1'",
            "is a wildcard address, which nobody can dial",
        ),
        (
            "cluster.join = 'localhost'\ncluster.listen = 'off'",
            "cluster.listen is off, but cluster.join or cluster.registry is set",
        ),
        ("cluster.listen = '127.0.0.1:0'", "cluster.listen = 127.0.0.1:0 has no fixed port"),
        ("cluster.probe_timeout = '500ms'", "must be less than cluster.probe_interval"),
        ("cluster.suspect_timeout = '200ms'", "less than cluster.probe_interval"),
        ("cluster.link_timeout = '100ms'", "less than cluster.keepalive_interval"),
        ("cluster.keepalive_interval = '30s'\ncluster.link_timeout = '50s'", "noticed after 90s"),
        ("cluster.probe_interval = '1ms'", "cluster.probe_interval is 1ms; write 20ms to 60s"),
        ("cluster.strategy = ''", "cluster.strategy is \"\""),
        ("cluster.strategy = 'script:'", "cluster.strategy is \"script:\""),
        ("cluster.join = 'tcp://a:1'", "has \"tcp://a:1\", which is no host"),
        ("cluster.webhooks = 'https://a/'", "webhooks are sent without TLS"),
        ("cluster.listen = '127.0.0.1:1883'", "cluster.listen is 127.0.0.1:1883, which mqtt.listen uses too"),
        ("cluster.listen = ['127.0.0.1:1', '127.0.0.1:2']", "is more than one address"),
    ] {
        let found = faults(text);
        assert!(found.contains(expect), "{text}\n{found}");
    }
}

#[test]
fn all_of_them_are_told_at_once() {
    let found = faults(
        "[cluster]\nlisten = '192.0.2.1:5777'\nadvertise = 'localhost'\njoin = 'node-2'\nprobe_timeout = '9s'\n",
    );
    assert_eq!(found.lines().count(), 3, "{found}");
    for place in ["skein.toml:2:10: ", "skein.toml:3:13: ", "skein.toml:5:17: "] {
        assert!(found.contains(place), "{found}");
    }
}

#[test]
fn a_cluster_of_several_machines_is_taken() {
    let text = format!(
        "[cluster]\nlisten = '0.0.0.0:5777'\nadvertise = 'node-1.example.org'\njoin = ['node-2', 'srv:_skein._tcp.example.org']\n\
         secret = '{SECRET}'\nregistry = 'postgres://skein:hunter22@db/x'\n"
    );
    let config = toml(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.cluster.secret.0.as_deref(), Some(SECRET));
    // Nothing that shows a configuration shows what is secret in it.
    for shown in [format!("{config:?}"), config.to_toml(), format!("{:?}", config.values())] {
        assert!(!shown.contains(SECRET) && !shown.contains("hunter22"), "{shown}");
        assert!(shown.contains("postgres://skein:***@db/x"), "{shown}");
    }
}

#[test]
fn faults_do_not_quote_a_secret() {
    for text in [
        "cluster.secret = 12345678",
        "cluster.registry = 'oracle://u:12345678@h'",
        "cluster.secret = '(hidden)'",
    ] {
        let found = faults(text);
        assert!(!found.is_empty() && !found.contains("12345678"), "{found}");
    }
    let env = pairs(&[("SKEIN_CLUSTER_SECRET", "12345678")]);
    let found = Config::load(&Sources { env, ..Sources::default() }).unwrap_err().to_string();
    assert!(found.starts_with("SKEIN_CLUSTER_SECRET: cluster.secret has 8 characters"), "{found}");
}

#[test]
fn another_secret_is_a_change_though_it_is_shown_alike() {
    let with = |secret: &str| toml(&format!("cluster.secret = '{secret}'")).unwrap();
    let (one, two) = (with(SECRET), with("another horse battery"));
    assert_eq!(Config::reloadable_diff(&one, &one), []);
    let changed = Config::reloadable_diff(&one, &two);
    assert!(matches!(changed.as_slice(), [Changed { key, .. }] if key == "cluster.secret"), "{changed:?}");
    assert_eq!(Config::reloadable_diff(&Config::default(), &two).len(), 1);
    let with = |password: &str| toml(&format!("cluster.registry = 'mysql://skein:{password}@db/x'")).unwrap();
    let changed = Config::reloadable_diff(&with("one"), &with("two"));
    assert!(matches!(changed.as_slice(), [Changed { key, .. }] if key == "cluster.registry"), "{changed:?}");
    assert!(!format!("{changed:?}").contains("two"), "{changed:?}");
    let with = |password: &str| {
        toml(&format!("cluster.webhooks = 'http://skein:{password}@h/x?key={password}'")).unwrap()
    };
    let changed = Config::reloadable_diff(&with("one"), &with("two"));
    let [Changed { key, effect: Effect::Reload, old, .. }] = changed.as_slice() else {
        panic!("{changed:?}")
    };
    assert_eq!((&**key, &**old), ("cluster.webhooks", "\"http://skein:***@h/x\""));
}
