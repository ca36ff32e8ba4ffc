//! Whoever does not know the secret: refused, counted, and of no consequence for anybody else.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use skein_testkit::{Cluster, ClusterOptions, Gate, TestDirectory, UdpProxy, free_address, wait_until};

use crate::{SKEIN, flow::Flow};

const CONNECTIONS: usize = 1000;

fn garbage(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// How often a node has refused something: connections by fault, and datagrams.
fn refused(cluster: &Cluster, id: u16) -> u64 {
    let (_, metrics) = cluster.node(id).get("/metrics").unwrap();
    let faults = ["not_skein", "not_authentic", "handshake", "secret", "crowded", "garbled"];
    let is_refusal = |line: &&str| {
        line.starts_with("skein_cluster_events_total{event=\"link_")
            && faults.iter().any(|fault| line.contains(fault))
            || line.contains("event=\"datagrams_refused\"")
    };
    let counts =
        metrics.lines().filter(is_refusal).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[test]
fn strangers_are_refused_and_disturb_nobody() {
    let options = ClusterOptions {
        nodes: 2,
        secret: Some("known to two nodes".to_owned()),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(SKEIN, &options);
    let members = cluster.node(1).members().unwrap();
    let port = cluster.node(1).cluster;
    let mut flow = Flow::between(&cluster, 1, 2);
    flow.pass(20);
    let before = refused(&cluster, 1);

    // A thousand connections at once that say nothing, garbage, or the beginning of something.
    let connect = |number: usize| {
        let mut stream = TcpStream::connect(port).ok()?;
        let said = garbage(number % 700, number as u64);
        // It may be closed already.
        drop(stream.write_all(&said));
        Some(stream)
    };
    let connections: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    flow.pass(50);
    for mut stream in connections.into_iter().flatten() {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        // However it ends, it ends: a stranger is not kept.
        drop(stream.read_to_end(&mut answer));
        assert!(answer.len() < 4096, "a stranger is told {} bytes", answer.len());
    }
    // Datagrams: garbage of all lengths, and the same again.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..2000 {
        socket.send_to(&garbage(number % 1400, number as u64), port).unwrap();
    }
    flow.pass(50);
    wait_until("what was refused is counted", Duration::from_secs(10), || {
        refused(&cluster, 1) > before + CONNECTIONS as u64 / 2
    });
    assert_eq!(cluster.node(1).members().unwrap(), members);
}

#[test]
fn a_node_with_another_secret_or_none_stays_outside() {
    let options = ClusterOptions {
        nodes: 2,
        secret: Some("known to two nodes".to_owned()),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(SKEIN, &options);
    let members = cluster.node(1).members().unwrap();
    let mut flow = Flow::between(&cluster, 1, 2);
    for secret in [Some("known to a third one"), None] {
        let directory = TestDirectory::create("outside");
        let mut outside = Command::new(SKEIN);
        outside.arg("serve").current_dir(directory.path());
        outside.args(["--mqtt.listen", &free_address().to_string(), "--mqtt.ws_listen", "off"]);
        let http = free_address();
        outside.args(["--http.listen", &http.to_string(), "--node.id", "3", "--cluster.join_timeout", "1s"]);
        outside.args(["--cluster.listen", &free_address().to_string()]);
        outside.args(["--cluster.join", &cluster.node(1).cluster.to_string()]);
        if let Some(secret) = secret {
            outside.args(["--cluster.secret", secret]);
        }
        let mut outside = skein_testkit::Server::start("outside", &mut outside);
        outside.wait_for_line("no other node found yet");
        flow.pass(20);
        assert_eq!(cluster.node(1).members().unwrap(), members);
        assert_eq!(cluster.node(2).members().unwrap(), members_of(&cluster, 2));
        outside.kill();
    }
    assert!(refused(&cluster, 1) > 0);
}

fn members_of(cluster: &Cluster, id: u16) -> Vec<skein_testkit::Member> {
    let members = cluster.node(id).members().unwrap();
    assert_eq!(members.len(), 2, "{members:?}");
    members
}

#[test]
fn recorded_datagrams_said_again_change_nothing() {
    let options = ClusterOptions {
        nodes: 2,
        secret: Some("known to two nodes".to_owned()),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::prepare(SKEIN, &options);
    // Gossip to node 2 passes a place where it is heard and said again.
    let listen = free_address();
    let gate = Gate::new();
    let tcp = skein_testkit::TcpProxy::start(listen, cluster.node(2).cluster, &gate);
    let recorder = UdpSocket::bind(listen).unwrap();
    recorder.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let relay = UdpProxy::start(free_address(), cluster.node(2).cluster, &gate, 1);
    cluster.lead_through(2, tcp.address());
    let stop = Arc::<AtomicBool>::default();
    let stopped = stop.clone();
    let replaying = std::thread::spawn(move || {
        let mut recorded: Vec<Vec<u8>> = Vec::new();
        let mut datagram = [0; 2048];
        while !stopped.load(Relaxed) {
            let Ok(length) = recorder.recv(&mut datagram) else { continue };
            recorder.send_to(&datagram[..length], relay.address()).unwrap();
            for again in &recorded {
                recorder.send_to(again, relay.address()).unwrap();
            }
            if recorded.len() < 50 {
                recorded.push(datagram[..length].to_vec());
            }
        }
    });
    cluster.start_all();
    let mut flow = Flow::between(&cluster, 1, 2);
    let before = refused(&cluster, 2);
    wait_until("replays are refused and counted", Duration::from_secs(20), || {
        flow.pass(5);
        refused(&cluster, 2) > before + 200
    });
    cluster.wait_until_whole();
    stop.store(true, Relaxed);
    replaying.join().unwrap();
}
