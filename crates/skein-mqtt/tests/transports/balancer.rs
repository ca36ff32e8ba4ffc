//! The PROXY protocol: whose address counts, and who is not let in.

use std::{net::SocketAddr, sync::atomic::Ordering::Relaxed, time::Duration};

use skein_access::{AccessList, Anonymous};
use skein_door::{ListenerSettings, Transport};
use skein_mqtt::{Settings, codec::Version};
use skein_testkit::{DEADLINE, RawClient, wait_until};
use skein_types::ClientId;

use crate::{
    client::connect,
    server::{Server, settings},
};

fn server(change: impl FnOnce(&mut ListenerSettings)) -> Server {
    let mut settings = settings();
    settings.listener.proxy_protocol = true;
    change(&mut settings.listener);
    start(settings)
}

fn start(settings: Settings) -> Server {
    Server::start_with(Transport::Tcp, settings, AccessList::open(), Anonymous::Loopback)
}

fn hello(id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    connect(id).encode(Version::V5, &mut bytes);
    bytes
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, rest].concat()
}

/// The address of a connected client as listings and rules see it.
fn address_of(server: &Server, id: &str) -> SocketAddr {
    let session = server.shared.plane.sessions().get(&ClientId::new(id)).unwrap();
    session.info().connection.unwrap().address
}

#[test]
fn the_address_of_the_header_is_the_clients() {
    let server = server(|_| ());
    let v4 = [127, 9, 8, 7, 127, 0, 0, 1, 0, 42, 7, 91];
    let tlvs = [4, 0, 3, 1, 2, 3];
    for (id, header, expect) in [
        ("line", b"PROXY TCP4 127.1.2.3 127.0.0.1 4711 1883\r\n".to_vec(), "127.1.2.3:4711"),
        ("binary", v2(0x21, 0x11, &[&v4[..], &tlvs].concat()), "127.9.8.7:42"),
        ("six", b"PROXY TCP6 ::1 ::1 5 1883\r\n".to_vec(), "[::1]:5"),
    ] {
        let mut client = RawClient::connect(server.address);
        // In one piece with what follows, of which nothing may be lost.
        client.send_bytes(&[header, hello(id)].concat());
        client.expect_bytes(&[0x20]);
        assert_eq!(address_of(&server, id), expect.parse().unwrap());
    }
    let mut local = RawClient::connect(server.address);
    for byte in [v2(0x20, 0, &[]), hello("local")].concat() {
        local.send_bytes(&[byte]);
    }
    local.expect_bytes(&[0x20]);
    assert!(address_of(&server, "local").ip().is_loopback());
}

#[test]
fn who_is_let_in_without_a_user_depends_on_the_clients_address() {
    let server = server(|_| ());
    let mut client = RawClient::connect(server.address);
    client.send_bytes(&[b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 1883\r\n".to_vec(), hello("far")].concat());
    assert_eq!(client.read_packet().0, 0x20);
    client.expect_closed();
    assert!(server.shared.plane.sessions().get(&ClientId::new("far")).is_none());
}

#[test]
fn a_connection_without_a_header_is_refused() {
    let server = server(|settings| settings.connect_timeout = Duration::from_millis(300));
    for bytes in [hello("direct"), b"PROXY TCP9 a b c d\r\n".to_vec(), v2(0x21, 0x11, &[0; 5000]), Vec::new()]
    {
        let mut client = RawClient::connect(server.address);
        client.try_send_bytes(&bytes);
        client.expect_closed();
    }
    server.wait_for_open(0);
    assert!(server.shared.plane.sessions().get(&ClientId::new("direct")).is_none());
}

#[test]
fn a_header_that_nobody_asked_for_is_no_mqtt() {
    let server = start(settings());
    let mut client = RawClient::connect(server.address);
    client.send_bytes(&[b"PROXY TCP4 127.1.2.3 127.0.0.1 4711 1883\r\n".to_vec(), hello("c")].concat());
    client.expect_closed();
}

#[test]
fn connections_that_have_not_logged_in_are_counted_by_the_clients_address() {
    let server = server(|settings| settings.unauthenticated_per_address_max = 2);
    let silent = |address: &str| {
        let mut client = RawClient::connect(server.address);
        client.send_bytes(format!("PROXY TCP4 {address} 127.0.0.1 1 1883\r\n").as_bytes());
        client
    };
    let _two = [silent("192.0.2.1"), silent("192.0.2.1")];
    server.wait_for_open(2);
    silent("192.0.2.1").expect_closed();
    assert_eq!(server.state.refused.load(Relaxed), 1);
    let _other = silent("192.0.2.2");
    server.wait_for_open(3);
}

#[test]
fn connections_that_have_not_logged_in_are_limited_and_logged_in_ones_are_not() {
    let mut settings = settings();
    settings.listener.unauthenticated_max = 2;
    settings.listener.unauthenticated_per_address_max = 2;
    let server = start(settings);
    let open = |id: &str| {
        let mut client = RawClient::connect(server.address);
        client.send_bytes(&hello(id));
        client.expect_bytes(&[0x20]);
        client
    };
    let _in: Vec<_> = (0..5).map(|number| open(&format!("c{number}"))).collect();
    let _silent = [RawClient::connect(server.address), RawClient::connect(server.address)];
    server.wait_for_open(7);
    RawClient::connect(server.address).expect_closed();
    assert_eq!(server.state.refused.load(Relaxed), 1);
    drop(_silent);
    wait_until("silent ones are forgotten", DEADLINE, || server.state.pending.count() == 0);
    drop(open("after"));
}
