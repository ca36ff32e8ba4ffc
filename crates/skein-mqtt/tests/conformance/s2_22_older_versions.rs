//! 2.22 What MQTT 3.1 and 3.1.1 have of their own.

use crate::statements::fixture::{Server, settle};

#[test]
fn mqtt_3_1_a_whole_session_of_mqisdp() {
    let server = Server::start();
    let mut client = server.raw();
    client.dialogue(
        r#"> 10 [ "MQIsdp" 03 02 003c "old" ]
           < 20 02 00 00
           > 82 [ 0001 "a/#" 02 ]
           < 90 [ 0001 02 ]
           > 30 [ "a/0" 'x' ]
           < 30 [ "a/0" 'x' ]
           > 32 [ "a/1" 0002 'y' ]
           < 40 [ 0002 ]
           < 32 [ "a/1" 0001 'y' ]
           > 40 [ 0001 ]
           > 34 [ "a/2" 0003 'z' ]
           < 50 [ 0003 ]
           < 34 [ "a/2" 0002 'z' ]
           > 50 [ 0002 ]
           < 62 [ 0002 ]
           > 70 [ 0002 ] 62 [ 0003 ]
           < 70 [ 0003 ]
           # a SUBSCRIBE sent again may say so in 3.1
           > 8a [ 0004 "a/#" 00 ]
           < 90 [ 0004 00 ]
           > aa [ 0005 "a/#" ]
           < b0 02 0005
           > c0 00
           < d0 00
           > e0 00
           < closed"#,
    );
}

/// MQTT 3.1 asks for client ids of 1 to 23 characters. None is return code 2; longer ones are in use and taken.
#[test]
fn mqtt_3_1_client_ids_may_be_longer_than_23_characters() {
    let server = Server::start();
    for (client_id, code) in
        [("", "02"), ("a", "00"), ("12345678901234567890123", "00"), ("123456789012345678901234", "00")]
    {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQIsdp" 03 02 0000 "{client_id}" ]"#));
        client.expect(&format!("20 02 00 {code}"));
        if code == "00" { client.expect_nothing() } else { client.expect_closed() }
    }
}

/// Bridges set bit 7 of the protocol level: they get nothing back of what they sent, and retain flags as published.
#[test]
fn bridges_get_no_echo_and_keep_retain_flags() {
    let server = Server::start();
    for connect in [r#"10 [ "MQTT" 84 02 0000 "bridge" ]"#, r#"10 [ "MQIsdp" 83 02 0000 "bridge" ]"#] {
        let mut client = server.raw();
        client.send(connect);
        client.expect("20 02 00 00");
        client.dialogue(
            r##"> 82 [ 0001 "#" 01 ]
                < 90 [ 0001 01 ]
                > 32 [ "a" 0002 'own' ]
                < 40 [ 0002 ]"##,
        );
        settle(&mut client);
        let mut other = server.v5("other");
        other.send(r#"31 [ "a" 00 'kept' ] 30 [ "a" 00 'live' ] 31 [ "a" 00 ]"#);
        client.expect(r#"31 [ "a" 'kept' ]"#);
        client.expect(r#"30 [ "a" 'live' ]"#);
        client.expect(r#"31 [ "a" ]"#);
        client.expect_nothing();
    }
    // The bit is 3.1's and 3.1.1's; in version 5 the options say so.
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 85 02 0000 00 "bridge" ]"#);
    client.expect("20 [ 00 84 * ]");
    client.expect_closed();
}

/// MQTT 3.1 section 3.1: flags may announce a user name and password that are not there.
#[test]
fn mqtt_3_1_missing_credentials_are_tolerated() {
    let server = Server::start();
    for (flags, payload) in [("c2", ""), ("c2", r#""user""#), ("82", "")] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQIsdp" 03 {flags} 0000 "old" {payload} ]"#));
        client.expect("20 02 00 00");
    }
}

/// MQTT 3.1 does not use the flags that 3.1.1 reserved: bit 0 of the connect flags, the will's without a will, those of
/// the fixed header, the upper bits of a requested QoS.
#[test]
fn mqtt_3_1_unused_flags_are_not_looked_at() {
    let server = Server::start();
    for connect in [
        r#"10 [ "MQIsdp" 03 03 0000 "old" ]"#,
        r#"10 [ "MQIsdp" 03 3a 0000 "old" ]"#,
        r#"14 [ "MQIsdp" 03 02 0000 "old" ]"#,
    ] {
        println!("{connect}");
        let mut client = server.raw();
        client.dialogue(&format!(
            r#"> {connect}
               < 20 02 00 00
               > 82 [ 0001 "a" f9 ]
               < 90 [ 0001 01 ]
               > 32 [ "a" 0002 'x' ]
               < 40 [ 0002 ]
               < 32 [ "a" 0001 'x' ]
               > 41 [ 0001 ]
               > c1 00
               < d0 00"#
        ));
        assert_eq!(server.session("old").unwrap().in_flight, 0);
    }
}

/// MQTT-3.1.2-2: an unknown level has an answer in the form its client understands.
#[test]
fn mqtt_3_1_2_2_an_unknown_level_is_answered_in_its_own_form() {
    let server = Server::start();
    for (connect, answer) in [
        (r#"10 [ "MQTT" 00 02 0000 "c" ]"#, "20 02 00 01"),
        (r#"10 [ "MQTT" 03 02 0000 "c" ]"#, "20 02 00 01"),
        (r#"10 [ "MQIsdp" 02 02 0000 "c" ]"#, "20 02 00 01"),
        (r#"10 [ "MQIsdp" 04 02 0000 "c" ]"#, "20 02 00 01"),
        (r#"10 [ "MQIsdp" 06 02 0000 "c" ]"#, "20 02 00 01"),
        (r#"10 [ "MQTT" 06 02 0000 00 "c" ]"#, "20 [ 00 84 * ]"),
        (r#"10 [ "MQTT" 7f 02 0000 00 "c" ]"#, "20 [ 00 84 * ]"),
    ] {
        let mut client = server.raw();
        client.send(connect);
        client.expect(answer);
        client.expect_closed();
    }
    // MQTT-3.1.2-1: another protocol is not answered.
    let mut client = server.raw();
    client.send(r#"10 [ "AMQP" 04 02 0000 "c" ]"#);
    client.expect_closed();
}

/// MQTT-3.1.4-1 of 3.1.1: a CONNECT that does not conform is closed without a CONNACK.
#[test]
fn mqtt_3_1_4_1_a_malformed_connect_is_not_answered() {
    let server = Server::start();
    for connect in [
        r#"10 [ "MQTT" 04 03 0000 "c" ]"#,
        r#"10 [ "MQTT" 04 22 0000 "c" ]"#,
        r#"11 [ "MQTT" 04 02 0000 "c" ]"#,
        r#"10 [ "MQTT" 04 02 0000 "c" 00 ]"#,
        r#"10 [ "MQTT" 04 42 0000 "c" "password" ]"#,
        r#"10 [ "MQIsdp" 03 1e 0000 "c" "w" "x" ]"#,
        r#"10 [ "MQIsdp" 03 42 0000 "c" "password" ]"#,
    ] {
        println!("{connect}");
        let mut client = server.raw();
        client.send(connect);
        client.expect_closed();
        assert!(server.session("c").is_none());
    }
}

/// CONNACK codes 0 to 5 (MQTT-3.2.2-4 of 3.1.1: a refusal never has session present; MQTT-3.2.2-5: it closes).
#[test]
fn mqtt_3_2_2_5_a_refusal_closes() {
    let server = Server::start();
    for (connect, code) in [
        (r#"10 [ "MQTT" 03 02 0000 "c" ]"#, "01"),
        (r#"10 [ "MQTT" 04 00 0000 "" ]"#, "02"),
        (r#"10 [ "MQTT" 04 06 0000 "c" "$SYS/w" "x" ]"#, "05"),
    ] {
        let mut client = server.raw();
        client.send(connect);
        client.expect(&format!("20 02 00 {code}"));
        client.expect_closed();
    }
}

/// Errors for which 3.1.1 has no packet: the connection just ends, and the will is sent.
#[test]
fn mqtt_4_8_0_1_errors_close_without_a_word() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for packet in [
        r#"30 [ "a/+" 'x' ]"#,
        r#"30 [ "" 'x' ]"#,
        r#"36 [ "a" 0001 'x' ]"#,
        r#"82 [ 0001 "a" 03 ]"#,
        r#"82 [ 0001 ]"#,
        r#"10 [ "MQTT" 04 02 0000 "c" ]"#,
        "90 03 0001 00",
        "e1 00",
        "f0 00",
        // Before 3.1.1 only, and only in 3.1.
        r#"8a [ 0001 "a" 00 ]"#,
        "30 ff ff ff 7f",
    ] {
        println!("{packet}");
        let mut client = server.raw();
        client.send(r#"10 [ "MQTT" 04 06 0000 "c" "w" "gone" ]"#);
        client.expect("20 02 00 00");
        client.send(packet);
        client.expect_closed();
        watcher.expect(r#"30 [ "w" 00 'gone' ]"#);
    }
}

/// A message without payload, and one whose payload looks like properties.
#[test]
fn mqtt_3_3_3_payloads_are_not_looked_at() {
    let server = Server::start();
    let mut v4 = server.v4("v4");
    v4.send(r#"82 [ 0001 "a" 00 ]"#);
    v4.expect("90 [ 0001 00 ]");
    let mut v5 = server.subscriber("v5", "a", "00");
    for payload in ["", "00", "0b 01", "ffff"] {
        v4.send(&format!(r#"30 [ "a" {payload} ]"#));
        v4.expect(&format!(r#"30 [ "a" {payload} ]"#));
        v5.expect(&format!(r#"30 [ "a" 00 {payload} ]"#));
    }
    settle(&mut v4);
}
