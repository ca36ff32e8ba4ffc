//! Opens the connections of a run: TCP, CONNECT, SUBSCRIBE, many at once, each waited for.
//!
//! A refusal or silence ends the run with an error that names the connection and the step; nothing is
//! retried, because a run with fewer connections than asked for measures something else.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Interest, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};

use super::{ANSWER_TIMEOUT, Connection, Driver, Fault, Handler};
use crate::{
    BenchError, Qos, Workload,
    codec::{ConnAck, ConnectFields, write_connect, write_subscribe},
};

/// Connections being opened at the same time. Some servers listen with a backlog of 100; past it a SYN is dropped
/// and costs a second.
const OPENING_MAX: usize = 64;
/// Connections per loopback source address. Linux gives out 28 232 ports per address by default, but searches
/// them one by one once half of them are taken, which would be measured as a slow server.
const CONNECTIONS_PER_SOURCE: usize = 10_000;

/// A connection to be made.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) client_id: String,
    /// The node it connects to.
    pub(crate) node: usize,
    pub(crate) filter: Option<String>,
    /// Whether the connection publishes; others give their write buffer back after use.
    pub(crate) publishes: bool,
}

impl Spec {
    pub(super) fn is_silent(&self) -> bool {
        !self.publishes
    }
}

/// How the opening went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) connections: usize,
    pub(crate) elapsed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connecting,
    AwaitConnAck,
    AwaitSubAck,
    Ready,
}

impl Step {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::AwaitConnAck => "waiting for the answer to CONNECT",
            Self::AwaitSubAck => "waiting for the answer to SUBSCRIBE",
            Self::Ready => "running",
        }
    }
}

impl Driver<'_> {
    /// Opens `specs` behind those already open and returns when all are ready; connection `n` of all has
    /// index `n`.
    pub(crate) fn open(
        &mut self,
        specs: Vec<Spec>,
        handler: &mut impl Handler,
    ) -> Result<Opened, BenchError> {
        let start = Instant::now();
        let first = self.specs.len();
        let wanted = specs.len();
        self.specs.extend(specs);
        let all = self.specs.len();
        let mut progress = (self.opened, start);
        while self.opened < all {
            while self.connections.len() < all && self.connections.len() - self.opened < OPENING_MAX {
                self.start_connection(self.connections.len())?;
            }
            self.turn(Duration::from_millis(200), handler)?;
            if self.opened > progress.0 {
                progress = (self.opened, Instant::now());
                self.show_opening(self.opened - first, wanted);
            } else if progress.1.elapsed() > ANSWER_TIMEOUT {
                return Err(self.opening_timeout(self.opened - first, wanted));
            }
        }
        Ok(Opened { connections: wanted, elapsed: start.elapsed() })
    }

    fn show_opening(&self, ready: usize, wanted: usize) {
        if self.config.progress && wanted > 2000 && (ready.is_multiple_of(500) || ready == wanted) {
            crate::progress::draw(ready as f64 / wanted as f64, &format!("{ready} of {wanted} connections"));
        }
    }

    fn opening_timeout(&self, ready: usize, wanted: usize) -> BenchError {
        let waiting = self.connections.iter().position(|connection| connection.step != Step::Ready);
        let index = waiting.unwrap_or(0);
        BenchError::Timeout {
            connection: self.specs[index].client_id.clone(),
            step: self.connections[index].step.words(),
            seconds: ANSWER_TIMEOUT.as_secs(),
            ready,
            wanted,
        }
    }

    /// The error for a connection that gets no answer in the middle of a run.
    pub(crate) fn silent(&self, index: usize, step: &'static str, after: Duration) -> BenchError {
        BenchError::Timeout {
            connection: self.specs[index].client_id.clone(),
            step,
            seconds: after.as_secs(),
            ready: self.opened,
            wanted: self.specs.len(),
        }
    }

    fn start_connection(&mut self, index: usize) -> Result<(), BenchError> {
        let address = self.config.node_address(self.specs[index].node);
        let mut stream = connect(address, index)
            .map_err(|source| self.cannot_connect(index, "opening a socket", source))?;
        self.poll
            .registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
            .map_err(|source| BenchError::system("watch a socket", source))?;
        self.connections.push(Connection {
            stream,
            step: Step::Connecting,
            receive_maximum: u16::MAX,
            partial: Vec::new(),
            out: Vec::new(),
            out_written: 0,
            blocked: false,
        });
        Ok(())
    }

    /// Sends CONNECT once the socket is connected; returns whether the connection was still at that step.
    pub(super) fn continue_connecting(&mut self, index: usize) -> Result<bool, BenchError> {
        let connection = &mut self.connections[index];
        if connection.step != Step::Connecting {
            return Ok(false);
        }
        if let Ok(Some(source)) | Err(source) = connection.stream.take_error() {
            return Err(self.cannot_connect(index, "connecting", source));
        }
        if connection.stream.peer_addr().is_err() {
            return Ok(true);
        }
        connection.step = Step::AwaitConnAck;
        let fields = ConnectFields {
            protocol: self.config.protocol,
            client_id: &self.specs[index].client_id,
            keep_alive_seconds: self.config.keep_alive_seconds,
            user: self.config.user.as_deref(),
            password: self.config.password.as_deref(),
            durable: self.config.durable,
        };
        write_connect(&mut connection.out, &fields);
        connection
            .stream
            .set_nodelay(true)
            .map_err(|source| BenchError::system("set TCP_NODELAY", source))?;
        self.flush(index)?;
        Ok(true)
    }

    pub(super) fn connack(&mut self, index: usize, connack: &ConnAck) -> Result<(), BenchError> {
        if self.connections[index].step != Step::AwaitConnAck {
            return Err(self.fault(index, Fault::Protocol("a CONNACK that nothing asked for".to_owned())));
        }
        self.check_connack(index, connack)?;
        if let Some(seconds) = connack.keep_alive_seconds {
            let asked = Duration::from_secs(u64::from(seconds));
            if self.keep_alive.is_zero() || asked < self.keep_alive {
                self.keep_alive = asked;
                self.next_ping = Instant::now() + asked / 2;
            }
        }
        let connection = &mut self.connections[index];
        connection.receive_maximum = connack.receive_maximum;
        let Some(filter) = &self.specs[index].filter else {
            connection.step = Step::Ready;
            self.opened += 1;
            return Ok(());
        };
        connection.step = Step::AwaitSubAck;
        write_subscribe(&mut connection.out, self.config.protocol, 1, filter, self.config.qos);
        Ok(())
    }

    /// A limit of the server that makes the run impossible is found before the run, not in it.
    fn check_connack(&self, index: usize, connack: &ConnAck) -> Result<(), BenchError> {
        let refused = |reason: u8, advice: String| {
            Err(self.fault(index, Fault::Refused { request: "CONNECT", reason, advice }))
        };
        let filter = self.specs[index].filter.as_deref().unwrap_or_default();
        match connack.reason {
            0 => {}
            0x01 | 0x84 => {
                return refused(connack.reason, "Choose the other version with --protocol".to_owned());
            }
            0x04 | 0x05 | 0x86 | 0x87 => {
                return refused(
                    connack.reason,
                    "Give --user and --password, or allow anonymous clients".to_owned(),
                );
            }
            _ => return refused(connack.reason, "See the server's log".to_owned()),
        }
        if connack.qos_max < self.config.qos.bits() {
            return refused(0x9B, format!("It allows at most --qos {}", connack.qos_max));
        }
        if !connack.retain_available && matches!(self.config.workload, Workload::Retained { .. }) {
            return refused(0x9A, "Choose another workload than retained".to_owned());
        }
        if !connack.shared_available && filter.starts_with("$share/") {
            return refused(0x9E, "Choose another workload than shared".to_owned());
        }
        let packet_bytes = self.config.payload_bytes.saturating_add(256);
        if usize::try_from(connack.packet_bytes_max).is_ok_and(|max| packet_bytes > max) {
            return refused(
                0x95,
                format!("It takes packets up to {} bytes: lower --payload", connack.packet_bytes_max),
            );
        }
        if connack.receive_maximum == 0 {
            return Err(self.fault(index, Fault::Protocol("CONNACK with a receive maximum of 0".to_owned())));
        }
        Ok(())
    }

    /// Subscribes on a connection that was opened without a filter; [`Driver::is_ready`] tells when the answer
    /// came.
    pub(crate) fn subscribe(&mut self, index: usize, filter: String) -> Result<(), BenchError> {
        let connection = &mut self.connections[index];
        assert!(connection.step == Step::Ready, "a connection subscribes once it is open");
        connection.step = Step::AwaitSubAck;
        self.opened -= 1;
        write_subscribe(&mut connection.out, self.config.protocol, 1, &filter, self.config.qos);
        self.specs[index].filter = Some(filter);
        self.flush(index)
    }

    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.connections[index].step == Step::Ready
    }

    pub(super) fn suback(&mut self, index: usize, reason: u8) -> Result<(), BenchError> {
        if self.connections[index].step != Step::AwaitSubAck {
            return Err(self.fault(index, Fault::Protocol("a SUBACK that nothing asked for".to_owned())));
        }
        let granted = Qos::from_bits(reason);
        if granted != Some(self.config.qos) {
            let filter = self.specs[index].filter.as_deref().unwrap_or_default();
            let advice = match granted {
                Some(qos) => {
                    format!("It granted only QoS {} for {filter}; run with --qos {}", qos.bits(), qos.bits())
                }
                None => format!("The filter was {filter}; allow it in the server's access rules"),
            };
            return Err(self.fault(index, Fault::Refused { request: "SUBSCRIBE", reason, advice }));
        }
        self.connections[index].step = Step::Ready;
        self.opened += 1;
        Ok(())
    }

    fn cannot_connect(&self, index: usize, step: &'static str, source: io::Error) -> BenchError {
        let advice = match source.kind() {
            io::ErrorKind::ConnectionRefused => "Start the server, or give its address with --host",
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
                "No free port is left: wait for closed connections to leave TIME_WAIT or ask for fewer connections"
            }
            _ => "Check the address and the limits of open files on both sides",
        };
        BenchError::Connect {
            connection: self.specs[index].client_id.clone(),
            address: self.config.node_address(self.specs[index].node),
            step,
            source,
            advice,
        }
    }
}

/// Starts a connection. Past the ports of one address, further loopback addresses are the source.
pub(crate) fn connect(address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let source = index / CONNECTIONS_PER_SOURCE;
    let (IpAddr::V4(target), Ok(last @ 1..=254)) = (address.ip(), u8::try_from(source + 1)) else {
        return TcpStream::connect(address);
    };
    if source == 0 || !target.is_loopback() {
        return TcpStream::connect(address);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), 0).into())?;
    match socket.connect(&address.into()) {
        // EINPROGRESS has no kind of its own; epoll tells how the attempt ended.
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
        result => result?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// The number of the error by which Linux says that a connection is on its way.
const EINPROGRESS: i32 = 115;
