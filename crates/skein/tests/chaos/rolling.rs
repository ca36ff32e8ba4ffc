//! A rolling restart under load: every node is drained and started again while clients publish and receive.
//!
//! Two subscribers never move at the same time. Every message that was acknowledged to the publisher must have come to one of
//! them; on one connection messages come in order and none twice.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use skein_testkit::{DEADLINE, RawClient, wait_until};

use crate::{SKEIN, flow::read, start};

/// A client that takes the next of its nodes when it is sent away or refused.
struct Moving {
    id: &'static str,
    nodes: Vec<SocketAddr>,
    turn: usize,
}

impl Moving {
    fn connect(&mut self) -> RawClient {
        loop {
            let address = self.nodes[self.turn % self.nodes.len()];
            if std::net::TcpStream::connect(address).is_ok() {
                let mut client = RawClient::connect(address);
                let sent = client.try_send_bytes(&skein_testkit::bytes(&format!(
                    r#"10 [ "MQTT" 05 02 0000 00 "{}" ]"#,
                    self.id
                )));
                if sent
                    && client
                        .read_packet_or_close()
                        .is_some_and(|(first, body)| first == 0x20 && body[1] == 0)
                {
                    return client;
                }
            }
            self.turn += 1;
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// Collects the numbers that arrive until the last one.
fn subscriber(
    mut moving: Moving,
    subscribed: Arc<Barrier>,
    last: Arc<AtomicBool>,
) -> JoinHandle<(BTreeSet<u32>, u32)> {
    std::thread::spawn(move || {
        let (mut seen, mut moves) = (BTreeSet::new(), 0);
        'connections: loop {
            let mut client = moving.connect();
            client.send(r#"82 [ 0001 00 "rolling" 01 ]"#);
            let mut newest = None;
            loop {
                match client.read_packet_or_close() {
                    // Messages may come before the acknowledgement (MQTT 5.0 section 3.8.4).
                    Some((0x90, _)) if moves == 0 => _ = subscribed.wait(),
                    Some((0x90, _)) => {}
                    Some((first, body)) if first & 0xf0 == 0x30 => {
                        let payload = read(first, &body, 1).payload;
                        let id = &body[2 + "rolling".len()..][..2];
                        // It may be gone by now, which the next read tells.
                        client.try_send_bytes(&[0x40, 2, id[0], id[1]]);
                        if payload == "last" {
                            last.store(true, Relaxed);
                            break 'connections;
                        }
                        let number: u32 = payload.parse().unwrap();
                        assert!(newest < Some(number), "{number} after {newest:?} on one connection");
                        newest = Some(number);
                        seen.insert(number);
                    }
                    // Sent away, or closed.
                    _ => break,
                }
            }
            moves += 1;
            moving.turn += 1;
        }
        (seen, moves)
    })
}

/// Publishes numbers until told to stop; gives those that were acknowledged.
fn publisher(
    mut moving: Moving,
    subscribed: Arc<Barrier>,
    stop: Arc<AtomicBool>,
    received_last: [Arc<AtomicBool>; 2],
) -> JoinHandle<u32> {
    std::thread::spawn(move || {
        let (mut client, mut number) = (moving.connect(), 0);
        subscribed.wait();
        let mut publish = |payload: &str| {
            // Again, at the next node, until it is acknowledged: QoS 1.
            loop {
                let packet = skein_testkit::bytes(&format!(r#"32 [ "rolling" 0001 00 '{payload}' ]"#));
                let acknowledged = client.try_send_bytes(&packet)
                    && client.read_packet_or_close().is_some_and(|(first, _)| first == 0x40);
                if acknowledged {
                    return;
                }
                moving.turn += 1;
                client = moving.connect();
            }
        };
        while !stop.load(Relaxed) {
            publish(&number.to_string());
            number += 1;
        }
        wait_until("both subscribers have seen the end", DEADLINE, || {
            publish("last");
            received_last.iter().all(|received| received.load(Relaxed))
        });
        number
    })
}

#[test]
fn no_acknowledged_message_is_lost_while_every_node_is_drained_and_restarted() {
    let mut cluster = start(3);
    let addresses: Vec<_> = cluster.ids().into_iter().map(|id| cluster.node(id).mqtt).collect();
    let of = |id, nodes: &[usize]| Moving {
        id,
        nodes: nodes.iter().map(|node| addresses[*node]).collect(),
        turn: 0,
    };
    let stop = Arc::<AtomicBool>::default();
    let ends = [Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default()];
    // When a node is drained, at most one of the two is on it.
    let subscribed = Arc::new(Barrier::new(3));
    let one = subscriber(of("one", &[0, 1]), subscribed.clone(), ends[0].clone());
    let other = subscriber(of("other", &[2, 1]), subscribed.clone(), ends[1].clone());
    let publisher = publisher(of("publisher", &[1, 2, 0]), subscribed, stop.clone(), ends);
    for id in cluster.ids() {
        let url = format!("http://{}", cluster.node(id).http);
        let data = &cluster.node(id).data;
        let drained =
            Command::new(SKEIN).args(["drain", "--url", &url, "--data-dir"]).arg(data).output().unwrap();
        assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
        assert!(cluster.wait_for_end(id).success(), "a drained node ends well");
        cluster.restart(id);
        cluster.wait_until_whole();
    }
    stop.store(true, Relaxed);
    let count = publisher.join().unwrap();
    let ((one, moves), (other, other_moves)) = (one.join().unwrap(), other.join().unwrap());
    println!("rolling: {count} acknowledged; the subscribers moved {moves} and {other_moves} times");
    let missing: Vec<u32> =
        (0..count).filter(|number| !one.contains(number) && !other.contains(number)).collect();
    assert!(missing.is_empty(), "{} of {count} never came: {missing:?}", missing.len());
    assert!(moves > 0 && other_moves > 0, "both were sent away");
}
