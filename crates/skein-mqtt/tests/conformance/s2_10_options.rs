//! 2.10 Options of a subscription: no local, retain as published, retain handling, identifier.

use crate::statements::fixture::{Present, Server, settle, subscribe};

#[test]
fn mqtt_3_8_3_3_no_local_never_echoes() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "06");
    let mut other = server.v5("p");
    client.send(r#"30 [ "a" 00 'own' ] 32 [ "a" 0001 00 'own' ]"#);
    client.expect("40 [ 0001 10 ]");
    settle(&mut client);
    client.expect_nothing();
    other.send(r#"30 [ "a" 00 'others' ]"#);
    client.expect(r#"30 [ "a" 00 'others' ]"#);
}

/// Another subscription of the same session without the option still delivers.
#[test]
fn mqtt_3_8_3_3_no_local_is_about_one_subscription() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 01 ] "a/#" 06 ]
           < 90 [ 0001 00 02 ]
           > 82 [ 0002 [ 0b 02 ] "a/b" 00 ]
           < 90 [ 0002 00 00 ]
           > 32 [ "a/b" 0001 00 'x' ]
           < 40 [ 0001 ]
           < 30 [ "a/b" [ 0b 02 ] 'x' ]"#,
    );
    client.expect_nothing();
}

/// What a client published before it reconnected is still its own.
#[test]
fn mqtt_3_8_3_3_no_local_holds_for_the_clients_next_connection() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "05");
    let mut client = server.durable("c", Present::Yes);
    client.send(r#"32 [ "a" 0001 00 'x' ]"#);
    client.expect("40 [ 0001 10 ]");
    client.expect_nothing();
}

/// MQTT-3.3.1-12 and -13; retained messages sent because of the subscription have the flag either way
/// (MQTT-3.3.1-9).
#[test]
fn mqtt_3_3_1_12_retain_as_published() {
    let server = Server::start();
    let mut cleared = server.subscriber("cleared", "a", "01");
    let mut kept = server.subscriber("kept", "a", "09");
    let mut old = server.v4("old");
    old.send(r#"82 [ 0001 "a" 01 ]"#);
    old.expect("90 [ 0001 01 ]");
    let mut publisher = server.v5("p");
    for (first, id, without, with) in [
        ("30", "", "30", "30"),
        ("31", "", "30", "31"),
        ("32", "0001", "32", "32"),
        ("33", "0001", "32", "33"),
    ] {
        publisher.send(&format!(r#"{first} [ "a" {id} 00 'x' ]"#));
        cleared.expect(&format!(r#"{without} [ "a" * ]"#));
        kept.expect(&format!(r#"{with} [ "a" * ]"#));
        old.expect(&format!(r#"{without} [ "a" * ]"#));
    }
    server.subscriber("late-cleared", "a", "00").expect(r#"31 [ "a" 00 'x' ]"#);
    server.subscriber("late-kept", "a", "08").expect(r#"31 [ "a" 00 'x' ]"#);
}

/// Overlapping: the copy keeps the flag when one of the subscriptions asks for it.
#[test]
fn mqtt_3_3_1_12_retain_as_published_of_overlapping_subscriptions() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 00 "a/#" 00 "a/b" 08 ]
           < 90 [ 0001 00 00 00 ]
           > 31 [ "a/b" 00 'x' ]
           < 31 [ "a/b" 00 'x' ]
           > 31 [ "a/c" 00 'x' ]
           < 30 [ "a/c" 00 'x' ]"#,
    );
}

/// MQTT-3.3.1-9, -10 and -11.
#[test]
fn mqtt_3_3_1_10_retain_handling() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'x' ]"#);
    settle(&mut publisher);
    // 0 always, 1 only for a new subscription, 2 never.
    for (options, first, again) in [("00", true, true), ("10", true, false), ("20", false, false)] {
        let mut client = server.v5("c");
        for is_sent in [first, again] {
            subscribe(&mut client, "a", options);
            if is_sent {
                client.expect(r#"31 [ "a" 00 'x' ]"#);
            }
            client.expect_nothing();
        }
        // After an unsubscription it is new again.
        client.send(r#"a2 [ 0001 00 "a" ]"#);
        client.expect("b0 [ 0001 00 00 ]");
        subscribe(&mut client, "a", options);
        if first {
            client.expect(r#"31 [ "a" 00 'x' ]"#);
        }
        client.expect_nothing();
    }
}

/// A subscription of a resumed session exists already.
#[test]
fn mqtt_3_3_1_10_retain_handling_1_and_a_resumed_session() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'x' ]"#);
    settle(&mut publisher);
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "10");
    client.expect(r#"31 [ "a" 00 'x' ]"#);
    let mut client = server.durable("c", Present::Yes);
    // Resuming alone sends nothing retained.
    client.expect_nothing();
    subscribe(&mut client, "a", "10");
    client.expect_nothing();
}

#[test]
fn mqtt_3_8_2_1_2_identifiers_from_1_to_268435455() {
    let server = Server::start();
    let mut client = server.v5("c");
    for id in ["01", "7f", "8001", "ff7f", "808001", "ffff7f", "80808001", "ffffff7f"] {
        client.dialogue(&format!(
            r#"> 82 [ 0001 [ 0b {id} ] "a" 00 ]
               < 90 [ 0001 00 00 ]
               > 30 [ "a" 00 'x' ]
               < 30 [ "a" [ 0b {id} ] 'x' ]"#
        ));
    }
}
