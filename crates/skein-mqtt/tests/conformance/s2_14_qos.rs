//! 2.14 The state machines of QoS 1 and QoS 2, in both directions.

use skein_testkit::RawClient;

use crate::statements::fixture::{Present, Server, expect_refusal, settle, subscribe};

/// MQTT-4.3.2-1 to -3: one id in use for one message, until its PUBACK; never sent again on the same connection.
#[test]
fn mqtt_4_3_2_1_ids_in_use_are_not_used_again() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "01");
    let mut publisher = server.v5("p");
    let mut publish = |payload: &str| {
        publisher.send(&format!(r#"32 [ "a" 0001 00 '{payload}' ]"#));
        publisher.expect("40 [ 0001 ]");
    };
    publish("1");
    publish("2");
    client.expect(r#"32 [ "a" 0001 00 '1' ]"#);
    client.expect(r#"32 [ "a" 0002 00 '2' ]"#);
    client.send("40 [ 0002 ]");
    publish("3");
    let (_, body) = client.read_packet();
    assert_ne!(body[3..5], [0, 1], "1 is still in use");
    client.expect_nothing();
    assert_eq!(server.session("c").unwrap().in_flight, 2);
}

/// Ids run in a circle of 65,535 and leave out those still in use.
#[test]
fn mqtt_2_2_1_4_ids_wrap_around_what_is_in_use() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "01");
    let mut publisher = server.v5("p");
    let message = skein_testkit::bytes(r#"32 [ "a" 0001 00 'x' ]"#);
    let mut sender = publisher.second_handle();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..66 {
                sender.send_bytes(&message.repeat(1000));
            }
        });
        scope.spawn(|| {
            for _ in 0..66_000 {
                publisher.expect("40 [ 0001 ]");
            }
        });
        let receive = |client: &mut RawClient| {
            let (_, body) = client.read_packet();
            let id = u16::from_be_bytes([body[3], body[4]]);
            assert_ne!(id, 0);
            // One message is left without acknowledgement for a while.
            if id != 100 {
                client.send_bytes(&[0x40, 2, body[3], body[4]]);
            }
            id
        };
        let mut seen = 0;
        for _ in 0..65_600 {
            seen += u32::from(receive(&mut client) == 100);
        }
        assert_eq!(seen, 1);
        client.send("40 [ 0064 ]");
        for _ in 65_600..66_000 {
            seen += u32::from(receive(&mut client) == 100);
        }
        assert_eq!(seen, 2, "the id comes again once it is free");
    });
}

/// MQTT-4.3.2-4 and -5: acknowledged each time it comes, a new message each time.
#[test]
fn mqtt_4_3_2_5_qos_1_received_again_is_a_new_message() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "00");
    server.v5("c").dialogue(
        r#"> 32 [ "a" 0007 00 'x' ]
           < 40 [ 0007 ]
           > 3a [ "a" 0007 00 'x' ]
           < 40 [ 0007 ]"#,
    );
    watcher.expect(r#"30 [ "a" 00 'x' ]"#);
    watcher.expect(r#"30 [ "a" 00 'x' ]"#);
    watcher.expect_nothing();
}

/// MQTT-4.3.3-8 to -12, for every version.
#[test]
fn mqtt_4_3_3_10_qos_2_is_received_once() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "00");
    for (mut client, properties, unknown) in
        [(server.v5("v5"), "00", "70 [ 0007 92 ]"), (server.v4("v4"), "", "70 [ 0007 ]")]
    {
        client.dialogue(&format!(
            r#"> 34 [ "a" 0007 {properties} '1' ]
               < 50 [ 0007 ]
               # with DUP or without, it is the same message until it is released
               > 3c [ "a" 0007 {properties} '1' ]
               < 50 [ 0007 ]
               > 34 [ "a" 0007 {properties} '1' ]
               < 50 [ 0007 ]
               > 62 [ 0007 ]
               < 70 [ 0007 ]
               # released twice
               > 62 [ 0007 ]
               < {unknown}
               # then the id is a new message's, whatever DUP says
               > 3c [ "a" 0007 {properties} '2' ]
               < 50 [ 0007 ]
               > 62 [ 0007 ]
               < 70 [ 0007 ]"#
        ));
        watcher.expect(r#"30 [ "a" 00 '1' ]"#);
        watcher.expect(r#"30 [ "a" 00 '2' ]"#);
        watcher.expect_nothing();
    }
}

/// The same id at QoS 1 meanwhile is another message: only QoS 2 ids are remembered.
#[test]
fn qos_1_and_2_of_a_client_do_not_mix() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "00");
    server.v5("c").dialogue(
        r#"> 34 [ "a" 0007 00 'two' ]
           < 50 [ 0007 ]
           > 32 [ "a" 0008 00 'one' ]
           < 40 [ 0008 ]
           > 62 [ 0007 ]
           < 70 [ 0007 ]"#,
    );
    watcher.expect(r#"30 [ "a" 00 'two' ]"#);
    watcher.expect(r#"30 [ "a" 00 'one' ]"#);
    watcher.expect_nothing();
}

/// MQTT-4.3.3-1 to -6: the sender's side.
#[test]
fn mqtt_4_3_3_4_qos_2_is_sent_step_by_step() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "02");
    let mut publisher = server.v5("p");
    for id in ["0001", "0002", "0003"] {
        publisher.send(&format!(r#"34 [ "a" {id} 00 'x' ]"#));
        publisher.expect(&format!("50 [ {id} ]"));
        client.expect(&format!(r#"34 [ "a" {id} 00 'x' ]"#));
    }
    client.dialogue(
        r#"> 50 [ 0001 ]
           < 62 [ 0001 ]
           # a PUBREC again brings the PUBREL again
           > 50 [ 0001 00 ]
           < 62 [ 0001 ]
           > 70 [ 0001 ]
           # done: an unknown id is answered so that it can be forgotten
           > 50 [ 0001 ]
           < 62 [ 0001 92 ]
           # MQTT-4.3.3-4: an error ends it without a PUBREL
           > 50 [ 0002 87 ]
           # 0x10 is no error
           > 50 [ 0003 10 00 ]
           < 62 [ 0003 ]
           > 70 [ 0003 00 ]"#,
    );
    client.expect_nothing();
    assert_eq!(server.session("c").unwrap().in_flight, 0);
}

/// Acknowledgements of nothing are taken without harm and without an answer.
#[test]
fn unknown_acknowledgements_change_nothing() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "02");
    client.send("40 [ 0009 ] 70 [ 0009 ] 50 [ 0009 80 ] 70 [ 0009 92 ]");
    client.expect_nothing();
    // What is acknowledged already is as unknown as what never was.
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a" 0001 00 'two' ] 32 [ "a" 0002 00 'one' ] 34 [ "a" 0003 00 'no' ]"#);
    client.expect(r#"34 [ "a" 0001 00 'two' ]"#);
    client.expect(r#"32 [ "a" 0002 00 'one' ]"#);
    client.expect(r#"34 [ "a" 0003 00 'no' ]"#);
    client.send("40 [ 0002 ] 40 [ 0002 ] 70 [ 0002 ] 50 [ 0003 87 ] 50 [ 0003 87 ] 40 [ 0003 ]");
    client.expect_nothing();
    client.send("50 [ 0002 ]");
    client.expect("62 [ 0002 92 ]");
    assert_eq!(server.session("c").unwrap().in_flight, 1);
}

/// MQTT 5.0 section 1.2: what is inconsistent with the state is a protocol error. The message stays in flight.
#[test]
fn mqtt_4_3_acknowledgements_of_the_wrong_kind_end_the_connection() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    for (what, qos, before, wrong) in [
        ("PUBREC for QoS 1", "01", "", "50 [ 0001 ]"),
        ("a refusing PUBREC for QoS 1", "01", "", "50 [ 0001 80 ]"),
        ("PUBCOMP for QoS 1", "01", "", "70 [ 0001 ]"),
        ("PUBACK for QoS 2", "02", "", "40 [ 0001 ]"),
        ("PUBCOMP for what was not released", "02", "", "70 [ 0001 ]"),
        ("PUBACK for what was released", "02", "50 [ 0001 ]", "40 [ 0001 ]"),
    ] {
        println!("{what}");
        let mut client = server.durable("c", Present::No);
        subscribe(&mut client, "a", qos);
        publisher.send(r#"34 [ "a" 0001 00 'x' ] 62 [ 0001 ]"#);
        let (first, _) = client.read_packet();
        if !before.is_empty() {
            client.send(before);
            client.expect("62 [ 0001 ]");
        }
        client.send(wrong);
        expect_refusal(&mut client, "82");
        server.wait_away("c");
        // It is sent again, and can be acknowledged as it ought to be.
        let mut client = server.durable("c", Present::Yes);
        let again = if before.is_empty() { first | 0x08 } else { 0x62 };
        assert_eq!(client.read_packet().0, again, "{what}");
        let right = if qos == "01" { "40 [ 0001 ]" } else { "50 [ 0001 ]" };
        client.send(right);
        if qos == "02" {
            client.expect("62 [ 0001 ]");
            client.send("70 [ 0001 ]");
        }
        client.expect_nothing();
        assert_eq!(server.session("c").unwrap().in_flight, 0);
        client.send("e0 [ 00 [ 11 00000000 ] ]");
        client.expect_closed();
        server.wait_ended("c");
        publisher.expect("50 [ 0001 ]");
        publisher.expect("70 [ 0001 ]");
    }
    // MQTT-4.8.0-1 of 3.1.1.
    let mut client = server.v4("v4");
    client.send(r#"82 [ 0001 "a" 01 ]"#);
    client.expect("90 [ 0001 01 ]");
    publisher.send(r#"32 [ "a" 0001 00 'x' ]"#);
    client.expect(r#"32 [ "a" 0001 'x' ]"#);
    client.send("50 [ 0001 ]");
    client.expect_closed();
}

/// MQTT-4.4.0-1: DUP and the original order, only with the session, only on a new connection.
#[test]
fn mqtt_4_4_0_1_resends_on_reconnect_in_original_order() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(
        r#"32 [ "a" 0001 00 '1' ] 34 [ "a" 0002 00 '2' ] 34 [ "a" 0003 00 '3' ] 32 [ "a" 0004 00 '4' ]
           34 [ "a" 0005 00 '5' ] 32 [ "a" 0006 00 '6' ]"#,
    );
    for _ in 0..6 {
        client.read_packet();
    }
    // 2 and 5 are received, the later one first; 4 is done.
    client.send("50 [ 0005 ] 50 [ 0002 ] 40 [ 0004 ]");
    client.expect("62 [ 0005 ]");
    client.expect("62 [ 0002 ]");
    // A second and a third connection get the same, the last one finishes.
    for _ in 0..2 {
        server.drop_connection(client, "c");
        client = server.durable("c", Present::Yes);
        client.dialogue(
            r#"< 3a [ "a" 0001 00 '1' ]
               < 62 [ 0002 ]
               < 3c [ "a" 0003 00 '3' ]
               < 62 [ 0005 ]
               < 3a [ "a" 0006 00 '6' ]"#,
        );
        client.expect_nothing();
    }
    client.send("40 [ 0001 ] 70 [ 0002 ] 50 [ 0003 ] 70 [ 0005 ] 40 [ 0006 ]");
    client.expect("62 [ 0003 ]");
    client.send("70 [ 0003 ]");
    client.expect_nothing();
    assert_eq!(server.session("c").unwrap().in_flight, 0);
    // Nothing is sent again.
    let mut client = server.durable("c", Present::Yes);
    client.expect_nothing();
}

/// MQTT-4.4.0-2: what the client refused is acknowledged, and never sent again.
#[test]
fn mqtt_4_4_0_2_refused_messages_are_not_sent_again() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a" 0001 00 '1' ] 34 [ "a" 0002 00 '2' ] 32 [ "a" 0003 00 '3' ]"#);
    for _ in 0..3 {
        client.read_packet();
    }
    client.send(r#"40 [ 0001 97 [ 1f "full" 26 "k" "v" ] ] 50 [ 0002 99 ]"#);
    settle(&mut client);
    server.drop_connection(client, "c");
    let mut client = server.durable("c", Present::Yes);
    client.expect(r#"3a [ "a" 0003 00 '3' ]"#);
    client.expect_nothing();
}

/// Reason codes that an acknowledgement cannot have.
#[test]
fn mqtt_3_4_2_acknowledgements_with_foreign_reasons_are_refused() {
    let server = Server::start();
    for (packet, reason) in [
        ("40 [ 0001 01 ]", "82"),
        ("50 [ 0001 92 ]", "82"),
        ("62 [ 0001 10 ]", "82"),
        ("70 [ 0001 80 ]", "82"),
        ("40 [ 0000 ]", "82"),
        ("62 [ 0000 ]", "82"),
        ("40 [ 0001 00 [ 11 00000000 ] ]", "81"),
        ("40 [ 00 ]", "81"),
    ] {
        let mut client = server.v5("c");
        client.send(packet);
        expect_refusal(&mut client, reason);
    }
}
