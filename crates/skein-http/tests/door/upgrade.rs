//! WebSockets of another door on the ports of this one, with a door of twenty lines in place of MQTT.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use skein_access::{Access, AccessList, Anonymous};
use skein_door::{
    Door, Incoming, ListenerSettings, ListenerState, Transport, UpgradeRoute, WebSocketProtocol,
};
use skein_http::{HttpSettings, Readiness};
use skein_testkit::{DEADLINE, wait_until};
use tokio_util::task::TaskTracker;

use crate::{
    client::Client,
    fixture::{Fixture, listener_settings},
};

/// Sends back what it gets.
#[derive(Debug)]
struct Echo;

impl Door for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn alpn(&self) -> &'static [u8] {
        b"echo"
    }

    fn websocket(&self, listener: &str) -> Option<WebSocketProtocol> {
        (listener == "echo").then_some(WebSocketProtocol { subprotocols: &["echo"], packet_bytes_max: 1000 })
    }

    fn serve(&self, mut incoming: Incoming, tasks: &TaskTracker) {
        incoming.place.logged_in();
        tasks.spawn(async move {
            let Incoming { carrier, place: _place, .. } = incoming;
            let (mut reader, mut writer) = tokio::io::split(carrier.into_stream());
            let _gone = tokio::io::copy(&mut reader, &mut writer).await;
        });
    }
}

fn node(connections_max: usize) -> (Fixture, Arc<ListenerState>) {
    let settings =
        ListenerSettings { name: Arc::from("echo"), connections_max, ..ListenerSettings::default() };
    let listener = ListenerState::new("echo", ([127, 0, 0, 1], 1).into(), "ws", settings);
    let route = UpgradeRoute { path: "/echo", door: Arc::new(Echo), listener: listener.clone() };
    let access = Access::new(AccessList::open(), Anonymous::Never);
    let fixture =
        Fixture::start_on(access, HttpSettings::default(), listener_settings(), Transport::Tcp, &[route]);
    fixture.readiness.set(Readiness::Ready);
    (fixture, listener)
}

fn ask(node: &Fixture, headers: &str) -> (Client, u16) {
    let mut client = Client::connect(node.address);
    client.send(&format!(
        "GET /echo HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
        node.address
    ));
    let status = client.read().unwrap().status;
    (client, status)
}

const OFFER: &str = "sec-websocket-protocol: echo\r\n";

#[test]
fn a_websocket_is_handed_to_its_door() {
    let (node, listener) = node(2);
    let (mut client, status) = ask(&node, OFFER);
    assert_eq!(status, 101);
    // A binary frame of two bytes with a mask of zeros, and the same without a mask.
    client.send_bytes(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']);
    assert_eq!(client.read_bytes(4), [0x82, 2, b'h', b'i']);
    assert_eq!(listener.open.load(Relaxed), 1);
    assert_eq!(listener.accepted.load(Relaxed), 1);
    let (_second, status) = ask(&node, OFFER);
    assert_eq!(status, 101);
    assert_eq!(ask(&node, OFFER).1, 503, "there are as many as its listener allows");
    assert_eq!(listener.refused.load(Relaxed), 1);
    // Those of this door itself are not counted among them, nor the other way round.
    let mut other = Client::connect(node.address);
    other.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(other.read().unwrap().status, 200);
}

#[test]
fn what_is_no_websocket_of_the_door_is_refused() {
    let (node, listener) = node(9);
    let with = |more: &str| ask(&node, &format!("{OFFER}{more}")).1;
    assert_eq!(ask(&node, "").1, 400);
    assert_eq!(ask(&node, "sec-websocket-protocol: mqtt\r\n").1, 400);
    assert_eq!(with("origin: http://evil.example\r\n"), 403);
    assert_eq!(with("origin: null\r\n"), 403);
    assert_eq!(with(&format!("origin: http://{}\r\n", node.address)), 101);
    let mut plain = Client::connect(node.address);
    plain.send("GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = plain.read().unwrap();
    assert_eq!((answer.status, &*answer.problem()), (400, "no_websocket"));
    plain.send("GET /echo HTTP/1.1\r\nhost: evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: echo\r\n\r\n");
    let answer = plain.read().unwrap();
    assert_eq!((answer.status, &*answer.problem()), (403, "host_not_allowed"));
    wait_until("nobody is left", DEADLINE, || listener.open.load(Relaxed) == 0);
    for early in [Readiness::Starting, Readiness::Joining] {
        node.readiness.set(early);
        assert_eq!(with(""), 503, "{early:?}");
    }
}

#[test]
fn a_shutdown_does_not_leave_handed_over_connections() {
    let (node, _listener) = node(1);
    let (client, status) = ask(&node, OFFER);
    assert_eq!(status, 101);
    node.shut_down_within(std::time::Duration::from_millis(100));
    node.wait_for_end();
    let mut client = client;
    assert!(client.is_closed(), "what does not end in time is dropped");
}
