//! 2.11 Retained messages: kept, replaced, deleted, and when they are sent.

use crate::statements::fixture::{Present, Server, settle, subscribe};

#[test]
fn mqtt_3_3_1_5_the_last_one_is_kept_with_its_qos() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.dialogue(
        r#"> 31 [ "a" 00 'first' ]
           > 33 [ "a" 0001 00 'second' ]
           < 40 [ 0001 10 ]
           > 35 [ "b" 0002 00 'other' ]
           < 50 [ 0002 10 ]
           > 62 [ 0002 ]
           < 70 [ 0002 ]"#,
    );
    let mut client = server.subscriber("c", "a", "02");
    client.expect(r#"33 [ "a" 0001 00 'second' ]"#);
    client.expect_nothing();
    subscribe(&mut client, "b", "01");
    client.expect(r#"33 [ "b" 0002 00 'other' ]"#);
    let mut old = server.v4("old");
    old.send(r#"82 [ 0001 "+" 02 ]"#);
    old.expect("90 [ 0001 02 ]");
    let mut got = [old.read_packet(), old.read_packet()].map(|(first, _)| first);
    got.sort_unstable();
    assert_eq!(got, [0x33, 0x35]);
    old.expect_nothing();
}

/// MQTT-3.3.1-6 and -7: an empty payload deletes, is passed on like any message, and is itself not kept.
#[test]
fn mqtt_3_3_1_6_an_empty_payload_deletes() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "08");
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'x' ] 31 [ "a" 00 ]"#);
    watcher.expect(r#"31 [ "a" 00 'x' ]"#);
    watcher.expect(r#"31 [ "a" 00 ]"#);
    settle(&mut publisher);
    server.subscriber("c", "a", "00").expect_nothing();
    // On a topic without one it is just a message.
    publisher.send(r#"31 [ "a" 00 ]"#);
    watcher.expect(r#"31 [ "a" 00 ]"#);
    server.subscriber("d", "#", "00").expect_nothing();
}

#[test]
fn mqtt_3_3_1_8_without_the_flag_nothing_changes() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'kept' ] 30 [ "a" 00 'not' ] 30 [ "a" 00 ] 30 [ "b" 00 'not' ]"#);
    settle(&mut publisher);
    let mut client = server.subscriber("c", "#", "00");
    client.expect(r#"31 [ "a" 00 'kept' ]"#);
    client.expect_nothing();
}

/// They outlive their publisher's session.
#[test]
fn mqtt_4_1_0_retained_messages_are_no_part_of_a_session() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'x' ] e0 00"#);
    publisher.expect_closed();
    server.wait_ended("p");
    server.subscriber("c", "a", "00").expect(r#"31 [ "a" 00 'x' ]"#);
}

#[test]
fn mqtt_4_8_2_shared_subscriptions_get_none() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'x' ]"#);
    settle(&mut publisher);
    server.subscriber("c", "$share/g/a", "00").expect_nothing();
}

#[test]
fn mqtt_3_3_2_5_expired_ones_are_not_sent() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" [ 02 00000001 ] 'short' ] 31 [ "b" [ 02 00000064 ] 'long' ]"#);
    settle(&mut publisher);
    let clock = server.resume("clock", "11 00000002", Present::No);
    server.drop_connection(clock, "clock");
    server.wait_ended("clock");
    let mut client = server.subscriber("c", "+", "00");
    let packet = client.expect(r#"31 [ "b" [ 02 000000 .. ] 'long' ]"#);
    let left = packet[packet.len() - 5];
    assert!((90..=98).contains(&left), "{left} seconds left of 100 after two");
    client.expect_nothing();
}

/// Every match, one SUBACK before all of them, and only what matches.
#[test]
fn mqtt_3_3_1_9_a_wildcard_subscription_gets_each_match() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    for topic in ["a", "a/b", "a/b/c", "b", "a//c", "/a"] {
        publisher.send(&format!(r#"31 [ "{topic}" 00 'x' ]"#));
    }
    settle(&mut publisher);
    for (filter, expected) in [
        ("#", &["/a", "a", "a//c", "a/b", "a/b/c", "b"][..]),
        ("a/#", &["a", "a//c", "a/b", "a/b/c"]),
        ("+", &["a", "b"]),
        ("+/+", &["/a", "a/b"]),
        ("a/+/c", &["a//c", "a/b/c"]),
        ("c", &[]),
    ] {
        let mut client = server.subscriber("c", filter, "00");
        let mut got: Vec<String> = Vec::new();
        for _ in expected {
            let (first, body) = client.read_packet();
            assert_eq!(first, 0x31);
            got.push(String::from_utf8(body[2..2 + usize::from(body[1])].to_vec()).unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, expected, "{filter}");
        client.expect_nothing();
    }
}

/// More than fit into the window, and far more than a stack would hold frames for: all of them, in time.
#[test]
fn a_subscription_gets_very_many_retained_messages() {
    const COUNT: u32 = 50_000;
    let server = Server::with(|settings| {
        std::sync::Arc::make_mut(&mut settings.session).outbox_bytes_max = 16 << 20;
    });
    let mut publisher = server.v5("p");
    let mut packets = Vec::new();
    for index in 0..COUNT {
        packets.extend(skein_testkit::bytes(&format!(r#"33 [ "r/{index}" 0001 00 'x' ]"#)));
    }
    std::thread::scope(|scope| {
        let mut sender = publisher.second_handle();
        scope.spawn(move || sender.send_bytes(&packets));
        for _ in 0..COUNT {
            publisher.expect("40 [ 0001 10 ]");
        }
    });
    for (client_id, properties, acknowledges) in [("all-at-once", "", false), ("windowed", "21 0064", true)] {
        let mut client = server.v5_with(properties, client_id);
        subscribe(&mut client, "r/#", "01");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..COUNT {
            let (first, body) = client.read_packet();
            assert_eq!(first, 0x33);
            let end = 2 + usize::from(body[1]);
            if acknowledges {
                client.send_bytes(&[0x40, 2, body[end], body[end + 1]]);
            }
            assert!(seen.insert(body[2..end].to_vec()));
        }
        client.expect_nothing();
    }
}
