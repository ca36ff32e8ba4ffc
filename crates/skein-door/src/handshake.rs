//! What happens between accepting a socket and the first byte of a protocol: TLS, then WebSocket.
//!
//! The worker starts it for every connection that is not plain TCP, bounded by the listener's connect timeout. A
//! handshake that fails leaves one line in the log and nothing else; the connection's place goes back with it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use skein_types::{Code, UserName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    door::{Door, Incoming},
    end_log::log_end,
    listener::Transport,
    shared::Shared,
    state::Place,
    stream::{Io, Stream},
    websocket,
};

/// What is spoken inside TLS under a WebSocket.
const ALPN_WEB: &[u8] = b"http/1.1";
/// How long a client whose handshake failed may take to read why.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// What it may send meanwhile.
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// Why a handshake failed.
pub(crate) struct HandshakeFailure {
    code: Code,
    detail: String,
    /// Still open, when the client has been told why.
    stream: Option<Box<dyn Stream>>,
}

impl HandshakeFailure {
    pub(crate) fn new(code: Code, detail: String) -> Self {
        Self { code, detail, stream: None }
    }

    /// The client was told why on `stream`.
    pub(crate) fn on(self, stream: impl Stream + 'static) -> Self {
        Self { stream: Some(Box::new(stream)), ..self }
    }
}

/// Shakes hands on a socket that speaks something below its protocol; none when that fails.
pub(crate) async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    transport: Transport,
    door: &dyn Door,
    shared: Arc<Shared>,
) -> Option<Incoming> {
    let name = door.name();
    let settings = place.listener().settings.load_full();
    // Dropping a handshake half way closes its socket, which is what both other outcomes want.
    let made = tokio::select! {
        made = tokio::time::timeout(
            settings.connect_timeout,
            establish(stream, transport, door, &settings.name),
        ) => made,
        () = shared.stopped() => {
            log_end(name, peer, None, Code::ServerShuttingDown, "the server stopped during the handshake");
            return None;
        }
    };
    match made {
        Ok(Ok((stream, user))) => Some(Incoming { shared, place, peer, io: Io::owned(stream), user }),
        Ok(Err(HandshakeFailure { code, detail, stream })) => {
            log_end(name, peer, None, code, &detail);
            if let Some(stream) = stream {
                // It keeps its place: it costs as much as a connection that is open.
                let _late = tokio::time::timeout(LINGER_TIMEOUT, linger(stream)).await;
            }
            None
        }
        Err(_elapsed) => {
            let detail = "the handshake took longer than the connect timeout";
            log_end(name, peer, None, Code::ConnectTimeout, detail);
            None
        }
    }
}

async fn establish(
    stream: TcpStream,
    transport: Transport,
    door: &dyn Door,
    listener: &str,
) -> Result<(Box<dyn Stream>, Option<UserName>), HandshakeFailure> {
    match transport {
        Transport::Tcp => Ok((Box::new(stream), None)),
        Transport::Tls(source) => {
            let (stream, user) = source.accept(stream, door.alpn()).await?;
            Ok((Box::new(stream), user))
        }
        Transport::WebSocket => Ok((Box::new(websocket::accept(stream, door, listener).await?), None)),
        Transport::SecureWebSocket(source) => {
            let (stream, user) = source.accept(stream, ALPN_WEB).await?;
            Ok((Box::new(websocket::accept(stream, door, listener).await?), user))
        }
    }
}

/// Ends a stream so that the client reads what it was told last: a socket closed with unread bytes is reset.
async fn linger(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut ignored = BytesMut::with_capacity(1024);
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        ignored.clear();
        match stream.read_buf(&mut ignored).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
