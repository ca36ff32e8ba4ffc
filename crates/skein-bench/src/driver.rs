//! Drives many client connections on one thread with one epoll set.
//!
//! It opens connections, reads what each socket holds into one shared buffer, hands the packets to the
//! workload and writes what the workload put into a connection's outgoing bytes. It knows nothing of
//! publishers or subscribers, keeps no standing buffer for a silent connection and never waits except in
//! epoll. The workloads own one and call [`Driver::turn`] in their loops.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, event::Event};

use crate::{
    BenchError, Config,
    codec::{CodecError, Decoded, Packet, decode, reason_text, write_disconnect, write_pingreq},
};

mod opening;

pub(crate) use opening::{Opened, Spec, connect};

use opening::Step;

/// What one read takes at most; large enough that a saturated server is read in few calls.
const READ_BYTES: usize = 128 * 1024;
const EVENTS_PER_TURN: usize = 1024;
/// How long an answer to CONNECT or SUBSCRIBE may take after the last progress of any connection.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What a workload does with the packets of its connections.
pub(crate) trait Handler {
    /// Takes one packet; an answer is appended to `out` and written when the whole read was handled.
    fn packet(
        &mut self,
        connection: usize,
        packet: Packet<'_>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault>;

    /// The server granted a subscription on `connection`.
    fn subscribed(&mut self, _connection: usize, _now_ns: u64) {}

    /// Everything in the outgoing bytes of `connection` was written after the socket had been full.
    fn writable(&mut self, connection: usize);
}

/// A packet that ends the run; the driver adds the connection's name.
#[derive(Debug)]
pub(crate) enum Fault {
    Refused { request: &'static str, reason: u8, advice: String },
    Protocol(String),
    Disconnected { reason: u8 },
}

/// Nanoseconds since the start of the run: the time base of every payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run does not last five centuries")
    }
}

#[derive(Debug)]
struct Connection {
    stream: mio::net::TcpStream,
    step: Step,
    receive_maximum: u16,
    /// The start of a packet whose end was not read yet.
    partial: Vec<u8>,
    out: Vec<u8>,
    out_written: usize,
    /// Whether the socket refused bytes, so that the workload waits for [`Handler::writable`].
    blocked: bool,
}

#[derive(Debug)]
pub(crate) struct Driver<'a> {
    config: &'a Config,
    pub(crate) clock: Clock,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    specs: Vec<Spec>,
    connections: Vec<Connection>,
    /// Connections whose socket may hold more than the last read took.
    backlog: Vec<usize>,
    opened: usize,
    keep_alive: Duration,
    next_ping: Instant,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(config: &'a Config) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(|source| BenchError::system("make an epoll set", source))?;
        let keep_alive = Duration::from_secs(u64::from(config.keep_alive_seconds));
        Ok(Self {
            config,
            clock: Clock(Instant::now()),
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; READ_BYTES],
            specs: Vec::new(),
            connections: Vec::new(),
            backlog: Vec::new(),
            opened: 0,
            keep_alive,
            next_ping: Instant::now() + keep_alive / 2,
        })
    }

    /// Waits for events no longer than `timeout`, handles all of them and pings when it is time.
    pub(crate) fn turn(&mut self, timeout: Duration, handler: &mut impl Handler) -> Result<(), BenchError> {
        let timeout = if self.backlog.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|source| BenchError::system("wait for events", source))?,
        }
        for index in std::mem::take(&mut self.backlog) {
            self.read(index, handler)?;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let result = events.iter().try_for_each(|event| self.handle_event(event, handler));
        self.events = events;
        result?;
        if !self.keep_alive.is_zero() && Instant::now() >= self.next_ping {
            self.ping_all()?;
        }
        Ok(())
    }

    fn handle_event(&mut self, event: &Event, handler: &mut impl Handler) -> Result<(), BenchError> {
        let Token(index) = event.token();
        if event.is_writable() && !self.continue_connecting(index)? {
            let was_blocked = self.connections[index].blocked;
            self.flush(index)?;
            if was_blocked && !self.connections[index].blocked {
                handler.writable(index);
            }
        }
        if event.is_readable() || event.is_error() || event.is_read_closed() {
            self.read(index, handler)?;
        }
        Ok(())
    }

    /// Reads once. A read that did not fill the buffer emptied the socket; otherwise the next turn goes on.
    fn read(&mut self, index: usize, handler: &mut impl Handler) -> Result<(), BenchError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(index, &mut buffer, handler);
        self.buffer = buffer;
        if result? { self.flush(index) } else { Ok(()) }
    }

    /// Returns whether there is something to write.
    fn read_into(
        &mut self,
        index: usize,
        buffer: &mut Vec<u8>,
        handler: &mut impl Handler,
    ) -> Result<bool, BenchError> {
        let connection = &mut self.connections[index];
        if connection.step == Step::Connecting {
            return Ok(false);
        }
        let kept = connection.partial.len();
        if kept * 2 > buffer.len() {
            buffer.resize(kept * 2, 0);
        }
        buffer[..kept].copy_from_slice(&connection.partial);
        let read = loop {
            match connection.stream.read(&mut buffer[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Ok(0) => return Err(self.closed(index, "it gave no reason")),
                Err(error) => return Err(self.closed(index, &error.to_string())),
                Ok(read) => break read,
            }
        };
        if kept + read == buffer.len() {
            self.backlog.push(index);
        }
        let now_ns = self.clock.now_ns();
        let mut rest = &buffer[..kept + read];
        loop {
            match decode(rest, self.config.protocol) {
                Ok(Decoded::Partial) => break,
                Ok(Decoded::Packet(packet, after)) => {
                    rest = after;
                    self.take_packet(index, packet, now_ns, handler)?;
                }
                Err(error) => return Err(self.broken(index, error)),
            }
        }
        let connection = &mut self.connections[index];
        connection.partial.clear();
        connection.partial.extend_from_slice(rest);
        Ok(!connection.out.is_empty())
    }

    #[inline]
    fn take_packet(
        &mut self,
        index: usize,
        packet: Packet<'_>,
        now_ns: u64,
        handler: &mut impl Handler,
    ) -> Result<(), BenchError> {
        match packet {
            Packet::ConnAck(connack) => self.connack(index, &connack),
            Packet::SubAck { reason, .. } => {
                self.suback(index, reason)?;
                handler.subscribed(index, now_ns);
                Ok(())
            }
            Packet::Disconnect { reason } => Err(self.fault(index, Fault::Disconnected { reason })),
            other => {
                let out = &mut self.connections[index].out;
                handler.packet(index, other, now_ns, out).map_err(|fault| self.fault(index, fault))
            }
        }
    }

    /// Bytes written by nobody yet.
    pub(crate) fn pending(&self, index: usize) -> usize {
        let connection = &self.connections[index];
        connection.out.len() - connection.out_written
    }

    /// Whether the socket takes no more bytes now.
    pub(crate) fn is_blocked(&self, index: usize) -> bool {
        self.connections[index].blocked
    }

    pub(crate) fn out(&mut self, index: usize) -> &mut Vec<u8> {
        &mut self.connections[index].out
    }

    /// The server's limit of publications without an answer on this connection.
    pub(crate) fn receive_maximum(&self, index: usize) -> u16 {
        self.connections[index].receive_maximum
    }

    /// Writes as much as the socket takes; the rest follows when epoll says so.
    pub(crate) fn flush(&mut self, index: usize) -> Result<(), BenchError> {
        let connection = &mut self.connections[index];
        connection.blocked = false;
        while connection.out_written < connection.out.len() {
            match connection.stream.write(&connection.out[connection.out_written..]) {
                Ok(written) => connection.out_written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.blocked = true;
                    connection.out.drain(..connection.out_written);
                    connection.out_written = 0;
                    return Ok(());
                }
                Err(error) => return Err(self.closed(index, &error.to_string())),
            }
        }
        connection.out.clear();
        connection.out_written = 0;
        if connection.step == Step::AwaitSubAck || self.specs[index].is_silent() {
            connection.out.shrink_to_fit();
        }
        Ok(())
    }

    fn ping_all(&mut self) -> Result<(), BenchError> {
        self.next_ping = Instant::now() + self.keep_alive / 2;
        for index in 0..self.connections.len() {
            if self.connections[index].step == Step::Ready {
                write_pingreq(&mut self.connections[index].out);
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Says goodbye on every connection and closes it. A server that is gone already is no error.
    pub(crate) fn close(mut self) {
        for connection in &mut self.connections {
            if connection.out.is_empty() {
                write_disconnect(&mut connection.out);
                // The run is over: whether the farewell arrives changes no figure.
                drop(connection.stream.write(&connection.out));
            }
            // A reset leaves no TIME_WAIT, of which ten thousand would slow down the next run's connects.
            drop(socket2::SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO)));
        }
    }

    fn closed(&self, index: usize, reason: &str) -> BenchError {
        BenchError::Closed {
            connection: self.specs[index].client_id.clone(),
            step: self.connections[index].step.words(),
            reason: reason.to_owned(),
            advice: "See the server's log; it may limit connections, queues or rates: raise its limits or lower \
                     --window",
        }
    }

    fn broken(&self, index: usize, error: CodecError) -> BenchError {
        self.fault(index, Fault::Protocol(error.to_string()))
    }

    pub(crate) fn fault(&self, index: usize, fault: Fault) -> BenchError {
        let connection = self.specs[index].client_id.clone();
        match fault {
            Fault::Protocol(detail) => BenchError::Protocol { connection, detail },
            Fault::Refused { request, reason, advice } => BenchError::Refused {
                connection,
                request,
                code: format!("{reason:#04x}"),
                meaning: reason_text(reason),
                advice,
            },
            Fault::Disconnected { reason } => {
                self.closed(index, &format!("DISCONNECT with {reason:#04x}, {}", reason_text(reason)))
            }
        }
    }
}
