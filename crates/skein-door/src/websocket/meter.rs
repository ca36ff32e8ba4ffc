//! Counts what is read below a WebSocket, so that nobody sends a message that never ends.
//!
//! The library bounds the payload of a message and not the number of its frames: fragments without payload would be
//! read for ever. Here a message may cost twice its largest size on the wire and a little more.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use skein_types::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::StreamFault;

/// What a message may cost beside twice its payload. A client that sends one byte a frame, seven on the wire, comes
/// as far as 9 KiB with it.
const SLACK_BYTES: u64 = 64 * 1024;
/// Header and mask of the shortest frame of a client.
const FRAME_HEADER_BYTES: u64 = 6;

/// A stream whose reader says what it made of the bytes.
#[derive(Debug)]
pub(super) struct Metered<S> {
    pub(super) stream: S,
    /// Bytes read that nothing came of yet.
    unaccounted: u64,
    unaccounted_max: u64,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, message_bytes_max: usize) -> Self {
        let message_bytes_max = u64::try_from(message_bytes_max).unwrap_or(u64::MAX);
        let unaccounted_max = message_bytes_max.saturating_mul(2).saturating_add(SLACK_BYTES);
        Self { stream, unaccounted: 0, unaccounted_max }
    }

    /// A message is complete.
    pub(super) fn message_done(&mut self) {
        self.unaccounted = 0;
    }

    /// A frame that is no part of a message was read. It takes back only its own bytes: between fragments it does not
    /// make the message cheaper.
    pub(super) fn frame_done(&mut self, payload_bytes: usize) {
        let payload_bytes = u64::try_from(payload_bytes).unwrap_or(u64::MAX);
        self.unaccounted = self.unaccounted.saturating_sub(FRAME_HEADER_BYTES.saturating_add(payload_bytes));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = u64::try_from(buffer.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        self.unaccounted = self.unaccounted.saturating_add(read);
        if self.unaccounted > self.unaccounted_max {
            let detail = "a WebSocket message comes in too many fragments";
            return Poll::Ready(Err(StreamFault { code: Code::ProtocolError, detail }.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
