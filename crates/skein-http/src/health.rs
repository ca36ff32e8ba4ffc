//! `/healthz` and `/readyz`: what orchestrators and load balancers ask.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::door::{Readiness, Shared};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'static str>,
}

/// The process answers.
pub(crate) async fn healthz() -> Response {
    Json(Health { status: "ok", store: None }).into_response()
}

/// The node takes clients. It does so with a full disk too: what needs no disk goes on, and no other node would have more
/// room for the sessions that are kept here. The answer says it, for those who watch.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let readiness = shared.readiness.get();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Joining | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let store = (!shared.plane.has_room_for_more()).then_some("read_only");
    (status, Json(Health { status: readiness.name(), store })).into_response()
}
