//! What bounds in bytes mean: memory, whatever a client sends to fill them.
//!
//! Each test runs once more in a process of its own, where nothing else takes memory or gives it back, and measures that.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

#[path = "memory/measure.rs"]
mod measure;
#[path = "transports/server.rs"]
#[expect(dead_code, reason = "its other users need more of it")]
mod server;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use skein_access::{AccessList, Anonymous};
use skein_door::Transport;
use skein_mqtt::Settings;
use skein_plane::{QueueLimits, SessionLimits};
use skein_testkit::{DEADLINE, RawClient, wait_until};
use skein_types::{ClientId, Message, Moment, QoS, Topic};

use self::{
    measure::{Growth, in_own_process},
    server::{Server, settings},
};

const MIB: u64 = 1 << 20;
/// What a process takes beside what is measured: arenas of the allocator, stacks, buffers of the client.
const SLACK: u64 = 6 * MIB;
const BOUND: u64 = 8 * MIB;
/// The shortest payload that is shared and not copied on its way.
const PAYLOAD_BYTES: usize = 2048;
const READ_BYTES: usize = 65_536;
const CONNECT_V4: &str = r#"10 [ "MQTT" 04 00 0000 "sleeper" ]"#;

fn server(session: impl FnOnce(&mut SessionLimits)) -> Server {
    let mut limits = *settings().session;
    session(&mut limits);
    let settings = Settings { session: Arc::new(limits), ..settings() };
    Server::start_with(Transport::Tcp, settings, AccessList::open(), Anonymous::Always)
}

/// A PUBLISH to a topic of one letter.
fn publish(topic: &str, id: &[u8], payload_bytes: usize) -> Vec<u8> {
    let mut packet = vec![if id.is_empty() { 0x30 } else { 0x32 }];
    let mut rest = 3 + id.len() + payload_bytes;
    while rest > 0 {
        packet.push((rest % 128) as u8 | if rest > 127 { 0x80 } else { 0 });
        rest /= 128;
    }
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(id);
    packet.resize(packet.len() + payload_bytes, 0);
    packet
}

/// Sends messages of QoS 1 to `t` until `is_enough`, each at the end of a read buffer full of what nobody wants.
fn publish_until(server: &Server, payload_bytes: usize, is_enough: impl Fn() -> bool) {
    let mut publisher = RawClient::open_v4(server.address, "publisher");
    let message = publish("t", &[0, 1], payload_bytes);
    let read = [publish("x", &[], READ_BYTES - message.len() - 100), message].concat();
    while !is_enough() {
        publisher.send_bytes(&read);
        publisher.expect("40 02 0001");
    }
}

#[test]
fn a_filter_that_is_subscribed_to_again_and_again() {
    in_own_process("a_filter_that_is_subscribed_to_again_and_again", || {
        let server = server(|_| {});
        for number in 0..1000 {
            let topic = Topic::try_from(&*format!("retained/{number}")).unwrap();
            let message = Message::new(topic, Bytes::from(vec![0; 2000]), QoS::AtMostOnce);
            server.shared.plane.retained().set(&message, Moment::ZERO);
        }
        let mut client = RawClient::open_v4(server.address, "asks");
        let received = || server.shared.plane.traffic().received_packets.load(Relaxed);
        let (growth, before) = (Growth::begin(), received());
        for _ in 0..20 {
            client.send(&"82 [ 0001 \"#\" 00 ] ".repeat(100));
        }
        wait_until("all of it is handled", DEADLINE, || received() >= before + 2000);
        growth.check(settings().session.outbox_bytes_max as u64 + SLACK);
    });
}

#[test]
fn what_is_queued_for_a_client_that_is_away() {
    in_own_process("what_is_queued_for_a_client_that_is_away", || {
        let queue = QueueLimits { messages_max: 100_000, bytes_max: BOUND as usize };
        let server = server(|limits| limits.queue = queue);
        let mut sleeper = RawClient::connect(server.address);
        sleeper.send(CONNECT_V4);
        sleeper.expect("20 02 00 00");
        sleeper.send(r#"82 [ 0001 "t" 01 ]"#);
        sleeper.expect("90 [ 0001 01 ]");
        drop(sleeper);
        let session = server.shared.plane.sessions().get(&ClientId::new("sleeper")).unwrap();
        wait_until("the client is away", DEADLINE, || !session.is_connected());
        for (payload_bytes, share) in [(PAYLOAD_BYTES, 2), (40_000, 1)] {
            let enough = BOUND / share - MIB / 2;
            let growth = Growth::begin();
            let before = session.load().queued_bytes as u64;
            publish_until(&server, payload_bytes, || session.load().queued_bytes as u64 >= enough);
            growth.check(2 * (enough - before) + SLACK);
        }
    });
}

#[test]
fn what_waits_for_a_client_that_does_not_read() {
    in_own_process("what_waits_for_a_client_that_does_not_read", || {
        let server = server(|limits| limits.outbox_bytes_max = BOUND as usize);
        let mut deaf = RawClient::open_v4(server.address, "deaf");
        deaf.send(r#"82 [ 0001 "t" 00 ]"#);
        deaf.expect("90 [ 0001 00 ]");
        let session = server.shared.plane.sessions().get(&ClientId::new("deaf")).unwrap();
        let growth = Growth::begin();
        publish_until(&server, PAYLOAD_BYTES, || session.load().outbox_bytes as u64 >= BOUND / 2);
        growth.check(BOUND + SLACK);
    });
}

/// A packet that came in pieces used to leave its buffer with the connection.
#[test]
fn clients_that_sent_a_large_packet_and_nothing_since() {
    in_own_process("clients_that_sent_a_large_packet_and_nothing_since", || {
        let server = server(|_| {});
        let growth = Growth::begin();
        let clients: Vec<RawClient> = (0..60)
            .map(|number| {
                let mut client = RawClient::open_v4(server.address, &format!("client{number}"));
                let packet = publish("x", &[0, 1], 200_000);
                let (first, rest) = packet.split_at(100);
                client.send_bytes(first);
                client.send_bytes(rest);
                client.expect("40 02 0001");
                client
            })
            .collect();
        growth.check(SLACK);
        drop(clients);
    });
}
