//! 2.2 CONNECT: what is let in, what is refused, and with which words.

use std::time::{Duration, Instant};

use skein_access::{AccessList, Anonymous, new_password_hash};
use skein_testkit::bytes;

use crate::statements::fixture::{Server, expect_refusal};

#[test]
fn mqtt_3_1_0_1_the_first_packet_is_a_connect() {
    let server = Server::start();
    for packet in [
        "c0 00",
        r#"30 [ "a" 00 ]"#,
        r#"82 [ 0001 00 "a" 00 ]"#,
        "e0 00",
        "f0 [ 18 ]",
        "20 03 00 00 00",
        "00 00",
        "11 00",
    ] {
        let mut client = server.raw();
        client.send(packet);
        client.expect_closed();
    }
}

#[test]
fn mqtt_3_1_0_2_a_second_connect_closes() {
    let server = Server::start();
    let mut client = server.v5("twice");
    client.send(r#"10 [ "MQTT" 05 02 0000 00 "twice" ]"#);
    expect_refusal(&mut client, "82");
    let mut client = server.v4("twice");
    client.send(r#"10 [ "MQTT" 04 02 0000 "twice" ]"#);
    client.expect_closed();
}

/// Protocol name and level (MQTT-3.1.2-1 and -2): what each version's client gets for what it says.
#[test]
fn mqtt_3_1_2_2_unknown_names_and_levels_are_refused() {
    let server = Server::start();
    for (connect, answer) in [
        (r#"10 [ "MQTT" 06 02 0000 00 "c" ]"#, Some("20 [ 00 84 * ]")),
        (r#"10 [ "MQTT" ff 02 0000 00 "c" ]"#, Some("20 [ 00 84 * ]")),
        (r#"10 [ "MQTT" 03 02 0000 "c" ]"#, Some("20 02 00 01")),
        (r#"10 [ "MQTT" 00 02 0000 "c" ]"#, Some("20 02 00 01")),
        (r#"10 [ "MQIsdp" 04 02 0000 "c" ]"#, Some("20 02 00 01")),
        (r#"10 [ "MQIsdp" 05 02 0000 00 "c" ]"#, Some("20 02 00 01")),
        // A server may close without an answer to a name that is not MQTT's.
        (r#"10 [ "HTTP" 04 02 0000 "c" ]"#, None),
        (r#"10 [ "mqtt" 05 02 0000 00 "c" ]"#, None),
        (r#"10 [ "" 05 02 0000 00 "c" ]"#, None),
    ] {
        println!("{connect}");
        let mut client = server.raw();
        client.send(connect);
        if let Some(answer) = answer {
            client.expect(answer);
        }
        client.expect_closed();
    }
}

/// Flags and payload that do not fit each other. Version 5 says what is wrong; before, a CONNECT that does not conform is
/// closed without a CONNACK (MQTT-3.1.4-1 of 3.1.1).
#[test]
fn mqtt_3_1_2_3_malformed_flags_are_refused() {
    let server = Server::start();
    for (what, flags, payload, reason) in [
        ("mqtt_3_1_2_3 reserved flag", "03", "", "81"),
        ("mqtt_3_1_2_11 will QoS without will", "0a", "", "82"),
        ("mqtt_3_1_2_13 will retain without will", "22", "", "82"),
        ("mqtt_3_1_2_12 will QoS 3", "1e", r#" 00 "w" 0000"#, "81"),
        ("mqtt_3_1_2_9 will flag without will", "06", "", "81"),
        ("mqtt_3_1_2_17 user name flag without user name", "82", "", "81"),
        ("mqtt_3_1_2_19 password flag without password", "42", "", "81"),
        ("mqtt_3_1_2_16 user name without flag", "02", r#" "user""#, "81"),
        ("mqtt_3_1_2_18 password without flag", "82", r#" "user" "password""#, "81"),
        ("mqtt_3_1_3_11 will topic with wildcard", "06", r#" 00 "w/#" 0000"#, "81"),
        ("mqtt_4_7_3_1 empty will topic", "06", r#" 00 "" 0000"#, "81"),
    ] {
        println!("{what}");
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 00 "c"{payload} ]"#));
        client.expect(&format!("20 [ 00 {reason} * ]"));
        client.expect_closed();
        // The same in 3.1.1, which has no will properties.
        let mut client = server.raw();
        let payload = payload.replacen(" 00 ", " ", 1);
        client.send(&format!(r#"10 [ "MQTT" 04 {flags} 0000 "c"{payload} ]"#));
        client.expect_closed();
        assert!(server.session("c").is_none(), "{what}");
    }
}

#[test]
fn mqtt_3_1_2_21_a_password_without_user_name_is_for_version_5_only() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 42 0000 00 "c" "password" ]"#);
    client.expect("20 [ 00 00 * ]");
    // MQTT-3.1.2-22 of 3.1.1.
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 42 0000 "d" "password" ]"#);
    client.expect_closed();
    assert!(server.session("d").is_none());
}

#[test]
fn mqtt_3_1_2_bad_properties_are_refused() {
    let server = Server::start();
    for (what, properties, reason) in [
        ("receive maximum 0", "21 0000", "82"),
        ("maximum packet size 0", "27 00000000", "82"),
        ("session expiry twice", "11 00000001 11 00000001", "82"),
        ("request problem information 2", "17 02", "82"),
        ("request response information 2", "19 02", "82"),
        ("authentication data without method", "16 0001 61", "82"),
        ("a property of PUBLISH", "23 0001", "81"),
        ("an unknown property", "7e 00", "81"),
    ] {
        println!("{what}");
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {properties} ] "c" ]"#));
        client.expect(&format!("20 [ 00 {reason} * ]"));
        client.expect_closed();
    }
}

#[test]
fn mqtt_3_1_3_5_usual_client_ids_are_accepted_and_unusual_ones_too() {
    let server = Server::start();
    let long = "x".repeat(65535 / 8);
    for client_id in
        ["a", "0123456789abcdefghijklm", "ABCDEFGHIJKLMNOPQRSTUVW", "XYZ", "with/slash +#", "ü", &long]
    {
        server.v5(client_id).expect_nothing();
        server.v4(client_id).expect_nothing();
    }
}

#[test]
fn mqtt_3_1_3_6_an_empty_client_id_is_replaced() {
    let server = Server::start();
    let mut ids = Vec::new();
    // With clean start 0 there is nothing to resume, but version 5 allows it (MQTT-3.1.3-7).
    for flags in ["02", "00"] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 00 "" ]"#));
        let connack = client.expect("20 [ 00 00 * ]");
        // MQTT-3.2.2-16.
        ids.push(assigned(&connack));
        assert!(server.session(&ids[ids.len() - 1]).is_some());
        client.expect_nothing();
    }
    assert_ne!(ids[0], ids[1]);
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 02 0000 "" ]"#);
    client.expect("20 02 00 00");
    client.expect_nothing();
}

#[test]
fn mqtt_3_1_3_8_in_3_1_1_an_empty_client_id_needs_a_clean_session() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 00 0000 "" ]"#);
    client.expect("20 02 00 02");
    client.expect_closed();
}

const RULES: &str = "[[rules]]\nallow = true\nfilters = ['#']\n";

fn with_users(anonymous: Anonymous) -> Server {
    let hash = new_password_hash("secret").unwrap();
    let file = format!("[[users]]\nname = 'ann'\npassword = '{hash}'\n{RULES}");
    Server::start_as(AccessList::parse(&file).unwrap(), anonymous, |_| {})
}

#[test]
fn mqtt_3_1_4_2_credentials_are_checked() {
    let server = with_users(Anonymous::Never);
    for (flags, payload, v5, v4) in [
        ("c2", r#""ann" "secret""#, "00", "00"),
        ("c2", r#""ann" "wrong""#, "86", "04"),
        ("c2", r#""ann" """#, "86", "04"),
        ("c2", r#""bob" "secret""#, "86", "04"),
        ("82", r#""ann""#, "86", "04"),
        // Nobody without credentials: 0x87 or 5.
        ("02", "", "87", "05"),
    ] {
        println!("{payload}");
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 00 "c" {payload} ]"#));
        client.expect(&format!("20 [ 00 {v5} * ]"));
        let mut old = server.raw();
        old.send(&format!(r#"10 [ "MQTT" 04 {flags} 0000 "d" {payload} ]"#));
        old.expect(&format!("20 02 00 {v4}"));
        if v5 == "00" {
            client.expect_nothing();
            old.expect_nothing();
        } else {
            client.expect_closed();
            old.expect_closed();
        }
    }
}

/// Whether the password is checked or refused at once, packets sent along with the CONNECT wait or are lost with it.
#[test]
fn mqtt_3_1_4_5_packets_may_follow_the_connect_at_once() {
    let server = with_users(Anonymous::Always);
    let mut client = server.raw();
    client.send(
        r#"10 [ "MQTT" 05 c2 0000 00 "c" "ann" "secret" ]
           82 [ 0001 00 "a" 00 ] 32 [ "b" 0002 00 'x' ] 30 [ "a" 00 'x' ]"#,
    );
    client.dialogue(
        r#"< 20 [ 00 00 * ]
           < 90 [ 0001 00 00 ]
           < 40 [ 0002 10 ]
           < 30 [ "a" 00 'x' ]"#,
    );
}

#[test]
fn mqtt_3_1_4_6_nothing_after_a_rejection_is_processed() {
    let server = with_users(Anonymous::Always);
    let mut watcher = server.subscriber("watcher", "a", "00");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 c2 0000 00 "c" "ann" "wrong" ] 30 [ "a" 00 'x' ] c0 00"#);
    client.expect("20 [ 00 86 * ]");
    client.expect_closed();
    watcher.expect_nothing();
    assert!(server.session("c").is_none());
    assert_eq!(server.ledger().accepted, 0);
}

/// The will of a client that was not let in is not published.
#[test]
fn mqtt_3_1_4_6_a_rejected_client_leaves_no_will() {
    let server = with_users(Anonymous::Always);
    let mut watcher = server.subscriber("watcher", "w", "00");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 c6 0000 00 "c" 00 "w" "gone" "ann" "wrong" ]"#);
    client.expect("20 [ 00 86 * ]");
    client.expect_closed();
    drop(client);
    watcher.expect_nothing();
    assert_eq!(server.ledger().accepted, 0);
}

#[test]
fn a_will_on_a_forbidden_topic_is_refused() {
    let server = Server::with_access("[[rules]]\nallow = true\nfilters = ['a/#']\n");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 06 0000 00 "c" 00 "b" "gone" ]"#);
    client.expect("20 [ 00 87 * ]");
    client.expect_closed();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 06 0000 "c" "b" "gone" ]"#);
    client.expect("20 02 00 05");
    client.expect_closed();
}

#[test]
fn without_a_connect_the_connection_is_closed_in_time() {
    let timeout = Duration::from_millis(300);
    let server = Server::with(|settings| settings.listener.connect_timeout = timeout);
    for sent in ["", "10", r#"10 [ "MQTT" 05 02 0000 00 "c" ]"#] {
        let start = Instant::now();
        let mut client = server.raw();
        let mut sent = bytes(sent);
        // Never a whole CONNECT.
        sent.pop();
        client.send_bytes(&sent);
        client.expect_closed();
        // The server counts whole milliseconds, and the one in which the connection came is one of them.
        let counted = start.elapsed() + Duration::from_millis(1);
        assert!(counted >= timeout, "closed after {:?}", start.elapsed());
    }
}

/// The value of the Assigned Client Identifier, the only string after its id in these CONNACKs.
fn assigned(connack: &[u8]) -> String {
    let at = connack.windows(7).position(|window| window[0] == 0x12 && window.ends_with(b"auto")).unwrap();
    let length = usize::from(connack[at + 2]);
    String::from_utf8(connack[at + 3..at + 3 + length].to_vec()).unwrap()
}
