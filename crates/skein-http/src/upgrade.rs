//! WebSockets of other doors on the ports of this one: their paths, and handing the connection over.
//!
//! This door reads the request and answers it; whose connection it becomes it knows only as a [`UpgradeRoute`].

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use skein_door::{
    Carrier, ConnectionPermit, Incoming, UpgradeRefusal, UpgradeRoute, WebRefusal, WebSocketIo,
    WebSocketProtocol, answer_upgrade,
};

use crate::{
    door::{Readiness, ReadinessSwitch},
    guard::Arrived,
    problem::{Kind, Problem},
};

/// A path and what has to be known to serve it.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    pub(crate) route: UpgradeRoute,
    pub(crate) readiness: Arc<ReadinessSwitch>,
}

/// Opens the WebSocket and hands it to its door.
pub(crate) async fn upgrade(
    State(upgrade): State<Upgrade>,
    Extension(arrived): Extension<Arrived>,
    mut request: Request,
) -> Result<Response, Problem> {
    if matches!(upgrade.readiness.get(), Readiness::Starting | Readiness::Joining) {
        return Err(Problem::new(Kind::Busy, "the node takes no clients yet", "try again in a moment"));
    }
    let UpgradeRoute { door, listener, .. } = upgrade.route;
    let settings = listener.settings.load_full();
    let protocol = door.websocket(&settings.name).ok_or_else(Problem::internal)?;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, _body) = request.into_parts();
    let request = axum::http::Request::from_parts(parts, ());
    let answer = answer_upgrade(&request, &protocol, &arrived.web, arrived.is_loopback)
        .map_err(|error| refusal(&error, &protocol))?;
    let place = ConnectionPermit::take(&listener)
        .and_then(|mut place| place.is_from(arrived.peer.ip()).then_some(place));
    let place = place.ok_or_else(|| {
        Problem::new(Kind::Busy, "there are as many connections as the listener allows", "try again later")
    })?;
    let tasks = arrived.tasks.clone();
    arrived.tasks.spawn(async move {
        let opened = tokio::time::timeout(settings.connect_timeout, open(on_upgrade, &protocol)).await;
        let Ok(Some(carrier)) = opened else { return };
        let Arrived { peer, certificate_user: user, node: shared, .. } = arrived;
        door.serve(Incoming { shared, place, peer, carrier, user }, &tasks);
    });
    Ok(answer.map(|()| Body::empty()).into_response())
}

/// The WebSocket once its answer is written; none when the client was gone by then.
async fn open(on_upgrade: OnUpgrade, protocol: &WebSocketProtocol) -> Option<Carrier> {
    match on_upgrade.await {
        Ok(stream) => {
            let io = WebSocketIo::upgraded(TokioIo::new(stream), protocol.packet_bytes_max).await;
            Some(Carrier::Layered(Box::new(io)))
        }
        Err(error) => {
            tracing::debug!(%error, "http: a WebSocket was not opened after all");
            None
        }
    }
}

fn refusal(error: &UpgradeRefusal, protocol: &WebSocketProtocol) -> Problem {
    let kind = match error {
        UpgradeRefusal::Web(WebRefusal::ForeignOrigin(_)) => Kind::CrossSite,
        UpgradeRefusal::Web(WebRefusal::ForeignHost(_)) => Kind::HostNotAllowed,
        UpgradeRefusal::Web(WebRefusal::HostCount | WebRefusal::NoHost(_)) => Kind::BadHost,
        UpgradeRefusal::Subprotocol | UpgradeRefusal::NoWebSocket(_) => Kind::NoWebSocket,
    };
    Problem::new(kind, error.to_string(), error.advice(protocol))
}
