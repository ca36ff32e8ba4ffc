//! `/api/v1/mqtt/clients`: who is there, and sending one away.
//!
//! A listing looks at every session of the node: it runs where blocking is allowed, one at a time, and copies only
//! what its page shows.

use std::{cmp::Ordering, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
};
use serde::Serialize;
use skein_plane::{Batch, Session, SessionInfo};
use skein_types::{ClientId, Code};

use crate::{
    door::Shared,
    guard::Caller,
    page::{Page, PageWanted},
    problem::{Kind, Problem},
    timestamp::rfc3339,
};

/// Filters shown of one client: enough to see what it does; the count says how many there are.
const TOPIC_FILTERS_SHOWN_MAX: usize = 1000;

/// A client as listings show it. What only a connection has is null while the client is away.
#[derive(Debug, Serialize)]
pub(crate) struct Client {
    id: String,
    online: bool,
    username: Option<String>,
    ip: Option<String>,
    port: Option<u16>,
    listener: Option<String>,
    protocol_version: Option<&'static str>,
    keepalive: Option<u16>,
    connected_at: Option<String>,
    session_clean: bool,
    session_expiry_seconds: u32,
    session_expires_at: Option<String>,
    durable: bool,
    subscriptions_count: usize,
    inflight_count: usize,
    queued_count: usize,
    queued_bytes: usize,
    outbox_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_filters: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EndedSession {
    id: String,
    username: Option<String>,
    ended: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Disconnected {
    id: String,
    disconnected: bool,
}

/// The clients whose id or user has the text searched for, in the order of their ids.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Page<Client>>, Problem> {
    let (wanted, search) = PageWanted::with(&uri, &["search"], |parameters| parameters.take("search"))?;
    let search = search.unwrap_or_default();
    shared.walk(move |shared| page_blocking(shared, wanted, &search)).await.map(Json)
}

/// One client.
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Client>, Problem> {
    let session = shared.session(id)?;
    let info = session.info();
    let filters = info.subscriptions.iter().map(|(filter, _)| filter.to_string());
    let mut filters: Vec<String> = filters.collect();
    filters.sort_unstable();
    filters.truncate(TOPIC_FILTERS_SHOWN_MAX);
    Ok(Json(Client { topic_filters: Some(filters), ..shared.client(&session, &info) }))
}

/// Ends a session, connected or not, with everything that waits in it; its client id is anybody's again.
pub(crate) async fn end(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<EndedSession>, Problem> {
    let session = shared.session(id)?;
    let mut batch = Batch::default();
    shared.plane.disconnect(&session, Code::AdministrativeAction, true, &mut batch, shared.now());
    shared.finish(batch).await?;
    let id = session.client_id().to_string();
    let user = caller.user.as_deref();
    tracing::info!(client = id, by = %caller.peer, user, "http: session ended by an operator");
    let username = session.owner().map(ToString::to_string);
    Ok(Json(EndedSession { id, username, ended: true }))
}

/// Ends the connection of a client. Its session stays as long as the client asked for, and its will is published.
pub(crate) async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Disconnected>, Problem> {
    let session = shared.session(id)?;
    let now = shared.now();
    let mut batch = Batch::default();
    let disconnected = shared.plane.disconnect(&session, Code::AdministrativeAction, false, &mut batch, now);
    shared.plane.finish_unattended(&mut batch, now);
    let id = session.client_id().to_string();
    if disconnected {
        let user = caller.user.as_deref();
        tracing::info!(client = id, by = %caller.peer, user, "http: client disconnected by an operator");
    }
    Ok(Json(Disconnected { id, disconnected }))
}

fn page_blocking(shared: &Shared, wanted: PageWanted, search: &str) -> Page<Client> {
    let mut found = shared.plane.sessions().all();
    if !search.is_empty() {
        found.retain(|session| {
            session.client_id().contains(search) || session.owner().is_some_and(|user| user.contains(search))
        });
    }
    let found = found.into_iter().map(ById).collect();
    wanted.of(found, |ById(session)| shared.client(session, &session.summary()))
}

/// Sessions in the order of their clients' ids.
struct ById(Arc<Session>);

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.client_id().cmp(other.0.client_id())
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ById {}

impl Shared {
    /// Runs `look`, which goes over all sessions, where blocking is allowed and when its turn comes.
    pub(crate) async fn walk<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.walks.clone().acquire_owned().await;
        let shared = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let seen = look(&shared);
            // It goes on when its request is gone, so the permit stays with it.
            drop(permit);
            seen
        });
        looked.await.map_err(|error| {
            tracing::error!(%error, "http: a look at all sessions failed");
            Problem::internal()
        })
    }

    pub(crate) fn session(&self, id: Result<Path<String>, PathRejection>) -> Result<Arc<Session>, Problem> {
        let Path(id) = id.map_err(|error| {
            let hint = "send the client id percent-encoded UTF-8";
            Problem::new(
                Kind::BadParameter,
                format!("the client id cannot be read: {}", error.body_text()),
                hint,
            )
        })?;
        self.plane.sessions().get(&ClientId::new(&id)).ok_or_else(|| {
            Problem::new(
                Kind::ClientNotFound,
                format!("no client {id:?} has a session"),
                "look at /api/v1/mqtt/clients; write a / inside an id as %2F",
            )
        })
    }

    fn client(&self, session: &Session, info: &SessionInfo) -> Client {
        let connection = info.connection.as_ref();
        Client {
            id: info.client_id.to_string(),
            online: connection.is_some(),
            username: info.user.as_ref().map(ToString::to_string),
            ip: connection.map(|connection| connection.address.ip().to_canonical().to_string()),
            port: connection.map(|connection| connection.address.port()),
            listener: connection.map(|connection| connection.listener.to_string()),
            protocol_version: connection.map(|connection| connection.version),
            keepalive: connection.map(|connection| connection.keep_alive_secs),
            connected_at: connection.map(|connection| rfc3339(self.wall_time(connection.connected_at))),
            session_clean: info.expiry_secs == 0,
            session_expiry_seconds: info.expiry_secs,
            session_expires_at: session.expires_at().and_then(|at| self.wall_text(at)),
            durable: info.durable,
            subscriptions_count: info.subscriptions_count,
            inflight_count: info.in_flight,
            queued_count: info.queued_messages,
            queued_bytes: info.queued_bytes,
            outbox_bytes: info.outbox_bytes,
            topic_filters: None,
        }
    }
}
