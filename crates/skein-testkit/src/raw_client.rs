//! A client that sends and expects bytes over TCP, for conformance tests at packet level.
//!
//! It frames packets (first byte, variable byte length, body) and nothing more: it answers no
//! packet by itself and lets a test send anything. Tests write packets in the crate's notation.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::notation::{Pattern, bytes, length_prefix, pattern};

/// How long an expected packet or close may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes asked for at once; tests read up to a hundred thousand small packets.
const READ_BYTES: usize = 16 * 1024;

/// One TCP connection to a server.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    /// Read from the connection and not yet given out.
    unread: VecDeque<u8>,
}

impl RawClient {
    /// Opens a connection and sends nothing.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = match TcpStream::connect_timeout(&address, ANSWER_DEADLINE) {
            Ok(stream) => stream,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        };
        stream.set_nodelay(true).expect("an open socket takes the option");
        stream.set_write_timeout(Some(ANSWER_DEADLINE)).expect("the time is not zero");
        Self { stream, unread: VecDeque::new() }
    }

    /// Opens a connection and a clean MQTT 3.1.1 session, keep alive off.
    #[track_caller]
    pub fn open_v4(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::connect(address);
        client.send(&format!(r#"10 [ "MQTT" 04 02 0000 "{client_id}" ]"#));
        client.expect("20 02 00 00");
        client
    }

    /// Opens a connection and a clean MQTT 5 session without properties, keep alive off.
    #[track_caller]
    pub fn open_v5(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::connect(address);
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 00 "{client_id}" ]"#));
        client.expect("20 [ 00 00 * ]");
        client
    }

    /// The client's own end, as the server sees it.
    #[track_caller]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Sends what `text` says in the crate's notation.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.send_bytes(&bytes(text));
    }

    /// Sends the bytes as they are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("cannot send {} bytes ({}): {error}", bytes.len(), hex(bytes));
        }
    }

    /// Sends the bytes and says whether the connection took them: a server that closes in the middle
    /// of a long send is a result for a test of limits, not a failure of the test.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads one packet and checks it against a pattern; returns the whole packet.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> Vec<u8> {
        let wanted: Pattern = pattern(text);
        let packet = self.read_whole_packet();
        assert!(wanted.matches(&packet), "expected {text}\n     got {}", hex(&packet));
        packet
    }

    /// Reads as many packets as there are patterns and checks that each fits one of them, whatever their order.
    #[track_caller]
    pub fn expect_in_any_order(&mut self, texts: &[&str]) {
        let mut wanted: Vec<&str> = texts.to_vec();
        while !wanted.is_empty() {
            let packet = self.read_whole_packet();
            match wanted.iter().position(|text| pattern(text).matches(&packet)) {
                Some(index) => _ = wanted.swap_remove(index),
                None => panic!(
                    "expected one of {wanted:#?}
     got {}",
                    hex(&packet)
                ),
            }
        }
    }

    /// Reads as many bytes as `expected` has and checks that they are the same.
    #[track_caller]
    pub fn expect_bytes(&mut self, expected: &[u8]) {
        let start = Instant::now();
        let mut got = Vec::with_capacity(expected.len());
        while got.len() < expected.len() {
            match self.read_byte(start) {
                Some(byte) => got.push(byte),
                None => panic!("closed after {}; expected {}", hex(&got), hex(expected)),
            }
        }
        assert!(got == expected, "expected {}\n     got {}", hex(expected), hex(&got));
    }

    /// Reads one packet: its first byte and its body.
    #[track_caller]
    pub fn read_packet(&mut self) -> (u8, Vec<u8>) {
        match self.read_packet_or_close() {
            Some(packet) => packet,
            None => panic!("closed while a packet was expected"),
        }
    }

    /// Reads one packet, or `None` when the server closes instead.
    #[track_caller]
    pub fn read_packet_or_close(&mut self) -> Option<(u8, Vec<u8>)> {
        let start = Instant::now();
        let first = self.read_byte(start)?;
        let mut length = 0_usize;
        for place in 0..4 {
            let byte = self.read_byte(start)?;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Some((first, self.read_body(length, start)?));
            }
        }
        panic!("the server sent a length of more than four bytes after {first:02x}");
    }

    /// Expects the server to close (or reset) the connection without sending anything more.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        if let Some((first, body)) = self.read_packet_or_close() {
            panic!("expected the end of the connection, got {}", hex(&whole(first, &body)));
        }
    }

    /// Expects nothing before the answer to a PINGREQ: what the server had to say to earlier
    /// packets has been read by then, because it answers in order.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.send("c0 00");
        self.expect("d0 00");
    }

    /// Whether something has arrived that was not read yet. Nothing is waited for: what the server wrote before is
    /// there.
    #[track_caller]
    pub fn has_received(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("an open socket takes the option");
        let arrived = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("an open socket takes the option");
        // The end of the connection has arrived too.
        !self.unread.is_empty() || arrived.is_ok()
    }

    /// Plays a script, one packet a line: `> …` sends, `< …` expects, `< closed` expects the end of
    /// the connection, `#` begins a comment.
    #[track_caller]
    pub fn dialogue(&mut self, script: &str) {
        for line in script.lines() {
            // `#` inside quotes is a character of a filter.
            let line = line.trim();
            match line.split_at_checked(1) {
                None | Some(("#", _)) => {}
                Some((">", packet)) => self.send(packet),
                Some(("<", packet)) if packet.trim() == "closed" => self.expect_closed(),
                Some(("<", packet)) => {
                    self.expect(packet);
                }
                Some(_) => panic!("a line of a dialogue begins with > or < or #: {line}"),
            }
        }
    }

    /// The same connection once more, for a test that sends with one and reads with the other at the same time.
    #[track_caller]
    pub fn second_handle(&self) -> Self {
        let stream = self.stream.try_clone().expect("the system has a handle left");
        Self { stream, unread: VecDeque::new() }
    }

    /// Closes the sending half: the server reads the end of the stream, answers can still come.
    pub fn finish_sending(&mut self) {
        // Fails only when the server has closed already, which the next read tells.
        drop(self.stream.shutdown(Shutdown::Write));
    }

    #[track_caller]
    fn read_whole_packet(&mut self) -> Vec<u8> {
        let (first, body) = self.read_packet();
        whole(first, &body)
    }

    #[track_caller]
    fn read_byte(&mut self, start: Instant) -> Option<u8> {
        self.read_body(1, start)?.first().copied()
    }

    /// Reads exactly `length` bytes; `None` when the connection ends before.
    #[track_caller]
    fn read_body(&mut self, length: usize, start: Instant) -> Option<Vec<u8>> {
        let mut chunk = [0; READ_BYTES];
        while self.unread.len() < length {
            let left = ANSWER_DEADLINE.saturating_sub(start.elapsed());
            if left.is_zero() {
                panic!("no answer within {ANSWER_DEADLINE:?}: {} of {length} bytes came", self.unread.len());
            }
            self.stream.set_read_timeout(Some(left)).expect("the time is not zero");
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend(chunk.iter().take(count)),
                Err(error) => match error.kind() {
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return None,
                    // The loop's own check reports a passed deadline.
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => panic!("cannot read from the server: {error}"),
                },
            }
        }
        Some(self.unread.drain(..length).collect())
    }
}

fn whole(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    packet.extend(length_prefix(body.len()));
    packet.extend(body);
    packet
}

fn hex(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 64;
    let mut text: String = bytes.iter().take(SHOWN_MAX).map(|byte| format!("{byte:02x} ")).collect();
    if bytes.len() > SHOWN_MAX {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    /// A server that sends `answer` to whoever connects, reads `question` and closes.
    fn server(answer: &'static [u8], question: usize) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            let mut read = vec![0; question];
            stream.read_exact(&mut read).unwrap();
            read
        });
        (address, served)
    }

    #[test]
    fn plays_a_dialogue_to_the_end() {
        let (address, served) = server(b"\x20\x02\x00\x00\xd0\x00", 4);
        let mut client = RawClient::connect(address);
        client.dialogue(
            "# the answers of a server
             < 20 [ .. 00 ]
             > c0 00 c0 00
             < d0 00
             < closed",
        );
        assert_eq!(served.join().unwrap(), b"\xc0\x00\xc0\x00");
    }

    #[test]
    fn a_wrong_answer_fails() {
        let (address, _served) = server(b"\x20\x02\x00\x05", 0);
        let mut client = RawClient::connect(address);
        assert!(catch_unwind(AssertUnwindSafe(|| client.expect("20 02 00 00"))).is_err());
    }

    #[test]
    fn a_packet_instead_of_the_end_fails() {
        let (address, _served) = server(b"\xe0\x00", 0);
        let mut client = RawClient::connect(address);
        assert!(catch_unwind(AssertUnwindSafe(|| client.expect_closed())).is_err());
    }

    #[test]
    fn a_close_in_the_middle_of_a_packet_is_a_close() {
        let (address, _served) = server(b"\x30\x7f\x00", 0);
        let mut client = RawClient::connect(address);
        assert_eq!(client.read_packet_or_close(), None);
    }
}
