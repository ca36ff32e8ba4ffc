//! The physical limit: a server that copies bytes and understands nothing.
//!
//! It answers CONNECT, SUBSCRIBE and PINGREQ, joins each publisher to the subscribers of its topic by the number
//! at the end of both, and from then on copies what one side sends to the other without looking at it. At QoS 1 and
//! 2 the two sides answer each other through it, which works for one subscriber per publisher only. No server
//! can need less processor time for the same pattern of system calls. Only for comparisons: it checks nothing and
//! trusts that the load generator is at the other end.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::BenchError;

const READ_BYTES: usize = 128 * 1024;
const LISTENER: Token = Token(usize::MAX);

/// A relay that listens already.
#[derive(Debug)]
pub struct Relay {
    poll: Poll,
    listener: TcpListener,
    ends: Vec<End>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct End {
    stream: TcpStream,
    role: Role,
    targets: Vec<usize>,
    out: Vec<u8>,
    is_open: bool,
    is_version_5: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// CONNECT did not come yet.
    New,
    Publisher(u32),
    Subscriber(u32),
    /// A subscriber before its SUBSCRIBE.
    Unsubscribed,
}

impl Relay {
    /// Listens on `address`.
    ///
    /// # Errors
    /// [`BenchError::System`] when the address cannot be used.
    pub fn bind(address: SocketAddr) -> Result<Self, BenchError> {
        let wrong = |source| BenchError::system(format!("listen on {address}"), source);
        let mut listener = TcpListener::bind(address).map_err(wrong)?;
        let poll = Poll::new().map_err(wrong)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(wrong)?;
        Ok(Self { poll, listener, ends: Vec::new(), buffer: vec![0; READ_BYTES] })
    }

    /// Copies until the process ends.
    ///
    /// # Errors
    /// [`BenchError::System`] when epoll fails.
    pub fn serve(mut self) -> Result<(), BenchError> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(|source| BenchError::system("wait for events", source))?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => {
                        if event.is_writable() {
                            self.flush(index);
                        }
                        if event.is_readable() {
                            while self.read(index) {}
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), BenchError> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = Token(self.ends.len());
            stream
                .set_nodelay(true)
                .and_then(|()| {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut stream, token, both)
                })
                .map_err(|source| BenchError::system("take a connection", source))?;
            self.ends.push(End {
                stream,
                role: Role::New,
                targets: Vec::new(),
                out: Vec::new(),
                is_open: true,
                is_version_5: false,
            });
        }
        Ok(())
    }

    /// Reads once and passes it on; returns whether there may be more.
    fn read(&mut self, index: usize) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let end = &mut self.ends[index];
        let read = match end.stream.read(&mut buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            _ => {
                end.is_open = false;
                end.targets.clear();
                0
            }
        };
        let bytes = &buffer[..read];
        if read > 0 {
            match end.role {
                Role::New | Role::Unsubscribed => self.greet(index, bytes),
                _ if bytes == [0xC0, 0] => self.send(index, &[0xD0, 0]),
                _ => self.pass_on(index, bytes),
            }
        }
        self.buffer = buffer;
        read == READ_BYTES
    }

    fn pass_on(&mut self, index: usize, bytes: &[u8]) {
        let targets = std::mem::take(&mut self.ends[index].targets);
        for &target in &targets {
            self.send(target, bytes);
        }
        self.ends[index].targets = targets;
    }

    fn send(&mut self, index: usize, bytes: &[u8]) {
        let end = &mut self.ends[index];
        if !end.is_open {
            return;
        }
        let written = if end.out.is_empty() { end.stream.write(bytes).unwrap_or(0) } else { 0 };
        end.out.extend_from_slice(&bytes[written..]);
        if written > 0 && written < bytes.len() {
            self.flush(index);
        }
    }

    fn flush(&mut self, index: usize) {
        let end = &mut self.ends[index];
        while !end.out.is_empty() {
            match end.stream.write(&end.out) {
                Ok(written) => drop(end.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    end.is_open = false;
                    end.out.clear();
                }
            }
        }
    }

    /// Answers CONNECT, which names the publishers, and SUBSCRIBE, which comes alone and joins both sides.
    fn greet(&mut self, index: usize, bytes: &[u8]) {
        if bytes.first() == Some(&0x10) {
            let is_version_5 = bytes.get(8) == Some(&5);
            self.ends[index].is_version_5 = is_version_5;
            self.send(index, if is_version_5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] });
            let text = String::from_utf8_lossy(bytes);
            self.ends[index].role = match text.rsplit_once("-pub") {
                Some((_, number)) => Role::Publisher(leading_number(number)),
                None => Role::Unsubscribed,
            };
            return;
        }
        let Some((&qos, filter)) = bytes.split_last() else { return };
        let filter = String::from_utf8_lossy(filter);
        let number = leading_number(filter.rsplit('/').next().unwrap_or_default());
        self.ends[index].role = Role::Subscriber(number);
        let publisher = self.ends.iter().position(|end| end.is_open && end.role == Role::Publisher(number));
        if let Some(publisher) = publisher {
            self.ends[publisher].targets.push(index);
            self.ends[index].targets.push(publisher);
        }
        let answer: &[u8] =
            if self.ends[index].is_version_5 { &[0x90, 4, 0, 1, 0, qos] } else { &[0x90, 3, 0, 1, qos] };
        self.send(index, answer);
    }
}

fn leading_number(text: &str) -> u32 {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}
