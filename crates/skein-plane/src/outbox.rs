//! The outbox: the bounded, ordered bytes waiting to be written to one connection.
//!
//! Small frames are copied one after another into pooled chunks; a large payload is shared and not copied
//! (docs/adr/0003), unless its client does not read: then it would keep the whole buffer it was read into. An empty outbox
//! owns no memory. Whoever writes takes the content out under the session's
//! lock, writes without it, and puts the rest back in front, so that a system call never holds the lock.

use std::{cell::RefCell, collections::VecDeque, io, io::IoSlice, sync::Arc};

use bytes::Bytes;
use skein_types::Message;

use crate::wire::DeliveryOptions;

/// Frames whose payload is at least this long share the payload instead of copying it. Below, copying costs less
/// than one more reference count and one more vector of a gathered write.
pub const SHARE_PAYLOAD_BYTES_MIN: usize = 2048;

/// What a payload keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// About as much as it has bytes.
    Own,
    /// A buffer that many messages were read into, or nobody knows what.
    Buffer,
}

impl Memory {
    /// What `payload` keeps that was read into a buffer of so many bytes, if that is known.
    pub(crate) fn of(payload: &[u8], buffer_bytes: Option<usize>) -> Self {
        let fills_half = buffer_bytes.is_some_and(|buffer_bytes| payload.len() >= buffer_bytes / 2);
        if fills_half { Self::Own } else { Self::Buffer }
    }
}

/// Size of a chunk: large enough that a saturated connection needs few vectors per write, small enough to be pooled.
const CHUNK_BYTES: usize = 16 * 1024;
/// Room a chunk must still have before something is encoded straight into it; frames are seldom longer.
const ENCODE_ROOM_BYTES: usize = 256;
/// Chunks one thread keeps for reuse: 4 MiB.
const POOL_CHUNKS_MAX: usize = 256;
/// A blocked connection keeps a whole chunk only when at least this much of it is in use.
const SHRINK_BELOW_BYTES: usize = 2048;
/// What a message for a client in this process takes beside its content.
const MESSAGE_BYTES: usize = 64;
/// Vectors handed to one gathered write.
const WRITE_VECTORS_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn chunk_from_pool() -> Vec<u8> {
    POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
}

fn chunk_to_pool(mut chunk: Vec<u8>) {
    if chunk.capacity() == CHUNK_BYTES {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOL_CHUNKS_MAX {
                chunk.clear();
                pool.push(chunk);
            }
        });
    }
}

/// What a door's connection is written through; a plain TCP socket, whose writes do not wait.
pub trait Socket: Send + Sync + std::fmt::Debug {
    /// Writes some of `buffers` without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when the peer has to read first; anything else ends the connection.
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the connection for both directions at once.
    fn shutdown(&self);
}

/// A message for a client in this process, which takes messages and not bytes.
#[derive(Clone, Debug)]
pub struct DeliveredMessage {
    /// The message.
    pub message: Arc<Message>,
    /// How it is delivered.
    pub options: DeliveryOptions,
    /// The number to acknowledge; none at QoS 0.
    pub seq: Option<u64>,
    /// Whether it may have been delivered before.
    pub again: bool,
}

/// Bytes of one chunk and the number of QoS 0 messages among them, for the ledger.
#[derive(Debug)]
enum Chunk {
    Own {
        bytes: Vec<u8>,
        start: usize,
        messages: u32,
    },
    Shared {
        bytes: Bytes,
        memory: Memory,
        messages: u32,
    },
    /// For a client that takes messages; it has no socket.
    Message {
        delivered: Box<DeliveredMessage>,
        messages: u32,
    },
}

impl Chunk {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own { bytes, start, .. } => bytes.get(*start..).unwrap_or_default(),
            Self::Shared { bytes, .. } => bytes,
            Self::Message { .. } => &[],
        }
    }

    /// Copies bytes that keep a read buffer.
    fn let_go_of_buffer(&mut self) {
        if let Self::Shared { bytes, memory: memory @ Memory::Buffer, .. } = self {
            *bytes = Bytes::copy_from_slice(bytes);
            *memory = Memory::Own;
        }
    }

    fn messages(&self) -> u32 {
        match self {
            Self::Own { messages, .. } | Self::Shared { messages, .. } | Self::Message { messages, .. } => {
                *messages
            }
        }
    }
}

/// Ordered bytes waiting for one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    full: VecDeque<Chunk>,
    tail: Vec<u8>,
    tail_messages: u32,
    /// Bytes waiting, those a writer has taken out included.
    bytes: usize,
    /// They are not written with the batch that brings them, so that no read buffer is kept for them.
    waits: bool,
}

/// How a write of an outbox ended.
#[derive(Debug)]
pub enum Written {
    /// Everything was written.
    All,
    /// The peer has to read before more can be written.
    Blocked,
    /// The connection is broken.
    Failed(io::Error),
}

impl Outbox {
    /// Bytes waiting to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends frames of `messages` QoS 0 messages, or of none when the ledger counts them elsewhere.
    pub fn push(&mut self, mut frames: &[u8], messages: u32) {
        if frames.is_empty() {
            return;
        }
        self.bytes += frames.len();
        loop {
            if self.tail.capacity() == 0 {
                self.tail = chunk_from_pool();
            }
            let room = self.tail.capacity() - self.tail.len();
            if frames.len() <= room {
                self.tail.extend_from_slice(frames);
                self.tail_messages += messages;
                return;
            }
            let (head, rest) = frames.split_at(room);
            self.tail.extend_from_slice(head);
            frames = rest;
            self.seal();
        }
    }

    /// Appends whatever `encode` writes.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.capacity() - self.tail.len() < ENCODE_ROOM_BYTES {
            self.seal();
            self.tail = chunk_from_pool();
        }
        let before = self.tail.len();
        encode(&mut self.tail);
        self.bytes += self.tail.len() - before;
        if self.tail.is_empty() {
            chunk_to_pool(std::mem::take(&mut self.tail));
        }
    }

    /// Counts QoS 0 messages among the bytes appended last.
    pub(crate) fn count(&mut self, messages: u32) {
        self.tail_messages += messages;
    }

    /// Appends a payload without copying it, unless it would wait and keep more memory than it has bytes; it belongs to the
    /// frame whose head was pushed before.
    pub fn push_shared(&mut self, payload: Bytes, memory: Memory, messages: u32) {
        if self.waits && memory == Memory::Buffer {
            return self.push(&payload, messages);
        }
        self.bytes += payload.len();
        self.seal();
        self.full.push_back(Chunk::Shared { bytes: payload, memory, messages });
    }

    /// Says whether what is appended waits longer than until the end of its batch.
    pub(crate) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
        if waits {
            self.full.iter_mut().for_each(Chunk::let_go_of_buffer);
        }
    }

    /// Appends a message for a client in this process.
    pub(crate) fn push_message(&mut self, delivered: DeliveredMessage, messages: u32) {
        self.bytes += MESSAGE_BYTES + delivered.message.size_bytes();
        self.full.push_back(Chunk::Message { delivered: Box::new(delivered), messages });
    }

    /// Takes out all messages, for the client in this process they are for. Returns how many of them are QoS 0.
    pub(crate) fn take_messages(&mut self, out: &mut Vec<DeliveredMessage>) -> u64 {
        let messages = self.messages();
        out.extend(self.full.drain(..).filter_map(|chunk| match chunk {
            Chunk::Message { delivered, .. } => Some(*delivered),
            Chunk::Own { .. } | Chunk::Shared { .. } => None,
        }));
        self.full = VecDeque::new();
        self.bytes = 0;
        messages
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let bytes = std::mem::take(&mut self.tail);
            let messages = std::mem::take(&mut self.tail_messages);
            self.full.push_back(Chunk::Own { bytes, start: 0, messages });
        }
    }

    /// Takes out all that waits; [`Outbox::len`] still counts it until [`Outbox::put_back`].
    pub(crate) fn take(&mut self) -> Taken {
        let bytes = std::mem::take(&mut self.tail);
        let messages = std::mem::take(&mut self.tail_messages);
        let tail = (!bytes.is_empty()).then_some(Chunk::Own { bytes, start: 0, messages });
        Taken { full: std::mem::take(&mut self.full), tail, written_bytes: 0, written_messages: 0 }
    }

    /// Puts what a writer could not write back in front of what came meanwhile; returns the QoS 0 messages written.
    pub(crate) fn put_back(&mut self, taken: Taken) -> u32 {
        let Taken { mut full, tail, written_bytes, written_messages } = taken;
        self.bytes -= written_bytes;
        if let Some(Chunk::Own { bytes, start, messages }) = tail {
            full.push_back(shrunk(bytes, start, messages));
        }
        let blocked = !full.is_empty();
        if blocked {
            full.append(&mut self.full);
            self.full = full;
        }
        self.set_waits(blocked);
        written_messages
    }

    /// QoS 0 messages that were not written, for whoever throws the outbox away.
    #[must_use]
    pub fn messages(&self) -> u64 {
        u64::from(self.tail_messages) + self.full.iter().map(|chunk| u64::from(chunk.messages())).sum::<u64>()
    }

    /// Makes the outbox count no messages any more, after somebody else accounted for them.
    pub(crate) fn forget_messages(&mut self) {
        self.tail_messages = 0;
        for chunk in &mut self.full {
            match chunk {
                Chunk::Own { messages, .. }
                | Chunk::Shared { messages, .. }
                | Chunk::Message { messages, .. } => *messages = 0,
            }
        }
    }

    /// Writes as much as `socket` takes at once, for whoever owns the outbox alone.
    pub fn write_to(&mut self, socket: &dyn Socket) -> Written {
        let mut taken = self.take();
        let written = taken.write_to(socket);
        self.put_back(taken);
        written
    }

    /// Moves everything into `out`, for connections whose bytes are encrypted or framed before they are written.
    /// Returns the number of QoS 0 messages moved.
    pub fn drain_into(&mut self, out: &mut Vec<u8>) -> u64 {
        let messages = self.messages();
        for chunk in std::mem::take(&mut self.full) {
            out.extend_from_slice(chunk.as_slice());
            if let Chunk::Own { bytes, .. } = chunk {
                chunk_to_pool(bytes);
            }
        }
        out.extend_from_slice(&self.tail);
        chunk_to_pool(std::mem::take(&mut self.tail));
        self.tail_messages = 0;
        self.bytes = 0;
        messages
    }
}

fn shrunk(bytes: Vec<u8>, start: usize, messages: u32) -> Chunk {
    let rest = bytes.get(start..).unwrap_or_default();
    if rest.len() < SHRINK_BELOW_BYTES {
        let own = rest.to_vec();
        chunk_to_pool(bytes);
        return Chunk::Own { bytes: own, start: 0, messages };
    }
    Chunk::Own { bytes, start, messages }
}

/// The content of an outbox on its way to the socket.
#[derive(Debug)]
pub(crate) struct Taken {
    full: VecDeque<Chunk>,
    /// The last chunk, kept apart so that the usual single chunk needs no list.
    tail: Option<Chunk>,
    written_bytes: usize,
    written_messages: u32,
}

impl Taken {
    /// Writes until everything is written or the socket would block.
    pub(crate) fn write_to(&mut self, socket: &dyn Socket) -> Written {
        loop {
            let result = {
                let mut vectors = [IoSlice::new(&[]); WRITE_VECTORS_MAX];
                let mut count = 0;
                for (slot, chunk) in vectors.iter_mut().zip(self.full.iter().chain(self.tail.as_ref())) {
                    *slot = IoSlice::new(chunk.as_slice());
                    count += 1;
                }
                if count == 0 {
                    return Written::All;
                }
                socket.try_write_vectored(&vectors[..count])
            };
            match result {
                Ok(0) => return Written::Failed(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Written::Failed(error),
            }
        }
    }

    fn advance(&mut self, mut bytes: usize) {
        self.written_bytes += bytes;
        while bytes > 0 {
            let Some(chunk) = self.full.front_mut().or(self.tail.as_mut()) else { return };
            let len = chunk.as_slice().len();
            if bytes < len {
                match chunk {
                    Chunk::Own { start, .. } => *start += bytes,
                    Chunk::Shared { bytes: shared, .. } => *shared = shared.slice(bytes..),
                    Chunk::Message { .. } => {}
                }
                return;
            }
            bytes -= len;
            self.written_messages += chunk.messages();
            let done = self.full.pop_front().or_else(|| self.tail.take());
            if let Some(Chunk::Own { bytes, .. }) = done {
                chunk_to_pool(bytes);
            }
        }
    }

    /// Bytes that reached the socket.
    pub(crate) fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    /// QoS 0 messages that were not written.
    pub(crate) fn messages(&self) -> u64 {
        self.full.iter().chain(self.tail.as_ref()).map(|chunk| u64::from(chunk.messages())).sum()
    }

    /// QoS 0 messages that were written.
    pub(crate) fn written_messages(&self) -> u32 {
        self.written_messages
    }
}

#[cfg(test)]
mod tests;
