//! 2.3 CONNACK: session present, what is advertised, and what is refused beyond it.

use std::{num::NonZeroU16, sync::atomic::Ordering::Relaxed};

use skein_access::{AccessList, Anonymous};
use skein_testkit::{DEADLINE, wait_until};
use skein_types::QoS;

use crate::statements::fixture::{Present, Server, subscribe};

#[test]
fn mqtt_3_2_0_1_exactly_one_connack_and_first() {
    let server = Server::start();
    // A session with a message waiting: the CONNACK still comes first (MQTT-3.2.0-2).
    let mut client = server.durable("c", Present::No);
    crate::statements::fixture::subscribe(&mut client, "a", "01");
    server.drop_connection(client, "c");
    server.v5("p").dialogue(
        r#"> 32 [ "a" 0001 00 'x' ]
           < 40 [ 0001 ]"#,
    );
    let mut client = server.durable("c", Present::Yes);
    client.expect(r#"32 [ "a" 0001 00 'x' ]"#);
    client.expect_nothing();
}

/// MQTT-3.2.2-2 and -3: each row is clean start, session expiry, and what the next CONNACK says to clean start 0.
#[test]
fn mqtt_3_2_2_3_session_present_truth_table() {
    let server = Server::start();
    for (index, (flags, expiry, next_flags, next)) in [
        ("02", "11 0000003c", "00", "01"),
        ("00", "11 0000003c", "00", "01"),
        ("02", "11 0000003c", "02", "00"),
        ("00", "11 0000003c", "02", "00"),
        ("02", "", "00", "00"),
        ("00", "", "00", "00"),
        ("02", "11 00000000", "00", "00"),
        ("00", "11 00000000", "02", "00"),
    ]
    .into_iter()
    .enumerate()
    {
        println!("row {index}");
        let client_id = format!("v5-{index}");
        let mut first = server.raw();
        first.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 [ {expiry} ] "{client_id}" ]"#));
        first.expect("20 [ 00 00 * ]");
        server.drop_connection(first, &client_id);
        let mut second = server.raw();
        second.send(&format!(r#"10 [ "MQTT" 05 {next_flags} 0000 00 "{client_id}" ]"#));
        second.expect(&format!("20 [ {next} 00 * ]"));
    }
    for (index, (flags, next_flags, next)) in
        [("00", "00", "01"), ("00", "02", "00"), ("02", "00", "00"), ("02", "02", "00")]
            .into_iter()
            .enumerate()
    {
        println!("row {index} of 3.1.1");
        let client_id = format!("v4-{index}");
        let mut first = server.raw();
        first.send(&format!(r#"10 [ "MQTT" 04 {flags} 0000 "{client_id}" ]"#));
        first.expect("20 02 00 00");
        server.drop_connection(first, &client_id);
        let mut second = server.raw();
        second.send(&format!(r#"10 [ "MQTT" 04 {next_flags} 0000 "{client_id}" ]"#));
        second.expect(&format!("20 02 {next} 00"));
    }
}

/// MQTT-3.2.2-6: an error never comes with session present; MQTT-3.2.2-7: it closes.
#[test]
fn mqtt_3_2_2_6_a_refusal_says_no_session() {
    let server = Server::with(|settings| settings.maximum_qos = QoS::AtLeastOnce);
    let client = server.durable("c", Present::No);
    server.drop_connection(client, "c");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 14 0000 00 "c" 00 "w" "gone" ]"#);
    client.expect("20 [ 00 9b * ]");
    client.expect_closed();
    // The session is still there.
    server.durable("c", Present::Yes);
}

#[test]
fn mqtt_3_2_2_advertises_the_usual() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 003c [ 11 0000003c ] "c" ]"#);
    client.expect("20 [ 00 00 [ 21 0400 27 00040000 22 0010 ] ]");
}

#[test]
fn mqtt_3_2_2_advertises_every_lower_limit() {
    let server = Server::with(|settings| {
        settings.receive_maximum = NonZeroU16::new(7).unwrap();
        settings.maximum_qos = QoS::AtLeastOnce;
        settings.retain_available = false;
        settings.packet_bytes_max = 0x1000;
        settings.topic_alias_max = 0;
        settings.wildcard_available = false;
        settings.subscription_id_available = false;
        settings.shared_available = false;
        settings.keep_alive_max_secs = 30;
        settings.session_expiry_max_secs = 60;
    });
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 003c [ 11 00000e10 ] "c" ]"#);
    client.expect("20 [ 00 00 [ 11 0000003c 21 0007 24 01 25 00 27 00001000 28 00 29 00 2a 00 13 001e ] ]");
    // MQTT-3.2.2-9: every QoS may still be subscribed to.
    client.dialogue(
        r#"> 82 [ 0001 00 "a" 00 "b" 01 "c" 02 ]
           < 90 [ 0001 00 00 01 02 ]
           > 30 [ "c" 00 'x' ]
           < 30 [ "c" 00 'x' ]
           > 32 [ "c" 0001 00 'x' ]"#,
    );
    client.expect_in_any_order(&["40 [ 0001 ]", r#"32 [ "c" 0001 00 'x' ]"#]);
}

/// What is not changed is not said.
#[test]
fn mqtt_3_2_2_21_server_keep_alive_only_when_changed() {
    let server = Server::with(|settings| settings.keep_alive_max_secs = 30);
    for (asked, told) in
        [("001e", ""), ("0001", ""), ("0000", " 13 001e"), ("001f", " 13 001e"), ("ffff", " 13 001e")]
    {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 {asked} 00 "c" ]"#));
        client.expect(&format!("20 [ 00 00 [ 21 0400 27 00040000 22 0010{told} ] ]"));
    }
}

#[test]
fn mqtt_3_2_2_12_a_will_beyond_the_maximum_qos_is_refused() {
    let server = Server::with(|settings| settings.maximum_qos = QoS::AtMostOnce);
    for (flags, answer) in [("06", "00"), ("0e", "9b"), ("16", "9b")] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 00 "c" 00 "w" "gone" ]"#));
        client.expect(&format!("20 [ 00 {answer} * ]"));
    }
}

#[test]
fn mqtt_3_2_2_13_a_retained_will_is_refused_without_retain() {
    let server = Server::with(|settings| settings.retain_available = false);
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 26 0000 00 "c" 00 "w" "gone" ]"#);
    client.expect("20 [ 00 9a * ]");
    client.expect_closed();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 26 0000 "c" "w" "gone" ]"#);
    client.expect("20 02 00 03");
    client.expect_closed();
}

/// MQTT-3.1.2-28: Response Information only on request.
#[test]
fn mqtt_3_1_2_28_response_information_only_on_request() {
    let server = Server::start();
    for (properties, answer) in [
        ("", "20 [ 00 00 [ 21 0400 27 00040000 22 0010 ] ]"),
        ("19 00", "20 [ 00 00 [ 21 0400 27 00040000 22 0010 ] ]"),
        ("19 01", r#"20 [ 00 00 [ 21 0400 27 00040000 22 0010 1a "response/c/" ] ]"#),
    ] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {properties} ] "c" ]"#));
        client.expect(answer);
    }
}

/// MQTT-3.2.2-19: a reason string is left out rather than make the CONNACK larger than the client takes.
#[test]
fn mqtt_3_2_2_19_a_refusal_stays_within_the_clients_packet_size() {
    let server = Server::start_as(AccessList::open(), Anonymous::Never, |_| {});
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 0000 00 "c" ]"#);
    let unbounded = client.expect("20 [ 00 87 * ]");
    assert!(unbounded.len() > 10, "a reason string was expected");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 0000 [ 27 0000000a ] "c" ]"#);
    client.expect("20 [ 00 87 00 ]");
    client.expect_closed();
}

/// MQTT-3.1.2-24: a client that has no room for the CONNACK is not let in, and a session it has stays as it is.
#[test]
fn mqtt_3_1_2_24_a_connack_stays_within_the_clients_packet_size() {
    let server = Server::start();
    // Its CONNACK is "20 [ 00 00 [ 21 0400 27 00040000 22 0010 ] ]".
    let client = server.resume("c", "11 00000e10 27 00000010", Present::No);
    server.drop_connection(client, "c");
    for (bytes_max, answer) in [
        ("0000000f", Some("20 [ 00 83 00 ]")),
        ("00000005", Some("20 [ 00 83 00 ]")),
        ("00000004", None),
        ("00000001", None),
    ] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ 27 {bytes_max} ] "c" ]"#));
        if let Some(answer) = answer {
            client.expect(answer);
        }
        client.expect_closed();
    }
    server.resume("c", "11 00000e10 27 00000010", Present::Yes);
}

/// The same for a client that is told more, and for refusals.
#[test]
fn mqtt_3_1_2_24_a_longer_connack_needs_more_room() {
    let server = Server::start();
    for (bytes_max, reason) in [("00000020", "83"), ("00000033", "00")] {
        let mut client = server.raw();
        // The assigned client id takes 32 bytes.
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ 27 {bytes_max} ] "" ]"#));
        client.expect(&format!("20 [ 00 {reason} * ]"));
    }
    let server = Server::start_as(AccessList::open(), Anonymous::Never, |_| {});
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 0000 [ 27 00000004 ] "c" ]"#);
    client.expect_closed();
}

/// What is written to clients is counted, whichever way it goes: the CONNACK, retained messages that wait for the window,
/// and what a new connection is sent again.
#[test]
fn packets_to_clients_are_all_counted() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "r/0" 00 'x' ] 33 [ "r/1" 0001 00 'x' ] 35 [ "r/2" 0002 00 'x' ]"#);
    publisher.expect("40 [ 0001 10 ]");
    publisher.expect("50 [ 0002 10 ]");
    // They are counted after they are written.
    let wait_sent = |count| {
        let sent = || server.plane.traffic().sent_packets.load(Relaxed);
        wait_until(&format!("{count} packets are counted"), DEADLINE, || sent() >= count);
        assert_eq!(sent(), count);
    };
    wait_sent(3);
    let mut client = server.durable("c", Present::No);
    for filter in ["r/1", "r/2", "r/0"] {
        subscribe(&mut client, filter, "02");
        client.read_packet();
    }
    wait_sent(10);
    // CONNACK, PUBLISH and PUBREL on a new connection.
    client.send("50 [ 0002 ]");
    client.expect("62 [ 0002 ]");
    wait_sent(11);
    server.drop_connection(client, "c");
    let mut client = server.durable("c", Present::Yes);
    client.expect(r#"3b [ "r/1" 0001 00 'x' ]"#);
    client.expect("62 [ 0002 ]");
    wait_sent(14);
}
