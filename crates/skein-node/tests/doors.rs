//! The doors of a running node: MQTT on the ports of HTTP, and what a reload changes.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use skein_node::{
    Node,
    config::{Config, Sources},
};
use skein_testkit::{DEADLINE, TestDirectory};

fn config(directory: &TestDirectory, more: &str) -> Config {
    let text = format!(
        "data.dir = {:?}\nmqtt.listen = '127.0.0.1:0'\nmqtt.ws_listen = 'off'\nhttp.listen = '127.0.0.1:0'\n{more}",
        directory.path().display().to_string()
    );
    let sources = Sources { file: Some(("a.toml".into(), text)), ..Sources::default() };
    Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}"))
}

fn address(node: &Node, name: &str) -> SocketAddr {
    node.addresses().find(|(known, ..)| known == name).unwrap().2
}

/// Asks for a WebSocket and returns the connection and the status of the answer.
fn ask(address: SocketAddr, headers: &str) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "GET /mqtt HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: mqtt\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    (stream, head.split(' ').nth(1).unwrap().parse().unwrap())
}

#[test]
fn mqtt_is_spoken_on_the_ports_of_http() {
    let directory = TestDirectory::create("doors");
    let mut node = Node::start(config(&directory, "")).unwrap();
    let http = address(&node, "http");
    let (mut client, status) = ask(http, "");
    assert_eq!(status, 101);
    // A CONNECT of MQTT 3.1.1 with the client id "c", in a binary frame with a mask of zeros.
    let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c";
    client.write_all(&[&[0x82, 0x80 | 15, 0, 0, 0, 0], &connect[..]].concat()).unwrap();
    let mut connack = [0; 6];
    client.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x82, 4, 0x20, 2, 0, 0]);
    let session = node.plane().sessions().get(&skein_node::types::ClientId::new("c")).unwrap();
    let connection = session.info().connection.unwrap();
    assert_eq!(&*connection.listener, "http/mqtt");
    assert_eq!(connection.address, client.local_addr().unwrap());

    let page = "origin: https://app.example\r\n";
    assert_eq!(ask(http, page).1, 403);
    node.reload(config(&directory, "web.origins = 'https://app.example'")).unwrap();
    assert_eq!(ask(http, page).1, 101);
    node.reload(config(&directory, "mqtt.max_connections = 1")).unwrap();
    assert_eq!(ask(http, "").1, 503, "the limits of MQTT hold");
    node.stop(Duration::from_secs(5));
    let mut rest = Vec::new();
    let _reset = client.read_to_end(&mut rest);
    assert!(rest.starts_with(&[0x88]), "it is closed with a close frame: {rest:x?}");
}
