//! What happens between accepting a socket and the first byte of a protocol: a PROXY header, TLS, WebSocket.
//!
//! The worker starts it for every connection that is not just TCP, bounded by the listener's connect timeout. A
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
    failure::HandshakeFailure,
    proxy::{self, Header, Progress},
    shared::Shared,
    state::{ConnectionPermit, ListenerSettings},
    stream::{Carrier, Stream},
    transport::Transport,
    websocket::{self, Web},
};

/// What is spoken inside TLS under a WebSocket.
const ALPN_WEB: &[u8] = b"http/1.1";
/// How long a client whose handshake failed may take to read why.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// What it may send meanwhile.
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// Shakes hands on a socket that speaks something below its protocol; none when that fails.
pub(crate) async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    mut place: ConnectionPermit,
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
            establish(stream, peer, &mut place, transport, door, &settings),
        ) => made,
        () = shared.stopped() => {
            log_end(name, peer, None, Code::ServerShuttingDown, "the server stopped during the handshake");
            return None;
        }
    };
    match made {
        Ok(Ok((peer, carrier, user))) => Some(Incoming { shared, place, peer, carrier, user }),
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

type Established = (SocketAddr, Carrier, Option<UserName>);

async fn establish(
    mut stream: TcpStream,
    mut peer: SocketAddr,
    place: &mut ConnectionPermit,
    transport: Transport,
    door: &dyn Door,
    settings: &ListenerSettings,
) -> Result<Established, HandshakeFailure> {
    if settings.proxy_protocol {
        peer = client_of(&mut stream, peer).await?;
        if !place.is_from(peer.ip()) {
            let detail = format!("too many connections from {} have not logged in", peer.ip());
            return Err(HandshakeFailure::new(Code::TooManyConnections, detail));
        }
    }
    let web = Web { rules: &settings.web, is_loopback: place.listener().is_loopback() };
    let (stream, user): (Box<dyn Stream>, _) = match transport {
        Transport::Tcp => return Ok((peer, Carrier::Plain(stream), None)),
        Transport::Tls(source) => {
            let (stream, user) = source.accept(stream, door.alpn()).await?;
            (Box::new(stream), user)
        }
        Transport::WebSocket => (Box::new(websocket::accept(stream, door, &settings.name, web).await?), None),
        Transport::SecureWebSocket(source) => {
            let (stream, user) = source.accept(stream, ALPN_WEB).await?;
            (Box::new(websocket::accept(stream, door, &settings.name, web).await?), user)
        }
    };
    Ok((peer, Carrier::Layered(stream), user))
}

/// Reads the PROXY header and not a byte more; returns where the client is.
async fn client_of(stream: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, HandshakeFailure> {
    let refused = |detail: String| HandshakeFailure::new(Code::ProtocolError, detail);
    let mut header = Vec::new();
    loop {
        match proxy::parse(&header).map_err(|error| refused(format!("PROXY: {error}")))? {
            Progress::Needs(more) => {
                let start = header.len();
                header.resize(start.saturating_add(more), 0);
                let Some(room) = header.get_mut(start..) else { continue };
                if let Err(error) = stream.read_exact(room).await {
                    let detail = format!("PROXY: the header did not arrive: {error}");
                    return Err(HandshakeFailure::new(Code::ConnectionLost, detail));
                }
            }
            Progress::Done(Header::Local) => return Ok(peer),
            // This machine is let in more easily; nobody from elsewhere is to say that he is on it.
            Progress::Done(Header::Client(client))
                if client.ip().to_canonical().is_loopback() && !peer.ip().to_canonical().is_loopback() =>
            {
                return Err(refused(format!("PROXY: {peer} says that its client is on this machine")));
            }
            Progress::Done(Header::Client(client)) => return Ok(client),
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
