//! One connection of the HTTP door: bounded in time and in the bytes of its requests, and ended in order.
//!
//! It runs on the worker it was given to, long answers with it. It never looks into a request.

use std::{pin::pin, sync::Arc};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming as Body,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use skein_door::Incoming;
use tokio_util::task::TaskTracker;

use crate::{door::Shared, guard::Arrived};

/// What a connection is told for which there is no place.
pub(crate) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/json\r\ncontent-length: 107\r\n\r\n\
    {\"code\":\"too_many_connections\",\"error\":\"the HTTP door has as many connections as it allows\",\"hint\":\"retry\"}";

/// The smallest read buffer hyper takes.
const BUFFER_BYTES_MIN: usize = 8192;

/// Serves a connection until it ends, within the time it may take to close when the node stops.
pub(crate) async fn serve(shared: Arc<Shared>, router: Router, incoming: Incoming, tasks: TaskTracker) {
    let Incoming { shared: node, mut place, peer, carrier, user } = incoming;
    // Each request proves who sends it, and the connection is bounded in time anyway.
    place.logged_in();
    let listener = place.listener();
    let arrived = Arrived {
        peer,
        certificate_user: user,
        is_loopback: listener.is_loopback(),
        web: listener.settings.load().web.clone(),
        node: node.clone(),
        tasks,
    };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Body>| {
        request.extensions_mut().insert(arrived.clone());
        router.call(request)
    });
    let settings = &shared.settings;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_header_size(settings.header_bytes_max)
        .max_buf_size(settings.header_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(carrier.into_stream()), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = node.stopped() => None,
        () = tokio::time::sleep(settings.connection_lifetime) => None,
    };
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => {
            connection.as_mut().graceful_shutdown();
            // A request that is not over by then is cut off; the peer sees the connection close.
            tokio::time::timeout(settings.close_timeout, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%peer, %error, "http: connection ended");
    }
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
