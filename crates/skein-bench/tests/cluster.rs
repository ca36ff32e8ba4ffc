//! Two nodes that pretend to be a cluster and break its promises on purpose: each must stand in the report.
//!
//! The nodes speak just enough MQTT 3.1.1 for the workloads visible and takeover, QoS 0, and share one table of
//! subscriptions and one of client ids. Threads end with their connections.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use skein_bench::{Config, Length, Report, Workload, cross_ratio, run};

/// What the cluster does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Every tenth message is not delivered.
    Loses,
    /// Every tenth message is delivered when its subscriber gives the subscription up.
    Delays,
    /// Every tenth message is delivered twice.
    Repeats,
    /// The older connection of a client id stays open.
    KeepsOlder,
    /// The older connection of a client id is closed behind the CONNACK of the newer one.
    ClosesOlderBehind,
    /// Of two connections with one client id none is left.
    ClosesBoth,
}

struct Cluster {
    fault: Fault,
    published: u64,
    /// The subscriber of each filter, and the message that is held back for it.
    subscriptions: HashMap<Vec<u8>, (TcpStream, Option<Vec<u8>>)>,
    clients: HashMap<Vec<u8>, TcpStream>,
}

fn start(fault: Fault) -> [SocketAddr; 2] {
    let cluster = Cluster { fault, published: 0, subscriptions: HashMap::new(), clients: HashMap::new() };
    let cluster = Arc::new(Mutex::new(cluster));
    std::array::from_fn(|_| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let cluster = Arc::clone(&cluster);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let cluster = Arc::clone(&cluster);
                std::thread::spawn(move || drop(serve(stream, &cluster)));
            }
        });
        address
    })
}

/// Reads one packet whose length fits one byte.
fn read_packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet)?;
    assert!(packet[1] < 0x80, "the packets of this test are short");
    packet.resize(2 + usize::from(packet[1]), 0);
    stream.read_exact(&mut packet[2..])?;
    Ok(packet)
}

/// A text with its length before it, without the length.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[2..2 + length].to_vec()
}

fn serve(mut stream: TcpStream, cluster: &Mutex<Cluster>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let packet = read_packet(&mut stream)?;
        let mut state = cluster.lock();
        match packet[0] >> 4 {
            1 => connect(&mut state, &mut stream, text(&packet[12..]))?,
            3 => publish(&mut state, &packet)?,
            8 => {
                state.subscriptions.insert(text(&packet[4..]), (stream.try_clone()?, None));
                stream.write_all(&[0x90, 3, packet[2], packet[3], 0])?;
            }
            10 => {
                if let Some((_, Some(held))) = state.subscriptions.remove(&text(&packet[4..])) {
                    stream.write_all(&held)?;
                }
                stream.write_all(&[0xB0, 2, packet[2], packet[3]])?;
            }
            12 => stream.write_all(&[0xD0, 0])?,
            _ => return Ok(()),
        }
    }
}

fn connect(state: &mut Cluster, stream: &mut TcpStream, client_id: Vec<u8>) -> std::io::Result<()> {
    let older = state.clients.insert(client_id, stream.try_clone()?);
    let closes_now = !matches!(state.fault, Fault::KeepsOlder | Fault::ClosesOlderBehind);
    // The client may have closed the older one already.
    let close = |stream: &TcpStream| drop(stream.shutdown(Shutdown::Both));
    if let Some(older) = older.as_ref().filter(|_| closes_now) {
        close(older);
    }
    stream.write_all(&[0x20, 2, 0, 0])?;
    match (state.fault, &older) {
        (Fault::ClosesBoth, Some(_)) => close(stream),
        (Fault::ClosesOlderBehind, Some(older)) => close(older),
        _ => {}
    }
    Ok(())
}

fn publish(state: &mut Cluster, packet: &[u8]) -> std::io::Result<()> {
    let topic = text(&packet[2..]);
    state.published += 1;
    let is_hit = state.published.is_multiple_of(10);
    for (filter, (subscriber, held)) in &mut state.subscriptions {
        let wild = String::from_utf8_lossy(filter).replace("/+/", "/any/");
        if wild.as_bytes() != topic {
            continue;
        }
        match state.fault {
            Fault::Loses if is_hit => {}
            Fault::Delays if is_hit => *held = Some(packet.to_vec()),
            Fault::Repeats if is_hit => subscriber.write_all(&[packet, packet].concat())?,
            _ => subscriber.write_all(packet)?,
        }
    }
    Ok(())
}

fn config(fault: Fault, workload: Workload) -> Config {
    let [address, other] = start(fault);
    Config {
        more_addresses: vec![other],
        quiet: Duration::from_millis(200),
        length: Length::Time(Duration::from_millis(300)),
        warmup: Duration::ZERO,
        ..Config::new(workload, address)
    }
}

fn visible(fault: Fault) -> Report {
    run(&config(fault, Workload::Visible { times: 200, parallel: 4 })).expect("a run")
}

#[test]
fn an_honest_cluster_shows_every_subscription() {
    let report = visible(Fault::None);
    let found = report.visible.expect("the workload fills it");
    assert_eq!((found.times, found.misses, found.late), (200, 0, 0), "{report}");
    assert_eq!((report.sent, report.delivered), (200, 200), "{report}");
    assert!(found.suback_ms.p50 > 0.0 && found.suback_ms.p50 <= report.latency_ms.p50, "{report}");
    assert!(!report.is_faulty());
}

#[test]
fn a_message_that_misses_its_subscription_is_counted_at_qos_0_too() {
    let report = visible(Fault::Loses);
    let found = report.visible.expect("the workload fills it");
    assert_eq!((found.misses, found.late, report.lost), (20, 0, 20), "{report}");
    assert!(report.is_faulty());
}

#[test]
fn a_message_behind_the_deadline_is_a_miss_and_late() {
    let report = visible(Fault::Delays);
    let found = report.visible.expect("the workload fills it");
    assert_eq!((found.misses, found.late, report.lost), (20, 20, 0), "{report}");
    assert!(report.is_faulty());
}

#[test]
fn a_message_that_comes_twice_is_a_duplicate() {
    let report = visible(Fault::Repeats);
    assert_eq!((report.duplicated, report.lost), (20, 0), "{report}");
    assert!(report.is_faulty());
}

fn takeover(fault: Fault) -> Report {
    run(&config(fault, Workload::Takeover { times: 12, parallel: 3, seed: 5 })).expect("a run")
}

#[test]
fn an_honest_takeover_closes_the_older_connection_first() {
    let report = takeover(Fault::None);
    let found = report.takeover.expect("the workload fills it");
    assert_eq!((found.times, found.violations, found.closed_behind), (12, 0, 0), "{report}");
    assert!(report.latency_ms.p50 > 0.0 && !report.is_faulty(), "{report}");
}

#[test]
fn an_older_connection_that_stays_is_a_violation() {
    let report = takeover(Fault::KeepsOlder);
    let found = report.takeover.expect("the workload fills it");
    assert_eq!((found.times, found.violations, found.never_closed), (12, 12, 12), "{report}");
    assert!(report.is_faulty());
}

#[test]
fn an_older_connection_closed_behind_the_answer_is_seen() {
    let report = takeover(Fault::ClosesOlderBehind);
    let found = report.takeover.expect("the workload fills it");
    assert_eq!((found.times, found.never_closed), (12, 0), "{report}");
    assert!(found.violations + found.closed_behind > 0, "{report}");
}

#[test]
fn one_connection_is_left_of_each_id_after_a_storm() {
    let storm = Workload::Storm { clients: 20, seed: 3 };
    let report = run(&config(Fault::None, storm)).expect("a run");
    let found = report.storm.expect("the workload fills it");
    assert_eq!((found.clients, found.alive_once, found.alive_twice, found.dead), (20, 20, 0, 0), "{report}");
    assert!(found.connects > 40, "{report}");
    assert!(!report.is_faulty());
}

#[test]
fn a_storm_finds_ids_that_are_connected_twice_or_not_at_all() {
    let storm = |fault| {
        let report = run(&config(fault, Workload::Storm { clients: 20, seed: 3 })).expect("a run");
        assert!(report.is_faulty(), "{report}");
        report.storm.expect("the workload fills it")
    };
    let found = storm(Fault::KeepsOlder);
    assert_eq!((found.alive_once, found.alive_twice), (0, 20), "{found:?}");
    let found = storm(Fault::ClosesBoth);
    assert!(found.dead > 0, "{found:?}");
}

#[test]
fn pairs_cross_the_nodes_and_are_compared_with_one() {
    let workload = Workload::Cross { pairs: 3, publisher_nodes: 1 };
    let config = Config { length: Length::Messages(300), ..config(Fault::None, workload) };
    let ratio = cross_ratio(&config, 2).expect("two rounds");
    assert_eq!((ratio.single.len(), ratio.cross.len()), (2, 2));
    assert!(ratio.messages_per_second > 0.0 && ratio.cpu_per_message.is_none(), "{ratio}");
    assert!(!ratio.is_faulty(), "{ratio}");
    let delivered: Vec<_> = ratio.single.iter().chain(&ratio.cross).map(|report| report.delivered).collect();
    assert_eq!(delivered, [300; 4], "{ratio}");
    assert_eq!((ratio.single[0].workload.as_str(), ratio.cross[0].workload.as_str()), ("pairs", "cross"));
}

#[test]
fn a_workload_for_one_host_refuses_two() {
    let text = run(&config(Fault::None, Workload::Pairs { pairs: 1 })).expect_err("two hosts").to_string();
    assert!(text.contains("cross, visible and takeover"), "{text}");
    let all_publish = Workload::Cross { pairs: 1, publisher_nodes: 2 };
    let text = run(&config(Fault::None, all_publish)).expect_err("no host is left").to_string();
    assert!(text.contains("--publisher-hosts"), "{text}");
}
