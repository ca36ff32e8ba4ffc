//! Sockets of the HTTP door: accepting, turning away what is too much, and ending in order.
//!
//! Every connection is bounded in time, in bytes of its requests, and in number. It never looks into a request.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    door::{HttpSettings, OwnListener, Shared},
    guard::Peer,
};

/// Pause after the operating system refused a connection for want of file handles or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What a connection is told that finds no slot. It is written as far as the socket takes it at once.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/json\r\ncontent-length: 107\r\n\r\n\
    {\"code\":\"too_many_connections\",\"error\":\"the HTTP door has as many connections as it allows\",\"hint\":\"retry\"}";

/// Accepts until `shutdown`, then waits for the connections, each of which ends within the time it may take to close.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    router: Router,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let Ok(address) = listener.local_addr() else { return };
    let counts = shared.opened(address);
    let connections = TaskTracker::new();
    loop {
        // Accepting is cancel-safe: a connection that was not returned stays with the kernel.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some((open, stream)) = admit(&shared, &counts, stream) {
                    let (router, shutdown) = (router.clone(), shutdown.clone());
                    let settings = shared.settings.clone();
                    connections.spawn(async move {
                        serve_connection(stream, peer, router, &settings, shutdown).await;
                        drop(open);
                    });
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%address, %error, "http: cannot accept; raise the limit of open files");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    shared.closed(&counts);
}

/// A connection that counts as open until this is dropped, also when its task panics.
struct OpenConnection {
    counts: Arc<OwnListener>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Relaxed);
    }
}

fn admit(
    shared: &Shared,
    counts: &Arc<OwnListener>,
    stream: TcpStream,
) -> Option<(OpenConnection, TcpStream)> {
    let Ok(slot) = shared.slots.clone().try_acquire_owned() else {
        counts.refused.fetch_add(1, Relaxed);
        // The runtime does not know yet that the socket can be written, the system does; it does not wait either.
        // Whoever does not get this sees the connection close; there is nothing more to do for it.
        if let Err(error) = stream.into_std().and_then(|mut stream| stream.write(FULL)) {
            tracing::debug!(%error, "http: no slot for a connection, and it could not be told");
        }
        return None;
    };
    counts.accepted.fetch_add(1, Relaxed);
    counts.open.fetch_add(1, Relaxed);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "http: the peer was gone at once");
    }
    Some((OpenConnection { counts: counts.clone(), _slot: slot }, stream))
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    settings: &HttpSettings,
    shutdown: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_header_size(settings.header_bytes_max)
        .max_buf_size(settings.header_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(peer, ended),
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(settings.connection_lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A request that is not over by then is cut off; the peer sees the connection close.
    if let Ok(ended) = tokio::time::timeout(settings.close_timeout, connection).await {
        log_end(peer, ended);
    }
}

/// The smallest read buffer hyper takes.
const BUFFER_BYTES_MIN: usize = 8192;

fn log_end(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "http: connection ended");
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_too_many_connections_has_the_length_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
