//! A full disk, and memory as full as it may be: what is refused, what goes on, and that it passes.

use skein_plane::Durability;
use skein_testkit::{DEADLINE, RawClient, wait_until};
use skein_wal::disk::{Failure, Operation};

use crate::fixture::{Server, Start};

/// Lets the disk run full; the message that finds out is taken and waits.
#[track_caller]
fn fill(server: &Server, publisher: &mut RawClient) {
    server.disk.fail_always(Operation::Write, Failure::Full);
    publisher.send(r#"32 [ "t" 0001 00 'waits' ]"#);
    wait_until("the store takes no more", DEADLINE, || !server.plane.has_room_for_more());
}

/// Message of QoS 1 and 2 and a retained one are refused; QoS 0 is not.
#[track_caller]
fn expect_refusals(server: &Server) {
    let mut v5 = server.v5("v5");
    v5.send(r#"82 [ 0001 00 "q/+" 00 ]"#);
    v5.expect("90 [ 0001 00 00 ]");
    v5.send(r#"32 [ "t" 0001 00 'x' ]"#);
    v5.expect("40 [ 0001 97 ]");
    v5.send(r#"34 [ "t" 0002 00 'x' ]"#);
    v5.expect("50 [ 0002 97 ]");
    v5.send(r#"33 [ "q/r" 0003 00 'x' ]"#);
    v5.expect("40 [ 0003 97 ]");
    v5.send(r#"30 [ "q/0" 00 'x' ]"#);
    v5.expect(r#"30 [ "q/0" 00 'x' ]"#);
    for publish in [r#"32 [ "t" 0001 'x' ]"#, r#"34 [ "t" 0001 'x' ]"#, r#"31 [ "t" 'x' ]"#] {
        let mut v4 = server.v4("v4");
        v4.send(publish);
        v4.expect_closed();
    }
    let mut new = server.connect("new");
    new.expect("20 [ 00 97 * ]");
    new.expect_closed();
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_takes_it_again_later() {
    let server = Server::start();
    let mut subscriber = server.kept_subscriber("s", "t", "01");
    let mut kept = server.kept("k");
    let mut waiting = server.v5("waiting");
    fill(&server, &mut waiting);
    expect_refusals(&server);
    // A kept session is told at once as well.
    kept.send(r#"34 [ "t" 0005 00 'x' ]"#);
    kept.expect("50 [ 0005 97 ]");
    kept.send(r#"82 [ 0006 00 "u" 00 ]"#);
    kept.expect("90 [ 0006 00 97 ]");
    // Acknowledgements and ends are taken.
    subscriber.expect(r#"32 [ "t" 0001 00 'waits' ]"#);
    subscriber.send("40 [ 0001 ]");
    subscriber.expect_nothing();
    subscriber.send("e0 00");
    server.wait_away("s");
    assert!(!waiting.has_received());

    server.disk.heal();
    waiting.expect("40 [ 0001 ]");
    wait_until("the store takes more", DEADLINE, || server.plane.has_room_for_more());
    let mut publisher = server.v5("p");
    publisher.send(r#"34 [ "t" 0001 00 'again' ]"#);
    publisher.expect("50 [ 0001 ]");
    kept.send(r#"82 [ 0007 00 "u" 00 ]"#);
    kept.expect("90 [ 0007 00 00 ]");
    let server = server.restart();
    let mut subscriber = server.resumed("s");
    subscriber.expect(r#"3a [ "t" 0002 00 'again' ]"#);
    subscriber.expect_nothing();
}

#[test]
fn what_waited_for_room_is_not_lost() {
    let server = Server::start();
    drop(server.kept_subscriber("s", "t", "01"));
    server.wait_away("s");
    let mut waiting = server.v5("waiting");
    fill(&server, &mut waiting);
    server.disk.heal();
    waiting.expect("40 [ 0001 ]");
    let server = server.restart();
    server.resumed("s").expect(r#"3a [ "t" 0001 00 'waits' ]"#);
}

#[test]
fn full_memory_refuses_what_it_cannot_keep_and_takes_it_again_later() {
    let server = Server::start_with(Start { memory_bytes_max: 200_000, ..Start::default() });
    drop(server.kept_subscriber("s", "t", "01"));
    server.wait_away("s");
    let mut publisher = server.v5("p");
    let payload = "x".repeat(1000);
    let mut taken = 0;
    loop {
        publisher.send(&format!(r#"32 [ "t" 0001 00 '{payload}' ]"#));
        let (_, answer) = publisher.read_packet();
        match answer.get(2) {
            None => taken += 1,
            Some(0x97) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(taken > 50, "{taken}");
    expect_refusals(&server);
    // A session that is not kept is what it comes back with.
    let mut subscriber = server.connect_with("s", r#"11 00000e10 26 "durability" "memory""#);
    subscriber.expect("20 [ 01 00 * ]");
    for number in 0..taken {
        let packet = subscriber.expect(r#"32 [ "t" * ]"#);
        subscriber.send_bytes(&[0x40, 2, packet[6], packet[7]]);
        assert_eq!(packet[7], u8::try_from(number % 256).unwrap().wrapping_add(1));
    }
    wait_until("the store takes more", DEADLINE, || server.plane.has_room_for_more());
    publisher.send(r#"32 [ "t" 0001 00 'again' ]"#);
    publisher.expect("40 [ 0001 ]");
    subscriber.expect(r#"32 [ "t" * ]"#);
    assert_eq!(server.rows(), 0);
}

/// Nothing of it matters where nothing is kept.
#[test]
fn sessions_in_memory_are_opened_on_a_full_disk() {
    let mut start = Start::default();
    start.settings.durability = Durability::Memory;
    let server = Server::start_with(start);
    let mut kept = server.connect_with("k", r#"11 00000e10 26 "durability" "disk""#);
    kept.expect("20 [ 00 00 * ]");
    kept.send(r#"82 [ 0001 00 "t" 01 ]"#);
    kept.expect("90 [ 0001 00 01 ]");
    fill(&server, &mut server.v5("waiting"));
    let mut client = server.connect("m");
    client.expect("20 [ 00 00 * ]");
    client.send(r#"82 [ 0001 00 "u" 01 ]"#);
    client.expect("90 [ 0001 00 01 ]");
    server.disk.heal();
}
