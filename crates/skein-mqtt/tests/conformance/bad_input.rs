//! Clients that break the rules or use them up: what they cost is bounded, and the others do not notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use skein_plane::DropReason;
use skein_testkit::{DEADLINE, RawClient, bytes, wait_until};

use crate::statements::fixture::{Server, expect_refusal, settle, subscribe};

/// Bytes keep coming, a whole CONNECT never does: the time counts from the connection, not from the last byte.
#[test]
fn a_dribbled_connect_is_closed_at_the_connect_timeout() {
    let timeout = Duration::from_millis(400);
    let server = Server::with(|settings| settings.listener.connect_timeout = timeout);
    let mut client = server.raw();
    let start = Instant::now();
    // A CONNECT of 60 KB, one byte at a time.
    client.send_bytes(&[0x10, 0xff, 0xff, 0x03]);
    let mut sender = client.second_handle();
    let dribbling = thread::spawn(move || {
        wait_until("the server no longer takes bytes", DEADLINE, || !sender.try_send_bytes(&[0]));
    });
    client.expect_closed();
    // The server counts whole milliseconds, and the one in which the connection came is one of them.
    assert!(start.elapsed() + Duration::from_millis(1) >= timeout, "closed after {:?}", start.elapsed());
    // Both halves gone, the rest of the bytes has nowhere to go.
    drop(client);
    wait_until("its place is free", DEADLINE, || server.state.open.load(Relaxed) == 0);
    dribbling.join().unwrap();
}

/// MQTT-3.1.2-24 the other way round: refused by its header alone.
#[test]
fn a_huge_remaining_length_is_refused_at_once() {
    let server = Server::start();
    for header in ["30 ff ff ff 7f", "82 ff ff ff 7f", "32 81 80 10"] {
        let mut client = server.v5("v5");
        client.send(header);
        expect_refusal(&mut client, "95");
        let mut client = server.v4("v4");
        client.send(header);
        client.expect_closed();
    }
    let mut client = server.raw();
    client.send("10 ff ff ff 7f");
    client.expect_closed();
    // The largest that is allowed goes through.
    let mut client = server.subscriber("c", "a", "00");
    let payload = vec![b'x'; 0x40000 - 4 - 3 - 1];
    let packet = [bytes("30 fc ff 0f"), bytes(r#""a" 00"#), payload].concat();
    assert_eq!(packet.len(), 0x40000);
    client.send_bytes(&packet);
    client.expect_bytes(&packet);
}

#[test]
fn every_topic_alias_there_is() {
    let server = Server::with(|settings| settings.topic_alias_max = u16::MAX);
    let mut client = server.subscriber("c", "t/65535", "00");
    let mut packets = Vec::new();
    for alias in 1..=u16::MAX {
        packets.extend(bytes(&format!(r#"30 [ "t/{alias}" [ 23 {alias:04x} ] ]"#)));
    }
    for alias in 1..=u16::MAX {
        packets.extend(bytes(&format!(r#"30 [ "" [ 23 {alias:04x} ] 'again' ]"#)));
    }
    client.send_bytes(&packets);
    client.expect(r#"30 [ "t/65535" 00 ]"#);
    client.expect(r#"30 [ "t/65535" 00 'again' ]"#);
}

#[test]
fn topics_and_filters_as_deep_as_a_string_allows() {
    let server = Server::with(|settings| {
        settings.topic_levels_max = usize::MAX;
        settings.wildcard_levels_max = usize::MAX;
    });
    let deep = "/".repeat(65534);
    let wild = format!("+{}", "/+".repeat(32767));
    let mut client = server.subscriber("c", "/#", "00");
    subscribe(&mut client, &wild, "00");
    subscribe(&mut client, &deep, "00");
    client.send(&format!(r#"31 [ "{deep}" 00 'x' ]"#));
    client.expect(&format!(r#"30 [ "{deep}" 00 'x' ]"#));
    // Against the retained one, too.
    let mut late = server.subscriber("late", "#", "00");
    late.expect(&format!(r#"31 [ "{deep}" 00 'x' ]"#));
    subscribe(&mut late, &wild, "00");
    late.expect_nothing();
    client.send(&format!(r#"a2 [ 0001 00 "{wild}" "{deep}" "/#" ]"#));
    client.expect("b0 [ 0001 00 00 00 00 ]");
    // Within the usual bound such names are refused.
    let server = Server::start();
    let mut client = server.v5("c");
    client.send(&format!(r#"82 [ 0001 00 "{wild}" 00 ]"#));
    client.expect("90 [ 0001 00 8f ]");
    client.send(&format!(r#"30 [ "{deep}" 00 'x' ]"#));
    expect_refusal(&mut client, "90");
}

/// A SUBSCRIBE with a million filters: the packet's bound lets it in here, the session's bound refuses all but the
/// first ones, and other clients are served meanwhile.
#[test]
fn a_million_filters_in_one_subscribe() {
    const COUNT: usize = 1_000_000;
    const KEPT: usize = 1000;
    let server = Server::with(|settings| settings.packet_bytes_max = 16 << 20);
    let mut packet = vec![0x00, 0x01, 0x00];
    for index in 0..COUNT {
        packet.extend([0, 7]);
        packet.extend(format!("{index:07}").bytes());
        packet.push(0);
    }
    let mut remaining = packet.len();
    let mut framed = vec![0x82];
    while remaining > 0 {
        framed.push(u8::try_from(remaining & 0x7f).unwrap() | if remaining > 0x7f { 0x80 } else { 0 });
        remaining >>= 7;
    }
    framed.extend(packet);
    // Two others: one of them is with the other worker.
    let mut others = [server.subscriber("p0", "x", "00"), server.subscriber("p1", "x", "00")];
    let mut client = server.v5("c");
    let subscribing = thread::spawn(move || {
        client.send_bytes(&framed);
        let (first, body) = client.read_packet();
        assert_eq!((first, body.len()), (0x90, COUNT + 3));
        assert!(body[3..3 + KEPT].iter().all(|code| *code == 0));
        assert!(body[3 + KEPT..].iter().all(|code| *code == 0x97));
        client
    });
    let mut served = 0;
    while !subscribing.is_finished() {
        for other in &mut others {
            other.expect_nothing();
            served += 1;
        }
    }
    let client = subscribing.join().unwrap();
    assert!(served > 10, "{served} pings were answered meanwhile");
    assert_eq!(server.plane.matcher().subscriptions(), KEPT + 2);
    drop(client);
    wait_until("its subscriptions are gone", DEADLINE, || server.plane.matcher().subscriptions() == 2);
    // With the usual bound it is refused by its header.
    let server = Server::start();
    let mut client = server.v5("c");
    client.send("82 80 ad e2 04");
    expect_refusal(&mut client, "95");
}

/// More subscriptions than allowed, over many packets.
#[test]
fn subscriptions_are_bounded_per_session() {
    let server = Server::start();
    let mut client = server.v5("c");
    for index in 0..1010 {
        client.send(&format!(r#"82 [ 0001 00 "t/{index}" 00 ]"#));
        client.expect(if index < 1000 { "90 [ 0001 00 00 ]" } else { "90 [ 0001 00 97 ]" });
    }
}

const MESSAGES: usize = 20_000;
const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// Fits into an outbox: a reader that has read all before cannot be so slow that it may be dropped.
const MESSAGES_AHEAD: usize = 100;

/// Reads `MESSAGES` messages of one subscriber, in order.
fn read_all(mut client: RawClient, seen: &AtomicUsize) {
    for index in 0..MESSAGES {
        let (first, body) = client.read_packet();
        assert_eq!(first, 0x30);
        assert!(body[6..].starts_with(format!("{index} ").as_bytes()), "message {index} is missing");
        seen.store(index + 1, Relaxed);
    }
}

/// Publishes in groups, the next one when both readers have the one before.
fn publish_all(mut publisher: RawClient, seen: &[AtomicUsize]) {
    for index in 0..MESSAGES {
        let mut body = bytes(r#""t/1" 00"#);
        body.extend(format!("{index} ").bytes());
        body.resize(1000, b'.');
        publisher.send_bytes(&[bytes("30 e8 07"), body].concat());
        if index % MESSAGES_AHEAD == 0 {
            wait_until("the readers are up to date", DEADLINE, || {
                seen.iter().all(|seen| seen.load(Relaxed) > index)
            });
        }
    }
    settle(&mut publisher);
}

/// A subscriber that stops reading: its outbox has its bound, what does not fit is dropped and counted, it is closed
/// after its time, and the other subscribers of the same publisher get everything.
#[test]
fn a_subscriber_that_reads_nothing_costs_a_bounded_outbox_and_nobody_else() {
    let server = Server::with(|settings| {
        let session = Arc::make_mut(&mut settings.session);
        session.outbox_bytes_max = OUTBOX_BYTES_MAX;
        session.slow_consumer_timeout = Duration::from_secs(1);
    });
    // Held open to the end, never read.
    let _lazy = server.subscriber("lazy", "t/#", "00");
    let readers = [server.subscriber("reads0", "t/+", "00"), server.subscriber("reads1", "t/1", "00")];
    let publisher = server.v5("p");
    let seen = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let mut outbox_bytes = 0;
    thread::scope(|scope| {
        for (client, seen) in readers.into_iter().zip(&seen) {
            scope.spawn(move || read_all(client, seen));
        }
        scope.spawn(|| publish_all(publisher, &seen));
        wait_until("the silent subscriber is closed", DEADLINE, || {
            let session = server.session("lazy");
            outbox_bytes = outbox_bytes.max(session.as_ref().map_or(0, |session| session.outbox_bytes));
            session.is_none()
        });
    });
    assert!(outbox_bytes <= OUTBOX_BYTES_MAX, "{outbox_bytes} bytes waited");
    assert!(outbox_bytes > OUTBOX_BYTES_MAX / 2, "its outbox was never filled: {outbox_bytes}");
    wait_until("the ledger adds up", DEADLINE, || {
        let figures = server.ledger();
        figures.routed == figures.delivered + figures.dropped_total() && figures.pending == 0
    });
    let figures = server.ledger();
    assert_eq!(figures.accepted, MESSAGES as u64);
    assert!(figures.dropped[DropReason::OutboxFull as usize] > 0, "{figures:?}");
    assert!(figures.delivered >= 2 * MESSAGES as u64, "{figures:?}");
}
