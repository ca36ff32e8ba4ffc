//! 2.15 Order: per publisher and QoS, of acknowledgements, and across a reconnect.

use skein_testkit::bytes;

use crate::statements::fixture::{Present, Server, subscribe};

const COUNT: u16 = 2000;

/// MQTT-4.6.0-5 and -6: every topic is ordered, for each publisher and QoS.
#[test]
fn mqtt_4_6_0_6_messages_arrive_in_the_order_of_their_publisher() {
    let server = Server::start();
    for qos in 0..=2_u8 {
        let mut clients = [server.subscriber("c0", "a/#", "02"), server.subscriber("c1", "a/+", "02")];
        let publishers = [server.v5("p0"), server.v5("p1")];
        std::thread::scope(|scope| {
            for (number, publisher) in publishers.into_iter().enumerate() {
                scope.spawn(move || publish_numbered(publisher, qos, number));
            }
            for client in &mut clients {
                scope.spawn(move || {
                    let mut next = [1, 1];
                    for _ in 0..2 * COUNT {
                        let (first, body) = client.read_packet();
                        assert_eq!(first >> 4, 3);
                        let [.., number, high, low] = body[..] else { panic!("no payload") };
                        let expected = &mut next[usize::from(number)];
                        assert_eq!(u16::from_be_bytes([high, low]), *expected, "of publisher {number}");
                        *expected += 1;
                    }
                });
            }
        });
    }
}

/// Publishes 1, 2, 3, … and reads the answers: MQTT-4.6.0-2 and -3, acknowledged in the order they were sent.
fn publish_numbered(mut publisher: skein_testkit::RawClient, qos: u8, number: usize) {
    let mut sender = publisher.second_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for index in 1..=COUNT {
                let id = if qos > 0 { format!("{index:04x}") } else { String::new() };
                let release = if qos == 2 { format!("62 [ {index:04x} ]") } else { String::new() };
                sender.send_bytes(&bytes(&format!(
                    r#"3{} [ "a/{}" {id} 00 {number:02x} {index:04x} ] {release}"#,
                    qos * 2,
                    index % 3
                )));
            }
        });
        let acknowledged = |publisher: &mut skein_testkit::RawClient, first: u8, index: u16| {
            let (got, body) = publisher.read_packet();
            assert_eq!((got, &body[..2]), (first, &index.to_be_bytes()[..]));
        };
        for index in 1..=COUNT {
            match qos {
                0 => {}
                1 => acknowledged(&mut publisher, 0x40, index),
                _ => {
                    acknowledged(&mut publisher, 0x50, index);
                    acknowledged(&mut publisher, 0x70, index);
                }
            }
        }
        publisher.expect_nothing();
    });
}

/// MQTT-4.6.0-4: PUBREL in the order of the PUBRECs.
#[test]
fn mqtt_4_6_0_4_releases_follow_the_order_of_pubrec() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a" 0001 00 ] 34 [ "a" 0002 00 ] 34 [ "a" 0003 00 ]"#);
    for _ in 0..3 {
        client.read_packet();
    }
    client.send("50 [ 0002 ] 50 [ 0003 ] 50 [ 0001 ]");
    for id in ["0002", "0003", "0001"] {
        client.expect(&format!("62 [ {id} ]"));
    }
}

/// A reconnect in the middle: unacknowledged, then queued, then live, without gap or change of order.
#[test]
fn mqtt_4_6_0_1_order_is_kept_across_a_reconnect() {
    let server = Server::start();
    let mut client = server.resume("c", "11 0000003c 21 000a", Present::No);
    subscribe(&mut client, "a", "01");
    let mut publisher = server.v5("p");
    let mut publish = |range: std::ops::Range<u8>| {
        for index in range {
            publisher.send(&format!(r#"32 [ "a" 0001 00 {index:02x} ]"#));
            publisher.expect("40 [ 0001 ]");
        }
    };
    publish(0..40);
    for index in 0..10_u8 {
        client.expect(&format!(r#"32 [ "a" .. .. 00 {index:02x} ]"#));
    }
    server.drop_connection(client, "c");
    publish(40..80);
    let mut client = server.resume("c", "11 0000003c 21 0005", Present::Yes);
    publish(80..100);
    for index in 0..100_u8 {
        let (first, body) = client.read_packet();
        assert_eq!((first, body[6]), (if index < 10 { 0x3a } else { 0x32 }, index));
        client.send_bytes(&[0x40, 2, body[3], body[4]]);
    }
    client.expect_nothing();
}
