//! 2.1 Encoding: what the server says about bytes that are not MQTT, and that it closes (MQTT-4.13.1-1).
//!
//! Which bytes are malformed is the codec's matter and tested there in full; one of each kind goes over a socket here.

use skein_testkit::bytes;

use crate::statements::fixture::{Server, expect_refusal};

/// Each packet, sent on an open connection of MQTT 5, and the reason of the DISCONNECT it brings.
const REFUSED: &[(&str, &str, &str)] = &[
    ("mqtt_1_5_5_1 length not in its shortest form", "c0 80 00", "81"),
    ("mqtt_1_5_5_1 length of five bytes", "30 ff ff ff ff 01", "81"),
    ("mqtt_1_5_4_1 surrogate in a topic", r#"30 [ 0003 eda080 00 ]"#, "81"),
    ("mqtt_1_5_4_1 overlong UTF-8", r#"30 [ 0002 c080 00 ]"#, "81"),
    ("mqtt_1_5_4_2 U+0000 in a topic", r#"30 [ 0003 'a' 00 'b' 00 ]"#, "81"),
    ("mqtt_1_5_4_2 U+0000 in a filter", r#"82 [ 0001 00 0003 'a' 00 'b' 00 ]"#, "81"),
    ("mqtt_1_5_7_1 ill-formed user property", r#"30 [ "a" [ 26 0001 ff "v" ] ]"#, "81"),
    ("mqtt_2_1_3_1 flags of PINGREQ", "c1 00", "81"),
    ("mqtt_3_6_1_1 flags of PUBREL", "60 02 0001", "81"),
    ("mqtt_3_8_1_1 flags of SUBSCRIBE", r#"80 [ 0001 00 "a" 00 ]"#, "81"),
    ("mqtt_3_10_1_1 flags of UNSUBSCRIBE", r#"a0 [ 0001 00 "a" ]"#, "81"),
    ("mqtt_2_2_1_3 packet id 0 in SUBSCRIBE", r#"82 [ 0000 00 "a" 00 ]"#, "82"),
    ("mqtt_2_2_1_3 packet id 0 in UNSUBSCRIBE", r#"a2 [ 0000 00 "a" ]"#, "82"),
    ("mqtt_2_2_1_4 packet id 0 in PUBLISH", r#"32 [ "a" 0000 00 ]"#, "82"),
    ("mqtt_2_2_2_1 no property length", r#"30 [ "a" ]"#, "81"),
    ("mqtt_2_2_2_2 property twice", r#"30 [ "a" [ 01 00 01 00 ] ]"#, "82"),
    ("mqtt_2_2_2_2 property of another packet", r#"30 [ "a" [ 11 00000001 ] ]"#, "81"),
    ("mqtt_2_2_2_2 unknown property", r#"30 [ "a" [ 7f 00 ] ]"#, "81"),
    ("mqtt_3_3_1_4 QoS 3", r#"36 [ "a" 0001 00 ]"#, "81"),
    ("mqtt_3_3_1_2 DUP with QoS 0", r#"38 [ "a" 00 ]"#, "81"),
    ("packet type 0", "00 00", "81"),
    ("a packet only servers send: CONNACK", "20 03 00 00 00", "82"),
    ("a packet only servers send: SUBACK", "90 04 0001 00 00", "82"),
    ("a packet only servers send: PINGRESP", "d0 00", "82"),
    ("bytes behind a PINGREQ", "c0 01 00", "81"),
    ("an acknowledgement too short", "40 01 00", "81"),
];

#[test]
fn mqtt_4_13_1_1_a_described_error_is_told_and_closes_the_connection() {
    let server = Server::start();
    for (what, packet, reason) in REFUSED {
        let mut client = server.v5("v5");
        println!("{what}");
        // What follows a bad packet is never looked at.
        client.send_bytes(&[bytes(packet), bytes("c0 00")].concat());
        expect_refusal(&mut client, reason);
        server.wait_away("v5");
    }
}

#[test]
fn mqtt_4_8_0_1_before_version_5_an_error_only_closes() {
    let server = Server::start();
    for packet in [
        "c0 80 00",
        r#"30 [ 0003 eda080 ]"#,
        r#"30 [ 0003 'a' 00 'b' ]"#,
        "c1 00",
        "60 02 0001",
        r#"80 [ 0001 "a" 00 ]"#,
        r#"82 [ 0000 "a" 00 ]"#,
        r#"32 [ "a" 0000 ]"#,
        r#"36 [ "a" 0001 ]"#,
        r#"38 [ "a" ]"#,
        "00 00",
        "20 02 00 00",
        // AUTH came with version 5.
        "f0 00",
    ] {
        let mut client = server.v4("v4");
        println!("{packet}");
        client.send_bytes(&[bytes(packet), bytes("c0 00")].concat());
        client.expect_closed();
    }
}

/// U+FEFF is text, and so is everything else that is well-formed, supplementary planes included.
#[test]
fn mqtt_1_5_4_3_a_byte_order_mark_is_kept() {
    let server = Server::start();
    let mut client = server.v5("bom");
    client.dialogue(
        r#"> 82 [ 0001 00 0003 efbbbf 00 ]
           < 90 [ 0001 00 00 ]
           > 30 [ 0003 efbbbf [ 26 0003 efbbbf 0004 f09f90a6 ] 'x' ]
           < 30 [ 0003 efbbbf [ 26 0003 efbbbf 0004 f09f90a6 ] 'x' ]"#,
    );
    client.expect_nothing();
}

/// MQTT-2.2.1-5 and -6: acknowledgements repeat the packet id of what they acknowledge.
#[test]
fn mqtt_2_2_1_5_answers_carry_the_packet_id_of_the_question() {
    let server = Server::start();
    server.v5("ids").dialogue(
        r#"> 82 [ abcd 00 "a" 02 ]
           < 90 [ abcd 00 02 ]
           > 32 [ "b" ffff 00 ]
           < 40 [ ffff 10 ]
           > 34 [ "b" 0001 00 ]
           < 50 [ 0001 10 ]
           > 62 [ 0001 ]
           < 70 [ 0001 ]
           > a2 [ 8000 00 "a" ]
           < b0 [ 8000 00 00 ]"#,
    );
}

/// A packet may arrive in any pieces.
#[test]
fn packets_may_arrive_byte_by_byte_or_many_at_once() {
    let server = Server::start();
    let mut client = server.raw();
    for byte in bytes(r#"10 [ "MQTT" 05 02 0000 00 "slow" ]"#) {
        client.send_bytes(&[byte]);
    }
    client.expect("20 [ 00 00 * ]");
    let mut at_once = bytes(r#"82 [ 0001 00 "a" 00 ]"#);
    for _ in 0..1000 {
        at_once.extend(bytes(r#"30 [ "a" 00 'x' ]"#));
    }
    client.send_bytes(&at_once);
    client.expect("90 [ 0001 00 00 ]");
    for _ in 0..1000 {
        client.expect(r#"30 [ "a" * ]"#);
    }
    client.expect_nothing();
}
