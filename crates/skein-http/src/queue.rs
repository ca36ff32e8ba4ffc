//! `/api/v1/sessions/{id}/queue`: what a session has not done with yet, message by message.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
};
use serde::Serialize;
use skein_plane::QueuedMessage;

use crate::{
    door::Shared,
    page::{Page, PageWanted},
    payload::{self, Shown},
    problem::Problem,
};

/// A message of a session as listings show it. What the message itself has is null once the client has it.
#[derive(Debug, Serialize)]
pub(crate) struct Queued {
    seq: u64,
    topic: Option<String>,
    qos: u8,
    payload_bytes: usize,
    bytes: usize,
    state: &'static str,
    expires_at: Option<String>,
    durable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

/// The messages of a session in the order in which they are sent.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Page<Queued>>, Problem> {
    let (wanted, shown) = PageWanted::with(&uri, &[payload::PARAMETER], Shown::take)?;
    let session = shared.session(id)?;
    let (total, messages) = session.queue(wanted.skip(), wanted.count());
    let items = messages.iter().map(|message| shared.queued(message, shown)).collect();
    Ok(Json(wanted.filled(items, total)))
}

impl Shared {
    fn queued(&self, queued: &QueuedMessage, shown: Shown) -> Queued {
        let payload = queued.message.as_ref().map(|message| &message.payload);
        Queued {
            seq: queued.seq,
            topic: queued.topic().map(|topic| topic.as_str().to_owned()),
            qos: queued.qos as u8,
            payload_bytes: payload.map_or(0, |payload| payload.len()),
            bytes: queued.size_bytes(),
            state: queued.state.name(),
            expires_at: queued.expires_at().and_then(|at| self.wall_text(at)),
            durable: queued.durable,
            payload: payload.and_then(|payload| shown.of(payload)),
        }
    }
}
