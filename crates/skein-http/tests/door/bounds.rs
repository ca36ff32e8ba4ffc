//! What the door bounds, and how it ends.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use skein_http::HttpSettings;
use skein_testkit::{DEADLINE, wait_until};

use crate::{
    client::{Client, get},
    fixture::Fixture,
};

const POST: &str = "POST /api/v1/mqtt/clients/ann/disconnect HTTP/1.1\r\nhost: localhost\r\n\
    authorization: Bearer 4444444444444444444444444444444444444444444444444444444444444444\r\n";
const GET: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn large_headers() {
    let node = Fixture::open();
    let small = Fixture::with_settings(HttpSettings { header_bytes_max: 1024, ..HttpSettings::default() });
    let status = |node: &Fixture, filling: usize| {
        let mut client = Client::connect(node.address);
        client
            .send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(filling)));
        client.read().map(|answer| answer.status)
    };
    assert_eq!(status(&node, 15 * 1024), Some(200));
    assert_eq!(status(&node, 17 * 1024), Some(431));
    assert_eq!(status(&small, 900), Some(200));
    assert_eq!(status(&small, 1100), Some(431));
    let many: String = (0..200).map(|number| format!("x{number}: y\r\n")).collect();
    let mut client = Client::connect(node.address);
    client.send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"));
    assert_eq!(client.read().unwrap().status, 431);
}

#[test]
fn large_bodies() {
    let node = Fixture::open();
    node.connect("ann", None, 60);
    let answer = |rest: &str| {
        let mut client = Client::connect(node.address);
        client.send(&format!("{POST}{rest}"));
        let answer = client.read().unwrap();
        let closed = answer.header("connection") == Some("close");
        (answer.status, closed)
    };
    let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "y".repeat(bytes));
    assert_eq!(answer(&format!("content-length: 65536\r\n\r\n{}", "y".repeat(65536))), (200, false));
    assert_eq!(answer("content-length: 65537\r\n\r\n"), (413, true));
    assert_eq!(answer("content-length: 18446744073709551615\r\n\r\n").0 / 100, 4);
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    assert_eq!(answer(&format!("{chunked}{}{}0\r\n\r\n", chunk(32768), chunk(32768))), (200, false));
    assert_eq!(answer(&format!("{chunked}{}{}", chunk(32768), chunk(32769))), (413, true));
}

#[test]
fn heads_and_bodies_that_do_not_arrive() {
    let node = Fixture::with_settings(HttpSettings {
        header_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    });
    for beginning in ["", "GET /heal", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut client = Client::connect(node.address);
        client.send(beginning);
        assert!(client.read().is_none_or(|answer| answer.status == 408), "{beginning:?}");
    }
    let mut idle = Client::connect(node.address);
    idle.send(GET);
    assert_eq!(idle.read().unwrap().status, 200);
    assert!(idle.is_closed(), "a connection without a next request is closed");
    let mut client = Client::connect(node.address);
    client.send(&format!("{POST}content-length: 10\r\n\r\nabc"));
    let answer = client.read().unwrap();
    assert_eq!((answer.status, &*answer.problem()), (408, "body_timeout"));
    assert!(client.is_closed());
}

#[test]
fn what_is_no_http() {
    let node = Fixture::open();
    for bytes in
        ["\u{10}\u{0}\u{0}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n"]
    {
        let mut client = Client::connect(node.address);
        client.send(bytes);
        assert!(client.read().is_none_or(|answer| answer.status / 100 == 4), "{bytes:?}");
    }
    assert_eq!(get(node.address, "/healthz").status, 200);
}

#[test]
fn more_connections_than_allowed() {
    let node = Fixture::with_connections(1);
    let mut first = Client::connect(node.address);
    first.send(GET);
    assert_eq!(first.read().unwrap().status, 200);
    let mut second = Client::connect(node.address);
    let answer = second.read().unwrap();
    assert_eq!((answer.status, &*answer.problem()), (503, "too_many_connections"));
    assert!(second.is_closed());
    first.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let metrics = first.read().unwrap().body;
    let labels = format!(r#"{{listener="http",transport="http",address="{}"}}"#, node.address);
    for (name, value) in [("connections", 1), ("accepted_total", 1), ("refused_total", 1)] {
        let line = format!("skein_listener_{name}{labels} {value}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    drop(first);
    wait_until("the slot is free and counted as free", DEADLINE, || {
        let mut client = Client::connect(node.address);
        client.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = client.read();
        answer.is_some_and(|answer| answer.body.contains(&format!("skein_listener_connections{labels} 1\n")))
    });
}

#[test]
fn old_connections_are_closed() {
    let node = Fixture::with_settings(HttpSettings {
        connection_lifetime: Duration::from_millis(100),
        ..HttpSettings::default()
    });
    let mut client = Client::connect(node.address);
    client.send(GET);
    assert_eq!(client.read().unwrap().status, 200);
    assert!(client.is_closed());
}

fn wait_until_nobody_listens(address: SocketAddr) {
    wait_until("the listener is closed", DEADLINE, || TcpStream::connect(address).is_err());
}

#[test]
fn a_shutdown_lets_requests_end_and_closes_idle_connections() {
    let node = Fixture::open();
    let ann = node.connect("ann", None, 0);
    let mut idle = Client::connect(node.address);
    idle.send(GET);
    assert_eq!(idle.read().unwrap().status, 200);
    let mut busy = Client::connect(node.address);
    busy.send(&format!("{POST}expect: 100-continue\r\ncontent-length: 4\r\n\r\n"));
    // The server asks for the body, so the request is under way.
    assert_eq!(busy.read().unwrap().status, 100);
    node.shut_down();
    wait_until_nobody_listens(node.address);
    assert!(idle.is_closed());
    busy.send("body");
    assert_eq!(busy.read().unwrap().status, 200);
    assert!(busy.is_closed());
    assert!(ann.handle.take_closing().is_some());
    node.wait_for_end();
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let node = Fixture::with_settings(HttpSettings {
        close_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    });
    let mut stuck = Client::connect(node.address);
    stuck.send(&format!("{POST}expect: 100-continue\r\ncontent-length: 4\r\n\r\n"));
    assert_eq!(stuck.read().unwrap().status, 100);
    node.shut_down();
    node.wait_for_end();
    assert!(stuck.is_closed_now(), "the door ends after its connections");
}
