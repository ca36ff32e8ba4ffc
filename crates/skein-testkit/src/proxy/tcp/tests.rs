//! Streams through the proxy, with plain sockets on both sides.

use std::net::Ipv4Addr;

use super::*;
use crate::wait::{DEADLINE, wait_until};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Pair {
    gate: Gate,
    proxy: TcpProxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

fn connect() -> Pair {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let gate = Gate::new();
    let proxy = TcpProxy::start(LOOPBACK, listener.local_addr().unwrap(), &gate);
    let client = TcpStream::connect(proxy.address()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    Pair { gate, proxy, listener, client, server }
}

fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Nothing has come, and the connection is open.
fn is_silent(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let found = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    found.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn passes_both_ways_and_ends_with_the_stream() {
    let Pair { proxy, mut client, mut server, .. } = connect();
    client.write_all(b"there").unwrap();
    assert_eq!(read(&mut server, 5), b"there");
    server.write_all(b"and back").unwrap();
    assert_eq!(read(&mut client, 8), b"and back");
    client.shutdown(Shutdown::Write).unwrap();
    assert!(is_closed(&mut server));
    server.write_all(b"last").unwrap();
    assert_eq!(read(&mut client, 4), b"last", "one direction ends without the other");
    drop(server);
    assert!(is_closed(&mut client));
    assert_eq!((proxy.bytes(Direction::ToServer), proxy.bytes(Direction::ToClient)), (5, 12));
    wait_until("the connection is forgotten", DEADLINE, || proxy.open() == 0);
}

#[test]
fn carries_more_than_its_buffer_unchanged() {
    let Pair { proxy: _proxy, mut client, mut server, .. } = connect();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let copy = sent.clone();
    let writer = thread::spawn(move || client.write_all(&copy));
    assert_eq!(read(&mut server, sent.len()), sent);
    writer.join().unwrap().unwrap();
}

#[test]
fn a_frozen_direction_keeps_what_it_took_until_it_is_resumed() {
    let Pair { gate, proxy: _proxy, mut client, mut server, .. } = connect();
    gate.freeze(Direction::ToServer);
    client.write_all(b"kept").unwrap();
    server.write_all(b"passes").unwrap();
    assert_eq!(read(&mut client, 6), b"passes");
    assert!(is_silent(&server));
    gate.resume();
    assert_eq!(read(&mut server, 4), b"kept");
}

#[test]
fn frozen_both_ways_it_accepts_and_hands_on_nothing() {
    let Pair { gate, proxy, listener, mut client, mut server } = connect();
    gate.freeze_both();
    client.write_all(b"a").unwrap();
    server.write_all(b"b").unwrap();
    let mut second = TcpStream::connect(proxy.address()).unwrap();
    second.write_all(b"c").unwrap();
    let (mut second_server, _) = listener.accept().unwrap();
    assert!(is_silent(&server) && is_silent(&client) && is_silent(&second_server));
    assert_eq!((proxy.bytes(Direction::ToServer), proxy.accepted()), (0, 2));
    gate.resume();
    assert_eq!((read(&mut server, 1), read(&mut client, 1)), (b"a".to_vec(), b"b".to_vec()));
    assert_eq!(read(&mut second_server, 1), b"c");
}

#[test]
fn a_cut_closes_both_sides_and_new_connections_until_it_heals() {
    let Pair { gate, proxy, listener, mut client, mut server } = connect();
    gate.cut();
    assert!(is_closed(&mut client) && is_closed(&mut server));
    assert!(is_closed(&mut TcpStream::connect(proxy.address()).unwrap()));
    gate.resume();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"again").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert_eq!(read(&mut server, 5), b"again");
}

#[test]
fn closing_connections_leaves_new_ones_alone() {
    let Pair { gate, proxy, listener, mut client, mut server } = connect();
    gate.freeze(Direction::ToServer);
    gate.close_connections();
    assert!(is_closed(&mut client) && is_closed(&mut server));
    gate.resume();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"x").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert_eq!(read(&mut server, 1), b"x");
}

#[test]
fn a_delay_holds_each_piece_and_does_not_add_up() {
    let Pair { gate, proxy: _proxy, mut client, mut server, .. } = connect();
    let delay = Duration::from_millis(100);
    gate.delay(delay);
    let start = Instant::now();
    for _ in 0..50 {
        client.write_all(&[7; 10_000]).unwrap();
    }
    read(&mut server, 1);
    assert!(start.elapsed() >= delay);
    read(&mut server, 499_999);
    let all = start.elapsed();
    assert!(all < delay * 20, "fifty pieces, each delayed by {delay:?}, took {all:?}");
    gate.delay(Duration::ZERO);
    client.write_all(b"y").unwrap();
    assert_eq!(read(&mut server, 1), b"y");
}

#[test]
fn a_target_where_nobody_listens_closes_the_client() {
    let target = crate::free_address();
    let proxy = TcpProxy::start(LOOPBACK, target, &Gate::new());
    assert!(is_closed(&mut TcpStream::connect(proxy.address()).unwrap()));
}

#[test]
fn a_dropped_proxy_is_gone() {
    let Pair { proxy, mut client, mut server, .. } = connect();
    let address = proxy.address();
    drop(proxy);
    assert!(is_closed(&mut client) && is_closed(&mut server));
    assert!(TcpStream::connect(address).is_err());
}
