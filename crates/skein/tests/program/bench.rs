//! `skein bench mqtt` with the workloads for clusters, against one `skein serve` named twice as a host.
//!
//! What one node promises trivially must come out without a finding, at every version and quality.

use std::net::SocketAddr;
use std::process::{Command, Output};

use skein_testkit::{Broker, BrokerOptions};

fn bench(hosts: &[SocketAddr], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.args(["bench", "mqtt"]).args(arguments);
    for host in hosts {
        command.arg("--host").arg(host.to_string());
    }
    command.output().unwrap()
}

/// The report as JSON; the run must have found nothing wrong.
fn report(hosts: &[SocketAddr], arguments: &[&str]) -> serde_json::Value {
    let output = bench(hosts, &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_subscription_is_visible_once_it_is_acknowledged() {
    let broker = Broker::skein(env!("CARGO_BIN_EXE_skein"), &BrokerOptions::default());
    for (qos, protocol) in [("0", "3"), ("1", "5"), ("2", "5")] {
        let arguments =
            ["visible", "--times", "300", "--parallel", "4", "--qos", qos, "--protocol", protocol];
        let found = report(&[broker.tcp, broker.tcp], &arguments);
        assert_eq!(found["visible"]["times"], 300, "{found}");
        assert_eq!((&found["visible"]["misses"], &found["delivered"]), (&0.into(), &300.into()), "{found}");
        assert!(found["visible"]["suback_ms"]["p50"].as_f64() > Some(0.0), "{found}");
    }
}

#[test]
fn a_client_id_moves_without_two_of_it_being_alive() {
    let broker = Broker::skein(env!("CARGO_BIN_EXE_skein"), &BrokerOptions::default());
    for protocol in ["3", "5"] {
        let found = report(
            &[broker.tcp, broker.tcp],
            &["takeover", "--times", "200", "--parallel", "4", "--protocol", protocol],
        );
        assert_eq!(found["takeover"]["times"], 200, "{found}");
        assert_eq!(found["takeover"]["violations"], 0, "{found}");
        assert_eq!(found["takeover"]["wrong_reason"], 0, "{found}");
    }
    let storm = ["takeover", "--storm", "--clients", "50", "--seconds", "0.5", "--protocol", "5"];
    let found = report(&[broker.tcp, broker.tcp], &storm);
    assert_eq!(
        (&found["storm"]["alive_once"], &found["storm"]["clients"]),
        (&50.into(), &50.into()),
        "{found}"
    );
}

#[test]
fn messages_cross_hosts_and_are_compared_with_one_host() {
    let broker = Broker::skein(env!("CARGO_BIN_EXE_skein"), &BrokerOptions::default());
    let pid = broker.server.pid().to_string();
    let arguments = ["cross", "--pairs", "4", "--qos", "1", "--messages", "400", "--warmup", "0"];
    let found = report(&[broker.tcp, broker.tcp], &[&arguments[..], &["--pid", &pid]].concat());
    assert_eq!((&found["workload"], &found["delivered"]), (&"cross".into(), &400.into()), "{found}");
    assert!(found["server"]["rss_bytes_after"].as_u64() > Some(1_000_000), "{found}");
    let rounds = ["--ratio", "--rounds", "2"];
    let found = report(&[broker.tcp, broker.tcp], &[&arguments[..], &rounds].concat());
    assert!(found["messages_per_second"].as_f64() > Some(0.0), "{found}");
    assert_eq!(found["single"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(found["cpu_per_message"], serde_json::Value::Null, "{found}");
}

#[test]
fn a_workload_for_one_host_says_so() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let output = bench(&[nobody, nobody], &["pairs"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("loads one host"), "{text}");
}
