//! The outbox against a plain list of bytes, written through sockets that take any amount.

use std::{io, io::IoSlice};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::{
    Bytes, CHUNK_BYTES, Memory, Outbox, POOL, POOL_CHUNKS_MAX, SHARE_PAYLOAD_BYTES_MIN, Socket, Written,
    chunk_to_pool,
};

/// Takes as much as it is told to, and would block otherwise.
#[derive(Debug, Default)]
struct Valve(Mutex<Flow>);

#[derive(Debug, Default)]
struct Flow {
    room: usize,
    /// One write takes at most this.
    write_bytes_max: usize,
    got: Vec<u8>,
    interrupted: bool,
}

impl Socket for Valve {
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut flow = self.0.lock();
        flow.interrupted = !flow.interrupted;
        if flow.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if flow.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = flow.room.min(flow.write_bytes_max);
        let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(most).collect();
        flow.room -= bytes.len();
        flow.got.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn shutdown(&self) {}
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        len: usize,
        messages: u32,
    },
    PushWith {
        len: usize,
        messages: u32,
    },
    PushShared {
        len: usize,
        messages: u32,
    },
    /// The socket takes `room` bytes, and while it writes somebody appends.
    Write {
        room: usize,
        write_bytes_max: usize,
        meanwhile: usize,
    },
    WriteAlone {
        room: usize,
    },
    Drain,
    Forget,
}

fn any_step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 0_usize..300, 1 => 0_usize..40_000];
    prop_oneof![
        4 => (len(), 0_u32..4).prop_map(|(len, messages)| Step::Push { len, messages }),
        3 => (len(), 0_u32..4).prop_map(|(len, messages)| Step::PushWith { len, messages }),
        2 => (SHARE_PAYLOAD_BYTES_MIN..9000, 0_u32..2)
            .prop_map(|(len, messages)| Step::PushShared { len, messages }),
        4 => (0_usize..60_000, 1_usize..30_000, prop_oneof![3 => 0_usize..3000, 1 => 16_000_usize..40_000])
            .prop_map(|(room, write_bytes_max, meanwhile)| Step::Write { room, write_bytes_max, meanwhile }),
        1 => (0_usize..60_000).prop_map(|room| Step::WriteAlone { room }),
        1 => Just(Step::Drain),
        1 => Just(Step::Forget),
    ]
}

/// An outbox and what must come out of it.
#[derive(Default)]
struct Pair {
    outbox: Outbox,
    socket: Valve,
    pushed: Vec<u8>,
    messages_pushed: u64,
    messages_written: u64,
}

impl Pair {
    /// Bytes that tell their place in the stream.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let start = self.pushed.len();
        let bytes: Vec<u8> = (start..start + len).map(|at| (at % 251) as u8).collect();
        self.pushed.extend_from_slice(&bytes);
        bytes
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push { len, messages } => {
                // Only bytes carry messages.
                let messages = if len == 0 { 0 } else { messages };
                let bytes = self.bytes(len);
                self.outbox.push(&bytes, messages);
                self.messages_pushed += u64::from(messages);
            }
            Step::PushWith { len, messages } => {
                let bytes = self.bytes(len);
                self.outbox.push_with(|out| out.extend_from_slice(&bytes));
                if len > 0 {
                    self.outbox.count(messages);
                    self.messages_pushed += u64::from(messages);
                }
            }
            Step::PushShared { len, messages } => {
                let bytes = Bytes::from(self.bytes(len));
                let memory = if len % 2 == 0 { Memory::Own } else { Memory::Buffer };
                self.outbox.push_shared(bytes, memory, messages);
                self.messages_pushed += u64::from(messages);
            }
            Step::Write { room, write_bytes_max, meanwhile } => self.write(room, write_bytes_max, meanwhile),
            Step::WriteAlone { room } => {
                let before = self.outbox.messages();
                self.open_valve(room, usize::MAX);
                let written = self.outbox.write_to(&self.socket);
                assert_eq!(matches!(written, Written::All), self.outbox.is_empty(), "{written:?}");
                self.messages_written += before - self.outbox.messages();
            }
            Step::Drain => {
                let mut out = Vec::new();
                self.messages_written += self.outbox.drain_into(&mut out);
                self.socket.0.lock().got.extend_from_slice(&out);
            }
            Step::Forget => {
                self.messages_pushed -= self.outbox.messages();
                self.outbox.forget_messages();
            }
        }
        self.check();
    }

    fn open_valve(&self, room: usize, write_bytes_max: usize) {
        let mut flow = self.socket.0.lock();
        (flow.room, flow.write_bytes_max) = (room, write_bytes_max);
    }

    fn write(&mut self, room: usize, write_bytes_max: usize, meanwhile: usize) {
        let len = self.outbox.len();
        let mut taken = self.outbox.take();
        assert_eq!(self.outbox.len(), len, "what a writer took is counted");
        let bytes = self.bytes(meanwhile);
        self.outbox.push(&bytes, u32::from(meanwhile > 0));
        self.messages_pushed += u64::from(meanwhile > 0);
        self.open_valve(room, write_bytes_max);
        match taken.write_to(&self.socket) {
            Written::All => assert_eq!(taken.written_bytes(), len),
            Written::Blocked => assert_eq!(taken.written_bytes(), room),
            Written::Failed(error) => panic!("the socket does not fail: {error}"),
        }
        let left = taken.messages();
        let before = self.outbox.messages();
        self.messages_written += u64::from(self.outbox.put_back(taken));
        assert_eq!(self.outbox.messages(), before + left);
    }

    fn check(&self) {
        let flow = self.socket.0.lock();
        assert!(self.pushed.starts_with(&flow.got), "the bytes written are not those pushed");
        assert_eq!(self.outbox.len(), self.pushed.len() - flow.got.len());
        assert_eq!(self.messages_pushed, self.messages_written + self.outbox.messages());
        if self.outbox.is_empty() {
            let Outbox { full, tail, tail_messages, .. } = &self.outbox;
            assert_eq!(
                (full.capacity(), tail.capacity(), *tail_messages),
                (0, 0, 0),
                "memory of an empty outbox"
            );
        }
        POOL.with_borrow(|pool| assert!(pool.len() <= POOL_CHUNKS_MAX));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_was_pushed(steps in prop::collection::vec(any_step(), 1..40)) {
        let mut pair = Pair::default();
        for step in &steps {
            pair.step(step);
        }
        pair.step(&Step::Write { room: usize::MAX, write_bytes_max: usize::MAX, meanwhile: 0 });
        prop_assert!(pair.outbox.is_empty());
        prop_assert_eq!(&pair.socket.0.lock().got, &pair.pushed);
        prop_assert_eq!(pair.messages_written, pair.messages_pushed);
    }
}

#[test]
fn the_pool_keeps_a_bounded_number_of_whole_chunks() {
    for _ in 0..2 * POOL_CHUNKS_MAX {
        chunk_to_pool(Vec::with_capacity(CHUNK_BYTES));
        chunk_to_pool(Vec::with_capacity(10));
    }
    POOL.with_borrow(|pool| {
        assert_eq!(pool.len(), POOL_CHUNKS_MAX);
        assert!(pool.iter().all(|chunk| chunk.is_empty() && chunk.capacity() == CHUNK_BYTES));
    });
}

#[test]
fn a_blocked_connection_does_not_keep_a_chunk_for_a_few_bytes() {
    let (mut outbox, socket) = (Outbox::default(), Valve::default());
    outbox.push(&[1; 5000], 1);
    *socket.0.lock() = Flow { room: 4990, write_bytes_max: usize::MAX, ..Flow::default() };
    assert!(matches!(outbox.write_to(&socket), Written::Blocked));
    let kept: usize = outbox.full.iter().map(|chunk| chunk.as_slice().len()).sum();
    assert_eq!((outbox.len(), kept, outbox.tail.capacity()), (10, 10, 0));
    let super::Chunk::Own { bytes, .. } = &outbox.full[0] else { panic!("a copy is the outbox's own") };
    assert_eq!(bytes.capacity(), 10);
}

#[test]
fn a_socket_that_takes_nothing_is_broken() {
    #[derive(Debug)]
    struct Dead;
    impl Socket for Dead {
        fn try_write_vectored(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(0)
        }
        fn shutdown(&self) {}
    }
    let mut outbox = Outbox::default();
    assert!(matches!(outbox.write_to(&Dead), Written::All), "nothing to write");
    outbox.push(b"frame", 1);
    match outbox.write_to(&Dead) {
        Written::Failed(error) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
    assert_eq!((outbox.len(), outbox.messages()), (5, 1));
}

/// A payload of 2 KiB used to keep the 64 KiB it was read with for as long as its client did not read.
#[test]
fn no_read_buffer_is_kept_for_a_client_that_does_not_read() {
    let socket = Valve::default();
    let (mut outbox, read) = (Outbox::default(), Bytes::from(vec![7; 65_536]));
    let payload = || read.slice(100..100 + SHARE_PAYLOAD_BYTES_MIN);
    outbox.push_shared(payload(), Memory::Buffer, 1);
    outbox.push_shared(payload(), Memory::Buffer, 1);
    assert!(!read.is_unique(), "what is written at once is not copied");
    socket.0.lock().room = 1000;
    socket.0.lock().write_bytes_max = usize::MAX;
    assert!(matches!(outbox.write_to(&socket), Written::Blocked));
    assert!(read.is_unique());
    outbox.push_shared(payload(), Memory::Buffer, 1);
    assert!(read.is_unique(), "what comes now waits as well");
    outbox.push_shared(payload(), Memory::Own, 1);
    assert!(!read.is_unique(), "a payload that is its own buffer costs nothing");
    socket.0.lock().room = usize::MAX;
    assert!(matches!(outbox.write_to(&socket), Written::All));
    assert_eq!(socket.0.lock().got, vec![7; 4 * SHARE_PAYLOAD_BYTES_MIN]);
    outbox.push_shared(payload(), Memory::Buffer, 1);
    assert!(!read.is_unique());
}
