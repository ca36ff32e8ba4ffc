//! 2.6 Keep alive: silence of one and a half times the agreed interval ends the connection.

use std::time::{Duration, Instant};

use skein_testkit::{RawClient, wait_until};

use crate::statements::fixture::Server;

const LIMIT: Duration = Duration::from_millis(1500);

#[track_caller]
fn expect_timeout(client: &mut RawClient, start: Instant) {
    client.expect("e0 [ 8d * ]");
    let waited = start.elapsed();
    client.expect_closed();
    let counted = waited + Duration::from_millis(1);
    assert!(counted >= LIMIT && waited < LIMIT * 3, "closed after {waited:?}");
}

#[test]
fn mqtt_3_1_2_22_silence_ends_the_connection() {
    let server = Server::start();
    let start = Instant::now();
    let mut v5 = server.raw();
    v5.send(r#"10 [ "MQTT" 05 02 0001 00 "v5" ]"#);
    v5.expect("20 [ 00 00 * ]");
    let mut v4 = server.raw();
    v4.send(r#"10 [ "MQTT" 04 02 0001 "v4" ]"#);
    v4.expect("20 02 00 00");
    expect_timeout(&mut v5, start);
    v4.expect_closed();
    // The server counts whole milliseconds, and the one in which the packet came is one of them.
    assert!(start.elapsed() + Duration::from_millis(1) >= LIMIT);
}

/// Whatever the client sends counts; what it is sent does not.
#[test]
fn mqtt_3_1_2_22_packets_of_the_client_keep_it_alive() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 0001 00 "c" ] 82 [ 0001 00 "a" 00 ]"#);
    client.expect("20 [ 00 00 * ]");
    client.expect("90 [ 0001 00 00 ]");
    let mut publisher = server.v5("p");
    let begin = Instant::now();
    let mut last = begin;
    wait_until("the client pinged for longer than the limit", LIMIT * 4, || {
        if last.elapsed() > LIMIT / 5 {
            last = Instant::now();
            client.expect_nothing();
        }
        begin.elapsed() > LIMIT * 2
    });
    let start = Instant::now();
    client.expect_nothing();
    // From here on only the server sends.
    wait_until("the client has listened for most of the limit", LIMIT * 4, || {
        publisher.send(r#"30 [ "a" 00 'x' ]"#);
        client.expect(r#"30 [ "a" 00 'x' ]"#);
        start.elapsed() > LIMIT * 4 / 5
    });
    expect_timeout(&mut client, start);
}

/// MQTT-3.1.2-21 and MQTT-3.2.2-22: what the server says holds.
#[test]
fn mqtt_3_2_2_22_server_keep_alive_overrides() {
    let server = Server::with(|settings| settings.server_keep_alive_secs = 1);
    for asked in ["0000", "0e10"] {
        let start = Instant::now();
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 {asked} 00 "c" ]"#));
        client.expect("20 [ 00 00 [ 21 0400 27 00040000 22 0010 13 0001 ] ]");
        expect_timeout(&mut client, start);
    }
}

/// Keep alive 0 switches it off: such a client outlives one that started together with it.
#[test]
fn mqtt_3_1_2_22_zero_is_off() {
    let server = Server::start();
    let mut silent = server.v5("silent");
    let start = Instant::now();
    let mut timed = server.raw();
    timed.send(r#"10 [ "MQTT" 05 02 0001 00 "timed" ]"#);
    timed.expect("20 [ 00 00 * ]");
    expect_timeout(&mut timed, start);
    silent.expect_nothing();
}

#[test]
fn mqtt_3_12_4_1_pingreq_is_answered() {
    let server = Server::start();
    let mut v31 = server.raw();
    v31.send(r#"10 [ "MQIsdp" 03 02 0000 "v31" ]"#);
    v31.expect("20 02 00 00");
    for client in [&mut server.v5("v5"), &mut server.v4("v4"), &mut v31] {
        client.send("c0 00 c0 00 c0 00");
        for _ in 0..3 {
            client.expect("d0 00");
        }
    }
}
