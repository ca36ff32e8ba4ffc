//! 2.16 Flow control: receive maximum, of the client and of the server, and the listener's own bounds.

use std::{
    num::NonZeroU16,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use skein_testkit::{DEADLINE, bytes, wait_until};

use crate::statements::fixture::{Server, expect_refusal, settle, subscribe};

/// MQTT-3.3.4-9 and MQTT-4.9.0-2.
#[test]
fn mqtt_3_3_4_9_no_more_in_flight_than_the_client_allows() {
    let server = Server::start();
    let mut client = server.v5_with("21 0002", "c");
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    for index in 1..=6 {
        publisher
            .send(&format!(r#"3{} [ "a" 000{index} 00 '{index}' ]"#, if index % 2 == 0 { 4 } else { 2 }));
        publisher.read_packet();
    }
    client.dialogue(
        r#"< 32 [ "a" 0001 00 '1' ]
           < 34 [ "a" 0002 00 '2' ]
           > c0 00
           < d0 00
           # PUBREC frees nothing
           > 50 [ 0002 ]
           < 62 [ 0002 ]
           > c0 00
           < d0 00
           > 70 [ 0002 ]
           < 32 [ "a" 0003 00 '3' ]
           > 40 [ 0001 ]
           < 34 [ "a" 0004 00 '4' ]
           > 40 [ 0003 ] 50 [ 0004 80 ]
           < 32 [ "a" 0005 00 '5' ]
           < 34 [ "a" 0006 00 '6' ]"#,
    );
    client.expect_nothing();
}

/// MQTT-3.3.4-10 and MQTT-4.9.0-3: nothing else is held back by a full window.
#[test]
fn mqtt_4_9_0_3_other_packets_are_not_held_back() {
    let server = Server::start();
    let mut client = server.v5_with("21 0001", "c");
    subscribe(&mut client, "a", "01");
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a" 0001 00 '1' ] 32 [ "a" 0002 00 '2' ] 30 [ "a" 00 '0' ]"#);
    publisher.expect("40 [ 0001 ]");
    publisher.expect("40 [ 0002 ]");
    settle(&mut publisher);
    client.dialogue(
        r#"< 32 [ "a" 0001 00 '1' ]
           < 30 [ "a" 00 '0' ]
           > 82 [ 0009 00 "r" 00 ]
           < 90 [ 0009 00 00 ]
           > 34 [ "b" 0005 00 'x' ]
           < 50 [ 0005 10 ]
           > 62 [ 0005 ]
           < 70 [ 0005 ]
           > a2 [ 000a 00 "r" ]
           < b0 [ 000a 00 00 ]
           > 40 [ 0001 ]
           < 32 [ "a" 0002 00 '2' ]"#,
    );
}

/// MQTT 5.0 section 3.1.2.11.3: absent, it is 65,535.
#[test]
fn mqtt_3_1_2_11_3_without_a_receive_maximum_65535_are_in_flight() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "01");
    let mut publisher = server.v5("p");
    let mut sender = publisher.second_handle();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let message = bytes(r#"32 [ "a" 0001 00 'x' ]"#);
            for _ in 0..66 {
                sender.send_bytes(&message.repeat(1000));
            }
        });
        scope.spawn(|| {
            for _ in 0..66_000 {
                publisher.expect("40 [ 0001 ]");
            }
        });
        for _ in 0..65_535 {
            client.expect(r#"32 [ "a" * ]"#);
        }
    });
    client.expect_nothing();
    client.send("40 [ 0001 ]");
    client.expect(r#"32 [ "a" 0001 00 'x' ]"#);
    assert_eq!(server.session("c").unwrap().in_flight, 65_535);
}

/// The listener may keep fewer in flight than the client allows.
#[test]
fn the_listener_bounds_what_is_in_flight() {
    let server = Server::with(|settings| settings.inflight_max = NonZeroU16::new(2).unwrap());
    let mut client = server.v5_with("21 0064", "c");
    subscribe(&mut client, "a", "01");
    let mut publisher = server.v5("p");
    for _ in 0..3 {
        publisher.send(r#"32 [ "a" 0001 00 'x' ]"#);
        publisher.expect("40 [ 0001 ]");
    }
    client.expect(r#"32 [ "a" 0001 00 'x' ]"#);
    client.expect(r#"32 [ "a" 0002 00 'x' ]"#);
    client.expect_nothing();
}

/// MQTT 5.0 section 3.3.4: a client that sends more than the server's receive maximum is told 0x93.
#[test]
fn mqtt_3_3_4_7_exceeding_the_servers_receive_maximum_is_refused() {
    let server = Server::with(|settings| settings.receive_maximum = NonZeroU16::new(2).unwrap());
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 34 [ "a" 0001 00 'x' ]
           < 50 [ 0001 10 ]
           > 34 [ "a" 0002 00 'x' ]
           < 50 [ 0002 10 ]
           # the same again and other qualities do not count
           > 3c [ "a" 0001 00 'x' ]
           < 50 [ 0001 ]
           > 32 [ "a" 0003 00 'x' ]
           < 40 [ 0003 10 ]
           > 62 [ 0001 ]
           < 70 [ 0001 ]
           > 34 [ "a" 0004 00 'x' ]
           < 50 [ 0004 10 ]
           > 34 [ "a" 0005 00 'x' ]"#,
    );
    expect_refusal(&mut client, "93");
}

/// A client that publishes faster than allowed is read more slowly; nothing of it is lost and nobody else waits.
#[test]
fn a_publisher_above_its_rate_is_slowed_down() {
    let server = Server::with(|settings| settings.publish_rate_messages_per_sec = 100);
    let mut client = server.subscriber("c", "a", "00");
    let mut publisher = server.v5("p");
    let start = Instant::now();
    publisher.send_bytes(&bytes(r#"30 [ "a" 00 'x' ]"#).repeat(150));
    for _ in 0..150 {
        client.expect(r#"30 [ "a" 00 'x' ]"#);
    }
    // The first hundred at once, the others at a hundred a second.
    assert!(start.elapsed() >= Duration::from_millis(450), "after {:?}", start.elapsed());
    settle(&mut publisher);
}

/// Connections above the listener's bound are closed, and a place that is free again is given away again.
#[test]
fn connections_above_the_listeners_bound_are_closed() {
    let server = Server::with(|settings| settings.listener.connections_max = 2);
    let first = server.v5("first");
    let mut second = server.v5("second");
    server.raw().expect_closed();
    second.expect_nothing();
    drop(first);
    wait_until("a place is free", DEADLINE, || server.state.open.load(Relaxed) == 1);
    server.v5("third").expect_nothing();
}
