//! The proxy for streams: two threads for each direction of each connection, with a bounded buffer between them.
//!
//! One thread reads, the other writes when what was read is due and the gate lets it pass; so a delay does not
//! slow the stream down, and a frozen direction fills up like a network path does.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Direction, Gate};

/// Bytes on their way in one direction of a connection; a full way takes no more from the sender.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A TCP proxy. Dropped, it closes its connections and its port.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    gate: Gate,
    counters: Arc<Counters>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    bytes: [AtomicU64; 2],
    is_ended: AtomicBool,
}

impl TcpProxy {
    /// Listens on `listen` (port 0 for any) and connects each client to `target`.
    #[track_caller]
    pub fn start(listen: SocketAddr, target: SocketAddr, gate: &Gate) -> Self {
        let listener = TcpListener::bind(listen)
            .unwrap_or_else(|error| panic!("a proxy cannot listen on {listen}: {error}"));
        let address = listener.local_addr().expect("a bound listener has an address");
        let counters = Arc::new(Counters::default());
        let acceptor = {
            let (gate, counters) = (gate.clone(), Arc::clone(&counters));
            thread::spawn(move || accept(&listener, target, &gate, &counters))
        };
        Self { address, gate: gate.clone(), counters, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open on at least one side.
    pub fn open(&self) -> u64 {
        self.counters.open.load(Ordering::SeqCst)
    }

    /// Bytes that were handed on in a direction.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.counters.bytes[direction.index()].load(Ordering::SeqCst)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.counters.is_ended.store(true, Ordering::SeqCst);
        self.gate.close_connections();
        // The acceptor waits for a connection: this is the last one. If it fails, the listener is gone already.
        drop(TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, gate: &Gate, counters: &Arc<Counters>) {
    for client in listener.incoming().map_while(Result::ok) {
        if counters.is_ended.load(Ordering::SeqCst) {
            return;
        }
        counters.accepted.fetch_add(1, Ordering::SeqCst);
        let state = gate.now();
        if state.is_cut {
            drop(client);
            continue;
        }
        let (gate, counters) = (gate.clone(), Arc::clone(counters));
        thread::spawn(move || {
            counters.open.fetch_add(1, Ordering::SeqCst);
            // A target that does not answer ends the client's connection, as without a proxy.
            if let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT) {
                carry(&client, &server, &gate, state.cuts, &counters);
            }
            counters.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Carries both directions of one connection until both have ended.
fn carry(client: &TcpStream, server: &TcpStream, gate: &Gate, cuts: u64, counters: &Counters) {
    for stream in [client, server] {
        drop(stream.set_nodelay(true));
    }
    let ways = [
        Way::new(Direction::ToServer, client, server, gate, cuts),
        Way::new(Direction::ToClient, server, client, gate, cuts),
    ];
    thread::scope(|scope| {
        for way in &ways {
            scope.spawn(|| way.take());
            scope.spawn(|| way.hand_on(counters));
        }
    });
}

/// One direction of one connection.
struct Way<'a> {
    direction: Direction,
    from: &'a TcpStream,
    to: &'a TcpStream,
    gate: &'a Gate,
    /// Cuts before the connection was made.
    cuts: u64,
    buffer: Mutex<Buffer>,
}

#[derive(Default)]
struct Buffer {
    /// What was read and when it is due; an empty piece is the end of the stream.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    is_broken: bool,
}

impl<'a> Way<'a> {
    fn new(direction: Direction, from: &'a TcpStream, to: &'a TcpStream, gate: &'a Gate, cuts: u64) -> Self {
        Self { direction, from, to, gate, cuts, buffer: Mutex::default() }
    }

    /// Reads until the end of the stream.
    fn take(&self) {
        let (mut from, mut bytes) = (self.from, [0; READ_BYTES]);
        loop {
            // An error is an end too: the other side hears of it when what came before has passed.
            let count = from.read(&mut bytes).unwrap_or(0);
            let piece = bytes.get(..count).unwrap_or_default().to_vec();
            if !self.put(piece) || count == 0 {
                return;
            }
        }
    }

    /// Waits for room and puts a piece on its way; returns whether the way still leads anywhere.
    fn put(&self, piece: Vec<u8>) -> bool {
        let due = self.gate.due();
        let mut state = self.gate.0.state.lock();
        loop {
            let mut buffer = self.buffer.lock();
            if buffer.is_broken || state.cuts != self.cuts {
                return false;
            }
            if buffer.bytes < BUFFER_BYTES_MAX || piece.is_empty() {
                buffer.bytes += piece.len();
                buffer.pieces.push_back((due, piece));
                break;
            }
            drop(buffer);
            self.gate.0.changed.wait(&mut state);
        }
        drop(state);
        self.gate.0.changed.notify_all();
        true
    }

    /// Writes what is due while the gate is open, until the end of the stream or a cut.
    fn hand_on(&self, counters: &Counters) {
        let mut to = self.to;
        while let Some(piece) = self.next_due() {
            if piece.is_empty() {
                drop(to.shutdown(Shutdown::Write));
                return;
            }
            if to.write_all(&piece).is_err() {
                break;
            }
            let count = &counters.bytes[self.direction.index()];
            count.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        // Under the gate's lock, so that who is about to wait for room does not miss it.
        self.gate.change(|_| self.buffer.lock().is_broken = true);
        for stream in [self.from, self.to] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Waits for the next piece to be due; `None` when the connection was cut.
    fn next_due(&self) -> Option<Vec<u8>> {
        let mut state = self.gate.0.state.lock();
        loop {
            if state.cuts != self.cuts {
                return None;
            }
            let mut buffer = self.buffer.lock();
            let due = buffer.pieces.front().map(|(due, _)| *due);
            let is_frozen = state.is_frozen[self.direction.index()];
            match due.filter(|_| !is_frozen) {
                Some(due) if due <= Instant::now() => {
                    let (_, piece) = buffer.pieces.pop_front()?;
                    buffer.bytes -= piece.len();
                    drop(buffer);
                    self.gate.0.changed.notify_all();
                    return Some(piece);
                }
                Some(due) => {
                    drop(buffer);
                    self.gate.0.changed.wait_until(&mut state, due);
                }
                None => {
                    drop(buffer);
                    self.gate.0.changed.wait(&mut state);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
