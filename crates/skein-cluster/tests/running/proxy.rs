//! Stands between nodes, for TCP and UDP on one port, cuts connections and records what is said.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use skein_testkit::free_address;
use socket2::SockRef;

#[derive(Default)]
struct Shared {
    streams: Mutex<Vec<TcpStream>>,
    /// By connection: what its caller said.
    recorded: Mutex<Vec<Vec<u8>>>,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Threads end with the test program.
    pub(crate) fn start(to: SocketAddr) -> Self {
        Self::with_pace(to, Duration::ZERO)
    }

    /// `pause` behind every 16 KiB, with little room before it.
    pub(crate) fn with_pace(to: SocketAddr, pause: Duration) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).unwrap();
        if !pause.is_zero() {
            SockRef::from(&listener).set_recv_buffer_size(64 * 1024).unwrap();
        }
        let datagrams = UdpSocket::bind(address).unwrap();
        let shared = Arc::new(Shared::default());
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, _)) = datagrams.recv_from(&mut buffer) {
                let _lost = datagrams.send_to(&buffer[..length], to);
            }
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(caller), Ok(called)) = (stream, TcpStream::connect(to)) else { continue };
                let (from, into) = (caller.try_clone().unwrap(), called.try_clone().unwrap());
                for stream in [&caller, &called] {
                    stream.set_nodelay(true).unwrap();
                    accepting.streams.lock().push(stream.try_clone().unwrap());
                }
                let record = {
                    let mut recorded = accepting.recorded.lock();
                    recorded.push(Vec::new());
                    recorded.len() - 1
                };
                let shared = accepting.clone();
                thread::spawn(move || {
                    pump(from, into, pause, |bytes| shared.recorded.lock()[record].extend_from_slice(bytes));
                });
                thread::spawn(move || pump(called, caller, pause, |_| {}));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection there is.
    pub(crate) fn cut(&self) {
        for stream in self.shared.streams.lock().drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.shared.recorded.lock().clone()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, pause: Duration, mut see: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        see(&buffer[..length]);
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
    }
    let _gone = from.shutdown(Shutdown::Both);
    let _gone = to.shutdown(Shutdown::Both);
}
