//! Real nodes on loopback: sockets, threads, encryption, with a plane that only writes down what it is told.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "running/node.rs"]
mod node;
#[path = "running/proxy.rs"]
mod proxy;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skein_cluster::{Claim, Gone, Key, Lane, NodeState, Notification, Sent, Value, shell::Ended};
use skein_testkit::{DEADLINE, free_address, wait_until};
use skein_types::{ClientId, NodeId, Stamp};

use self::{node::Node, proxy::Proxy};

const SECRET: Option<&str> = Some("geese fly in skeins");

fn claim(cluster: &skein_cluster::Cluster, client: &str) -> u64 {
    let number =
        cluster.own().set(Key::Client(ClientId::new(client)), Some(Value::Claim(Claim::of(cluster.stamp()))));
    cluster.flush();
    number
}

/// All nodes know each other by the address of one.
fn cluster(count: u16, secret: Option<&str>) -> Vec<Node> {
    let nodes: Vec<Node> = (1..=count).map(|id| Node::start(id, free_address(), None, secret)).collect();
    let first = nodes[0].address();
    nodes.iter().skip(1).for_each(|node| node.running.candidates(vec![first]));
    for node in &nodes {
        wait_until("everybody is up", DEADLINE, || node.ups() == usize::from(count) - 1);
    }
    nodes
}

#[test]
fn three_nodes_find_each_other_talk_lose_one_and_leave() {
    for secret in [SECRET, None] {
        let mut nodes = cluster(3, secret);
        for (node, client) in nodes.iter().zip(["ada", "bob", "cid"]) {
            let number = claim(&node.cluster, client);
            let peers: Vec<_> = node.cluster.peers().iter().cloned().collect();
            wait_until("the claim is in effect everywhere", DEADLINE, || {
                peers.iter().all(|peer| peer.has_confirmed(number))
            });
        }
        let knows = |node: &Node, id: u16, client: &str| {
            let applied = node.host.applied.lock();
            let value = applied.get(&(NodeId(id), Key::Client(ClientId::new(client))));
            matches!(value, Some(Value::Claim(Claim { stamp: Stamp { node, .. }, .. })) if node.0 == id)
        };
        assert!(knows(&nodes[0], 2, "bob") && knows(&nodes[0], 3, "cid") && knows(&nodes[2], 1, "ada"));

        for from in &nodes {
            for peer in from.cluster.peers().iter() {
                for at in 0..100 {
                    let Sent::Kept(number) = peer.send(&node::run(&format!("{at}"), true)) else {
                        panic!("it is kept")
                    };
                    assert_eq!(number, at + 1);
                }
                peer.flush();
                wait_until("everything is handled", DEADLINE, || peer.has_handled(100));
            }
        }
        let wanted: Vec<String> = (0..100).map(|at| at.to_string()).collect();
        for node in &nodes {
            for from in nodes.iter().map(Node::id).filter(|from| *from != node.id()) {
                assert_eq!(node.host.messages_from(from), wanted);
            }
        }

        let lost = nodes.pop().unwrap();
        let began = Instant::now();
        lost.running.stop();
        for node in &nodes {
            wait_until("the loss is noticed", DEADLINE, || {
                node.has_notified(&|told| is_down(told, 3, Gone::Failed))
            });
        }
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        assert!(nodes.iter().all(|node| node.cluster.peer(NodeId(3)).is_none()));

        let began = Instant::now();
        nodes.pop().unwrap().running.leave(Duration::from_secs(5));
        wait_until("the good-bye is heard", DEADLINE, || {
            nodes[0].has_notified(&|told| is_down(told, 2, Gone::Left))
        });
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let states: Vec<NodeState> = nodes[0].cluster.nodes().iter().map(|status| status.state).collect();
        assert_eq!(states, [NodeState::Up, NodeState::Down, NodeState::Down]);
        assert_eq!(
            nodes[0].notifications.lock().len(),
            4,
            "each change is told once: {:?}",
            nodes[0].notifications
        );
    }
}

fn is_down(told: &Notification, id: u16, gone: Gone) -> bool {
    matches!(told, Notification::Down(info, how) if info.id.0 == id && *how == gone)
}

#[test]
fn a_cut_link_is_made_anew_and_loses_nothing_that_is_kept() {
    const RUNS: u64 = 20_000;
    let addresses = [free_address(), free_address()];
    let proxies = addresses.map(Proxy::start);
    let nodes: Vec<Node> = (1..)
        .zip(&addresses)
        .zip(&proxies)
        .map(|((id, listen), proxy)| Node::start(id, *listen, Some(proxy.address()), SECRET))
        .collect();
    nodes[1].running.candidates(vec![proxies[0].address()]);
    for node in &nodes {
        wait_until("both are up", DEADLINE, || node.ups() == 1);
    }
    let peer = nodes[0].cluster.peer(NodeId(2)).unwrap();
    let began = Instant::now();
    for at in 0..RUNS {
        peer.send(&node::run(&at.to_string(), true));
        // Unkept ones may be lost with a link, but never come twice or out of order.
        peer.send(&node::run(&format!("unkept {at}"), false));
        peer.flush();
        if at % 2500 == 1250 {
            wait_until("something has come", DEADLINE, || peer.has_handled(at / 2));
            proxies.iter().for_each(Proxy::cut);
            wait_until("the cut is noticed", DEADLINE, || !peer.figures().linked || peer.has_handled(at));
            wait_until("there is a link again", DEADLINE, || peer.figures().linked);
        }
    }
    peer.flush();
    wait_until("everything is handled", DEADLINE, || peer.has_handled(RUNS));
    assert!(!peer.is_down(), "the peer was never down");
    let came = nodes[1].host.messages_from(NodeId(1));
    let kept: Vec<u64> = came.iter().filter_map(|text| text.parse().ok()).collect();
    assert_eq!(kept.len() as u64, RUNS, "after {:?}", began.elapsed());
    assert!(kept.iter().copied().eq(0..RUNS));
    let order: Vec<u64> = came.iter().filter_map(|text| text.strip_prefix("unkept ")?.parse().ok()).collect();
    assert!(order.is_sorted_by(|one, other| one < other));
    let links = nodes[0].running.figures().links[0].links;
    assert!(links > 4, "{links} links");
    for node in &nodes {
        assert_eq!(node.notifications.lock().len(), 1, "{:?}", node.notifications);
    }
}

#[test]
fn copies_do_not_hold_up_what_is_urgent() {
    let addresses = [free_address(), free_address()];
    // 8 MB a second at most.
    let proxies = addresses.map(|address| Proxy::with_pace(address, Duration::from_millis(2)));
    let nodes: Vec<Node> = (1..)
        .zip(&addresses)
        .zip(&proxies)
        .map(|((id, listen), proxy)| Node::start(id, *listen, Some(proxy.address()), SECRET))
        .collect();
    nodes[1].running.candidates(vec![proxies[0].address()]);
    for node in &nodes {
        wait_until("both are up", DEADLINE, || node.ups() == 1);
    }
    let peer = nodes[0].cluster.peer(NodeId(2)).unwrap();
    let mut state = 1_u64;
    let copy: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(16 << 20)
    .collect();
    peer.announce(Lane::Bulk, 1, copy.into());
    peer.flush();
    wait_until("the copy is under way", DEADLINE, || {
        let figures = nodes[1].running.figures();
        figures.links.first().is_some_and(|link| link.received[Lane::Bulk as usize].bytes > 1 << 20)
    });
    peer.send(&node::run("urgent", true));
    let number = claim(&nodes[0].cluster, "ada");
    peer.announce(Lane::Consensus, 2, Bytes::from_static(b"vote"));
    peer.flush();
    let began = Instant::now();
    wait_until("the urgent ones are answered", DEADLINE, || {
        peer.has_handled(1) && peer.has_confirmed(number)
    });
    let took = began.elapsed();
    assert_eq!(*nodes[1].host.told.lock(), [(Lane::Consensus, 2, 4)], "the copy is still under way");
    assert!(took < Duration::from_millis(500), "{took:?}");
    wait_until("the copy is there", DEADLINE, || nodes[1].host.told.lock().len() == 2);
    assert_eq!(nodes[1].host.told.lock()[1], (Lane::Bulk, 1, 16 << 20));
    assert!(nodes[0].running.figures().links[0].round_trip.is_some());
}

fn say(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let _refused = stream.write_all(bytes);
    stream
}

/// Waits until the other side has closed the connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn strangers_are_refused_and_counted_and_nobody_is_disturbed() {
    let nodes = cluster(2, SECRET);
    let target = nodes[0].address();
    let faults = || nodes[0].running.figures().faults;

    let streams: Vec<TcpStream> = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x10\x0e\0\x04MQTT", &[0xff; 4000]]
        .map(|bytes| say(target, bytes))
        .into();
    assert!(streams.iter().all(is_closed));
    wait_until("garbage is counted", DEADLINE, || faults().not_skein == 3);
    drop(say(target, b"\xf0ske"));
    wait_until("who goes away is counted", DEADLINE, || faults().handshake_cut >= 1);

    let other = Node::start(8, free_address(), None, Some("swans"));
    other.running.candidates(vec![target]);
    wait_until("another secret is refused", DEADLINE, || faults().not_authentic >= 1);
    let open = Node::start(9, free_address(), None, None);
    open.running.candidates(vec![target]);
    wait_until("no secret is refused", DEADLINE, || faults().secret_missing_there >= 1);
    wait_until("whoever has none hears of it", DEADLINE, || {
        open.running.figures().faults.secret_missing_here >= 1
    });

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&[7; 300], target).unwrap();
    wait_until("a datagram is refused", DEADLINE, || nodes[0].running.figures().datagrams_refused >= 1);

    // The link between the members goes on all the time.
    let peer = nodes[1].cluster.peer(NodeId(1)).unwrap();
    let mut sent = 0;
    let mut check = |what: &str| {
        peer.send(&node::run("hello", true));
        peer.flush();
        sent += 1;
        wait_until(what, Duration::from_secs(1), || peer.has_handled(sent));
    };
    check("a member is served");
    let mut silent = Vec::new();
    for at in 0..1000 {
        silent.push(TcpStream::connect(target).unwrap());
        if at % 100 == 0 {
            check("a member is served beside a thousand strangers");
        }
    }
    assert!(nodes[0].running.figures().handshakes <= 64);
    wait_until("the crowd is sent away", DEADLINE, || faults().crowded >= 900);
    // A new member comes in while the last of them still wait.
    let third = Node::start(3, free_address(), None, SECRET);
    third.running.candidates(vec![target]);
    wait_until("the new one is up", DEADLINE, || third.ups() == 2);
    check("a member is served");
    wait_until("the silent ones are sent away", DEADLINE, || nodes[0].running.figures().handshakes == 0);
    assert!(faults().handshake_slow > 0);
    assert!(other.ups() + open.ups() == 0);
    assert!(nodes.iter().all(|node| node.ups() == 2));
    for node in &nodes {
        assert!(
            !node.has_notified(&|told| matches!(told, Notification::Down(..))),
            "{:?}",
            node.notifications
        );
    }
}

/// A node that went on without one of them would serve clients that reach nobody, and nobody would know.
#[test]
fn a_thread_that_fails_ends_the_nodes_part_and_says_so() {
    for thread in ["cluster-gossip", "cluster-links"] {
        let nodes = cluster(2, SECRET);
        let (tell, told) = mpsc::sync_channel(1);
        nodes[1].running.on_end(move |ended| _ = tell.send(ended));
        nodes[1].fail(thread);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Ended::Failed { thread }));
        wait_until("the other node notices", DEADLINE, || {
            nodes[0].has_notified(&|told| is_down(told, 2, Gone::Failed))
        });
        // Who asks later is told, too.
        let (tell, told) = mpsc::sync_channel(1);
        nodes[1].running.on_end(move |ended| _ = tell.send(ended));
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Ended::Failed { thread }));
    }
}

/// What a member said to a node is recorded on its way and said again to the same node.
#[test]
fn a_recorded_conversation_opens_no_link() {
    let addresses = [free_address(), free_address()];
    let proxies = addresses.map(Proxy::start);
    let nodes: Vec<Node> = (1..)
        .zip(&addresses)
        .zip(&proxies)
        .map(|((id, listen), proxy)| Node::start(id, *listen, Some(proxy.address()), SECRET))
        .collect();
    nodes[1].running.candidates(vec![proxies[0].address()]);
    wait_until("both are up", DEADLINE, || nodes.iter().all(|node| node.ups() == 1));
    for (proxy, address) in proxies.iter().zip(addresses) {
        for recorded in proxy.recorded() {
            let stream = say(address, &recorded);
            let _closed = stream.shutdown(Shutdown::Write);
            assert!(is_closed(&stream));
        }
    }
    let refused: u64 = nodes.iter().map(|node| node.running.figures().faults.not_authentic).sum();
    assert!(refused >= 1, "{refused}");
    assert!(nodes.iter().all(|node| node.ups() == 1 && node.notifications.lock().len() == 1));
}
