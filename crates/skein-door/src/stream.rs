//! The byte stream under a connection: a plain socket others may write to, or anything else that only its own task
//! writes (TLS, WebSocket).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use skein_plane::Socket;
use skein_types::Code;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A stream that only its own task reads and writes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a client did wrong below its protocol, as the cause of an [`io::Error`] of its stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct StreamFault {
    /// Why the connection ends.
    pub code: Code,
    /// What exactly was wrong.
    pub detail: &'static str,
}

impl From<StreamFault> for io::Error {
    fn from(fault: StreamFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

impl StreamFault {
    /// Why a stream failed; what is no fault of the client's is a connection that broke.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        fault.copied().unwrap_or(Self { code: Code::ConnectionLost, detail: "the connection broke" })
    }
}

/// What carries the bytes of a connection that a door is given.
pub enum Carrier {
    /// A plain socket.
    Plain(TcpStream),
    /// TLS, WebSocket, or whatever else stands between.
    Layered(Box<dyn Stream>),
}

impl Carrier {
    /// As one that only its own task reads and writes.
    #[must_use]
    pub fn into_stream(self) -> Box<dyn Stream> {
        match self {
            Self::Plain(stream) => Box::new(stream),
            Self::Layered(stream) => stream,
        }
    }

    /// As one that others write to as well, where it can be.
    #[must_use]
    pub fn into_io(self) -> Io {
        match self {
            Self::Plain(stream) => Io::direct(stream),
            Self::Layered(stream) => Io::owned(stream),
        }
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Carrier::Plain",
            Self::Layered(_) => "Carrier::Layered",
        })
    }
}

/// The stream of one connection.
pub enum Io {
    /// Written by whoever has something for the client.
    Direct {
        /// Read by the connection's task.
        read: OwnedReadHalf,
        /// Written by anybody.
        write: Arc<DirectSocket>,
    },
    /// Written by the connection's task, from `pending`.
    Owned(Owned),
}

/// A stream and what is to be written to it.
pub struct Owned {
    stream: Box<dyn Stream>,
    pending: Vec<u8>,
    /// How much of `pending` the stream has taken.
    start: usize,
    /// The stream keeps bytes it has taken and not written.
    unflushed: bool,
    /// Something was written since the connection's task last asked.
    progressed: bool,
}

/// The writing half of a plain TCP connection.
#[derive(Debug)]
pub struct DirectSocket(OwnedWriteHalf);

impl Socket for DirectSocket {
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    fn shutdown(&self) {
        // The peer may be gone already; then there is nothing to end.
        let _gone = socket2::SockRef::from(self.0.as_ref()).shutdown(std::net::Shutdown::Write);
    }
}

impl Io {
    /// A plain socket.
    #[must_use]
    pub fn direct(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self::Direct { read, write: Arc::new(DirectSocket(write)) }
    }

    /// Any stream that only its own task writes.
    #[must_use]
    pub fn owned(stream: Box<dyn Stream>) -> Self {
        Self::Owned(Owned { stream, pending: Vec::new(), start: 0, unflushed: false, progressed: false })
    }

    /// What others write to, if they may.
    #[must_use]
    pub fn socket(&self) -> Option<Arc<dyn Socket>> {
        match self {
            Self::Direct { write, .. } => Some(write.clone()),
            Self::Owned(_) => None,
        }
    }

    /// Reads into the spare room of `buffer`; 0 when the peer has closed.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Direct { read, .. } => std::pin::pin!(read.read_buf(buffer)).poll(cx),
            Self::Owned(owned) => std::pin::pin!(owned.stream.read_buf(buffer)).poll(cx),
        }
    }

    /// Ready once the socket takes more, for a connection whose outbox was blocked.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct { write, .. } => write.0.as_ref().poll_write_ready(cx),
            Self::Owned(_) => Poll::Pending,
        }
    }

    /// Where bytes wait to be written, behind those that wait already.
    pub fn pending_mut(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Direct { .. } => None,
            Self::Owned(owned) => Some(&mut owned.pending),
        }
    }

    /// Writes a few bytes before a session has an outbox: answers to a CONNECT. A socket that is full at that point
    /// belongs to a client that does not read, and loses them.
    pub fn write_soon(&mut self, bytes: &mut Vec<u8>) {
        match self {
            Self::Direct { write, .. } => {
                let _unread = write.0.try_write(bytes);
                bytes.clear();
            }
            Self::Owned(owned) => owned.pending.append(bytes),
        }
    }

    /// Whether bytes wait that [`Io::poll_pending`] has to write.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        matches!(self, Self::Owned(owned) if owned.unflushed || !owned.pending.is_empty())
    }

    /// Whether the peer took something since the last call. Bytes in `pending` have left the session's outbox, so only
    /// this tells a slow client from one that reads nothing.
    pub fn take_progress(&mut self) -> bool {
        match self {
            Self::Direct { .. } => false,
            Self::Owned(owned) => std::mem::take(&mut owned.progressed),
        }
    }

    /// Writes `pending`; ready once all of it is with the peer's kernel, as far as the stream can tell.
    pub fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct { .. } => Poll::Ready(Ok(())),
            Self::Owned(owned) => owned.poll_pending(cx),
        }
    }

    /// Tells the peer that nothing more follows.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct { write, .. } => {
                write.shutdown();
                Poll::Ready(Ok(()))
            }
            Self::Owned(owned) => Pin::new(&mut owned.stream).poll_shutdown(cx),
        }
    }
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Direct { .. } => "Io::Direct",
            Self::Owned(_) => "Io::Owned",
        })
    }
}

impl std::fmt::Debug for Owned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owned").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Owned {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.pending.get(self.start..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start = self.start.saturating_add(written);
            self.progressed = true;
            self.unflushed = true;
        }
        // Nothing is kept for an idle connection.
        self.pending = Vec::new();
        self.start = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            self.progressed = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::ReadBuf;

    use super::*;

    /// Takes every byte at once, but needs several flushes to get rid of them.
    struct Buffering {
        flushes_left: usize,
    }

    impl AsyncRead for Buffering {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Buffering {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.flushes_left.checked_sub(1) {
                None => Poll::Ready(Ok(())),
                Some(left) => {
                    self.flushes_left = left;
                    Poll::Pending
                }
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[test]
    fn bytes_the_stream_keeps_are_flushed_until_they_are_gone() {
        let mut io = Io::owned(Box::new(Buffering { flushes_left: 2 }));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(!io.has_pending());
        io.write_soon(&mut b"hello".to_vec());
        for _ in 0..2 {
            assert!(io.has_pending());
            assert!(io.poll_pending(cx).is_pending());
        }
        assert!(io.has_pending());
        assert!(matches!(io.poll_pending(cx), Poll::Ready(Ok(()))));
        assert!(!io.has_pending());
        assert!(io.take_progress());
        assert!(!io.take_progress());
    }
}
