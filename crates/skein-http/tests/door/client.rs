//! An HTTP/1.1 client that sends what a test says, byte by byte, and reads one answer at a time.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;
use skein_testkit::DEADLINE;

/// What the operator of the nodes of these tests shows: the token of 32 bytes `44`.
pub(crate) const OPERATOR: &str = "Bearer 4444444444444444444444444444444444444444444444444444444444444444";
pub(crate) const OPERATOR_BYTE: u8 = 0x44;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    head: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the door listens");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Sends text; a server that closed already is a result for the answer that is read next.
    pub(crate) fn send(&mut self, text: &str) {
        if let Err(error) = self.stream.write_all(text.as_bytes()) {
            eprintln!("cannot send: {error}");
        }
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads so many bytes.
    pub(crate) fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.fill().expect("so much is sent");
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads one answer; none when the connection closes instead.
    pub(crate) fn read(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect()).unwrap();
        let status =
            head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line has a status");
        let mut answer = Answer { status, body: String::new(), head };
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        while self.buffer.len() < length {
            self.fill().expect("the body is as long as announced");
        }
        answer.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        Some(answer)
    }

    /// Whether the server closed the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.fill().is_none() && self.buffer.is_empty()
    }

    /// Whether the connection is closed at this moment, without a wait.
    pub(crate) fn is_closed_now(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let closed = matches!(self.stream.read(&mut [0]), Ok(0));
        self.stream.set_nonblocking(false).unwrap();
        closed
    }

    fn fill(&mut self) -> Option<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Some(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing arrived: {error}"),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code of an answer that says what failed, after a check that it says all of it.
    pub(crate) fn problem(&self) -> String {
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert!(body["hint"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        body["code"].as_str().unwrap().to_owned()
    }
}

/// Sends one request on a connection of its own, with the headers given beside Host; as the operator on the node's machine
/// unless they say otherwise.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        headers.push(("authorization", OPERATOR));
    }
    anonymously(address, method, path, &headers)
}

/// The same with no headers but these.
pub(crate) fn anonymously(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut client = Client::connect(address);
    client.send(&text);
    client.read().expect("every request is answered")
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[])
}
