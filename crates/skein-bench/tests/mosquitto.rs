//! Every workload against a Mosquitto of Debian: nothing lost, figures that can be true.
//!
//! The server is a process of its own on an ephemeral port; a machine without it fails these tests with the
//! command that installs it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use skein_bench::{BenchError, Config, Length, Protocol, Qos, Report, Workload, run};

const PROGRAM: &str = "/usr/sbin/mosquitto";

struct Mosquitto {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Mosquitto {
    fn start(name: &str, more_settings: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        drop(listener);
        let folder = std::env::temp_dir().join(format!("skein-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let config = folder.join("mosquitto.conf");
        let port = address.port();
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n\
             set_tcp_nodelay true\nlog_type none\n{more_settings}\n"
        );
        fs::write(&config, settings).expect("a configuration file");
        let child = Command::new(PROGRAM)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("cannot start /usr/sbin/mosquitto; install it: apt-get install mosquitto");
        let mut server = Self { child, address, folder };
        let start = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            let ended = server.child.try_wait().expect("the child can be asked");
            assert!(ended.is_none(), "mosquitto ended at once with {ended:?}");
            assert!(start.elapsed() < Duration::from_secs(20), "mosquitto does not listen");
            std::thread::yield_now();
        }
        server
    }

    fn config(&self, workload: Workload, qos: Qos) -> Config {
        Config {
            qos,
            length: Length::Messages(4000),
            warmup: Duration::ZERO,
            server_pids: vec![self.child.id()],
            quiet: Duration::from_secs(20),
            ..Config::new(workload, self.address)
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn check(report: &Report, expected: u64) {
    let findings =
        (report.lost, report.duplicated, report.reordered, report.corrupted, report.unacknowledged);
    assert_eq!(findings, (0, 0, 0, 0, 0), "{report}");
    assert_eq!((report.expected, report.delivered), (expected, expected), "{report}");
    assert_eq!(report.measured_delivered, expected, "{report}");
    assert!(report.messages_per_second > 100.0, "{report}");
    let latency = report.latency_ms;
    assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99, "{report}");
    assert!(latency.p99 <= latency.p999 && latency.p999 <= latency.max, "{report}");
    assert!(report.server.is_some_and(|server| server.rss_bytes_after > 1_000_000), "{report}");
    assert!(!report.is_faulty());
}

#[test]
fn pairs_at_every_quality_and_version() {
    let server = Mosquitto::start("pairs", "");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for protocol in [Protocol::V3, Protocol::V5] {
            let config = Config { protocol, ..server.config(Workload::Pairs { pairs: 20 }, qos) };
            let report = run(&config).expect("a run");
            check(&report, 4000);
            assert_eq!((report.publishers, report.subscribers, report.connections), (20, 20, 40));
        }
    }
}

#[test]
fn pairs_one_at_a_time_with_a_large_payload() {
    let server = Mosquitto::start("large", "");
    let config = Config {
        payload_bytes: 300_000,
        window: Some(1),
        length: Length::Messages(100),
        ..server.config(Workload::Pairs { pairs: 2 }, Qos::AtLeastOnce)
    };
    check(&run(&config).expect("a run"), 100);
}

#[test]
fn fanout_reaches_every_subscriber() {
    let server = Mosquitto::start("fanout", "");
    let workload = Workload::Fanout { subscribers: 50 };
    let config = Config { length: Length::Messages(100), ..server.config(workload, Qos::AtMostOnce) };
    check(&run(&config).expect("a run"), 5000);
}

#[test]
fn fanin_gathers_every_publisher() {
    let server = Mosquitto::start("fanin", "");
    let report = run(&server.config(Workload::Fanin { publishers: 20 }, Qos::AtLeastOnce)).expect("a run");
    check(&report, 4000);
}

#[test]
fn a_shared_group_gets_each_message_once() {
    let server = Mosquitto::start("shared", "");
    let workload = Workload::Shared { publishers: 20, members: 4 };
    check(&run(&server.config(workload, Qos::AtLeastOnce)).expect("a run"), 4000);
}

#[test]
fn retained_messages_reach_each_new_subscriber_and_are_cleared() {
    let server = Mosquitto::start("retained", "");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let workload = Workload::Retained { messages: 500, subscribers: 3 };
        let config = Config { client_id_prefix: Some("kept".to_owned()), ..server.config(workload, qos) };
        // The second run of the same name would find more messages had the first not cleared its own.
        for _ in 0..2 {
            check(&run(&config).expect("a run"), 1500);
        }
    }
}

#[test]
fn a_paced_run_keeps_its_rate() {
    let server = Mosquitto::start("paced", "");
    let workload = Workload::Paced { pairs: 10, rate: 2000 };
    let config = Config { length: Length::Messages(1000), ..server.config(workload, Qos::AtMostOnce) };
    let report = run(&config).expect("a run");
    check(&report, 1000);
    assert!(report.messages_per_second < 2200.0, "2000 per second were asked for: {report}");
}

#[test]
fn idle_connections_are_counted_and_weighed() {
    let server = Mosquitto::start("idle", "");
    let config = Config {
        length: Length::Time(Duration::from_millis(50)),
        ..server.config(Workload::Idle { connections: 200 }, Qos::AtMostOnce)
    };
    let report = run(&config).expect("a run");
    assert_eq!((report.connections, report.subscribers), (200, 200));
    assert!(report.connects_per_second > 50.0, "{report}");
    let memory = report.server.expect("the server's process id was given");
    assert!(memory.rss_bytes_after >= memory.rss_bytes_before, "{report}");
    assert!(memory.rss_bytes_per_connection < 100_000.0, "{report}");
}

#[test]
fn what_looks_at_clusters_finds_one_node_in_order() {
    let server = Mosquitto::start("cluster", "");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let config = Config {
            more_addresses: vec![server.address],
            ..server.config(Workload::Visible { times: 500, parallel: 4 }, qos)
        };
        let report = run(&config).expect("a run");
        let found = report.visible.expect("the workload fills it");
        assert_eq!((found.times, found.misses, report.unacknowledged), (500, 0, 0), "{report}");
        assert!(!report.is_faulty(), "{report}");
    }
    let takeover = Workload::Takeover { times: 200, parallel: 4, seed: 1 };
    let report = run(&server.config(takeover.clone(), Qos::AtMostOnce)).expect("a run");
    let found = report.takeover.expect("the workload fills it");
    assert_eq!((found.times, found.violations, found.never_closed), (200, 0, 0), "{report}");
    // Mosquitto 2.0 closes the older of two clean sessions without a word.
    let config = Config { protocol: Protocol::V5, ..server.config(takeover, Qos::AtMostOnce) };
    let report = run(&config).expect("a run");
    assert_eq!(report.takeover.map(|found| (found.times, found.wrong_reason)), Some((200, 200)), "{report}");
}

#[test]
fn a_refusal_names_the_connection_the_reason_and_the_remedy() {
    let server = Mosquitto::start("refusal", "allow_anonymous false");
    for protocol in [Protocol::V3, Protocol::V5] {
        let config = Config {
            protocol,
            client_id_prefix: Some("guest".to_owned()),
            ..server.config(Workload::Pairs { pairs: 1 }, Qos::AtMostOnce)
        };
        let error = run(&config).expect_err("an anonymous client is refused");
        assert!(matches!(error, BenchError::Refused { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("guest-") && text.contains("not authorised") && text.contains("--user"),
            "{text}"
        );
    }
}

#[test]
fn a_lower_quality_than_asked_for_is_refused_before_the_run() {
    let server = Mosquitto::start("quality", "max_qos 1");
    let config =
        Config { protocol: Protocol::V5, ..server.config(Workload::Pairs { pairs: 1 }, Qos::ExactlyOnce) };
    let text = run(&config).expect_err("the server has no QoS 2").to_string();
    assert!(text.contains("--qos 1"), "{text}");
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);
    let config = Config::new(Workload::Pairs { pairs: 1 }, address);
    let text = run(&config).expect_err("nobody listens").to_string();
    assert!(text.contains(&address.to_string()) && text.contains("Start the server"), "{text}");
}
