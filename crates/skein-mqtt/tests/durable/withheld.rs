//! Answers that promise something wait until it is on disk; nothing else waits.

use std::sync::atomic::Ordering::Relaxed;

use skein_testkit::{DEADLINE, wait_until};
use skein_wal::disk::{Failure, Operation};

use crate::fixture::{Server, Start, withholds};

#[test]
fn the_acknowledgement_of_a_message_for_a_kept_session() {
    let server = Server::start();
    let mut subscriber = server.kept_subscriber("s", "t", "01");
    let mut publisher = server.v5("p");
    withholds(&server, &mut publisher, r#"32 [ "t" 0001 00 'x' ]"#, "40 [ 0001 ]");
    subscriber.expect(r#"32 [ "t" 0001 00 'x' ]"#);
}

#[test]
fn a_message_that_nobody_keeps_is_acknowledged_at_once() {
    let server = Server::start();
    let _subscriber = server.v5("s");
    let mut publisher = server.kept("p");
    let hold = server.hold();
    publisher.send(r#"32 [ "t" 0001 00 'x' ]"#);
    publisher.expect("40 [ 0001 10 ]");
    publisher.expect_nothing();
    drop(hold);
}

#[test]
fn qos_1_is_delivered_at_once_and_qos_2_when_it_is_on_disk() {
    let server = Server::start();
    let mut once = server.kept_subscriber("s1", "t", "01");
    let mut exactly = server.kept_subscriber("s2", "t", "02");
    let mut publisher = server.v5("p");
    let mut hold = server.hold();
    publisher.send(r#"34 [ "t" 0001 00 'x' ]"#);
    once.expect(r#"32 [ "t" 0001 00 'x' ]"#);
    hold.handled();
    assert!(!exactly.has_received() && !publisher.has_received());
    drop(hold);
    publisher.expect("50 [ 0001 ]");
    exactly.expect(r#"34 [ "t" 0001 00 'x' ]"#);
}

#[test]
fn the_steps_of_a_qos_2_message_from_a_kept_session() {
    let server = Server::start();
    let mut publisher = server.kept("p");
    withholds(&server, &mut publisher, r#"34 [ "t" 0007 00 'x' ]"#, "50 [ 0007 10 ]");
    withholds(&server, &mut publisher, "62 [ 0007 ]", "70 [ 0007 ]");
}

#[test]
fn the_release_of_a_qos_2_message_to_a_kept_session() {
    let server = Server::start();
    let mut subscriber = server.kept_subscriber("s", "t", "02");
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "t" 0001 00 'x' ]"#);
    publisher.expect("50 [ 0001 ]");
    subscriber.expect(r#"34 [ "t" 0001 00 'x' ]"#);
    withholds(&server, &mut subscriber, "50 [ 0001 ]", "62 [ 0001 ]");
    subscriber.send("70 [ 0001 ]");
    subscriber.expect_nothing();
}

#[test]
fn subscribing_and_unsubscribing() {
    let server = Server::start();
    let mut client = server.kept("c");
    withholds(&server, &mut client, r#"82 [ 0001 00 "a/#" 01 ]"#, "90 [ 0001 00 01 ]");
    withholds(&server, &mut client, r#"a2 [ 0002 00 "a/#" ]"#, "b0 [ 0002 00 00 ]");
}

#[test]
fn the_greeting_of_a_session_that_is_kept() {
    let server = Server::start();
    let connect = r#"10 [ "MQTT" 05 00 0000 [ 11 00000e10 ] "c" ]"#;
    withholds(&server, &mut server.raw(), connect, "20 [ 00 00 * ]");
    server.wait_away("c");
    withholds(&server, &mut server.raw(), connect, "20 [ 01 00 * ]");
    server.wait_away("c");
    // One that takes the place of a kept session waits too: the old one must not come back.
    let clean = r#"10 [ "MQTT" 05 02 0000 [ ] "c" ]"#;
    withholds(&server, &mut server.raw(), clean, "20 [ 00 00 * ]");
    // What does not outlive its connection has nothing to wait for.
    let hold = server.hold();
    server.v5("other").expect_nothing();
    drop(hold);
}

#[test]
fn a_retained_message_at_qos_1() {
    let server = Server::start();
    let mut publisher = server.v5("p");
    withholds(&server, &mut publisher, r#"33 [ "t" 0001 00 'x' ]"#, "40 [ 0001 10 ]");
}

/// Each of them has to be on disk before it is sent; nothing else must happen in between.
#[test]
fn retained_messages_at_qos_2_follow_one_another() {
    let server = Server::start_with(Start { ticks: false, ..Start::default() });
    let mut publisher = server.v5("p");
    for number in 1..=9 {
        publisher.send(&format!(r#"35 [ "t/{number}" 000{number} 00 '{number}' ]"#));
        publisher.expect(&format!("50 [ 000{number} 10 ]"));
    }
    let mut subscriber = server.kept_subscriber("s", "t/+", "02");
    for number in 1..=9 {
        // In no order of topics; the id is behind one of three characters.
        assert_eq!(subscriber.expect("35 [ 0003 * ]")[7..9], [0, number]);
    }
}

#[test]
fn others_go_on_while_somebody_waits() {
    let server = Server::start();
    let mut subscriber = server.kept_subscriber("s", "t", "01");
    let (mut publisher, mut other) = (server.v5("p"), server.v5("other"));
    other.send(r#"82 [ 0001 00 "q" 00 ]"#);
    other.expect("90 [ 0001 00 00 ]");
    let mut hold = server.hold();
    publisher.send(r#"32 [ "t" 0001 00 'x' ] c0 00"#);
    hold.handled();
    subscriber.expect(r#"32 [ "t" 0001 00 'x' ]"#);
    subscriber.send("40 [ 0001 ]");
    subscriber.expect_nothing();
    other.send(r#"30 [ "q" 00 'y' ]"#);
    other.expect(r#"30 [ "q" 00 'y' ]"#);
    assert!(!publisher.has_received());
    drop(hold);
    publisher.expect("40 [ 0001 ]");
    publisher.expect("d0 00");
}

/// A DISCONNECT ends the connection in the same batch; what was asked before is answered when it may be.
#[test]
fn a_disconnect_behind_a_publish_lets_no_acknowledgement_out() {
    let server = Server::start();
    let _subscriber = server.kept_subscriber("s", "t", "01");
    for mut publisher in [server.v5("p"), server.kept("k")] {
        let mut hold = server.hold();
        publisher.send(r#"32 [ "t" 0001 00 'x' ] e0 00"#);
        hold.handled();
        assert!(!publisher.has_received());
        drop(hold);
        publisher.expect("40 [ 0001 ]");
        publisher.finish_sending();
        publisher.expect_closed();
    }
}

/// After a restart the message is there if, and only if, it was acknowledged.
#[test]
fn what_was_acknowledged_is_there_after_the_power_was_cut() {
    let server = Server::start();
    drop(server.kept_subscriber("s", "t", "02"));
    server.wait_away("s");
    let mut publisher = server.kept("p");
    publisher.send(r#"34 [ "t" 0001 00 'a' ]"#);
    publisher.expect("50 [ 0001 ]");
    let mut hold = server.hold();
    publisher.send(r#"34 [ "t" 0002 00 'b' ]"#);
    hold.handled();
    assert!(!publisher.has_received());
    server.disk.crash(|_| false);
    drop(hold);
    let server = server.restart();
    let mut publisher = server.resumed("p");
    // The first one is known, the second one is not.
    publisher.send(r#"3c [ "t" 0001 00 'a' ] 3c [ "t" 0002 00 'b' ]"#);
    publisher.expect("50 [ 0001 ]");
    publisher.expect("50 [ 0002 ]");
    let mut subscriber = server.resumed("s");
    subscriber.expect(r#"3c [ "t" 0001 00 'a' ]"#);
    subscriber.expect(r#"34 [ "t" 0002 00 'b' ]"#);
    subscriber.expect_nothing();
}

#[test]
fn nothing_is_acknowledged_after_a_sync_has_failed() {
    let server = Server::start();
    let mut subscriber = server.kept_subscriber("s", "t", "01");
    let (mut publisher, mut other) = (server.v5("p"), server.v5("other"));
    server.disk.fail_always(Operation::Sync, Failure::Io);
    publisher.send(r#"32 [ "t" 0001 00 'x' ]"#);
    subscriber.expect(r#"32 [ "t" 0001 00 'x' ]"#);
    wait_until("the store says that it stops", DEADLINE, || server.fatal.load(Relaxed) > 0);
    // Who comes later is refused, as long as the node has not ended.
    other.send(r#"32 [ "t" 0001 00 'x' ]"#);
    other.expect("40 [ 0001 97 ]");
    subscriber.send("40 [ 0001 ]");
    subscriber.expect_nothing();
    assert!(!publisher.has_received());
    assert_eq!(server.fatal.load(Relaxed), 1);
}
