//! Password checks: those that are known do not wait for those of strangers, and whoever is gone does not count.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::Bytes;
use skein_access::{AccessList, Anonymous, Credentials, NewUser, new_user_block};
use skein_door::{ListenerSettings, Transport};
use skein_mqtt::{
    Settings,
    codec::{Connect, Packet, Version},
};
use skein_testkit::DEADLINE;
use socket2::{Domain, Socket, Type};

use crate::{
    client::encoded,
    server::{Server, settings},
};

const STRANGERS: usize = 200;

fn server(connect_timeout: Duration) -> Server {
    let user = |name: &str| {
        let credentials = Credentials::Hash;
        new_user_block(NewUser { name, password: "right", roles: &[], credentials }).unwrap()
    };
    let list = AccessList::parse(&[user("ann"), user("bob")].concat()).unwrap();
    let listener = ListenerSettings { connections_max: 1000, connect_timeout, ..settings().listener };
    let settings = Settings { listener, ..settings() };
    Server::start_with(Transport::Tcp, settings, list, Anonymous::Never)
}

fn connect(server: &Server, user: &str, password: &str) -> TcpStream {
    connect_from(Ipv4Addr::LOCALHOST, server, user, password)
}

fn connect_from(from: Ipv4Addr, server: &Server, user: &str, password: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut connect = Connect::new(Version::V5, user.into());
    connect.user_name = Some(user.into());
    connect.password = Some(Bytes::copy_from_slice(password.as_bytes()));
    stream.write_all(&encoded(&Packet::Connect(Box::new(connect)))).unwrap();
    stream
}

/// The reason of the CONNACK: 0 for success.
fn answer(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20);
    head[3]
}

fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let waits = matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    !waits
}

#[test]
fn a_remembered_password_does_not_wait_for_those_of_strangers() {
    let server = server(Duration::from_secs(20));
    assert_eq!(answer(&mut connect(&server, "ann", "right")), 0);
    let mut strangers: Vec<TcpStream> =
        (0..STRANGERS).map(|number| connect(&server, "ann", &format!("wrong {number}"))).collect();
    assert_eq!(answer(&mut connect(&server, "ann", "right")), 0);
    let waiting = strangers.iter_mut().filter_map(|stranger| (!is_answered(stranger)).then_some(())).count();
    assert!(waiting > STRANGERS / 2, "{} of {STRANGERS} went before", STRANGERS - waiting);
}

#[test]
fn the_connect_timeout_holds_while_a_password_waits() {
    let timeout = Duration::from_millis(500);
    let server = server(timeout);
    let mut strangers: Vec<TcpStream> =
        (0..STRANGERS).map(|number| connect(&server, "ann", &format!("wrong {number}"))).collect();
    let begun = Instant::now();
    for stranger in &mut strangers {
        // An answer of any kind, or the end.
        let _ended = stranger.read(&mut [0; 64]);
    }
    assert!(begun.elapsed() < 4 * timeout, "{:?}", begun.elapsed());
}

#[test]
fn whoever_is_gone_leaves_the_queue() {
    let server = server(Duration::from_secs(20));
    let begun = Instant::now();
    assert_eq!(answer(&mut connect(&server, "ann", "right")), 0);
    let one_check = begun.elapsed();
    for number in 0..STRANGERS {
        drop(connect(&server, "ann", &format!("wrong {number}")));
    }
    let begun = Instant::now();
    assert_eq!(answer(&mut connect_from([127, 0, 0, 2].into(), &server, "bob", "right")), 0);
    assert!(begun.elapsed() < 20 * one_check, "{:?}, where one takes {one_check:?}", begun.elapsed());
}
