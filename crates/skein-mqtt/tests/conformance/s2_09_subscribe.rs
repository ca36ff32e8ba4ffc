//! 2.9 SUBSCRIBE and UNSUBSCRIBE: which are refused, what is answered, what changes.

use crate::statements::fixture::{Server, expect_refusal, settle, subscribe};

#[test]
fn mqtt_3_8_3_2_malformed_subscribes_close() {
    let server = Server::start();
    for (what, v5, reason, v4) in [
        ("mqtt_3_8_3_2 no filter", "82 [ 0001 00 ]", "82", "82 [ 0001 ]"),
        ("mqtt_3_10_3_2 no filter", "a2 [ 0001 00 ]", "82", "a2 [ 0001 ]"),
        ("mqtt_3_8_3_5 reserved bits", r#"82 [ 0001 00 "a" 40 ]"#, "81", r#"82 [ 0001 "a" 04 ]"#),
        ("mqtt_3_8_3_5 QoS 3", r#"82 [ 0001 00 "a" 03 ]"#, "82", r#"82 [ 0001 "a" 03 ]"#),
        ("retain handling 3", r#"82 [ 0001 00 "a" 30 ]"#, "82", r#"82 [ 0001 "a" 30 ]"#),
        ("mqtt_3_8_3_4 shared with no local", r#"82 [ 0001 00 "$share/g/a" 04 ]"#, "82", "82 [ 0001 ]"),
        ("identifier 0", r#"82 [ 0001 [ 0b 00 ] "a" 00 ]"#, "82", "82 [ 0001 ]"),
        ("identifier twice", r#"82 [ 0001 [ 0b 01 0b 02 ] "a" 00 ]"#, "82", "82 [ 0001 ]"),
        ("identifier of five bytes", r#"82 [ 0001 [ 0b 8080808001 ] "a" 00 ]"#, "81", "82 [ 0001 ]"),
        ("no options", r#"82 [ 0001 00 "a" ]"#, "81", r#"82 [ 0001 "a" ]"#),
        (
            "one of two filters is bad",
            r#"82 [ 0001 00 "a" 00 "b/#/c" 00 ]"#,
            "81",
            r#"82 [ 0001 "a" 00 "b#" 00 ]"#,
        ),
        ("unsubscribe from a bad filter", r#"a2 [ 0001 00 "a/#/b" ]"#, "81", r#"a2 [ 0001 "a+" ]"#),
    ] {
        println!("{what}");
        let mut client = server.v5("v5");
        client.send(v5);
        expect_refusal(&mut client, reason);
        let mut client = server.v4("v4");
        client.send(v4);
        client.expect_closed();
        // None of its filters was taken.
        assert_eq!(server.plane.matcher().subscriptions(), 0, "{what}");
    }
}

/// MQTT-3.8.4-5, -6 and -7: one code for each filter, in order, each as if alone.
#[test]
fn mqtt_3_8_4_6_suback_has_a_code_for_each_filter_in_order() {
    let server = Server::with(|settings| {
        settings.wildcard_available = false;
        settings.shared_available = false;
        settings.topic_levels_max = 3;
    });
    server.v5("v5").dialogue(
        r#"> 82 [ 1234 00 "a" 00 "c" 02 "1/2/3/4" 00 "f" 01 ]
           < 90 [ 1234 00 00 02 8f 01 ]"#,
    );
    // MQTT-3.9.3-2 of 3.1.1: 0x80 for every failure. What is not available was not announced to such a client.
    server.v4("v4").dialogue(
        r#"> 82 [ 1234 "a" 00 "b/+" 01 "c" 02 "$share/g/d" 01 "1/2/3/4" 00 ]
           < 90 [ 1234 00 80 02 80 80 ]"#,
    );
}

/// A bound of the server's own: filters that are valid otherwise.
#[test]
fn filters_of_more_wildcards_than_the_server_takes_are_refused() {
    let server = Server::with(|settings| settings.wildcard_levels_max = 2);
    server.v5("v5").dialogue(
        r#"> 82 [ 1234 00 "+/+/a/#" 00 "+/+/+" 01 "$share/g/+/+/+" 01 "a/b/c/d" 01 ]
           < 90 [ 1234 00 00 8f 8f 01 ]"#,
    );
    server.v4("v4").dialogue(
        r#"> 82 [ 1234 "+/+" 00 "+/+/+" 01 ]
           < 90 [ 1234 00 80 ]"#,
    );
}

/// MQTT 5.0 sections 3.2.2.3.11 to -13: to use what the CONNACK says is not available is a protocol error.
#[test]
fn mqtt_3_2_2_3_what_is_not_available_ends_the_connection() {
    let server = Server::with(|settings| {
        settings.wildcard_available = false;
        settings.shared_available = false;
        settings.subscription_id_available = false;
    });
    for (packet, reason) in [
        (r#"82 [ 0001 00 "a" 00 "b/+" 01 ]"#, "a2"),
        (r##"82 [ 0001 00 "#" 00 ]"##, "a2"),
        (r#"82 [ 0001 00 "a" 00 "$share/g/b" 01 ]"#, "9e"),
        (r#"82 [ 0001 [ 0b 01 ] "a" 00 ]"#, "a1"),
    ] {
        let mut client = server.v5("c");
        client.send(packet);
        expect_refusal(&mut client, reason);
        assert_eq!(server.plane.matcher().subscriptions(), 0, "{packet}");
    }
    subscribe(&mut server.v5("c"), "a", "02");
}

/// What exceeds the bound of filters in a packet is refused one by one, or with the connection where no code can say so.
#[test]
fn filters_per_packet_are_bounded() {
    const MAX: usize = 10_000;
    let server = Server::start();
    let (filters, one_more) = (r#""a" 00 "#.repeat(MAX), r#""b" 00 "#);
    for (mut client, properties, code) in [(server.v5("v5"), "00", 0x97), (server.v4("v4"), "", 0x80)] {
        client.send(&format!("82 [ 0001 {properties} {filters} {one_more} ]"));
        let (first, body) = client.read_packet();
        let codes = &body[body.len() - MAX - 1..];
        assert_eq!((first, codes.last()), (0x90, Some(&code)));
        assert!(codes[..MAX].iter().all(|code| *code == 0));
        // One subscription, and none for the last filter.
        assert_eq!(server.plane.matcher().subscriptions(), 1);
        let filters = r#""a" "#.repeat(MAX);
        client.send(&format!("a2 [ 0002 {properties} {filters} ]"));
        assert_eq!(client.read_packet().0, 0xb0);
        client.send(&format!(r#"a2 [ 0003 {properties} {filters} "b" ]"#));
        match properties {
            "" => client.expect_closed(),
            _ => expect_refusal(&mut client, "97"),
        }
        assert_eq!(server.plane.matcher().subscriptions(), 0);
    }
}

#[test]
fn mqtt_3_8_4_too_many_subscriptions_are_refused_one_by_one() {
    let server = Server::with(|settings| {
        std::sync::Arc::make_mut(&mut settings.session).subscriptions_max = 2;
    });
    server.v5("c").dialogue(
        r#"> 82 [ 0001 00 "a" 00 "b" 00 "c" 00 "a" 01 ]
           < 90 [ 0001 00 00 00 97 01 ]
           > a2 [ 0002 00 "a" ]
           < b0 [ 0002 00 00 ]
           > 82 [ 0003 00 "c" 00 ]
           < 90 [ 0003 00 00 ]"#,
    );
}

const RULES: &str = "
[[rules]]
allow = false
actions = ['subscribe']
filters = ['open/secret/#']
[[rules]]
allow = true
filters = ['open/#', 'mine/%c/#']
";

#[test]
fn mqtt_3_9_3_1_forbidden_filters_are_not_authorised() {
    let server = Server::with_access(RULES);
    let mut client = server.v5("c");
    client.dialogue(
        r##"> 82 [ 0001 00 "closed" 00 "open/a" 01 "mine/c/x" 02 "mine/d/x" 00 "#" 00 "mine/+/x" 00 ]
            < 90 [ 0001 00 87 01 02 87 87 87 ]
            > 82 [ 0001 00 "open/secret/x" 00 ]
            < 90 [ 0001 00 87 ]"##,
    );
    server.v4("c").dialogue(
        r#"> 82 [ 0001 "closed" 00 "open/a" 01 "$share/g/closed" 01 ]
           < 90 [ 0001 80 01 80 ]"#,
    );
}

/// A subscription of which a part is forbidden stands, and delivers the rest.
#[test]
fn a_subscription_allowed_in_part_delivers_that_part() {
    let server = Server::with_access(RULES);
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "open/secret/kept" 00 'no' ] 31 [ "open/kept" 00 'yes' ]"#);
    settle(&mut publisher);
    let mut client = server.v5("c");
    subscribe(&mut client, "open/#", "00");
    client.expect(r#"31 [ "open/kept" 00 'yes' ]"#);
    client.expect_nothing();
    publisher.send(r#"30 [ "open/secret/x" 00 'no' ] 30 [ "open/x" 00 'yes' ]"#);
    client.expect(r#"30 [ "open/x" 00 'yes' ]"#);
    settle(&mut publisher);
    client.expect_nothing();
}

/// MQTT-3.8.4-3 and -4: the new options hold, retained messages come again, nothing else is lost or doubled.
#[test]
fn mqtt_3_8_4_3_an_identical_filter_replaces() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    publisher.send(r#"31 [ "a" 00 'kept' ]"#);
    settle(&mut publisher);
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 [ 0b 01 ] "a" 00 ]
           < 90 [ 0001 00 00 ]
           < 31 [ "a" [ 0b 01 ] 'kept' ]
           > 82 [ 0002 [ 0b 02 ] "a" 01 ]
           < 90 [ 0002 00 01 ]
           < 31 [ "a" [ 0b 02 ] 'kept' ]
           > 82 [ 0003 00 "a" 01 ]
           < 90 [ 0003 00 01 ]
           < 31 [ "a" 00 'kept' ]"#,
    );
    publisher.send(r#"32 [ "a" 0001 00 'x' ]"#);
    publisher.expect("40 [ 0001 ]");
    client.expect(r#"32 [ "a" 0001 00 'x' ]"#);
    client.expect_nothing();
    assert_eq!(server.plane.matcher().subscriptions(), 1);
}

/// The same filter twice in one packet: the later one holds.
#[test]
fn mqtt_3_8_4_5_filters_of_one_packet_count_as_if_sent_one_by_one() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 00 "a" 00 "a" 02 "a" 01 ]
           < 90 [ 0001 00 00 02 01 ]
           > 34 [ "a" 0001 00 'x' ]
           < 50 [ 0001 ]
           < 32 [ "a" 0001 00 'x' ]"#,
    );
    client.expect_nothing();
}

/// MQTT-3.10.4-1 to -6.
#[test]
fn mqtt_3_10_4_4_unsubscribe_is_always_answered_filter_by_filter() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 82 [ 0001 00 "a/b" 00 "a/+" 00 "$share/g/a" 00 ]
           < 90 [ 0001 00 00 00 00 ]
           # compared character by character, never matched
           > a2 [ 4321 00 "A/b" "a/#" "a/b" "a/b" "a" "$share/h/a" "$share/g/a" ]
           < b0 [ 4321 00 11 11 00 11 11 11 00 ]
           > 30 [ "a/b" 00 'x' ]
           < 30 [ "a/b" 00 'x' ]
           > a2 [ 0002 00 "a/+" ]
           < b0 [ 0002 00 00 ]
           > 30 [ "a/b" 00 'x' ]"#,
    );
    settle(&mut client);
    client.expect_nothing();
    // 3.1.1 has no codes (MQTT-3.10.4-5 there: answered even if nothing matched).
    server.v4("d").dialogue(
        r#"> a2 [ 4321 "a/b" "x" ]
           < b0 02 4321"#,
    );
}

/// MQTT-3.10.4-3: what was started is finished.
#[test]
fn mqtt_3_10_4_3_messages_under_way_are_finished() {
    let server = Server::start();
    let mut client = server.v5_with("21 0001 11 0000003c", "c");
    subscribe(&mut client, "a", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "a" 0001 00 'x' ]"#);
    publisher.expect("50 [ 0001 ]");
    client.dialogue(
        r#"< 34 [ "a" 0001 00 'x' ]
           > a2 [ 0002 00 "a" ]
           < b0 [ 0002 00 00 ]
           > 50 [ 0001 ]
           < 62 [ 0001 ]
           > 70 [ 0001 ]"#,
    );
    publisher.send(r#"34 [ "a" 0002 00 'y' ]"#);
    publisher.expect("50 [ 0002 10 ]");
    client.expect_nothing();
}

/// MQTT-3.8.4-1: from the SUBACK on every publish matches, on whichever thread it is accepted.
#[test]
fn mqtt_3_8_4_1_after_the_suback_every_publish_matches() {
    let server = Server::start();
    let mut publishers = [server.v5("p0"), server.v5("p1")];
    for round in 0..100 {
        let mut client = server.v5("c");
        subscribe(&mut client, &format!("a/{round}"), "00");
        let publisher = &mut publishers[round % 2];
        publisher.send(&format!(r#"30 [ "a/{round}" 00 'x' ]"#));
        client.expect(&format!(r#"30 [ "a/{round}" 00 'x' ]"#));
    }
}

/// User properties of both packets are taken and ignored.
#[test]
fn mqtt_3_8_2_user_properties_are_taken() {
    let server = Server::start();
    server.v5("c").dialogue(
        r#"> 82 [ 0001 [ 26 "k" "v" 0b 03 26 "k" "v" ] "a" 00 ]
           < 90 [ 0001 00 00 ]
           > a2 [ 0002 [ 26 "k" "v" ] "a" ]
           < b0 [ 0002 00 00 ]"#,
    );
}

/// New rules hold for what is subscribed already, and for the publisher's next message.
#[test]
fn changed_access_rules_end_forbidden_subscriptions() {
    let server = Server::with_access(RULES);
    let mut client = server.v5("c");
    subscribe(&mut client, "open/a", "00");
    subscribe(&mut client, "mine/c/x", "00");
    let mut publisher = server.v5("p");
    publisher.send(r#"30 [ "open/a" 00 'before' ]"#);
    client.expect(r#"30 [ "open/a" 00 'before' ]"#);
    server.plane.access().reload("[[rules]]\nallow = true\nfilters = ['mine/#']\n").unwrap();
    server.plane.access_changed(&mut skein_plane::Batch::default());
    publisher.send(r#"32 [ "open/a" 0001 00 'after' ] 32 [ "mine/c/x" 0002 00 'after' ]"#);
    publisher.expect("40 [ 0001 87 ]");
    publisher.expect("40 [ 0002 ]");
    client.expect(r#"30 [ "mine/c/x" 00 'after' ]"#);
    client.send(r#"a2 [ 0001 00 "open/a" "mine/c/x" ]"#);
    client.expect("b0 [ 0001 00 11 00 ]");
}
