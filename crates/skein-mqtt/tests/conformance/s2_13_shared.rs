//! 2.13 Shared subscriptions: one member for each message, and what happens when that member goes.

use std::collections::HashSet;

use skein_testkit::RawClient;

use crate::statements::fixture::{Present, Server, expect_refusal, settle, subscribe};

#[test]
fn mqtt_4_8_2_1_share_names_are_checked() {
    let server = Server::start();
    for filter in
        ["$share//a", "$share/g", "$share/g/", "$share/g+/a", "$share/#/a", "$share/+/a", "$share/g/a#"]
    {
        let mut client = server.v5("c");
        client.send(&format!(r#"82 [ 0001 00 "{filter}" 00 ]"#));
        expect_refusal(&mut client, "81");
    }
    subscribe(&mut server.v5("c"), "$share/g/#", "02");
    // MQTT-4.8.2: the topic of a publish has nothing to do with it.
    let mut client = server.subscriber("c", "$share/g/a", "00");
    client.send(r#"30 [ "a" 00 'x' ]"#);
    client.expect(r#"30 [ "a" 00 'x' ]"#);
}

/// Takes what a client was sent up to the answer to a ping: payloads of QoS 0.
fn taken(client: &mut RawClient, topic: &str) -> Vec<u8> {
    client.send("c0 00");
    let mut payloads = Vec::new();
    loop {
        match client.read_packet() {
            (0xd0, _) => return payloads,
            (_, body) => payloads.push(body[topic.len() + 3]),
        }
    }
}

#[test]
fn mqtt_4_8_2_each_message_goes_to_one_member_of_each_group() {
    let server = Server::start();
    let mut members: Vec<_> =
        (0..3).map(|index| server.subscriber(&format!("g{index}"), "$share/g/a/+", "00")).collect();
    let mut others: Vec<_> =
        (0..2).map(|index| server.subscriber(&format!("h{index}"), "$share/h/a/#", "00")).collect();
    let mut alone = server.subscriber("alone", "a/b", "00");
    let mut publisher = server.v5("p");
    for payload in 0..90_u8 {
        publisher.send(&format!(r#"30 [ "a/b" 00 {payload:02x} ]"#));
    }
    settle(&mut publisher);
    assert_eq!(taken(&mut alone, "a/b"), (0..90).collect::<Vec<u8>>());
    for group in [&mut members, &mut others] {
        let shares: Vec<_> = group.iter_mut().map(|member| taken(member, "a/b")).collect();
        // Every member has its part, each message went to one.
        assert!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), 90);
        assert_eq!(shares.into_iter().flatten().collect::<HashSet<u8>>().len(), 90);
    }
}

/// A client that is also subscribed by itself gets its own copy beside the shared one.
#[test]
fn mqtt_4_8_2_shared_and_ordinary_subscriptions_are_separate() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 01 ] "$share/g/a" 00 ]
           < 90 [ 0001 00 00 ]
           > 82 [ 0002 [ 0b 02 ] "a" 00 ]
           < 90 [ 0002 00 00 ]
           > 30 [ "a" 00 'x' ]"#,
    );
    let mut ids = [client.read_packet(), client.read_packet()].map(|(_, body)| body[5]);
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    client.expect_nothing();
}

/// MQTT-4.8.2-3: the member's own granted QoS.
#[test]
fn mqtt_4_8_2_3_the_members_granted_qos_holds() {
    let server = Server::start();
    for granted in 0..=2_u8 {
        let mut client = server.subscriber("c", "$share/g/a", &format!("0{granted}"));
        client.send(r#"34 [ "a" 0001 00 'x' ]"#);
        client.expect("50 [ 0001 ]");
        let id = if granted > 0 { "0001" } else { "" };
        client.expect(&format!(r#"3{} [ "a" {id} 00 'x' ]"#, granted * 2));
    }
}

/// Publishes one QoS 2 message to whoever is in the group.
#[track_caller]
fn publish_exactly_once(publisher: &mut RawClient, id: &str, payload: &str) {
    publisher.send(&format!(r#"34 [ "a" {id} 00 '{payload}' ]"#));
    publisher.expect(&format!("50 [ {id} ]"));
    publisher.send(&format!("62 [ {id} ]"));
    publisher.expect(&format!("70 [ {id} ]"));
}

/// MQTT-4.8.2-5: what a member did not acknowledge goes to another one when its session ends.
#[test]
fn mqtt_4_8_2_5_qos_1_moves_after_the_session_ended() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    let mut first = server.resume("first", "11 0000003c 21 0002", Present::No);
    subscribe(&mut first, "$share/g/a", "01");
    for id in ["0001", "0002", "0003"] {
        publisher.send(&format!(r#"32 [ "a" {id} 00 '{id}' ]"#));
        publisher.expect(&format!("40 [ {id} ]"));
    }
    first.expect(r#"32 [ "a" 0001 00 '0001' ]"#);
    first.expect(r#"32 [ "a" 0002 00 '0002' ]"#);
    first.send("40 [ 0001 ]");
    first.expect(r#"32 [ "a" 0003 00 '0003' ]"#);
    let mut second = server.subscriber("second", "$share/g/a", "01");
    // The connection alone does not move them.
    server.drop_connection(first, "first");
    second.expect_nothing();
    let mut first = server.resume("first", "11 0000003c 21 0001", Present::Yes);
    first.expect(r#"3a [ "a" 0002 00 '0002' ]"#);
    first.send("e0 [ 00 [ 11 00000000 ] ]");
    first.expect_closed();
    server.wait_ended("first");
    second.expect(r#"32 [ "a" 0001 00 '0002' ]"#);
    second.expect(r#"32 [ "a" 0002 00 '0003' ]"#);
    second.expect_nothing();
}

/// MQTT-4.8.2-4: a QoS 2 message once sent to a member is that member's; one still waiting is not.
#[test]
fn mqtt_4_8_2_4_qos_2_once_sent_does_not_move() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    let mut first = server.resume("first", "11 0000003c 21 0001", Present::No);
    subscribe(&mut first, "$share/g/a", "02");
    publish_exactly_once(&mut publisher, "0001", "sent");
    publish_exactly_once(&mut publisher, "0002", "waits");
    first.expect(r#"34 [ "a" 0001 00 'sent' ]"#);
    first.expect_nothing();
    let mut second = server.subscriber("second", "$share/g/a", "02");
    // Finished with the same member after a reconnect.
    server.drop_connection(first, "first");
    let mut first = server.resume("first", "11 0000003c 21 0001", Present::Yes);
    first.expect(r#"3c [ "a" 0001 00 'sent' ]"#);
    second.expect_nothing();
    drop(server.v5("first"));
    second.expect(r#"34 [ "a" 0001 00 'waits' ]"#);
    second.expect_nothing();
}

/// MQTT-4.8.2-6: a member's refusal ends the message.
#[test]
fn mqtt_4_8_2_6_a_refused_message_goes_to_nobody_else() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    let mut first = server.subscriber("first", "$share/g/a", "02");
    publisher.send(r#"32 [ "a" 0001 00 'one' ]"#);
    publisher.expect("40 [ 0001 ]");
    publish_exactly_once(&mut publisher, "0002", "two");
    first.expect(r#"32 [ "a" 0001 00 'one' ]"#);
    first.expect(r#"34 [ "a" 0002 00 'two' ]"#);
    let mut second = server.subscriber("second", "$share/g/a", "02");
    first.send("40 [ 0001 83 ] 50 [ 0002 80 ]");
    settle(&mut first);
    server.drop_connection(first, "first");
    second.expect_nothing();
}

#[test]
fn members_that_are_away_are_passed_over() {
    let server = Server::start();
    let mut away = server.durable("away", Present::No);
    subscribe(&mut away, "$share/g/a", "01");
    let mut here = server.subscriber("here", "$share/g/a", "01");
    server.drop_connection(away, "away");
    let mut publisher = server.v5("p");
    for id in ["0001", "0002", "0003", "0004"] {
        publisher.send(&format!(r#"32 [ "a" {id} 00 'x' ]"#));
        publisher.expect(&format!("40 [ {id} ]"));
        here.expect(&format!(r#"32 [ "a" {id} 00 'x' ]"#));
    }
    // With nobody there it waits for one that returns.
    server.drop_connection(here, "here");
    publisher.send(r#"32 [ "a" 0005 00 'kept' ]"#);
    publisher.expect("40 [ 0005 ]");
    let mut away = server.durable("away", Present::Yes);
    // What "here" never acknowledged has moved as well, before it.
    for _ in 0..4 {
        away.expect(r#"32 [ "a" .. .. 00 'x' ]"#);
    }
    away.expect(r#"32 [ "a" .. .. 00 'kept' ]"#);
    away.expect_nothing();
}

/// Who left gets nothing more; the rest share on. Clients of 3.1.1 share as well.
#[test]
fn members_come_and_go() {
    let server = Server::start();
    let mut first = server.v4("first");
    first.send(r#"82 [ 0001 "$share/g/a" 00 ]"#);
    first.expect("90 [ 0001 00 ]");
    let mut second = server.subscriber("second", "$share/g/a", "00");
    first.send(r#"a2 [ 0002 "$share/g/a" ]"#);
    first.expect("b0 02 0002");
    let mut publisher = server.v5("p");
    publisher.send(r#"30 [ "a" 00 'x' ] 30 [ "a" 00 'y' ]"#);
    second.expect(r#"30 [ "a" 00 'x' ]"#);
    second.expect(r#"30 [ "a" 00 'y' ]"#);
    first.expect_nothing();
}
