//! 2.19 DISCONNECT: the server's reasons, and what it makes of the client's.

use skein_testkit::bytes;
use skein_types::{Code, QoS};

use crate::statements::fixture::{Present, Server, expect_refusal, settle, subscribe};

/// Reasons that come from outside of the connection. MQTT-3.14.2-2: none carries a session expiry; each packet is
/// exact.
#[test]
fn mqtt_3_14_1_the_server_says_why_it_ends_a_connection() {
    let server = Server::start();
    for (code, reason) in [
        (Code::ServerShuttingDown, "8b"),
        (Code::SessionTakenOver, "8e"),
        (Code::NotAuthorized, "87"),
        (Code::ServerBusy, "89"),
        (Code::MessageRateTooHigh, "96"),
        (Code::QuotaExceeded, "97"),
        (Code::SlowConsumer, "97"),
        (Code::AdministrativeAction, "98"),
        (Code::UseAnotherServer, "9c"),
        (Code::ConnectionRateExceeded, "9f"),
    ] {
        println!("{code:?}");
        let mut v5 = server.durable("v5", Present::No);
        let mut v4 = server.v4("v4");
        server.disconnect("v5", code);
        server.disconnect("v4", code);
        v5.expect(&format!("e0 [ {reason} ]"));
        v5.expect_closed();
        // Before version 5 the server has no DISCONNECT.
        v4.expect_closed();
        drop(server.v5("v5"));
    }
}

/// MQTT-4.13.2-1: reasons that come from what the client did.
#[test]
fn mqtt_4_13_2_1_errors_of_the_client_have_their_reasons() {
    let server = Server::with(|settings| {
        settings.packet_bytes_max = 0x100;
        settings.maximum_qos = QoS::AtLeastOnce;
        settings.retain_available = false;
        settings.topic_levels_max = 3;
    });
    for (reason, packet) in [
        ("81", "00 00"),
        ("82", r#"10 [ "MQTT" 05 02 0000 00 "c" ]"#),
        ("82", "f0 [ 19 [ 15 \"SCRAM-SHA-256\" ] ]"),
        ("90", r#"30 [ "1/2/3/4" 00 ]"#),
        ("94", r#"30 [ "a" [ 23 ffff ] ]"#),
        ("95", "30 ff 01"),
        ("9a", r#"31 [ "a" 00 ]"#),
        ("9b", r#"34 [ "a" 0001 00 ]"#),
    ] {
        println!("{reason}");
        let mut client = server.v5("c");
        client.send(packet);
        expect_refusal(&mut client, reason);
    }
}

/// MQTT-3.14.0-1: before a successful CONNACK only a CONNACK says no.
#[test]
fn mqtt_3_14_0_1_no_disconnect_before_the_connack() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 02 0000 [ 15 "unknown" ] "c" ]"#);
    client.expect("20 [ 00 8c * ]");
    client.expect_closed();
    let mut client = server.raw();
    client.send("c0 00");
    client.expect_closed();
}

/// MQTT-3.14.4-1 and -2: nothing follows the server's DISCONNECT, though messages wait.
#[test]
fn mqtt_3_14_4_1_nothing_follows_the_servers_disconnect() {
    let server = Server::start();
    let mut client = server.subscriber("c", "#", "00");
    let mut publisher = server.v5("p");
    client.send_bytes(&[bytes("00 00"), bytes("c0 00").repeat(100)].concat());
    for _ in 0..100 {
        publisher.send(r#"30 [ "a" 00 'x' ]"#);
    }
    settle(&mut publisher);
    while let Some((first, _)) = client.read_packet_or_close() {
        if first == 0xe0 {
            client.expect_closed();
            return;
        }
        assert_eq!(first, 0x30);
    }
    panic!("closed without a DISCONNECT");
}

/// Nothing after the client's DISCONNECT is looked at (MQTT-3.14.4-1), and everything before it is answered.
#[test]
fn mqtt_3_14_4_2_what_came_before_a_disconnect_is_answered_and_nothing_after() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "00");
    let mut client = server.raw();
    client.send(
        r#"10 [ "MQTT" 05 02 0000 00 "c" ] 82 [ 0001 00 "b" 00 ] 32 [ "a" 0002 00 'before' ] e0 00
           30 [ "a" 00 'after' ] c0 00"#,
    );
    client.expect("20 [ 00 00 * ]");
    client.expect("90 [ 0001 00 00 ]");
    client.expect("40 [ 0002 ]");
    client.expect_closed();
    watcher.expect(r#"30 [ "a" 00 'before' ]"#);
    watcher.expect_nothing();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 02 0000 "c" ] 32 [ "a" 0002 'before' ] e0 00 30 [ "a" 'after' ]"#);
    client.expect("20 02 00 00");
    client.expect("40 02 0002");
    client.expect_closed();
    watcher.expect(r#"30 [ "a" 00 'before' ]"#);
    watcher.expect_nothing();
}

#[test]
fn mqtt_3_14_1_1_malformed_disconnects_are_refused() {
    let server = Server::start();
    for (what, packet, reason) in [
        ("reserved bits", "e1 00", "81"),
        ("a server's reason", "e0 [ 8b ]", "82"),
        ("a server's reason", "e0 [ 8e ]", "82"),
        ("an unknown reason", "e0 [ 55 ]", "82"),
        ("server reference from a client", r#"e0 [ 00 [ 1c "other" ] ]"#, "82"),
        ("expiry twice", "e0 [ 00 [ 11 00000001 11 00000001 ] ]", "82"),
        ("bytes behind the properties", "e0 [ 00 00 00 ]", "81"),
    ] {
        println!("{what}");
        let mut client = server.durable("c", Present::No);
        client.send(packet);
        expect_refusal(&mut client, reason);
        drop(server.v5("c"));
    }
    let mut client = server.v4("c");
    client.send("e0 01 00");
    client.expect_closed();
}

/// Every reason a client may give ends the connection without a word from the server.
#[test]
fn mqtt_3_14_2_1_all_reasons_of_clients_are_taken() {
    let server = Server::start();
    for reason in ["00", "04", "80", "81", "82", "83", "90", "93", "94", "95", "96", "97", "98", "99"] {
        let mut client = server.v5("c");
        client.send(&format!(r#"e0 [ {reason} [ 1f "because" 26 "k" "v" ] ]"#));
        client.expect_closed();
        server.wait_ended("c");
    }
}

/// A client that is slow to close is told once, whatever it still sends.
#[test]
fn mqtt_3_14_4_2_the_connection_is_closed_after_a_refusal() {
    let server = Server::start();
    let mut client = server.v5("c");
    subscribe(&mut client, "a", "00");
    client.send("00 00");
    expect_refusal(&mut client, "81");
    let refused = !client.try_send_bytes(&bytes(r#"30 [ "a" 00 'x' ]"#));
    assert!(refused || client.read_packet_or_close().is_none());
    assert_eq!(server.ledger().accepted, 0);
}
