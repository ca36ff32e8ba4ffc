//! WebSocket frames as a byte stream.
//!
//! Packets of a protocol and WebSocket frames have nothing to do with each other (for MQTT, MQTT-6.0.0-2): what binary messages carry is
//! read as one stream, and what is written becomes binary frames as it comes. Pings are answered below.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use skein_types::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::meter::Metered;
use crate::stream::{Stream, StreamFault};

/// What one read of the socket takes. The library keeps this much for every connection, idle or not.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Frames up to this are gathered before they are written.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// What may wait to be written: a frame of ours behind a full buffer, and answers to pings of a client that does not
/// read them, of which the last is kept when there is no more room.
const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Longest frame written. The library keeps a buffer of the longest it has written.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Room in a message beside the largest packet: clients may send several packets in one.
const MESSAGE_SLACK_BYTES: usize = 64 * 1024;
/// Frames looked at before other connections of the thread get their turn.
const FRAMES_PER_READ_MAX: usize = 64;

/// The byte stream inside a WebSocket, for a door.
#[derive(Debug)]
pub struct WebSocketIo<S> {
    socket: WebSocketStream<Metered<S>>,
    /// The rest of a message that was longer than the reader's buffer.
    unread: Bytes,
    reading: Reading,
    /// What our close frame says.
    close_code: CloseCode,
    /// Our close frame, or the answer to the client's, is on its way.
    closing: bool,
}

#[derive(Debug)]
enum Reading {
    Open,
    /// The client did what it must not, and the reader has still to be told.
    Faulty(io::Error),
    /// It was told. What comes now is thrown away, so that the client gets to read why.
    Broken,
    /// The client has closed.
    Ended,
}

/// The library reserves room for a frame when its header announces it, and touches it only as bytes come: an announcement
/// costs addresses and no memory.
pub(crate) fn config(packet_bytes_max: u32) -> WebSocketConfig {
    let message_bytes_max = message_bytes_max(packet_bytes_max);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

fn message_bytes_max(packet_bytes_max: u32) -> usize {
    usize::try_from(packet_bytes_max).unwrap_or(usize::MAX).saturating_add(MESSAGE_SLACK_BYTES)
}

impl<S: Stream> WebSocketIo<S> {
    /// The stream inside a WebSocket whose HTTP handshake is done, by whichever HTTP server.
    pub async fn upgraded(stream: S, packet_bytes_max: u32) -> Self {
        let metered = Metered::new(stream, message_bytes_max(packet_bytes_max));
        let config = Some(config(packet_bytes_max));
        Self {
            socket: WebSocketStream::from_raw_socket(metered, Role::Server, config).await,
            unread: Bytes::new(),
            reading: Reading::Open,
            close_code: CloseCode::Normal,
            closing: false,
        }
    }

    /// What the next binary message carries; none for a frame that carries nothing.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
        Poll::Ready(match message {
            Some(Ok(Message::Binary(bytes))) => {
                self.socket.get_mut().message_done();
                Ok(Some(bytes))
            }
            Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                self.socket.get_mut().frame_done(payload.len());
                Ok(None)
            }
            None
            | Some(
                Ok(Message::Close(_)) | Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)),
            ) => {
                self.reading = Reading::Ended;
                Ok(None)
            }
            Some(Ok(Message::Text(_) | Message::Frame(_)) | Err(Error::Utf8(_))) => {
                let detail = "a WebSocket message was text; only binary ones are taken here";
                Err(self.fault(CloseCode::Unsupported, Code::ProtocolError, detail))
            }
            Some(Err(error)) => Err(self.fault_of(error)),
        })
    }

    fn fault_of(&mut self, error: Error) -> io::Error {
        let (close_code, code, detail) = match error {
            Error::Io(error) => {
                self.close_code = CloseCode::Policy;
                return error;
            }
            Error::Protocol(ProtocolError::UnmaskedFrameFromClient) => {
                (CloseCode::Protocol, Code::Malformed, "a WebSocket frame was not masked")
            }
            Error::Capacity(_) => (
                CloseCode::Size,
                Code::PacketTooLarge,
                "a WebSocket message is larger than the listener's largest packet",
            ),
            _ => (CloseCode::Protocol, Code::Malformed, "the client broke the WebSocket protocol"),
        };
        self.fault(close_code, code, detail)
    }

    fn fault(&mut self, close_code: CloseCode, code: Code, detail: &'static str) -> io::Error {
        self.close_code = close_code;
        StreamFault { code, detail }.into()
    }

    /// Reads frames into `buffer` until it is full or nothing more is there.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        for _ in 0..FRAMES_PER_READ_MAX {
            let taken = self.unread.split_to(self.unread.len().min(buffer.remaining()));
            buffer.put_slice(&taken);
            if buffer.remaining() == 0 || !matches!(self.reading, Reading::Open) {
                return Poll::Ready(Ok(()));
            }
            match self.poll_frame(cx) {
                Poll::Ready(Ok(bytes)) => self.unread = bytes.unwrap_or_default(),
                Poll::Ready(Err(error)) => {
                    self.reading = Reading::Faulty(error);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending if buffer.filled().len() == before => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
        if buffer.filled().len() == before {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what comes until the client closes.
    fn poll_ignore(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ignored = [0; 1024];
        let mut ignored = ReadBuf::new(&mut ignored);
        loop {
            ready!(Pin::new(&mut self.socket.get_mut().stream).poll_read(cx, &mut ignored))?;
            if ignored.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            ignored.clear();
        }
    }

    fn start_send(&mut self, message: Message) -> Result<(), Error> {
        Pin::new(&mut self.socket).start_send(message)
    }
}

impl<S: Stream> AsyncRead for WebSocketIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if matches!(this.reading, Reading::Open) || !this.unread.is_empty() {
            ready!(this.poll_fill(cx, buffer))?;
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        match std::mem::replace(&mut this.reading, Reading::Broken) {
            Reading::Faulty(error) => Poll::Ready(Err(error)),
            Reading::Broken => this.poll_ignore(cx),
            unchanged @ (Reading::Open | Reading::Ended) => {
                this.reading = unchanged;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: Stream> AsyncWrite for WebSocketIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..FRAME_BYTES_MAX).unwrap_or(bytes);
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io_error)?;
        let mut message = Message::Binary(Bytes::copy_from_slice(bytes));
        loop {
            match self.start_send(message) {
                Ok(()) => return Poll::Ready(Ok(bytes.len())),
                // Answers to pings took the room.
                Err(Error::WriteBufferFull(refused)) => message = *refused,
                Err(error) => return Poll::Ready(Err(io_error(error))),
            }
            ready!(self.as_mut().poll_flush(cx))?;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io_error)
    }

    /// Sends a close frame, or answers the client's. The socket below is closed for writing once nothing is expected
    /// of the client any more; until then its close frame is waited for by reading.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io_error)?;
            let frame = CloseFrame { code: self.close_code, reason: "".into() };
            match self.start_send(Message::Close(Some(frame))) {
                // Those mean that the client was first; its close frame is answered by the flush.
                Ok(())
                | Err(
                    Error::Protocol(ProtocolError::SendAfterClosing)
                    | Error::ConnectionClosed
                    | Error::AlreadyClosed,
                ) => self.closing = true,
                Err(error) => return Poll::Ready(Err(io_error(error))),
            }
        }
        ready!(self.as_mut().poll_flush(cx))?;
        if matches!(self.reading, Reading::Open) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket.get_mut().stream).poll_shutdown(cx)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        _ => io::ErrorKind::BrokenPipe.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A client that sends pings without end and reads nothing.
    #[derive(Default)]
    struct Pinging {
        pings_left: usize,
        /// The most that was to be written at once.
        offered_max: usize,
    }

    /// Header of a ping with a mask of zeros, and its payload.
    const PING: [u8; 131] = {
        let mut ping = [7; 131];
        [ping[0], ping[1]] = [0x89, 0x80 | 125];
        [ping[2], ping[3], ping[4], ping[5]] = [0; 4];
        ping
    };

    impl AsyncRead for Pinging {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.pings_left == 0 {
                return Poll::Pending;
            }
            self.pings_left -= 1;
            buffer.put_slice(&PING);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pinging {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.offered_max = self.offered_max.max(bytes.len());
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[test]
    fn answers_to_pings_that_nobody_reads_stay_bounded_and_do_not_hurt_what_we_write() {
        let client = Pinging { pings_left: 10_000, offered_max: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut io = runtime.block_on(WebSocketIo::upgraded(client, 1000));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut bytes = [0; 100];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut polls = 0;
        while io.socket.get_ref().stream.pings_left > 0 {
            assert!(Pin::new(&mut io).poll_read(cx, &mut buffer).is_pending());
            polls += 1;
        }
        // Others get their turn in between.
        assert!(polls >= 10_000 / FRAMES_PER_READ_MAX, "{polls}");
        assert!(Pin::new(&mut io).poll_write(cx, &[1; FRAME_BYTES_MAX]).is_pending());
        let offered_max = io.socket.get_ref().stream.offered_max;
        assert!(offered_max > WRITE_BUFFER_BYTES && offered_max <= WRITE_BUFFER_BYTES_MAX, "{offered_max}");
        assert!(buffer.filled().is_empty());
    }
}
