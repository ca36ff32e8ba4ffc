//! 2.4 Session and takeover: what a session keeps, for how long, and who has it.

use skein_testkit::{DEADLINE, wait_until};

use crate::statements::fixture::{Present, Server, expect_refusal, settle, subscribe};

#[test]
fn mqtt_3_1_2_4_clean_start_discards() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "01");
    server.drop_connection(client, "c");
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a" 0001 00 'lost' ]"#);
    publisher.expect("40 [ 0001 ]");
    // MQTT-3.1.2-4: neither the message nor the subscription is left.
    let mut client = server.v5("c");
    publisher.send(r#"32 [ "a" 0001 00 'nobody' ]"#);
    publisher.expect("40 [ 0001 10 ]");
    client.expect_nothing();
    // Nor is there anything to resume afterwards.
    server.drop_connection(client, "c");
    server.durable("c", Present::No);
}

#[test]
fn mqtt_3_1_2_5_a_session_is_resumed_with_all_it_had() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    // Filter, QoS, options and identifier belong to the session.
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 07 ] "a/+" 02 ]
           < 90 [ 0001 00 02 ]
           > 82 [ 0002 [ 0b 08 ] "own" 05 ]
           < 90 [ 0002 00 01 ]"#,
    );
    server.drop_connection(client, "c");
    let mut client = server.durable("c", Present::Yes);
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a/b" 0001 00 'x' ]"#);
    publisher.expect("50 [ 0001 ]");
    client.expect(r#"34 [ "a/b" 0001 [ 0b 07 ] 'x' ]"#);
    // No Local holds still.
    client.send(r#"30 [ "own" 00 'mine' ]"#);
    client.expect_nothing();
}

#[test]
fn mqtt_4_1_0_1_messages_wait_for_the_client() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    server.drop_connection(client, "c");
    let mut publisher = server.v5("p");
    publisher.dialogue(
        r#"> 32 [ "a" 0001 00 'one' ]
           < 40 [ 0001 ]
           > 34 [ "a" 0002 00 'two' ]
           < 50 [ 0002 ]
           > 62 [ 0002 ]
           < 70 [ 0002 ]
           > 32 [ "a" 0003 00 'three' ]
           < 40 [ 0003 ]"#,
    );
    server.durable("c", Present::Yes).dialogue(
        r#"< 32 [ "a" 0001 00 'one' ]
           < 34 [ "a" 0002 00 'two' ]
           < 32 [ "a" 0003 00 'three' ]
           > c0 00
           < d0 00"#,
    );
}

#[test]
fn mqtt_3_1_2_23_state_is_kept_for_the_expiry_interval() {
    let server = Server::start();
    let client = server.resume("one-second", "11 00000001", Present::No);
    let lasting = server.resume("never", "11 ffffffff", Present::No);
    server.drop_connection(client, "one-second");
    server.drop_connection(lasting, "never");
    assert!(server.session("one-second").is_some());
    server.wait_ended("one-second");
    server.resume("one-second", "", Present::No);
    server.resume("never", "", Present::Yes);
}

/// The interval starts anew with each connection, and the new connection's value holds.
#[test]
fn mqtt_3_1_2_23_a_resumed_session_expires_by_its_new_interval() {
    let server = Server::start();
    let client = server.resume("c", "11 00000001", Present::No);
    server.drop_connection(client, "c");
    let client = server.resume("c", "11 0000003c", Present::Yes);
    let other = server.resume("d", "11 00000001", Present::No);
    server.drop_connection(other, "d");
    server.wait_ended("d");
    // More than a second has passed for the first one too.
    assert!(server.session("c").is_some());
    server.drop_connection(client, "c");
    server.resume("c", "", Present::Yes);
}

#[test]
fn mqtt_3_1_2_23_without_an_interval_the_session_ends_with_the_connection() {
    let server = Server::start();
    let mut client = server.resume("c", "", Present::No);
    subscribe(&mut client, "a", "01");
    client.send("e0 00");
    client.expect_closed();
    server.wait_ended("c");
    assert_eq!(server.plane.matcher().subscriptions(), 0);
}

#[test]
fn mqtt_3_1_2_6_before_version_5_clean_session_0_keeps_the_state() {
    let server = Server::start();
    for (connect, accepted, resumed) in [
        (r#"10 [ "MQTT" 04 00 0000 "v4" ]"#, "20 02 00 00", "20 02 01 00"),
        // 3.1 has no session present flag.
        (r#"10 [ "MQIsdp" 03 00 0000 "v3" ]"#, "20 02 00 00", "20 02 00 00"),
    ] {
        let client_id = if connect.contains("v4") { "v4" } else { "v3" };
        let mut client = server.raw();
        client.send(connect);
        client.expect(accepted);
        client.send(r#"82 [ 0001 "a" 01 ] e0 00"#);
        client.expect("90 [ 0001 01 ]");
        client.expect_closed();
        server.wait_away(client_id);
        server.v5("p").dialogue(
            r#"> 32 [ "a" 0001 [ 26 "k" "v" ] 'x' ]
               < 40 [ 0001 ]"#,
        );
        let mut client = server.raw();
        client.send(connect);
        client.expect(resumed);
        client.expect(r#"32 [ "a" 0001 'x' ]"#);
        client.send("40 02 0001");
        client.expect_nothing();
        client.send(r#"a2 [ 0001 "a" ]"#);
        client.expect("b0 02 0001");
    }
}

#[test]
fn mqtt_3_14_2_2_disconnect_may_change_the_expiry() {
    let server = Server::start();
    for (client_id, connected, disconnect, kept) in [
        ("shorter", "11 0000003c", "e0 [ 00 [ 11 00000000 ] ]", false),
        ("longer", "11 00000001", "e0 [ 00 [ 11 0000003c ] ]", true),
        ("zero", "", "e0 [ 00 [ 11 00000000 ] ]", false),
        ("unchanged", "11 0000003c", "e0 [ 00 00 ]", true),
    ] {
        println!("{client_id}");
        let mut client = server.resume(client_id, connected, Present::No);
        client.send(disconnect);
        client.expect_closed();
        server.wait_away(client_id);
        server.resume(client_id, "", if kept { Present::Yes } else { Present::No });
    }
}

/// MQTT 5.0 section 3.14.2.2.2: from none to one is a protocol error.
#[test]
fn mqtt_3_14_2_2_disconnect_cannot_give_an_expiry_to_a_session_without() {
    let server = Server::start();
    for connected in ["", "11 00000000"] {
        let mut client = server.resume("c", connected, Present::No);
        client.send("e0 [ 00 [ 11 0000003c ] ]");
        expect_refusal(&mut client, "82");
        server.wait_ended("c");
    }
}

/// MQTT-3.1.4-3: the old connection is told, closed, and only then does the new one proceed.
#[test]
fn mqtt_3_1_4_3_a_second_connection_takes_over() {
    let server = Server::start();
    let mut old = server.durable("c", Present::No);
    subscribe(&mut old, "a", "01");
    let mut new = server.durable("c", Present::Yes);
    old.expect("e0 [ 8e ]");
    old.expect_closed();
    // What the old one had is the new one's, once.
    new.send(r#"32 [ "a" 0001 00 'x' ]"#);
    new.expect_in_any_order(&["40 [ 0001 ]", r#"32 [ "a" 0001 00 'x' ]"#]);
    new.expect_nothing();
}

#[test]
fn mqtt_3_1_4_2_takeover_across_versions() {
    let server = Server::start();
    let mut v5 = server.v5("c");
    let mut v4 = server.v4("c");
    v5.expect("e0 [ 8e ]");
    v5.expect_closed();
    let mut again = server.v4("c");
    // Before version 5 there is no DISCONNECT to send.
    v4.expect_closed();
    let mut v5 = server.v5("c");
    again.expect_closed();
    v5.expect_nothing();
}

/// A client that fights itself: whoever comes last has the session, and nobody else.
#[test]
fn mqtt_3_1_4_3_many_takeovers_leave_one_connection() {
    let server = Server::start();
    let mut clients: Vec<_> =
        (0..20).map(|_| server.resume("c", "11 0000003c", Present::No)).take(1).collect();
    for _ in 0..20 {
        clients.push(server.durable("c", Present::Yes));
    }
    let mut last = clients.pop().unwrap();
    for client in &mut clients {
        client.expect("e0 [ 8e ]");
        client.expect_closed();
    }
    subscribe(&mut last, "a", "00");
    last.expect_nothing();
    drop(clients);
    let open = &server.state.open;
    wait_until("one connection is left", DEADLINE, || open.load(std::sync::atomic::Ordering::Relaxed) == 1);
    assert_eq!(server.plane.sessions().connected(), 1);
}

/// What the old connection had in flight is sent again on the new one: DUP, same ids, original order.
#[test]
fn mqtt_4_4_0_1_messages_in_flight_go_to_the_new_connection() {
    let server = Server::start();
    let mut old = server.durable("c", Present::No);
    subscribe(&mut old, "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"32 [ "a" 0001 00 'one' ] 34 [ "a" 0002 00 'two' ] 32 [ "a" 0003 00 'three' ]"#);
    publisher.expect("40 [ 0001 ]");
    publisher.expect("50 [ 0002 ]");
    publisher.expect("40 [ 0003 ]");
    old.expect(r#"32 [ "a" 0001 00 'one' ]"#);
    old.expect(r#"34 [ "a" 0002 00 'two' ]"#);
    old.expect(r#"32 [ "a" 0003 00 'three' ]"#);
    let mut new = server.durable("c", Present::Yes);
    old.expect("e0 [ 8e ]");
    new.dialogue(
        r#"< 3a [ "a" 0001 00 'one' ]
           < 3c [ "a" 0002 00 'two' ]
           < 3a [ "a" 0003 00 'three' ]
           > 40 [ 0001 ] 50 [ 0002 ] 40 [ 0003 ]
           < 62 [ 0002 ]
           > 70 [ 0002 ] c0 00
           < d0 00"#,
    );
    assert_eq!(server.session("c").unwrap().in_flight, 0);
}

/// Each stage of a QoS 2 hand-over survives: message sent, PUBREC received.
#[test]
fn mqtt_4_1_0_2_stages_of_qos_2_survive_a_reconnect_both_ways() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    // Towards the server: message 9 is received and not released.
    client.send(r#"34 [ "a" 0009 00 'own' ]"#);
    client.expect("50 [ 0009 ]");
    client.expect(r#"34 [ "a" 0001 00 'own' ]"#);
    client.send("50 [ 0001 ]");
    client.expect("62 [ 0001 ]");
    server.drop_connection(client, "c");
    server.durable("c", Present::Yes).dialogue(
        r#"# towards the client only the release is repeated, never the message
           < 62 [ 0001 ]
           # the message sent again is acknowledged and not delivered again
           > 3c [ "a" 0009 00 'own' ]
           < 50 [ 0009 ]
           > 62 [ 0009 ]
           < 70 [ 0009 ]
           > 70 [ 0001 ] c0 00
           < d0 00"#,
    );
}

/// Inbound ids end with their session: after a clean start the same id is a new message.
#[test]
fn mqtt_4_1_0_2_inbound_ids_end_with_the_session() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "a", "00");
    let mut client = server.durable("c", Present::No);
    client.send(r#"34 [ "a" 0009 00 'x' ]"#);
    client.expect("50 [ 0009 ]");
    watcher.expect(r#"30 [ "a" 00 'x' ]"#);
    let mut client = server.v5("c");
    client.send(r#"34 [ "a" 0009 00 'y' ]"#);
    client.expect("50 [ 0009 ]");
    watcher.expect(r#"30 [ "a" 00 'y' ]"#);
    settle(&mut client);
    watcher.expect_nothing();
}

#[test]
fn mqtt_3_3_4_9_resume_with_a_smaller_receive_maximum() {
    let server = Server::start();
    let mut client = server.durable("c", Present::No);
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    for (id, first) in [("0001", "32"), ("0002", "34"), ("0003", "32"), ("0004", "34")] {
        publisher.send(&format!(r#"{first} [ "a" {id} 00 'x' ]"#));
        publisher.read_packet();
        client.read_packet();
    }
    server.drop_connection(client, "c");
    let mut client = server.resume("c", "11 0000003c 21 0001", Present::Yes);
    client.expect(r#"3a [ "a" 0001 00 'x' ]"#);
    client.expect_nothing();
    client.send("40 [ 0001 ]");
    client.expect(r#"3c [ "a" 0002 00 'x' ]"#);
    client.expect_nothing();
    // The hand-over counts until its PUBCOMP (MQTT-4.9.0-2).
    client.send("50 [ 0002 ]");
    client.expect("62 [ 0002 ]");
    client.expect_nothing();
    client.send("70 [ 0002 ]");
    client.expect(r#"3a [ "a" 0003 00 'x' ]"#);
    client.expect_nothing();
    client.send("40 [ 0003 ]");
    client.expect(r#"3c [ "a" 0004 00 'x' ]"#);
    // A refused QoS 2 message ends its hand-over.
    client.send("50 [ 0004 80 ]");
    client.expect_nothing();
    assert_eq!(server.session("c").unwrap().in_flight, 0);
}

/// A session of 3.1.1 resumed with version 5 and the other way round.
#[test]
fn sessions_outlive_a_change_of_version() {
    let server = Server::start();
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 00 0000 "c" ] 82 [ 0001 "a" 01 ]"#);
    client.expect("20 02 00 00");
    client.expect("90 [ 0001 01 ]");
    server.v5("p").dialogue(
        r#"> 32 [ "a" 0001 [ 26 "k" "v" ] 'x' ]
           < 40 [ 0001 ]"#,
    );
    client.expect(r#"32 [ "a" 0001 'x' ]"#);
    let mut client = server.durable("c", Present::Yes);
    client.expect(r#"3a [ "a" 0001 [ 26 "k" "v" ] 'x' ]"#);
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 00 0000 "c" ]"#);
    client.expect("20 02 01 00");
    client.expect(r#"3a [ "a" 0001 'x' ]"#);
}

/// A session belongs to a user; anonymous clients are one user. Whatever another one asks for, it is refused.
#[test]
fn nobody_takes_the_session_of_another_user() {
    let hash = skein_access::new_password_hash("secret").unwrap();
    let users: String = ["ann", "bob"]
        .iter()
        .map(|name| format!("[[users]]\nname = '{name}'\npassword = '{hash}'\n"))
        .collect();
    let file = format!("{users}[[rules]]\nallow = true\nfilters = ['#']\n");
    let server = Server::start_as(
        skein_access::AccessList::parse(&file).unwrap(),
        skein_access::Anonymous::Always,
        |_| {},
    );
    // Name and password, and a session that outlives the connection.
    let as_user = |user: &str, flags: &str| {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 003c [ 11 0000ffff ] "c" "{user}" "secret" ]"#));
        client
    };
    let mut ann = as_user("ann", "c0");
    ann.expect("20 [ 00 00 * ]");
    subscribe(&mut ann, "private/#", "01");
    for connected in [true, false] {
        for flags in ["c0", "c2"] {
            let mut bob = as_user("bob", flags);
            bob.expect("20 [ 00 87 * ]");
            bob.expect_closed();
        }
        for (connect, answer) in [
            (r#"10 [ "MQTT" 05 00 003c [ ] "c" ]"#, "20 [ 00 87 * ]"),
            (r#"10 [ "MQTT" 04 00 003c "c" ]"#, "20 [ 00 05 ]"),
            (r#"10 [ "MQTT" 04 02 003c "c" ]"#, "20 [ 00 05 ]"),
        ] {
            let mut nobody = server.raw();
            nobody.send(connect);
            nobody.expect(answer);
            nobody.expect_closed();
        }
        assert_eq!(server.session("c").unwrap().connection.is_some(), connected);
        if connected {
            ann.send("e0 [ ]");
            server.wait_away("c");
        }
    }
    let mut ann = as_user("ann", "c0");
    ann.expect("20 [ 01 00 * ]");
    server.publish_as_node("private/note", "for ann");
    ann.expect(r#"30 [ "private/note" 00 'for ann' ]"#);
}
