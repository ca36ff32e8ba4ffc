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

/// The stream of one connection.
pub(super) enum Io {
    /// Written by whoever has something for the client.
    Direct { read: OwnedReadHalf, write: Arc<DirectSocket> },
    /// Written by the connection's task, from `pending`.
    Owned { stream: Box<dyn Stream>, pending: Vec<u8>, start: usize },
}

/// The writing half of a plain TCP connection.
#[derive(Debug)]
pub(super) struct DirectSocket(OwnedWriteHalf);

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
    pub(super) fn direct(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self::Direct { read, write: Arc::new(DirectSocket(write)) }
    }

    pub(super) fn owned(stream: Box<dyn Stream>) -> Self {
        Self::Owned { stream, pending: Vec::new(), start: 0 }
    }

    pub(super) fn socket(&self) -> Option<Arc<dyn Socket>> {
        match self {
            Self::Direct { write, .. } => Some(write.clone()),
            Self::Owned { .. } => None,
        }
    }

    /// Reads into the spare room of `buffer`; 0 when the peer has closed.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Direct { read, .. } => std::pin::pin!(read.read_buf(buffer)).poll(cx),
            Self::Owned { stream, .. } => std::pin::pin!(stream.read_buf(buffer)).poll(cx),
        }
    }

    /// Ready once the socket takes more, for a connection whose outbox was blocked.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct { write, .. } => write.0.as_ref().poll_write_ready(cx),
            Self::Owned { .. } => Poll::Pending,
        }
    }

    /// Bytes that wait in `pending`.
    pub(super) fn pending_mut(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Direct { .. } => None,
            Self::Owned { pending, .. } => Some(pending),
        }
    }

    /// Writes a few bytes before a session has an outbox: answers to a CONNECT. A socket that is full at that point
    /// belongs to a client that does not read, and loses them.
    pub(super) fn write_soon(&mut self, bytes: &mut Vec<u8>) {
        match self {
            Self::Direct { write, .. } => {
                let _unread = write.0.try_write(bytes);
                bytes.clear();
            }
            Self::Owned { pending, .. } => pending.append(bytes),
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        matches!(self, Self::Owned { pending, start, .. } if *start < pending.len())
    }

    /// Writes `pending`; ready once all of it is with the peer's kernel, as far as the stream can tell.
    pub(super) fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Owned { stream, pending, start } = self else { return Poll::Ready(Ok(())) };
        while let Some(rest) = pending.get(*start..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *start = start.saturating_add(written);
        }
        // Nothing is kept for an idle connection.
        *pending = Vec::new();
        *start = 0;
        Pin::new(stream).poll_flush(cx)
    }

    /// Tells the peer that nothing more follows.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct { write, .. } => {
                write.shutdown();
                Poll::Ready(Ok(()))
            }
            Self::Owned { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
