//! 2.5 Will: when it is published, when it is not, and what it carries.

use std::time::{Duration, Instant};

use skein_testkit::RawClient;
use skein_types::Code;

use crate::statements::fixture::{Present, Server, expect_refusal, settle};

/// A client with a will on `w` of QoS 0 whose payload is its own name.
#[track_caller]
fn with_will(server: &Server, client_id: &str, properties: &str, will_properties: &str) -> RawClient {
    let mut client = server.raw();
    client.send(&format!(
        r#"10 [ "MQTT" 05 04 0000 [ {properties} ] "{client_id}" [ {will_properties} ] "w" "{client_id}" ]"#
    ));
    client.expect("20 [ .. 00 * ]");
    client
}

#[track_caller]
fn expect_will(watcher: &mut RawClient, client_id: &str) {
    watcher.expect(&format!(r#"30 [ "w" 00 '{client_id}' ]"#));
}

/// Expects that no will is under way: one sent now arrives first.
#[track_caller]
fn expect_no_will(server: &Server, watcher: &mut RawClient) {
    settle(&mut server.v5("settles"));
    watcher.expect_nothing();
}

#[test]
fn mqtt_3_1_2_8_every_ending_but_a_normal_one_publishes_the_will() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    // The connection breaks.
    drop(with_will(&server, "broken", "", ""));
    expect_will(&mut watcher, "broken");
    // The client closes its half.
    let mut client = with_will(&server, "half", "", "");
    client.finish_sending();
    expect_refusal(&mut client, "80");
    expect_will(&mut watcher, "half");
    // A protocol error.
    let mut client = with_will(&server, "error", "", "");
    client.send("00 00");
    expect_refusal(&mut client, "81");
    expect_will(&mut watcher, "error");
    // The server ends it.
    let mut client = with_will(&server, "operator", "", "");
    server.disconnect("operator", Code::AdministrativeAction);
    expect_refusal_short(&mut client, "98");
    expect_will(&mut watcher, "operator");
    // MQTT-3.14.4-3: the client says that it should be sent.
    for reason in ["04", "80", "82"] {
        let mut client = with_will(&server, "said", "", "");
        client.send(&format!("e0 [ {reason} ]"));
        client.expect_closed();
        expect_will(&mut watcher, "said");
    }
    // Once each (MQTT-3.1.2-10).
    expect_no_will(&server, &mut watcher);
}

#[track_caller]
fn expect_refusal_short(client: &mut RawClient, reason: &str) {
    client.expect(&format!("e0 [ {reason} ]"));
    client.expect_closed();
}

#[test]
fn mqtt_3_1_2_8_before_version_5_too() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for (connect, break_with) in [
        (r#"10 [ "MQTT" 04 06 0000 "c" "w" "c" ]"#, "00 00"),
        (r#"10 [ "MQIsdp" 03 06 0000 "c" "w" "c" ]"#, "00 00"),
        (r#"10 [ "MQTT" 04 06 0000 "c" "w" "c" ]"#, ""),
    ] {
        let mut client = server.raw();
        client.send(connect);
        client.expect("20 02 00 00");
        client.send(break_with);
        drop(client);
        expect_will(&mut watcher, "c");
    }
}

#[test]
fn mqtt_3_14_4_3_a_normal_disconnect_discards_the_will() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for disconnect in ["e0 00", "e0 [ 00 ]", "e0 [ 00 00 ]", r#"e0 [ 00 [ 26 "k" "v" ] ]"#] {
        let mut client = with_will(&server, "c", "", "");
        client.send(disconnect);
        client.expect_closed();
        server.wait_away("c");
    }
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 04 06 0000 "c" "w" "c" ] e0 00"#);
    client.expect("20 02 00 00");
    client.expect_closed();
    server.wait_away("c");
    // Nor later: a session that goes on has none any more.
    let mut client = with_will(&server, "d", "11 00000001", "18 00000000");
    client.send("e0 00");
    client.expect_closed();
    server.wait_ended("d");
    expect_no_will(&server, &mut watcher);
}

#[test]
fn mqtt_3_1_2_8_keep_alive_timeout_publishes_the_will() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 04 0001 00 "c" 00 "w" "c" ]"#);
    client.expect("20 [ .. 00 * ]");
    expect_will(&mut watcher, "c");
    client.expect("e0 [ 8d * ]");
}

/// MQTT 5.0 section 3.1.3.2.2: after the delay, or at the end of the session if that is earlier.
#[test]
fn mqtt_3_1_3_9_the_will_waits_for_its_delay() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for (client_id, properties, delay) in [
        ("delay-first", "11 0000003c", "18 00000001"),
        ("session-first", "11 00000001", "18 0000003c"),
        ("both", "11 00000001", "18 00000001"),
    ] {
        let client = with_will(&server, client_id, properties, delay);
        let start = Instant::now();
        server.drop_connection(client, client_id);
        expect_no_will(&server, &mut watcher);
        expect_will(&mut watcher, client_id);
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(990), "{client_id} waited {waited:?}");
        assert!(waited < Duration::from_secs(5), "{client_id} waited {waited:?}");
    }
    expect_no_will(&server, &mut watcher);
}

#[test]
fn mqtt_3_1_3_9_no_delay_outlives_a_session_that_ends_at_once() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    drop(with_will(&server, "no-session", "", "18 0000003c"));
    expect_will(&mut watcher, "no-session");
    // DISCONNECT with will ends the session and with it the delay.
    let mut client = with_will(&server, "ended", "11 0000003c", "18 0000003c");
    client.send("e0 [ 04 [ 11 00000000 ] ]");
    client.expect_closed();
    expect_will(&mut watcher, "ended");
}

/// DISCONNECT 0x04 obeys the delay like any other ending.
#[test]
fn mqtt_3_1_3_9_a_disconnect_with_will_waits_too() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    let mut client = with_will(&server, "c", "11 0000003c", "18 00000001");
    client.send("e0 [ 04 ]");
    client.expect_closed();
    server.wait_away("c");
    expect_no_will(&server, &mut watcher);
    expect_will(&mut watcher, "c");
}

#[test]
fn mqtt_3_1_3_9_a_return_before_the_delay_cancels_the_will() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    let client = with_will(&server, "c", "11 0000003c", "18 00000001");
    server.drop_connection(client, "c");
    let client = server.durable("c", Present::Yes);
    // Another client's will with the same delay, started later, arrives; the first never does.
    drop(with_will(&server, "later", "11 0000003c", "18 00000001"));
    expect_will(&mut watcher, "later");
    server.drop_connection(client, "c");
    expect_no_will(&server, &mut watcher);
}

/// The new connection brings its own will; the old one is gone for good.
#[test]
fn mqtt_3_1_3_9_the_returning_clients_own_will_replaces_it() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    let client = with_will(&server, "c", "11 0000003c", "18 0000003c");
    server.drop_connection(client, "c");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 04 0000 [ 11 0000003c ] "c" 00 "w" "second" ]"#);
    client.expect("20 [ 01 00 * ]");
    drop(client);
    expect_will(&mut watcher, "second");
    expect_no_will(&server, &mut watcher);
}

/// A clean start ends the session, and a session's end sends the will at once.
#[test]
fn mqtt_3_1_3_9_a_clean_start_ends_the_session_and_sends_the_will() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    let client = with_will(&server, "c", "11 0000003c", "18 0000003c");
    server.drop_connection(client, "c");
    server.v5("c");
    expect_will(&mut watcher, "c");
    expect_no_will(&server, &mut watcher);
}

/// Takeover of a live connection (MQTT 5.0 section 3.1.4, "Delaying a will" of section 3.1.2.5).
#[test]
fn mqtt_3_1_4_3_takeover_sends_the_will_unless_its_delay_lets_it_resume() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for (client_id, properties, delay, clean_start, is_sent) in [
        ("resume-delay", "11 0000003c", "18 0000003c", "00", false),
        ("resume-no-delay", "11 0000003c", "", "00", true),
        ("clean-delay", "11 0000003c", "18 0000003c", "02", true),
        ("clean-no-delay", "11 0000003c", "", "02", true),
        ("ephemeral-delay", "", "18 0000003c", "00", true),
        ("ephemeral-no-delay", "", "", "02", true),
    ] {
        println!("{client_id}");
        let mut old = with_will(&server, client_id, properties, delay);
        let mut new = server.raw();
        new.send(&format!(r#"10 [ "MQTT" 05 {clean_start} 0000 [ 11 0000003c ] "{client_id}" ]"#));
        new.expect("20 [ .. 00 * ]");
        old.expect("e0 [ 8e ]");
        old.expect_closed();
        drop(old);
        if is_sent {
            expect_will(&mut watcher, client_id);
        }
        expect_no_will(&server, &mut watcher);
    }
}

#[test]
fn mqtt_3_1_2_10_all_of_the_will_is_published() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w/t", "02");
    let mut client = server.raw();
    client.send(
        r#"10 [ "MQTT" 05 14 0000 00 "c"
             [ 01 01 02 00000e10 03 "text/plain" 08 "re/ply" 09 0003 010203 26 "b" "1" 26 "a" "2" 26 "b" "3" ]
             "w/t" "gone" ]"#,
    );
    client.expect("20 [ 00 00 * ]");
    drop(client);
    watcher.expect(
        r#"34 [ "w/t" 0001
             [ 02 00000e10 01 01 03 "text/plain" 08 "re/ply" 09 0003 010203 26 "b" "1" 26 "a" "2" 26 "b" "3" ]
             'gone' ]"#,
    );
}

/// MQTT-3.1.2-14 and -15: retained or not, as asked.
#[test]
fn mqtt_3_1_2_15_a_retained_will_is_retained() {
    let server = Server::start();
    let mut watcher = server.subscriber("watcher", "w", "00");
    for (flags, client_id) in [("2e", "kept"), ("0e", "not-kept")] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 00 "{client_id}" 00 "w" "{client_id}" ]"#));
        client.expect("20 [ 00 00 * ]");
        drop(client);
        expect_will(&mut watcher, client_id);
    }
    let mut late = server.subscriber("late", "w", "02");
    late.expect(r#"33 [ "w" 0001 00 'kept' ]"#);
    late.expect_nothing();
}

/// The expiry of a will starts when it is published, not when the client connected.
#[test]
fn mqtt_3_1_2_the_wills_expiry_starts_with_its_publication() {
    let server = Server::start();
    let mut away = server.durable("away", Present::No);
    crate::statements::fixture::subscribe(&mut away, "w", "01");
    server.drop_connection(away, "away");
    let mut client = server.raw();
    client.send(r#"10 [ "MQTT" 05 0c 0000 [ 11 0000003c ] "c" [ 18 00000001 02 00000064 ] "w" "c" ]"#);
    client.expect("20 [ 00 00 * ]");
    drop(client);
    skein_testkit::wait_until("the will is queued", skein_testkit::DEADLINE, || {
        server.session("away").unwrap().queued_messages == 1
    });
    server.durable("away", Present::Yes).expect(r#"32 [ "w" 0001 [ 02 00000064 ] 'c' ]"#);
}

#[test]
fn a_will_is_subject_to_no_local_and_comes_to_its_own_session() {
    let server = Server::start();
    let mut client = with_will(&server, "c", "11 0000003c", "");
    crate::statements::fixture::subscribe(&mut client, "w", "01");
    server.drop_connection(client, "c");
    let mut client = server.durable("c", Present::Yes);
    // Published at QoS 0 while the client was away: not kept.
    client.expect_nothing();
}
