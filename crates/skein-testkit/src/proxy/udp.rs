//! The proxy for datagrams: each sender gets a socket of its own towards the target, by which answers find back.
//!
//! A thread for each socket takes datagrams; one more hands on those that were delayed. What does not pass is
//! dropped and counted.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Direction, Gate};
use crate::numbers::Numbers;

/// Senders that are kept apart; one more is not served.
const SENDERS_MAX: usize = 256;
/// Datagrams that are delayed at the same time; one more is dropped.
const DELAYED_MAX: usize = 10_000;
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How often a thread that waits for datagrams looks whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A UDP proxy. Dropped, it closes its port.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    road: Arc<Road>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Road {
    gate: Gate,
    front: UdpSocket,
    target: SocketAddr,
    /// The socket towards the target of each sender.
    senders: Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>,
    chance: Mutex<Numbers>,
    delayed: Mutex<VecDeque<Delayed>>,
    delayed_grown: Condvar,
    passed: [AtomicU64; 2],
    dropped: [AtomicU64; 2],
    is_ended: AtomicBool,
}

#[derive(Debug)]
struct Delayed {
    due: Instant,
    direction: Direction,
    sender: SocketAddr,
    back: Arc<UdpSocket>,
    datagram: Vec<u8>,
}

impl UdpProxy {
    /// Listens on `listen` (port 0 for any) and forwards to `target`; `seed` chooses what is dropped.
    #[track_caller]
    pub fn start(listen: SocketAddr, target: SocketAddr, gate: &Gate, seed: u64) -> Self {
        let front = UdpSocket::bind(listen)
            .unwrap_or_else(|error| panic!("a proxy cannot listen on {listen} for datagrams: {error}"));
        let address = front.local_addr().expect("a bound socket has an address");
        let road = Arc::new(Road {
            gate: gate.clone(),
            front,
            target,
            senders: Mutex::default(),
            chance: Mutex::new(Numbers::new(seed)),
            delayed: Mutex::default(),
            delayed_grown: Condvar::new(),
            passed: Default::default(),
            dropped: Default::default(),
            is_ended: AtomicBool::new(false),
        });
        let there = Arc::clone(&road);
        let later = Arc::clone(&road);
        let threads =
            vec![thread::spawn(move || there.carry_there()), thread::spawn(move || later.carry_later())];
        Self { address, road, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams handed on in a direction.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.road.passed[direction.index()].load(Ordering::SeqCst)
    }

    /// Datagrams that were dropped in a direction: by chance, by a frozen or cut way, by a full one.
    pub fn dropped(&self, direction: Direction) -> u64 {
        self.road.dropped[direction.index()].load(Ordering::SeqCst)
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.road.is_ended.store(true, Ordering::SeqCst);
        self.road.delayed_grown.notify_all();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Road {
    /// Takes datagrams of all senders, and starts a thread for the answers to each new one.
    fn carry_there(self: &Arc<Self>) {
        let mut answers = Vec::new();
        self.receive(&self.front, |sender, datagram| {
            if let Some((back, is_new)) = self.back_of(sender) {
                if is_new {
                    let (road, back) = (Arc::clone(self), Arc::clone(&back));
                    answers.push(thread::spawn(move || road.carry_back(sender, &back)));
                }
                self.pass(Direction::ToServer, sender, &back, datagram);
            } else {
                self.count_dropped(Direction::ToServer);
            }
        });
        for thread in answers {
            drop(thread.join());
        }
    }

    fn carry_back(&self, sender: SocketAddr, back: &Arc<UdpSocket>) {
        self.receive(back, |_, datagram| self.pass(Direction::ToClient, sender, back, datagram));
    }

    /// Hands datagrams to `take` until the proxy ends.
    fn receive(&self, socket: &UdpSocket, mut take: impl FnMut(SocketAddr, &[u8])) {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        if socket.set_read_timeout(Some(LOOK)).is_err() {
            return;
        }
        while !self.is_ended.load(Ordering::SeqCst) {
            match socket.recv_from(&mut bytes) {
                Ok((count, sender)) => take(sender, bytes.get(..count).unwrap_or_default()),
                // A time-out is the moment to look; a refused earlier datagram is no matter of the proxy.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {}
            }
        }
    }

    /// The socket of a sender and whether it was made just now; `None` when there are too many.
    fn back_of(&self, sender: SocketAddr) -> Option<(Arc<UdpSocket>, bool)> {
        let mut senders = self.senders.lock();
        if let Some(back) = senders.get(&sender) {
            return Some((Arc::clone(back), false));
        }
        if senders.len() >= SENDERS_MAX {
            return None;
        }
        let mut any_port = self.front.local_addr().ok()?;
        any_port.set_port(0);
        let back =
            UdpSocket::bind(any_port).and_then(|back| back.connect(self.target).map(|()| back)).ok()?;
        let back = Arc::new(back);
        senders.insert(sender, Arc::clone(&back));
        Some((back, true))
    }

    fn pass(&self, direction: Direction, sender: SocketAddr, back: &Arc<UdpSocket>, datagram: &[u8]) {
        let state = self.gate.now();
        let is_unlucky = state.drop_permille > 0 && self.chance.lock().below(1000) < state.drop_permille;
        if state.is_cut || state.is_frozen[direction.index()] || is_unlucky {
            return self.count_dropped(direction);
        }
        if state.delay.is_zero() {
            return self.hand_on(direction, sender, back, datagram);
        }
        let due = Instant::now() + state.delay;
        let mut delayed = self.delayed.lock();
        if delayed.len() >= DELAYED_MAX {
            drop(delayed);
            return self.count_dropped(direction);
        }
        let (back, datagram) = (Arc::clone(back), datagram.to_vec());
        delayed.push_back(Delayed { due, direction, sender, back, datagram });
        drop(delayed);
        self.delayed_grown.notify_all();
    }

    /// Hands delayed datagrams on in the order in which they came.
    fn carry_later(&self) {
        let mut delayed = self.delayed.lock();
        while !self.is_ended.load(Ordering::SeqCst) {
            match delayed.front().map(|first| first.due) {
                Some(due) if due <= Instant::now() => {
                    let Some(first) = delayed.pop_front() else { continue };
                    drop(delayed);
                    let state = self.gate.now();
                    if state.is_cut || state.is_frozen[first.direction.index()] {
                        self.count_dropped(first.direction);
                    } else {
                        self.hand_on(first.direction, first.sender, &first.back, &first.datagram);
                    }
                    delayed = self.delayed.lock();
                }
                Some(due) => drop(self.delayed_grown.wait_until(&mut delayed, due)),
                None => drop(self.delayed_grown.wait_for(&mut delayed, LOOK)),
            }
        }
    }

    fn hand_on(&self, direction: Direction, sender: SocketAddr, back: &UdpSocket, datagram: &[u8]) {
        let sent = match direction {
            Direction::ToServer => back.send(datagram),
            Direction::ToClient => self.front.send_to(datagram, sender),
        };
        match sent {
            Ok(_) => drop(self.passed[direction.index()].fetch_add(1, Ordering::SeqCst)),
            Err(_) => self.count_dropped(direction),
        }
    }

    fn count_dropped(&self, direction: Direction) {
        self.dropped[direction.index()].fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
