//! Who may use a route: the same users and rules as at every door, and what keeps browsers of others out.
//!
//! Every route has a [`Need`]. A request is let in without a user where the node admits clients without one, or with
//! a user's name and password by HTTP Basic (RFC 7617) when the user has the role. A body is read only after that.

mod origin;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use skein_access::{Admission, Authenticated, Door};
use skein_types::{Code, UserName};

use self::origin::Host;
use crate::{
    body,
    door::Shared,
    problem::{Kind, Problem},
};

/// The role that may use every route.
pub const ROLE_ADMIN: &str = "admin";
/// The role that may read metrics.
pub const ROLE_MONITOR: &str = "monitor";

/// Where a request comes from; put into it by the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What it takes to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// The role admin or monitor.
    Monitor,
    /// The role admin.
    Admin,
}

/// Who was let in, for the log of what operators do.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) user: Option<UserName>,
}

/// The guard of one route.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) need: Need,
}

struct Credentials {
    user: String,
    password: Vec<u8>,
}

/// Lets the request through to its handler, or answers it.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match guard.admit(&parts).await {
        Ok(caller) => _ = parts.extensions.insert(caller),
        Err(problem) => {
            let peer = parts.extensions.get().map(|Peer(peer)| *peer);
            tracing::info!(
                ?peer,
                path = parts.uri.path(),
                code = problem.kind.code(),
                "http: request refused"
            );
            return problem.into_response();
        }
    }
    match body::read(&parts.headers, body, &guard.shared.settings).await {
        Ok(body) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    async fn admit(&self, parts: &Parts) -> Result<Caller, Problem> {
        // Every connection puts its peer into its requests; without one nobody is let in.
        let Some(Peer(peer)) = parts.extensions.get().copied() else { return Err(Problem::internal()) };
        if self.need == Need::Nothing {
            return Ok(Caller { peer, user: None });
        }
        let host = Host::of(parts)?;
        origin::refuse_cross_site(&parts.method, &parts.headers, host.as_ref())?;
        let credentials = credentials(&parts.headers)?;
        let (user, password) =
            credentials.as_ref().map(|given| (given.user.as_str(), given.password.as_slice())).unzip();
        match self.shared.plane.access().admit(user, password, peer.ip()) {
            Admission::Anonymous => {
                origin::refuse_foreign_host(host.as_ref(), &self.shared.settings.host_names)?;
                Ok(Caller { peer, user: None })
            }
            Admission::CheckPassword => {
                let proof = self.check_password(credentials).await?;
                self.check_role(&proof)?;
                Ok(Caller { peer, user: Some(proof.user) })
            }
            Admission::Refuse(code) => Err(unauthenticated(code.text())),
        }
    }

    async fn check_password(&self, credentials: Option<Credentials>) -> Result<Authenticated, Problem> {
        let Some(Credentials { user, password }) = credentials else {
            return Err(unauthenticated(Code::BadCredentials.text()));
        };
        let permit = self.shared.password_checks.clone().acquire_owned().await;
        let plane = self.shared.plane.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let proof = plane.access().verify_password(&user, &password);
            // The check goes on when its request is gone, so the permit stays with the check.
            drop(permit);
            proof
        });
        match checked.await {
            Ok(Ok(proof)) => Ok(proof),
            Ok(Err(code)) => Err(unauthenticated(code.text())),
            Err(error) => {
                tracing::error!(%error, "http: a password check failed");
                Err(Problem::internal())
            }
        }
    }

    fn check_role(&self, proof: &Authenticated) -> Result<(), Problem> {
        let has = |wanted: &str| proof.roles.iter().any(|role| role == wanted);
        let (enough, wanted) = match self.need {
            Need::Nothing => (true, String::new()),
            Need::Monitor => {
                (has(ROLE_ADMIN) || has(ROLE_MONITOR), format!("{ROLE_ADMIN} or {ROLE_MONITOR}"))
            }
            Need::Admin => (has(ROLE_ADMIN), ROLE_ADMIN.to_owned()),
        };
        if enough {
            return Ok(());
        }
        Err(Problem::new(
            Kind::RoleMissing,
            format!("user {} has not the role {wanted}", proof.user),
            "give the user the role, in the access file or by PUT /api/v1/users/{name}, or use another user",
        ))
    }
}

fn unauthenticated(error: &str) -> Problem {
    let door = Door::Http.name();
    Problem::new(
        Kind::Unauthenticated,
        format!("{door}: {error}"),
        format!(
            "send name and password of a user with the role {ROLE_ADMIN} by HTTP Basic; `skein user` adds users"
        ),
    )
}

/// The user name and password of the request, if it has any.
fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(unauthenticated("there is more than one authorization header"));
    }
    basic(value).map(Some).ok_or_else(|| unauthenticated("the authorization header is not HTTP Basic"))
}

fn basic(value: &HeaderValue) -> Option<Credentials> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(token.trim()).ok()?;
    // The name ends at the first colon, so it cannot hold one; the password may (RFC 7617 section 2).
    let mut halves = bytes.splitn(2, |byte| *byte == b':');
    let user = String::from_utf8(halves.next()?.to_vec()).ok()?;
    Some(Credentials { user, password: halves.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<(String, Vec<u8>)> {
        let given = basic(&HeaderValue::from_str(value).unwrap())?;
        Some((given.user, given.password))
    }

    #[test]
    fn basic_credentials() {
        let pair = |user: &str, password: &[u8]| Some((user.to_owned(), password.to_vec()));
        assert_eq!(parsed("Basic YW5uOnM6MQ=="), pair("ann", b"s:1"));
        assert_eq!(parsed("bAsIc   Og=="), pair("", b""));
        assert_eq!(parsed("Basic YW5uOv8="), pair("ann", b"\xff"));
        for bad in [
            "Basic",
            "Basic ",
            "Basic YW5u",
            "Basic %%%",
            "Bearer YW5uOnM6MQ==",
            "Basic /zpz",
            "Basic YW5uOg",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
