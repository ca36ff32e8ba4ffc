//! 2.8 PUBLISH to a client: properties, expiry, packet size, aliases, identifiers, quality of service.

use skein_testkit::{DEADLINE, wait_until};

use crate::statements::fixture::{Present, Server, settle, subscribe};

const PROPERTIES: &str =
    r#"01 01 03 "text/plain" 08 "re/ply" 09 0003 010203 26 "b" "1" 26 "a" "2" 26 "b" "1""#;

/// MQTT-3.3.2-4, -15, -16, -17, -18 and -20: unaltered, user properties in order, repeated ones repeated.
#[test]
fn mqtt_3_3_2_18_properties_are_forwarded_unaltered() {
    let server = Server::start();
    let mut first = server.subscriber("first", "a", "02");
    let mut old = server.v4("old");
    old.send(r#"82 [ 0001 "a" 02 ]"#);
    old.expect("90 [ 0001 02 ]");
    let mut second = server.durable("second", Present::No);
    subscribe(&mut second, "a", "01");
    server.drop_connection(second, "second");
    let mut publisher = server.v5("p");
    publisher.send(&format!(r#"33 [ "a" 0001 [ {PROPERTIES} ] 'x' ]"#));
    publisher.expect("40 [ 0001 ]");
    first.expect(&format!(r#"32 [ "a" 0001 [ {PROPERTIES} ] 'x' ]"#));
    old.expect(r#"32 [ "a" 0001 'x' ]"#);
    // From a queue and from the retained messages just the same.
    server.durable("second", Present::Yes).expect(&format!(r#"32 [ "a" 0001 [ {PROPERTIES} ] 'x' ]"#));
    server.subscriber("late", "a", "00").expect(&format!(r#"31 [ "a" [ {PROPERTIES} ] 'x' ]"#));
}

#[test]
fn mqtt_3_3_2_payload_format_0_is_forwarded_and_absent_stays_absent() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "00");
    client.dialogue(
        r#"> 30 [ "a" [ 01 00 ] 'x' ]
           < 30 [ "a" [ 01 00 ] 'x' ]
           > 30 [ "a" [ 26 "" "" ] ]
           < 30 [ "a" [ 26 "" "" ] ]
           > 30 [ "a" 00 ]
           < 30 [ "a" 00 ]"#,
    );
}

/// MQTT-3.3.2-6: the remaining seconds, and MQTT-3.3.2-5: nothing once they are over.
#[test]
fn mqtt_3_3_2_6_remaining_expiry_is_sent_and_expired_messages_are_not() {
    let server = Server::start();
    let mut away = server.durable("away", Present::No);
    subscribe(&mut away, "a", "01");
    server.drop_connection(away, "away");
    let mut present = server.subscriber("present", "a", "01");
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a" 0001 [ 02 00000001 ] 'short' ] 32 [ "a" 0002 [ 02 00000064 ] 'long' ]"#);
    publisher.expect("40 [ 0001 ]");
    publisher.expect("40 [ 0002 ]");
    // At once: all of it is left.
    present.expect(r#"32 [ "a" 0001 [ 02 00000001 ] 'short' ]"#);
    present.expect(r#"32 [ "a" 0002 [ 02 00000064 ] 'long' ]"#);
    // A session that ends after more than a second is the clock.
    let clock = server.resume("clock", "11 00000002", Present::No);
    server.drop_connection(clock, "clock");
    server.wait_ended("clock");
    let mut away = server.durable("away", Present::Yes);
    // The expired one had the id 1 already: ids are given when messages come.
    let packet = away.expect(r#"32 [ "a" 0002 [ 02 000000 .. ] 'long' ]"#);
    let left = packet[packet.len() - 5];
    assert!((90..=98).contains(&left), "{left} seconds left of 100 after two");
    away.expect_nothing();
    assert_eq!(server.ledger().expired, 1);
}

/// MQTT-4.3.2-3 and MQTT-4.3.3-7: what was sent once does not expire.
#[test]
fn mqtt_4_3_3_7_a_message_once_sent_does_not_expire() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a" 0001 [ 02 00000001 ] 'x' ]"#);
    publisher.expect("50 [ 0001 ]");
    client.expect(r#"34 [ "a" 0001 [ 02 00000001 ] 'x' ]"#);
    server.drop_connection(client, "c");
    let clock = server.resume("clock", "11 00000002", Present::No);
    server.drop_connection(clock, "clock");
    server.wait_ended("clock");
    server.durable("c", Present::Yes).expect(r#"3c [ "a" 0001 [ 02 00000000 ] 'x' ]"#);
}

/// The listener's own bound on the life of messages.
#[test]
fn message_expiry_is_capped_by_the_listener() {
    let server = Server::with(|settings| settings.message_expiry_max_secs = 50);
    let mut client = server.subscriber("c", "a", "00");
    client.dialogue(
        r#"> 30 [ "a" 00 'x' ]
           < 30 [ "a" [ 02 00000032 ] 'x' ]
           > 30 [ "a" [ 02 0000000a ] 'x' ]
           < 30 [ "a" [ 02 0000000a ] 'x' ]
           > 30 [ "a" [ 02 ffffffff ] 'x' ]
           < 30 [ "a" [ 02 00000032 ] 'x' ]"#,
    );
}

/// MQTT-3.1.2-24 and -25: too large is dropped as if it had been sent, whatever the QoS, and others get it.
#[test]
fn mqtt_3_1_2_25_messages_above_the_clients_packet_size_are_dropped() {
    let server = Server::start();
    let mut small = server.v5_with("27 00000020", "small");
    subscribe(&mut small, "a", "02");
    let mut large = server.subscriber("large", "a", "02");
    let fitting = "f".repeat(0x20 - 2 - 3 - 2 - 1);
    // One byte too many at QoS 1 and 2, and without a packet id as well.
    let too_large = format!("{fitting}fff");
    // The second message of QoS 2 has the first one's id and no release between: it is the first one again.
    let mut publisher = server.v5("p");
    for (first, id) in [("30", ""), ("32", "0001"), ("34", "0002")] {
        publisher.send(&format!(r#"{first} [ "a" {id} 00 '{too_large}' ]"#));
        publisher.send(&format!(r#"{first} [ "a" {id} [ 26 "{}" "" ] 'x' ]"#, "k".repeat(23)));
        settle_any(&mut publisher);
    }
    publisher.send(&format!(r#"32 [ "a" 0007 00 '{fitting}' ]"#));
    publisher.expect("40 [ 0007 ]");
    let packet = small.expect(r#"32 [ "a" .. .. 00 * ]"#);
    assert_eq!(packet.len(), 0x20);
    small.expect_nothing();
    for first in ["30", "30", "32", "32", "34", "32"] {
        large.expect(&format!(r#"{first} [ "a" * ]"#));
    }
    assert_eq!(server.session("small").unwrap().in_flight, 1);
}

/// Reads answers until the one to a ping.
fn settle_any(client: &mut skein_testkit::RawClient) {
    client.send("c0 00");
    while client.read_packet().0 != 0xd0 {}
}

/// The same from a queue: what is too large does not block what is behind it.
#[test]
fn mqtt_3_1_2_25_messages_too_large_are_dropped_from_the_queue_too() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    server.drop_connection(client, "c");
    let mut publisher = server.v5("p");
    publisher.send(&format!(r#"32 [ "a" 0001 00 '{}' ] 32 [ "a" 0002 00 'x' ]"#, "l".repeat(100)));
    publisher.expect("40 [ 0001 ]");
    publisher.expect("40 [ 0002 ]");
    let mut client = server.resume("c", "27 00000040 11 0000003c", Present::Yes);
    client.expect(r#"32 [ "a" .. .. 00 'x' ]"#);
    client.expect_nothing();
    assert_eq!(server.session("c").unwrap().in_flight, 1);
}

/// MQTT-3.1.2-26 and -27: numbers from 1 to the client's maximum, for the topics that come first.
#[test]
fn mqtt_3_1_2_27_aliases_within_the_clients_maximum() {
    let server = Server::start();
    let mut client = server.v5_with("22 0002", "c");
    subscribe(&mut client, "#", "01");
    let mut publisher = server.v5("p");
    for topic in ["a", "b", "c", "a", "b", "c"] {
        publisher.send(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
    }
    publisher.send(r#"32 [ "a" 0001 [ 26 "k" "v" ] 'y' ]"#);
    publisher.expect("40 [ 0001 ]");
    client.dialogue(
        r#"< 30 [ "a" [ 23 0001 ] 'x' ]
           < 30 [ "b" [ 23 0002 ] 'x' ]
           < 30 [ "c" 00 'x' ]
           < 30 [ "" [ 23 0001 ] 'x' ]
           < 30 [ "" [ 23 0002 ] 'x' ]
           < 30 [ "c" 00 'x' ]
           < 32 [ "" 0001 [ 23 0001 26 "k" "v" ] 'y' ]"#,
    );
}

/// An alias is the connection's: on the next one the topic is written out, also for what is sent again.
#[test]
fn mqtt_3_3_2_7_aliases_start_anew_with_each_connection() {
    let server = Server::start();
    let mut client = server.resume("c", "11 0000003c 22 0005", Present::No);
    subscribe(&mut client, "#", "01");
    let mut publisher = server.v5("p");
    for id in ["0001", "0002"] {
        publisher.send(&format!(r#"32 [ "a" {id} 00 'x' ]"#));
        publisher.expect(&format!("40 [ {id} ]"));
    }
    client.expect(r#"32 [ "a" 0001 [ 23 0001 ] 'x' ]"#);
    client.expect(r#"32 [ "" 0002 [ 23 0001 ] 'x' ]"#);
    server.drop_connection(client, "c");
    let mut client = server.resume("c", "11 0000003c", Present::Yes);
    client.expect(r#"3a [ "a" 0001 00 'x' ]"#);
    client.expect(r#"3a [ "a" 0002 00 'x' ]"#);
    server.drop_connection(client, "c");
    let mut client = server.resume("c", "11 0000003c 22 0001", Present::Yes);
    client.expect(r#"3a [ "a" 0001 [ 23 0001 ] 'x' ]"#);
    client.expect(r#"3a [ "" 0002 [ 23 0001 ] 'x' ]"#);
}

#[test]
fn mqtt_3_1_2_26_no_aliases_for_who_wants_none() {
    let server = Server::start();
    for properties in ["", "22 0000"] {
        let mut client = server.v5_with(properties, "c");
        subscribe(&mut client, "a", "00");
        client.send(r#"30 [ "a" 00 'x' ] 30 [ "a" [ 23 0001 ] 'x' ]"#);
        client.expect(r#"30 [ "a" 00 'x' ]"#);
        client.expect(r#"30 [ "a" 00 'x' ]"#);
    }
}

/// MQTT-3.3.4-2 to -5: one copy, with the highest QoS and every identifier.
#[test]
fn mqtt_3_3_4_3_overlapping_subscriptions_make_one_copy() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 01 ] "a/#" 00 ]
           < 90 [ 0001 00 00 ]
           > 82 [ 0002 [ 0b ffffff7f ] "a/+" 02 ]
           < 90 [ 0002 00 02 ]
           > 82 [ 0003 00 "+/b" 01 ]
           < 90 [ 0003 00 01 ]
           > 82 [ 0004 [ 0b 01 ] "a/b" 01 ]
           < 90 [ 0004 00 01 ]"#,
    );
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a/b" 0001 00 'x' ]"#);
    publisher.expect("50 [ 0001 ]");
    let (first, body) = client.read_packet();
    assert_eq!(first, 0x34);
    // The identifiers come in any order, and one of two equal ones may be left out.
    let mut ids: Vec<&[u8]> = Vec::new();
    let mut rest = &body[8..8 + usize::from(body[7])];
    while let [0x0b, after @ ..] = rest {
        let end = after.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        ids.push(&after[..end]);
        rest = &after[end..];
    }
    assert!(rest.is_empty() && body.ends_with(b"x"), "{body:02x?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, [&[0x01][..], &[0xff, 0xff, 0xff, 0x7f]]);
    settle(&mut publisher);
    client.expect_nothing();
}

#[test]
fn mqtt_3_3_4_5_a_message_carries_only_identifiers_of_what_matches() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 05 ] "a" 00 "b" 00 ]
           < 90 [ 0001 00 00 00 ]
           > 82 [ 0002 [ 0b 06 ] "c" 00 ]
           < 90 [ 0002 00 00 ]
           > 82 [ 0003 00 "d" 00 ]
           < 90 [ 0003 00 00 ]
           > 30 [ "a" 00 ] 30 [ "b" 00 ] 30 [ "c" 00 ] 30 [ "d" 00 ]
           < 30 [ "a" [ 0b 05 ] ]
           < 30 [ "b" [ 0b 05 ] ]
           < 30 [ "c" [ 0b 06 ] ]
           < 30 [ "d" 00 ]"#,
    );
}

/// MQTT-3.8.4-8: the lower of both.
#[test]
fn mqtt_3_8_4_8_delivered_qos_is_the_lower_of_published_and_granted() {
    let server = Server::start();
    for granted in 0..=2_u8 {
        let mut client = server.subscriber("c", "a", &format!("0{granted}"));
        let mut old = server.v4("old");
        old.send(&format!(r#"82 [ 0001 "a" 0{granted} ]"#));
        old.expect(&format!("90 [ 0001 0{granted} ]"));
        let mut publisher = server.v5("p");
        for published in 0..=2_u8 {
            let id = if published > 0 { "0001" } else { "" };
            publisher.send(&format!(r#"3{} [ "a" {id} 00 'x' ]"#, published * 2));
            if published == 2 {
                publisher.send("62 [ 0001 ]");
            }
            settle_any(&mut publisher);
            let qos = published.min(granted);
            let id = if qos > 0 { ".. .." } else { "" };
            client.expect(&format!(r#"3{} [ "a" {id} 00 'x' ]"#, qos * 2));
            old.expect(&format!(r#"3{} [ "a" {id} 'x' ]"#, qos * 2));
        }
    }
}

/// MQTT-3.3.1-3: DUP is about the hop, not about the message.
#[test]
fn mqtt_3_3_1_3_an_incoming_dup_is_not_passed_on() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"3a [ "a" 0001 00 'one' ] 3c [ "a" 0002 00 'two' ]"#);
    client.expect(r#"32 [ "a" 0001 00 'one' ]"#);
    client.expect(r#"34 [ "a" 0002 00 'two' ]"#);
}

/// MQTT-4.5.0-1: whoever matches gets it into the session, connected or not.
#[test]
fn mqtt_4_5_0_1_every_matching_session_gets_the_message() {
    let server = Server::start();
    let mut clients: Vec<_> =
        (0..10).map(|index| server.durable(&format!("c{index}"), Present::No)).collect();
    for client in &mut clients {
        subscribe(client, "a/+", "01");
    }
    for (index, client) in clients.drain(5..).enumerate() {
        server.drop_connection(client, &format!("c{}", index + 5));
    }
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a/b" 0001 00 'x' ]"#);
    publisher.expect("40 [ 0001 ]");
    for client in &mut clients {
        client.expect(r#"32 [ "a/b" 0001 00 'x' ]"#);
    }
    for index in 5..10 {
        server.durable(&format!("c{index}"), Present::Yes).expect(r#"32 [ "a/b" 0001 00 'x' ]"#);
    }
}

/// QoS 0 for a client that is away is not kept, and the ledger says so.
#[test]
fn qos_0_is_not_kept_for_who_is_away() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    server.drop_connection(client, "c");
    let mut publisher = server.v5("p");
    publisher.send(r#"30 [ "a" 00 'x' ]"#);
    settle(&mut publisher);
    wait_until("the message is accounted for", DEADLINE, || server.ledger().dropped_total() == 1);
    server.durable("c", Present::Yes).expect_nothing();
}
