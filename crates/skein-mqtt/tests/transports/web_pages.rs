//! Which web pages may open a WebSocket: a browser that runs on the server's machine must not be the tool of others.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use skein_access::{AccessList, Anonymous};
use skein_door::{ListenerSettings, Transport, WebRules};
use skein_mqtt::Settings;
use skein_testkit::{DEADLINE, RawClient};

use crate::{
    client::{connect, encoded},
    server::{Server, settings},
};

/// The first line of the answer to a request with these headers.
fn answer(server: &Server, headers: &str) -> u16 {
    let mut client = TcpStream::connect(server.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
        .write_all(
        format!(
            "GET /mqtt HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n{headers}\r\n"
        )
        .as_bytes(),
    ).unwrap();
    let mut line = [0; 12];
    client.read_exact(&mut line).unwrap();
    str::from_utf8(&line).unwrap().strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

fn server_with(web: WebRules) -> Server {
    let settings = settings();
    let listener = ListenerSettings { web: Arc::new(web), ..settings.listener };
    let settings = Settings { listener, ..settings };
    Server::start_with(Transport::WebSocket, settings, AccessList::open(), Anonymous::Always)
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let server = server_with(WebRules::default());
    let host = server.address;
    for origin in ["http://evil.example", "null", "file://", "http://127.0.0.1:1", "http://localhost"] {
        assert_eq!(answer(&server, &format!("Host: {host}\r\nOrigin: {origin}\r\n")), 403, "{origin}");
    }
    let twice = format!("Host: {host}\r\nOrigin: http://{host}\r\nOrigin: http://evil.example\r\n");
    assert_eq!(answer(&server, &twice), 403);
    server.wait_for_open(0);
}

#[test]
fn a_name_that_was_made_to_lead_here_is_refused() {
    let server = server_with(WebRules::default());
    let port = server.address.port();
    for host in ["evil.example", "127.0.0.1.nip.io"] {
        let rebound = format!("Host: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n");
        assert_eq!(answer(&server, &rebound), 403, "{host}");
        assert_eq!(answer(&server, &format!("Host: {host}:{port}\r\n")), 403, "{host} without an origin");
    }
    server.wait_for_open(0);
}

#[test]
fn programs_own_pages_and_listed_pages_come_in() {
    let rules = WebRules {
        origins: vec!["https://app.example".to_owned()],
        host_names: vec!["mqtt.example".to_owned()],
    };
    let server = server_with(rules);
    let host = server.address;
    for headers in [
        String::new(),
        format!("Host: {host}\r\n"),
        format!("Host: {host}\r\nOrigin: http://{host}\r\n"),
        "Host: mqtt.example\r\n".to_owned(),
        "Host: mqtt.example\r\nOrigin: https://mqtt.example\r\n".to_owned(),
        format!("Host: {host}\r\nOrigin: https://app.example\r\n"),
    ] {
        assert_eq!(answer(&server, &headers), 101, "{headers}");
    }
    assert_eq!(answer(&server, &format!("Host: {host}\r\nOrigin: http://app.example\r\n")), 403);
    // What is not MQTT is told so, whatever its origin.
    let mut client = RawClient::connect(server.address);
    client.send_bytes(&encoded(&connect("c")));
    client.expect_bytes(b"HTTP/1.1 400");
}
