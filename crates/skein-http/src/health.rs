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
}

/// The process answers.
pub(crate) async fn healthz() -> Response {
    Json(Health { status: "ok" }).into_response()
}

/// The node takes clients.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let readiness = shared.readiness.get();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health { status: readiness.name() })).into_response()
}
