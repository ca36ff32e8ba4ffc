//! 2.7 PUBLISH from a client: topics, aliases, capabilities and access rules.

use skein_types::QoS;

use crate::statements::fixture::{Server, expect_refusal, settle, subscribe};

#[test]
fn mqtt_3_3_2_2_topics_have_characters_and_no_wildcards() {
    let server = Server::start();
    for (topic, reason) in [("a/+", "81"), ("#", "81"), ("a#", "81"), ("+", "81"), ("", "82")] {
        let mut client = server.v5("v5");
        client.send(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
        expect_refusal(&mut client, reason);
        let mut client = server.v4("v4");
        client.send(&format!(r#"30 [ "{topic}" 'x' ]"#));
        client.expect_closed();
    }
}

/// MQTT-4.7.3-3: the longest string there is makes a topic.
#[test]
fn mqtt_4_7_3_3_a_topic_may_have_65535_bytes() {
    let server = Server::start();
    let mut client = server.subscriber("c", "#", "00");
    let topic = "t".repeat(65535);
    client.send(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
    client.expect(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
}

#[test]
fn mqtt_3_3_2_12_an_alias_stands_for_its_topic() {
    let server = Server::start();
    let mut client = server.subscriber("c", "#", "00");
    client.dialogue(
        r#"> 30 [ "a" [ 23 0001 ] '1' ]
           < 30 [ "a" 00 '1' ]
           > 30 [ "" [ 23 0001 ] '2' ]
           < 30 [ "a" 00 '2' ]
           > 30 [ "b" [ 23 0010 ] '3' ]
           < 30 [ "b" 00 '3' ]
           # the same number for another topic
           > 30 [ "c" [ 23 0001 ] '4' ]
           < 30 [ "c" 00 '4' ]
           > 30 [ "" [ 23 0001 ] '5' ] 30 [ "" [ 23 0010 ] '6' ]
           < 30 [ "c" 00 '5' ]
           < 30 [ "b" 00 '6' ]
           # with properties before and after, and above QoS 0
           > 32 [ "" 0001 [ 26 "k" "v" 23 0010 26 "l" "w" ] '7' ]
           < 40 [ 0001 ]
           < 30 [ "b" [ 26 "k" "v" 26 "l" "w" ] '7' ]"#,
    );
}

#[test]
fn mqtt_3_3_2_8_aliases_out_of_range_are_refused() {
    let server = Server::start();
    for alias in ["0000", "0011", "ffff"] {
        let mut client = server.v5("c");
        client.send(&format!(r#"30 [ "a" [ 23 {alias} ] 'x' ]"#));
        expect_refusal(&mut client, "94");
    }
    let none = Server::with(|settings| settings.topic_alias_max = 0);
    let mut client = none.v5("c");
    client.send(r#"30 [ "a" [ 23 0001 ] 'x' ]"#);
    expect_refusal(&mut client, "94");
}

#[test]
fn mqtt_3_3_2_7_an_alias_belongs_to_its_connection() {
    let server = Server::start();
    let mut client = server.durable("c", crate::statements::fixture::Present::No);
    client.send(r#"30 [ "a" [ 23 0001 ] 'x' ]"#);
    settle(&mut client);
    // Nobody else's.
    let mut other = server.v5("d");
    other.send(r#"30 [ "" [ 23 0001 ] 'x' ]"#);
    expect_refusal(&mut other, "82");
    // Nor the next connection's of the same session.
    let mut client = server.durable("c", crate::statements::fixture::Present::Yes);
    client.send(r#"30 [ "" [ 23 0001 ] 'x' ]"#);
    expect_refusal(&mut client, "82");
}

#[test]
fn mqtt_3_3_4_6_a_subscription_identifier_from_a_client_is_refused() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.send(r#"30 [ "a" [ 0b 01 ] 'x' ]"#);
    expect_refusal(&mut client, "82");
}

#[test]
fn mqtt_3_2_2_11_qos_above_the_maximum_is_refused() {
    for (maximum, allowed, refused) in [
        (QoS::AtMostOnce, "30 [ 0001 'a' 00 ]", r#"32 [ "a" 0001 00 ]"#),
        (QoS::AtLeastOnce, r#"32 [ "a" 0001 00 ]"#, r#"34 [ "a" 0001 00 ]"#),
    ] {
        let server = Server::with(|settings| settings.maximum_qos = maximum);
        let mut client = server.v5("c");
        client.send(allowed);
        client.send(refused);
        if maximum == QoS::AtLeastOnce {
            client.expect("40 [ 0001 10 ]");
        }
        expect_refusal(&mut client, "9b");
        // 3.1.1 has no word for it.
        let mut client = server.v4("c");
        client.send(r#"34 [ "a" 0001 ]"#);
        client.expect_closed();
    }
}

#[test]
fn mqtt_3_2_2_14_retain_without_retain_is_refused() {
    let server = Server::with(|settings| settings.retain_available = false);
    let mut client = server.v5("c");
    client.send(r#"31 [ "a" 00 'x' ]"#);
    expect_refusal(&mut client, "9a");
    let mut client = server.v4("c");
    client.send(r#"31 [ "a" 'x' ]"#);
    client.expect_closed();
}

#[test]
fn mqtt_3_3_2_14_a_response_topic_has_no_wildcards() {
    let server = Server::start();
    for topic in ["a/+", "#", ""] {
        let mut client = server.v5("c");
        client.send(&format!(r#"30 [ "a" [ 08 "{topic}" ] 'x' ]"#));
        expect_refusal(&mut client, "81");
    }
}

#[test]
fn mqtt_3_3_2_4_a_payload_format_indicator_is_0_or_1() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.send(r#"30 [ "a" [ 01 02 ] 'x' ]"#);
    expect_refusal(&mut client, "82");
}

const MAY_PUBLISH_A: &str = "
[[rules]]
allow = true
actions = ['publish']
filters = ['a/#']
[[rules]]
allow = true
actions = ['subscribe']
filters = ['#']
";

/// MQTT 5.0 section 4.13 and 3.1.1 section 3.3.5: a denied publish is answered where there is an answer, and has no
/// effect.
#[test]
fn mqtt_3_3_5_2_a_denied_publish_has_no_effect() {
    let server = Server::with_access(MAY_PUBLISH_A);
    let mut watcher = server.subscriber("watcher", "#", "00");
    server.v5("v5").dialogue(
        r#"> 30 [ "b" 00 'x' ]
           > 32 [ "b" 0001 00 'x' ]
           < 40 [ 0001 87 ]
           > 34 [ "b" 0002 00 'x' ]
           < 50 [ 0002 87 ]
           # the id is free again: the hand-over ended (MQTT-4.3.3-9)
           > 62 [ 0002 ]
           < 70 [ 0002 92 ]
           > 31 [ "b" 00 'kept' ]
           > 32 [ "a/1" 0003 00 'yes' ]
           < 40 [ 0003 ]"#,
    );
    watcher.expect(r#"30 [ "a/1" 00 'yes' ]"#);
    // 3.1.1 can only acknowledge or close; it acknowledges.
    server.v4("v4").dialogue(
        r#"> 30 [ "b" 'x' ]
           > 32 [ "b" 0001 'x' ]
           < 40 02 0001
           > 34 [ "b" 0002 'x' ]
           < 50 02 0002
           > 62 02 0002
           < 70 02 0002
           > 30 [ "a/2" 'yes' ] c0 00
           < d0 00"#,
    );
    watcher.expect(r#"30 [ "a/2" 00 'yes' ]"#);
    watcher.expect_nothing();
    // Nothing was retained.
    server.subscriber("late", "#", "00").expect_nothing();
}

/// MQTT 5.0 section 4.7.2: clients do not publish on topics that start with `$`.
#[test]
fn mqtt_4_7_2_1_clients_do_not_publish_on_dollar_topics() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "$SYS/#", "00");
    server.v5("c").dialogue(
        r#"> 32 [ "$SYS/broker/version" 0001 00 'x' ]
           < 40 [ 0001 87 ]
           > 30 [ "$anything" 00 'x' ] c0 00
           < d0 00"#,
    );
    watcher.expect_nothing();
}

#[test]
fn mqtt_3_4_2_1_who_has_no_subscribers_is_told() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.dialogue(
        r#"> 32 [ "a" 0001 00 'x' ]
           < 40 [ 0001 10 ]
           > 34 [ "a" 0002 00 'x' ]
           < 50 [ 0002 10 ]
           # not an error: the hand-over goes on
           > 62 [ 0002 ]
           < 70 [ 0002 ]"#,
    );
    subscribe(&mut client, "a", "00");
    client.dialogue(
        r#"> 32 [ "a" 0001 00 'x' ]
           < 40 [ 0001 ]
           < 30 [ "a" 00 'x' ]"#,
    );
}

#[test]
fn topics_deeper_than_allowed_are_refused() {
    let server = Server::with(|settings| settings.topic_levels_max = 4);
    let mut client = server.subscriber("c", "#", "00");
    client.send(r#"30 [ "1/2/3/4" 00 'x' ]"#);
    client.expect(r#"30 [ "1/2/3/4" 00 'x' ]"#);
    client.send(r#"30 [ "1/2/3/4/5" 00 'x' ]"#);
    expect_refusal(&mut client, "90");
}
