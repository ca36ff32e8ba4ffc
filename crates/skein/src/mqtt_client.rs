//! A small blocking MQTT client: one connection, no second attempt, clear words when it ends.
//!
//! It frames and paces (keep alive) and leaves message flow to its callers, `pub` and `sub`. It waits for the socket and,
//! if asked, for an input beside it, so that neither command needs a second thread.

mod refusal;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use skein_node::mqtt_codec::{
    ConnAck, DecodeContext, Disconnect, Packet, ReasonCode, Version, decode, frame_length,
};

use crate::mqtt_arguments::ConnectionArgs;

pub(crate) use refusal::explain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may leave what is sent to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server has to end a connection after DISCONNECT.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 * 1024;

/// A connection a server has accepted.
#[derive(Debug)]
pub(crate) struct MqttClient {
    stream: TcpStream,
    version: Version,
    incoming: BytesMut,
    outgoing: Vec<u8>,
    scratch: Vec<u8>,
    is_at_end: bool,
    /// Silence after which a PINGREQ is due; none when keep alive is off.
    ping_interval: Option<Duration>,
    last_sent: Instant,
    /// When the PINGREQ was sent that has no answer yet.
    ping_sent: Option<Instant>,
}

/// What a wait ended with.
#[derive(Debug)]
pub(crate) enum Event {
    /// A packet came.
    Packet(Packet),
    /// The input beside the socket can be read.
    Input,
    /// The time is over.
    Timeout,
    /// The server closed the connection and gave no reason.
    Closed,
}

impl MqttClient {
    /// Connects and logs in.
    pub(crate) fn connect(arguments: &ConnectionArgs) -> anyhow::Result<(Self, ConnAck)> {
        let connect = arguments.connect_packet()?;
        let (host, port) = arguments.server()?;
        let stream = open_stream(host, port)?;
        let now = Instant::now();
        let mut client = Self {
            stream,
            version: connect.version,
            incoming: BytesMut::new(),
            outgoing: Vec::new(),
            scratch: vec![0; READ_BYTES],
            is_at_end: false,
            ping_interval: None,
            last_sent: now,
            ping_sent: None,
        };
        let keep_alive_secs = connect.keep_alive_secs;
        client.send(&Packet::Connect(Box::new(connect)))?;
        let answer = match client.wait(None, Some(now + CONNECT_TIMEOUT))? {
            Event::Packet(Packet::ConnAck(answer)) => *answer,
            Event::Packet(other) => bail!("the server answered the CONNECT with {:?}", other.packet_type()),
            Event::Timeout | Event::Input => {
                bail!(
                    "the server did not answer the CONNECT within {CONNECT_TIMEOUT:?}. Is it an MQTT server?"
                )
            }
            Event::Closed => bail!(
                "the server closed the connection instead of answering the CONNECT. Is it an MQTT server that takes \
                 MQTT {}?",
                client.version
            ),
        };
        if answer.reason.is_error() {
            bail!(refusal::of_connection(&answer, client.version));
        }
        let keep_alive_secs = answer.properties.keep_alive_secs.unwrap_or(keep_alive_secs);
        // Half of it: a ping that is late on its way is still in time.
        client.ping_interval = (keep_alive_secs > 0).then(|| Duration::from_secs(keep_alive_secs.into()) / 2);
        Ok((client, answer))
    }

    /// The version the connection speaks.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, packet: &Packet) -> anyhow::Result<()> {
        self.outgoing.clear();
        packet.encode(self.version, &mut self.outgoing);
        self.last_sent = Instant::now();
        match self.stream.write_all(&self.outgoing) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.reason_of_close().unwrap_or_else(|| {
                anyhow!(error).context("cannot send to the server, which may have closed the connection")
            })),
        }
    }

    /// Waits for the next packet, for `input` to be readable, or for `until`.
    ///
    /// A DISCONNECT of the server is an error that says why.
    pub(crate) fn wait(
        &mut self,
        input: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> anyhow::Result<Event> {
        loop {
            match self.take_packet()? {
                Some(Packet::PingResp) => self.ping_sent = None,
                Some(Packet::Disconnect(disconnect)) => {
                    bail!(explain(
                        "the server ended the connection",
                        disconnect.reason,
                        disconnect.reason_string.as_deref()
                    ))
                }
                Some(packet) => return Ok(Event::Packet(packet)),
                None if self.is_at_end => return Ok(Event::Closed),
                None => {
                    if let Some(event) = self.wait_for_bytes(input, until)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// Says goodbye and waits until the server has read everything, so that nothing sent is lost.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        self.send(&Packet::Disconnect(Box::new(Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION))))?;
        // It fails only when the server has closed first, which the wait finds too.
        drop(self.stream.shutdown(Shutdown::Write));
        self.ping_interval = None;
        let until = Instant::now() + CLOSE_TIMEOUT;
        loop {
            match self.wait(None, Some(until))? {
                Event::Packet(_) => {}
                Event::Closed | Event::Timeout | Event::Input => return Ok(()),
            }
        }
    }

    fn take_packet(&mut self) -> anyhow::Result<Option<Packet>> {
        let Some(length) = frame_length(&self.incoming).map_err(unreadable)? else { return Ok(None) };
        if self.incoming.len() < length {
            return Ok(None);
        }
        let mut frame: Bytes = self.incoming.split_to(length).freeze();
        decode(&mut frame, &DecodeContext::client(self.version)).map_err(unreadable)
    }

    /// Waits once; none means that there are bytes, the end, or nothing but a ping to send.
    fn wait_for_bytes(
        &mut self,
        input: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> anyhow::Result<Option<Event>> {
        let ping_at = self.ping_interval.map(|interval| self.ping_sent.unwrap_or(self.last_sent) + interval);
        let deadline = [until, ping_at].into_iter().flatten().min();
        let (socket_ready, input_ready) = poll_both(self.stream.as_fd(), input, deadline)?;
        if socket_ready {
            self.read_some()?;
            return Ok(None);
        }
        if input_ready {
            return Ok(Some(Event::Input));
        }
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            return Ok(Some(Event::Timeout));
        }
        if ping_at.is_some_and(|at| now >= at) {
            self.ping(now)?;
        }
        Ok(None)
    }

    fn ping(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.ping_sent.is_some() {
            bail!("the server does not answer any more; the connection may be broken");
        }
        self.ping_sent = Some(now);
        self.send(&Packet::PingReq)
    }

    fn read_some(&mut self) -> anyhow::Result<()> {
        match self.stream.read(&mut self.scratch) {
            Ok(0) => self.is_at_end = true,
            Ok(count) => self.incoming.extend_from_slice(self.scratch.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            // A server that resets the connection has closed it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.is_at_end = true,
            Err(error) => return Err(error).context("cannot read from the server"),
        }
        Ok(())
    }

    /// What the server said before it closed, if it said anything.
    fn reason_of_close(&mut self) -> Option<anyhow::Error> {
        self.ping_interval = None;
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            match self.wait(None, Some(until)) {
                Ok(Event::Packet(_)) => {}
                Ok(Event::Closed | Event::Timeout | Event::Input) => return None,
                Err(error) => return Some(error),
            }
        }
    }
}

fn open_stream(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve the host {host:?}. Check -h"))?;
    let mut last = anyhow!("the name {host:?} has no address. Check -h");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => {
                let hint = "Is a server running there? `skein` starts one; -h and -p choose another";
                last = anyhow!("cannot connect to {address}: {error}. {hint}");
            }
        }
    }
    Err(last)
}

/// Waits until the socket or the input can be read or the deadline has passed, and says which can be read.
fn poll_both(
    socket: BorrowedFd<'_>,
    input: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> anyhow::Result<(bool, bool)> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    // A moment that is too far for the system's clock is as good as none.
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut sources = vec![PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    sources.extend(input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)));
    match poll(&mut sources, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for the server"),
    }
    let is_ready = |at: usize| sources.get(at).is_some_and(|source| !source.revents().is_empty());
    Ok((is_ready(0), is_ready(1)))
}

fn unreadable(error: skein_node::mqtt_codec::DecodeError) -> anyhow::Error {
    anyhow!("the server sent something that is not MQTT: {error}. Check -h, -p and -V")
}
