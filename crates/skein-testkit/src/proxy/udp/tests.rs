//! Datagrams through the proxy, with plain sockets on both sides.

use std::net::Ipv4Addr;

use super::*;
use crate::wait::{DEADLINE, wait_until};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Pair {
    gate: Gate,
    proxy: UdpProxy,
    client: UdpSocket,
    server: UdpSocket,
}

fn pair(seed: u64) -> Pair {
    let server = socket();
    let gate = Gate::new();
    let proxy = UdpProxy::start(LOOPBACK, server.local_addr().unwrap(), &gate, seed);
    let client = socket();
    client.connect(proxy.address()).unwrap();
    Pair { gate, proxy, client, server }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 100];
    let (count, sender) = socket.recv_from(&mut bytes).unwrap();
    (bytes[..count].to_vec(), sender)
}

fn wait_for_dropped(proxy: &UdpProxy, direction: Direction, count: u64) {
    wait_until("the datagrams are dropped", DEADLINE, || proxy.dropped(direction) >= count);
}

#[test]
fn answers_find_their_sender() {
    let Pair { proxy, client, server, .. } = pair(1);
    let other = socket();
    other.connect(proxy.address()).unwrap();
    client.send(b"one").unwrap();
    let (first, back) = receive(&server);
    other.send(b"two").unwrap();
    let (second, other_back) = receive(&server);
    assert_eq!((first.as_slice(), second.as_slice()), (&b"one"[..], &b"two"[..]));
    assert_ne!(back, other_back, "each sender is told apart");
    server.send_to(b"for two", other_back).unwrap();
    server.send_to(b"for one", back).unwrap();
    assert_eq!((receive(&client).0, receive(&other).0), (b"for one".to_vec(), b"for two".to_vec()));
    wait_until("all are counted", DEADLINE, || {
        (proxy.passed(Direction::ToServer), proxy.passed(Direction::ToClient)) == (2, 2)
    });
}

#[test]
fn a_frozen_direction_drops_and_the_other_passes() {
    let Pair { gate, proxy, client, server } = pair(1);
    client.send(b"hello").unwrap();
    let (_, back) = receive(&server);
    gate.freeze(Direction::ToServer);
    client.send(b"lost").unwrap();
    wait_for_dropped(&proxy, Direction::ToServer, 1);
    server.send_to(b"passes", back).unwrap();
    assert_eq!(receive(&client).0, b"passes");
    gate.resume();
    client.send(b"again").unwrap();
    assert_eq!(receive(&server).0, b"again");
}

#[test]
fn a_cut_drops_both_ways() {
    let Pair { gate, proxy, client, server } = pair(1);
    client.send(b"hello").unwrap();
    let (_, back) = receive(&server);
    gate.cut();
    client.send(b"lost").unwrap();
    server.send_to(b"lost", back).unwrap();
    wait_for_dropped(&proxy, Direction::ToServer, 1);
    wait_for_dropped(&proxy, Direction::ToClient, 1);
}

#[test]
fn a_seed_drops_the_same_datagrams_about_as_many_as_asked_for() {
    let survivors = |seed| {
        let Pair { gate, proxy, client, server } = pair(seed);
        gate.drop_datagrams(300);
        let mut numbers = Vec::new();
        for number in 0..80_u8 {
            let before = proxy.dropped(Direction::ToServer) + proxy.passed(Direction::ToServer);
            client.send(&[number]).unwrap();
            wait_until("the datagram is decided", DEADLINE, || {
                proxy.dropped(Direction::ToServer) + proxy.passed(Direction::ToServer) > before
            });
        }
        for _ in 0..proxy.passed(Direction::ToServer) {
            numbers.push(receive(&server).0[0]);
        }
        numbers
    };
    let first = survivors(11);
    assert!((40..72).contains(&first.len()), "{} of 80 came", first.len());
    assert_eq!(first, survivors(11));
    assert_ne!(first, survivors(12));
}

#[test]
fn a_delay_holds_datagrams_in_their_order() {
    let Pair { gate, proxy: _proxy, client, server } = pair(1);
    let delay = Duration::from_millis(80);
    gate.delay(delay);
    let start = Instant::now();
    for number in 0..20 {
        client.send(&[number]).unwrap();
    }
    for number in 0..20 {
        assert_eq!(receive(&server).0, [number]);
    }
    assert!(start.elapsed() >= delay && start.elapsed() < delay * 10, "{:?}", start.elapsed());
}

#[test]
fn streams_and_datagrams_share_a_port_and_a_gate() {
    use std::io::Read;
    let target = crate::free_address();
    let server = UdpSocket::bind(target).unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let listener = std::net::TcpListener::bind(target).unwrap();
    let detour = crate::Detour::start(crate::free_address(), target, 1);
    let client = socket();
    client.send_to(b"datagram", detour.address()).unwrap();
    assert_eq!(receive(&server).0, b"datagram");
    let mut stream = std::net::TcpStream::connect(detour.address()).unwrap();
    let _accepted = listener.accept().unwrap();
    detour.gate.cut();
    client.send_to(b"lost", detour.address()).unwrap();
    wait_for_dropped(&detour.udp, Direction::ToServer, 1);
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}
