//! Client connections that come and go, of which the end is news and not an error.
//!
//! Sockets are read in the order in which epoll names them, which is the order in which they became readable:
//! so the news of two connections come in the order in which the kernel got them. A connection here only
//! connects, pings and is closed; the trials and the storm decide what that means.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};

use crate::{
    BenchError, Config,
    codec::{ConnectFields, Decoded, Packet, decode, write_connect, write_pingreq},
    driver::connect,
};

const EVENTS_PER_TURN: usize = 1024;
const READ_BYTES: usize = 4096;

/// What a connection has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// CONNACK with success, so long after CONNECT was sent.
    Accepted { after_ns: u64 },
    /// CONNACK with another code.
    Refused { reason: u8 },
    /// An answer to a ping.
    Pong,
    /// The server's DISCONNECT with its reason, or the end of the stream without one. Told once.
    Closed { reason: Option<u8> },
}

/// News of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: usize,
    pub(super) at_ns: u64,
    pub(super) news: News,
}

#[derive(Debug)]
struct Socket {
    stream: mio::net::TcpStream,
    client_id: String,
    /// When CONNECT was written; before, the socket is being connected.
    connect_ns: Option<u64>,
    partial: Vec<u8>,
    is_closed: bool,
}

#[derive(Debug)]
pub(super) struct Sockets<'a> {
    config: &'a Config,
    start: Instant,
    poll: Poll,
    events: Events,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    /// Sockets whose TCP handshake is not over.
    connecting: usize,
    news: Vec<Event>,
}

impl<'a> Sockets<'a> {
    pub(super) fn new(config: &'a Config) -> Result<Self, BenchError> {
        Ok(Self {
            config,
            start: Instant::now(),
            poll: Poll::new().map_err(|source| BenchError::system("make an epoll set", source))?,
            events: Events::with_capacity(EVENTS_PER_TURN),
            sockets: Vec::new(),
            free: Vec::new(),
            connecting: 0,
            news: Vec::new(),
        })
    }

    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn connecting(&self) -> usize {
        self.connecting
    }

    /// Starts a connection and returns its key, which is valid until [`Self::remove`].
    pub(super) fn open(&mut self, client_id: String, node: usize) -> Result<usize, BenchError> {
        let address = self.config.node_address(node);
        let key = self.free.pop().unwrap_or(self.sockets.len());
        let opened = connect(address, key).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(key), interest)?;
            Ok(stream)
        });
        let stream = opened.map_err(|source| BenchError::Connect {
            connection: client_id.clone(),
            address,
            step: "opening a socket",
            source,
            advice: "Check the address and the limits of open files on both sides",
        })?;
        let socket = Socket { stream, client_id, connect_ns: None, partial: Vec::new(), is_closed: false };
        if key == self.sockets.len() {
            self.sockets.push(None);
        }
        self.sockets[key] = Some(socket);
        self.connecting += 1;
        Ok(key)
    }

    /// Closes a connection and forgets it. A reset leaves no `TIME_WAIT` behind.
    pub(super) fn remove(&mut self, key: usize) {
        let Some(socket) = self.sockets.get_mut(key).and_then(Option::take) else { return };
        drop(socket2::SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO)));
        self.connecting -= usize::from(socket.connect_ns.is_none() && !socket.is_closed);
        self.free.push(key);
    }

    /// Waits for events no longer than `timeout` and hands over the news, in the order they came.
    pub(super) fn turn(&mut self, timeout: Duration, news: &mut Vec<Event>) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|source| BenchError::system("wait for events", source))?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let result = events.iter().try_for_each(|event| self.handle(event));
        self.events = events;
        news.append(&mut self.news);
        result
    }

    fn handle(&mut self, event: &mio::event::Event) -> Result<(), BenchError> {
        let Token(key) = event.token();
        let Some(Some(socket)) = self.sockets.get(key) else { return Ok(()) };
        if socket.connect_ns.is_none() && !socket.is_closed {
            return self.send_connect(key);
        }
        if event.is_readable() || event.is_error() || event.is_read_closed() {
            self.read(key)
        } else {
            Ok(())
        }
    }

    fn send_connect(&mut self, key: usize) -> Result<(), BenchError> {
        let now_ns = self.now_ns();
        let Some(Some(socket)) = self.sockets.get_mut(key) else { return Ok(()) };
        let is_broken = matches!(socket.stream.take_error(), Ok(Some(_)) | Err(_));
        if !is_broken && socket.stream.peer_addr().is_err() {
            return Ok(());
        }
        self.connecting -= 1;
        if is_broken {
            self.closed(key, None);
            return Ok(());
        }
        let fields = ConnectFields {
            protocol: self.config.protocol,
            client_id: &socket.client_id,
            keep_alive_seconds: self.config.keep_alive_seconds,
            user: self.config.user.as_deref(),
            password: self.config.password.as_deref(),
            durable: self.config.durable,
        };
        let mut bytes = Vec::with_capacity(128);
        write_connect(&mut bytes, &fields);
        drop(socket.stream.set_nodelay(true));
        socket.connect_ns = Some(now_ns);
        self.write(key, &bytes);
        Ok(())
    }

    /// Asks for a sign of life; [`News::Pong`] is the answer.
    pub(super) fn ping(&mut self, key: usize) {
        let mut bytes = Vec::new();
        write_pingreq(&mut bytes);
        self.write(key, &bytes);
    }

    /// The few bytes a client here writes fit every socket's buffer; if they do not, the connection is lost.
    fn write(&mut self, key: usize, bytes: &[u8]) {
        let Some(Some(socket)) = self.sockets.get_mut(key) else { return };
        if socket.stream.write_all(bytes).is_err() {
            self.closed(key, None);
        }
    }

    /// Reads all there is now. News of it come with the next [`Self::turn`], unless it is called from there.
    fn read(&mut self, key: usize) -> Result<(), BenchError> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let Some(Some(socket)) = self.sockets.get_mut(key) else { return Ok(()) };
            if socket.is_closed {
                return Ok(());
            }
            match socket.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Ok(0) | Err(_) => self.closed(key, None),
                Ok(count) => {
                    socket.partial.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    self.take_packets(key)?;
                }
            }
        }
    }

    /// Looks at once whether a connection has ended. The news of its end is given back here, not in a turn.
    pub(super) fn look_closed(&mut self, key: usize) -> Result<Option<Event>, BenchError> {
        let known = self.news.len();
        self.read(key)?;
        let is_end = |event: &Event| event.key == key && matches!(event.news, News::Closed { .. });
        let at = self.news.iter().skip(known).position(is_end);
        Ok(at.map(|at| self.news.remove(known + at)))
    }

    fn take_packets(&mut self, key: usize) -> Result<(), BenchError> {
        let now_ns = self.now_ns();
        let Some(Some(socket)) = self.sockets.get_mut(key) else { return Ok(()) };
        let bytes = std::mem::take(&mut socket.partial);
        let mut rest = bytes.as_slice();
        let mut closed = None;
        loop {
            let broken =
                |detail: String, id: &str| BenchError::Protocol { connection: id.to_owned(), detail };
            let packet = match decode(rest, self.config.protocol) {
                Ok(Decoded::Partial) => break,
                Ok(Decoded::Packet(packet, after)) => {
                    rest = after;
                    packet
                }
                Err(error) => return Err(broken(error.to_string(), &socket.client_id)),
            };
            let news = match packet {
                Packet::ConnAck(connack) if connack.reason == 0 => {
                    let after_ns = now_ns.saturating_sub(socket.connect_ns.unwrap_or(now_ns));
                    News::Accepted { after_ns }
                }
                Packet::ConnAck(connack) => News::Refused { reason: connack.reason },
                Packet::PingResp => News::Pong,
                Packet::Disconnect { reason } => {
                    closed = Some(reason);
                    break;
                }
                other => {
                    return Err(broken(
                        format!("{other:?} came to a client to which nobody sends"),
                        &socket.client_id,
                    ));
                }
            };
            self.news.push(Event { key, at_ns: now_ns, news });
        }
        socket.partial = rest.to_vec();
        if closed.is_some() {
            self.closed(key, closed);
        }
        Ok(())
    }

    fn closed(&mut self, key: usize, reason: Option<u8>) {
        let at_ns = self.now_ns();
        let Some(Some(socket)) = self.sockets.get_mut(key) else { return };
        if !socket.is_closed {
            socket.is_closed = true;
            self.news.push(Event { key, at_ns, news: News::Closed { reason } });
        }
    }
}

impl Drop for Sockets<'_> {
    fn drop(&mut self) {
        for key in 0..self.sockets.len() {
            self.remove(key);
        }
    }
}
