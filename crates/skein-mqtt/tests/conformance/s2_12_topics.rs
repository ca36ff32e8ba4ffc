//! 2.12 Topics and filters: which match, over real subscriptions; validity is the codec's matter.

use crate::statements::fixture::{Server, expect_refusal, settle, subscribe};

#[test]
fn mqtt_4_7_1_filters_match_as_the_standard_says() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    for (filter, matching, other) in [
        // MQTT-4.7.1-1: `#` and its parent.
        (
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"]
                [..],
            &["sport/tennis/player2", "sport/tennis"][..],
        ),
        ("sport/#", &["sport", "sport/"], &["sports", "spor"]),
        ("#", &["a", "/", "a//b", "/a"], &[]),
        // MQTT-4.7.1-2: `+` is one whole level, an empty one too.
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/"],
            &["sport/tennis/player1/ranking", "sport/tennis"],
        ),
        ("+", &["finance"], &["/finance", "finance/"]),
        ("+/+", &["/finance", "a/b", "/"], &["finance", "a/b/c"]),
        ("/+", &["/finance", "/"], &["finance", "/a/b"]),
        ("+/tennis/#", &["sport/tennis", "/tennis/a"], &["tennis"]),
        // MQTT-4.7.3-4: case, spaces, leading and trailing slashes, unnormalised text.
        ("ACCOUNTS", &["ACCOUNTS"], &["Accounts", "ACCOUNTS ", " ACCOUNTS", "/ACCOUNTS", "ACCOUNTS/"]),
        ("Accounts payable", &["Accounts payable"], &["Accountspayable"]),
        ("a//b", &["a//b"], &["a/b", "a///b"]),
        ("é", &["é"], &["e\u{301}"]),
    ] {
        let mut client = server.subscriber("c", filter, "00");
        for topic in other.iter().chain(matching) {
            publisher.send(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
        }
        settle(&mut publisher);
        for topic in matching {
            client.expect(&format!(r#"30 [ "{topic}" 00 'x' ]"#));
        }
        client.expect_nothing();
    }
}

#[test]
fn mqtt_4_7_1_1_misplaced_wildcards_are_refused() {
    let server = Server::start();
    for filter in ["a/#/b", "a#", "#/a", "a+", "a/b+/c", "+a", "##", "++", ""] {
        let mut client = server.v5("c");
        client.send(&format!(r#"82 [ 0001 00 "{filter}" 00 ]"#));
        expect_refusal(&mut client, "81");
        let mut client = server.v4("c");
        client.send(&format!(r#"82 [ 0001 "{filter}" 00 ]"#));
        client.expect_closed();
    }
}

/// MQTT-4.7.2-1: a filter that starts with a wildcard does not match a topic that starts with `$`.
#[test]
fn mqtt_4_7_2_1_wildcards_do_not_match_dollar_topics() {
    let server = Server::start();
    let mut wild = server.v5("wild");
    wild.send(r##"82 [ 0001 00 "#" 00 "+/a" 00 "+/#" 00 ]"##);
    wild.expect("90 [ 0001 00 00 00 00 ]");
    let mut named = server.subscriber("named", "$SYS/#", "00");
    let mut one = server.subscriber("one", "$SYS/+", "00");
    server.publish_as_node("$SYS/a", "live");
    named.expect(r#"30 [ "$SYS/a" 00 'live' ]"#);
    one.expect(r#"30 [ "$SYS/a" 00 'live' ]"#);
    wild.expect_nothing();
    // A `$` elsewhere is a character like any other.
    wild.send(r#"30 [ "a/$b" 00 'x' ]"#);
    wild.expect(r#"30 [ "a/$b" 00 'x' ]"#);
}

/// Retained messages obey the same rule.
#[test]
fn mqtt_4_7_2_1_retained_dollar_topics_are_not_matched_by_wildcards() {
    let server = Server::start();
    server.retain_as_node("$SYS/kept", "x");
    let mut client = server.v5("c");
    client.send(r##"82 [ 0001 00 "#" 00 "+/kept" 00 "+/+" 00 ]"##);
    client.expect("90 [ 0001 00 00 00 00 ]");
    client.expect_nothing();
    subscribe(&mut client, "$SYS/#", "00");
    client.expect(r#"31 [ "$SYS/kept" 00 'x' ]"#);
}
