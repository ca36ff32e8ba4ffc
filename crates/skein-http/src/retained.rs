//! `/api/v1/retained`: the messages that new subscribers get, and removing one.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
};
use serde::Serialize;
use skein_plane::Batch;
use skein_types::{Filter, Topic};

use crate::{
    door::Shared,
    guard::Caller,
    page::{Page, PageWanted},
    payload::{self, Shown},
    problem::{Kind, Problem},
};

const EVERYTHING: &str = "#";

/// A retained message as listings show it.
#[derive(Debug, Serialize)]
pub(crate) struct RetainedMessage {
    topic: String,
    payload_bytes: usize,
    qos: u8,
    expires_at: Option<String>,
    content_type: Option<String>,
    durable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    topic: String,
    removed: bool,
}

/// The retained messages whose topics a filter matches, in the order of their topics.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<RetainedMessage>>, Problem> {
    let (wanted, (filter, shown)) = PageWanted::with(&uri, &["filter", payload::PARAMETER], |parameters| {
        let filter = parameters.take("filter")?.unwrap_or_else(|| EVERYTHING.to_owned());
        let filter = Filter::new(&filter).map_err(|error| {
            let hint = "send a topic filter such as a/+/b or a/#, percent-encoded";
            Problem::new(Kind::BadParameter, format!("parameter filter is {filter:?}: {error}"), hint)
        })?;
        Ok((filter, Shown::take(parameters)?))
    })?;
    shared.walk(move |shared| page_blocking(shared, wanted, &filter, shown)).await.map(Json)
}

fn page_blocking(
    shared: &Shared,
    wanted: PageWanted,
    filter: &Filter,
    shown: Shown,
) -> Page<RetainedMessage> {
    let topics = shared.plane.retained().matching(filter);
    let page = wanted.of(topics, |topic| shared.retained(topic, shown));
    // One that went since it was found is not shown.
    let Page { items, total, page, page_size } = page;
    Page { items: items.into_iter().flatten().collect(), total, page, page_size }
}

/// Removes the message of one topic. Subscribers are not told; who subscribes later gets none.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    topic: Result<Path<String>, PathRejection>,
) -> Result<Json<Removed>, Problem> {
    let bad = |text: String| {
        Problem::new(Kind::BadParameter, text, "send the topic percent-encoded, a / in it as %2F")
    };
    let Path(topic) =
        topic.map_err(|error| bad(format!("the topic cannot be read: {}", error.body_text())))?;
    let topic =
        Topic::new(topic.clone().into()).map_err(|error| bad(format!("{topic:?} is no topic: {error}")))?;
    let mut batch = Batch::default();
    if !shared.plane.remove_retained(&topic, &mut batch) {
        return Err(Problem::new(
            Kind::RetainedNotFound,
            format!("no message is retained for {:?}", topic.as_str()),
            "look at /api/v1/retained; write a / inside a topic as %2F",
        ));
    }
    shared.finish(batch).await?;
    let user = caller.user.as_deref();
    tracing::info!(topic = topic.as_str(), by = %caller.peer, user, "http: retained message removed by an operator");
    Ok(Json(Removed { topic: topic.as_str().to_owned(), removed: true }))
}

impl Shared {
    fn retained(&self, topic: &Topic, shown: Shown) -> Option<RetainedMessage> {
        let message = self.plane.retained().get(topic, self.now())?;
        let properties = message.properties.as_deref();
        Some(RetainedMessage {
            topic: topic.as_str().to_owned(),
            payload_bytes: message.payload.len(),
            qos: message.qos as u8,
            expires_at: message.expires_at.and_then(|at| self.wall_text(at)),
            content_type: properties
                .and_then(|properties| properties.content_type.as_ref())
                .map(ToString::to_string),
            durable: self.plane.keeps(topic),
            payload: shown.of(&message.payload),
        })
    }
}
