//! A server that misbehaves on purpose: what it does wrong must stand in the report or in the error.
//!
//! The server here speaks just enough MQTT 3.1.1 for one publisher and one subscriber and damages the stream of
//! messages between them.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
    time::Duration,
};

use skein_bench::{BenchError, Config, Length, Report, Workload, run};

const MESSAGES: usize = 50;

/// Reads one packet whose length fits one byte; `None` at the end of the stream.
fn read_packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).ok()?;
    assert!(packet[1] < 0x80, "the packets of this test are short");
    packet.resize(2 + usize::from(packet[1]), 0);
    stream.read_exact(&mut packet[2..]).ok()?;
    Some(packet)
}

/// Takes both connections, collects all messages, damages them and delivers what is left.
fn serve(listener: &TcpListener, damage: fn(&mut Vec<Vec<u8>>)) {
    let (mut publisher, mut subscriber) = (None, None);
    while publisher.is_none() || subscriber.is_none() {
        let (mut stream, _) = listener.accept().expect("a connection");
        let connect = read_packet(&mut stream).expect("CONNECT");
        stream.write_all(&[0x20, 2, 0, 0]).expect("CONNACK");
        if String::from_utf8_lossy(&connect).contains("-pub") {
            publisher = Some(stream);
        } else {
            let subscribe = read_packet(&mut stream).expect("SUBSCRIBE");
            stream.write_all(&[0x90, 3, subscribe[2], subscribe[3], 0]).expect("SUBACK");
            subscriber = Some(stream);
        }
    }
    let (mut publisher, mut subscriber) =
        (publisher.expect("a publisher"), subscriber.expect("a subscriber"));
    let mut messages: Vec<Vec<u8>> =
        (0..MESSAGES).map(|_| read_packet(&mut publisher).expect("a message")).collect();
    damage(&mut messages);
    if messages.is_empty() {
        return;
    }
    subscriber.write_all(&messages.concat()).expect("the subscriber reads");
    // The run ends these connections when it is done.
    while read_packet(&mut publisher).is_some_and(|packet| packet[0] != 0xE0) {}
}

fn run_against(damage: fn(&mut Vec<Vec<u8>>)) -> Result<Report, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("a bound listener has an address");
    let server: JoinHandle<()> = std::thread::spawn(move || serve(&listener, damage));
    let config = Config {
        length: Length::Messages(MESSAGES as u64),
        warmup: Duration::ZERO,
        quiet: Duration::from_millis(300),
        ..Config::new(Workload::Pairs { pairs: 1 }, address)
    };
    let report = run(&config);
    server.join().expect("the server ended well");
    report
}

fn findings(damage: fn(&mut Vec<Vec<u8>>)) -> (u64, u64, u64, u64, bool) {
    let report = run_against(damage).expect("a run");
    (report.lost, report.duplicated, report.reordered, report.corrupted, report.is_faulty())
}

#[test]
fn an_honest_server_has_no_findings() {
    assert_eq!(findings(|_| {}), (0, 0, 0, 0, false));
}

#[test]
fn loss_is_counted_and_allowed_at_qos_0() {
    assert_eq!(findings(|messages| drop(messages.drain(10..13))), (3, 0, 0, 0, false));
    assert_eq!(findings(|messages| messages.truncate(MESSAGES - 4)), (4, 0, 0, 0, false));
}

#[test]
fn a_message_sent_twice_is_a_duplicate() {
    assert_eq!(findings(|messages| messages.insert(20, messages[3].clone())), (0, 1, 0, 0, true));
}

#[test]
fn exchanged_messages_are_reordered() {
    assert_eq!(findings(|messages| messages.swap(7, 8)), (0, 0, 1, 0, true));
}

#[test]
fn a_changed_byte_is_found_in_topic_and_number() {
    let (lost, .., corrupted, is_faulty) = findings(|messages| messages[9][5] ^= 1);
    assert_eq!((lost, corrupted, is_faulty), (1, 1, true));
    let (.., corrupted, is_faulty) = findings(|messages| {
        let last = messages[9].len() - 9;
        messages[9][last] ^= 0x80;
    });
    assert_eq!((corrupted, is_faulty), (1, true));
}

#[test]
fn a_packet_that_breaks_the_standard_is_an_error() {
    let error = run_against(|messages| messages[5][0] = 0x36).expect_err("QoS 3 does not exist");
    assert!(matches!(error, BenchError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("quality of service 3"), "{error}");
}

#[test]
fn a_server_that_closes_is_an_error_that_names_the_connection() {
    let error = run_against(Vec::clear).expect_err("the server closed");
    let text = error.to_string();
    assert!(matches!(error, BenchError::Closed { .. }), "{text}");
    assert!(text.contains("-sub0") || text.contains("-pub0"), "{text}");
}
