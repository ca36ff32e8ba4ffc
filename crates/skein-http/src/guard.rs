//! Who may use a route: the same users and rules as at every door, and what keeps browsers of others out.
//!
//! Every route has a [`Need`]. Users come with name and password by HTTP Basic (RFC 7617) and need a role. An operator on
//! the node's machine who may read its data directory comes with the token that lies there (RFC 6750) and may use every
//! route. A client without either is a monitor at most, and only on the same machine and while there are no users: nobody
//! changes anything anonymously. What came through a proxy came from elsewhere, whatever its address. A body is read only
//! after all that.

mod origin;
mod password;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use skein_access::{Admission, Authenticated, Door};
use skein_door::WebRules;
use skein_types::{Code, UserName};
use tokio_util::task::TaskTracker;

use crate::{
    body,
    door::Shared,
    problem::{Kind, Problem},
};

/// The role that may use every route.
pub const ROLE_ADMIN: &str = "admin";
/// The role that may read the state and the metrics of the node.
pub const ROLE_MONITOR: &str = "monitor";

/// Where a request comes from; put into it by the connection.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) peer: SocketAddr,
    /// Who the client's certificate says it is.
    pub(crate) certificate_user: Option<UserName>,
    /// Only this machine reaches the listener.
    pub(crate) is_loopback: bool,
    pub(crate) web: Arc<WebRules>,
    /// What all connections of the node share, and where those of this thread run.
    pub(crate) node: Arc<skein_door::Shared>,
    pub(crate) tasks: TaskTracker,
}

/// What it takes to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// The role admin or monitor; or to be on the same machine while there are no users.
    Monitor,
    /// The role admin.
    Admin,
}

/// Who was let in, for the log of what operators do.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    /// None for the operator with the node's token, and for who came anonymously.
    pub(crate) user: Option<UserName>,
}

/// The guard of one route.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) need: Need,
}

/// What a request brings to prove who sends it.
enum Credentials {
    User { name: String, password: Vec<u8> },
    Token(String),
}

/// Lets the request through to its handler, or answers it.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match guard.admit(&parts).await {
        Ok(caller) => _ = parts.extensions.insert(caller),
        Err(problem) => {
            let peer = parts.extensions.get().map(|Arrived { peer, .. }| *peer);
            if guard.shared.logs_refusal(peer) {
                let (path, code) = (parts.uri.path(), problem.kind.code());
                tracing::info!(?peer, path, code, "http: request refused");
            }
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
        let Some(Arrived { peer, web, .. }) = parts.extensions.get() else { return Err(Problem::internal()) };
        let peer = *peer;
        if self.need == Need::Nothing {
            return Ok(Caller { peer, user: None });
        }
        let host = origin::host_of(parts)?;
        origin::refuse_cross_site(&parts.method, &parts.headers, host.as_ref())?;
        let is_local = origin::is_local(peer.ip(), &parts.headers);
        let (name, password) = match credentials(&parts.headers)? {
            Some(Credentials::Token(token)) => {
                self.check_token(&token, is_local)?;
                return Ok(Caller { peer, user: None });
            }
            Some(Credentials::User { name, password }) => (Some(name), Some(password)),
            None => (None, None),
        };
        match self.shared.plane.access().admit(name.as_deref(), password.as_deref(), peer.ip()) {
            Admission::Anonymous => {
                origin::refuse_foreign_host(host.as_ref(), &web.host_names)?;
                self.check_anonymous(is_local)?;
                Ok(Caller { peer, user: None })
            }
            Admission::CheckPassword => {
                let proof = self.check_password(peer, name, password).await?;
                self.check_role(&proof)?;
                Ok(Caller { peer, user: Some(proof.user) })
            }
            Admission::Refuse(code) => Err(unauthenticated(code.text())),
        }
    }

    /// Whoever reads the node's data directory may do everything there; the token is no use from elsewhere.
    fn check_token(&self, token: &str, is_local: bool) -> Result<(), Problem> {
        match &self.shared.settings.operator_token {
            Some(own) if is_local && own.is(token) => Ok(()),
            _ => Err(unauthenticated(
                "the token is not that of this life of the node, or came from another machine",
            )),
        }
    }

    /// Without a user nothing is changed, by nobody; and the state is shown only while there is nobody to log in as.
    fn check_anonymous(&self, is_local: bool) -> Result<(), Problem> {
        let has_users = self.shared.plane.access().list().has_had_users();
        match self.need {
            Need::Nothing => Ok(()),
            Need::Monitor if is_local && !has_users => Ok(()),
            Need::Monitor if has_users => {
                Err(unauthenticated("this needs a user now that there are or were users"))
            }
            Need::Monitor => {
                Err(unauthenticated("from another machine or through a proxy this needs a user"))
            }
            Need::Admin => Err(unauthenticated("this needs a user")),
        }
    }

    async fn check_password(
        &self,
        peer: SocketAddr,
        name: Option<String>,
        password: Option<Vec<u8>>,
    ) -> Result<Authenticated, Problem> {
        let (Some(user), Some(password)) = (name, password) else {
            return Err(unauthenticated(Code::BadCredentials.text()));
        };
        let checked = password::check(&self.shared, &user, &password, peer.ip()).await;
        checked.map_err(|code| match code {
            Code::ServerBusy => Problem::new(
                Kind::Busy,
                "too many wait to have their passwords checked",
                "try again; a password that was right before does not wait",
            ),
            Code::ConnectionRateExceeded => Problem::new(
                Kind::TooManyFailures,
                "your address failed to log in too often",
                "wait a minute; a password that was right before is taken at once",
            ),
            Code::Internal => Problem::internal(),
            code => unauthenticated(code.text()),
        })
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
            "send name and password of a user with the role {ROLE_ADMIN} by HTTP Basic; on the node's machine `skein user \
             add NAME --role {ROLE_ADMIN} --node URL --data-dir DIR` makes one, for who may read the node's data.dir"
        ),
    )
}

/// What the request brings, if anything.
fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(unauthenticated("there is more than one authorization header"));
    }
    let given = bearer(value).or_else(|| basic(value));
    given
        .map(Some)
        .ok_or_else(|| unauthenticated("the authorization header is neither HTTP Basic nor a token"))
}

fn bearer(value: &HeaderValue) -> Option<Credentials> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Credentials::Token(token.trim().to_owned()))
}

fn basic(value: &HeaderValue) -> Option<Credentials> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(token.trim()).ok()?;
    // The name ends at the first colon, so it cannot hold one; the password may (RFC 7617 section 2).
    let mut halves = bytes.splitn(2, |byte| *byte == b':');
    let name = String::from_utf8(halves.next()?.to_vec()).ok()?;
    Some(Credentials::User { name, password: halves.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<(String, Vec<u8>)> {
        match basic(&HeaderValue::from_str(value).unwrap())? {
            Credentials::User { name, password } => Some((name, password)),
            Credentials::Token(_) => None,
        }
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
