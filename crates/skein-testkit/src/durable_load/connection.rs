//! A client's socket: written by the thread that drives the load, read by a thread of its own.
//!
//! The reading thread turns bytes into packets and reports them in batches, as they came; it ends with the connection
//! or with the load.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use super::packet::{self, Packet, Version};

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
}

/// Whose connection, and which one of that client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) client: usize,
    pub(super) number: u64,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) origin: Origin,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    Packets(Vec<Packet>),
    /// Bytes that are no packet.
    Nonsense(String),
    Closed,
}

impl Connection {
    pub(super) fn open(
        address: SocketAddr,
        version: Version,
        origin: Origin,
        events: SyncSender<Event>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(CONNECT_DEADLINE))?;
        let reading = stream.try_clone()?;
        thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            let mut report = |news| events.send(Event { origin, news }).is_ok();
            read(reading, version, &mut report);
            report(News::Closed);
        })?;
        Ok(Self { stream })
    }

    /// Writes; a connection that is gone says so to its reader.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Ends the connection without a word.
    pub(super) fn close(&self) {
        // Fails only when the server has closed already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads until the connection ends or nobody listens to `report`.
fn read(mut stream: TcpStream, version: Version, report: &mut impl FnMut(News) -> bool) {
    let mut chunk = vec![0; READ_BYTES];
    let mut unread = Vec::new();
    loop {
        let count = match stream.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        unread.extend(chunk.iter().take(count));
        let mut packets = Vec::new();
        let fault = loop {
            match packet::take(&mut unread, version) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        };
        if !packets.is_empty() && !report(News::Packets(packets)) {
            return;
        }
        if let Some(fault) = fault {
            report(News::Nonsense(fault));
            return;
        }
    }
}
