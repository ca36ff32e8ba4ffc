//! What a request that fails is answered with: a stable code for programs, and what and why and what to do for people.
//!
//! The codes are part of the interface (`openapi.json` lists them); a code never changes its meaning.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Asks for HTTP Basic (RFC 7617).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"skein\", charset=\"UTF-8\"");

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal;)*) => {
        /// What kind of failure it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code in the answer.
            pub(crate) const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
        }
    };
}

kinds! {
    /// A parameter of the query or path is not what it should be.
    BadParameter = BAD_REQUEST "bad_parameter";
    /// The Host header is missing, doubled or no host.
    BadHost = BAD_REQUEST "bad_host";
    /// Nobody is let in with these credentials, or without any.
    Unauthenticated = UNAUTHORIZED "unauthenticated";
    /// The user has not the role it takes.
    RoleMissing = FORBIDDEN "role_missing";
    /// A browser came by a name that is not the server's.
    HostNotAllowed = FORBIDDEN "host_not_allowed";
    /// A browser sent it on behalf of another site.
    CrossSite = FORBIDDEN "cross_site";
    /// The address failed to log in too often.
    TooManyFailures = TOO_MANY_REQUESTS "too_many_failures";
    /// Too many wait to have their passwords checked.
    Busy = SERVICE_UNAVAILABLE "busy";
    /// There is nothing at the path.
    NotFound = NOT_FOUND "not_found";
    /// No session has this client id.
    ClientNotFound = NOT_FOUND "client_not_found";
    /// No message is retained for the topic.
    RetainedNotFound = NOT_FOUND "retained_not_found";
    /// There is no such user.
    UserNotFound = NOT_FOUND "user_not_found";
    /// There is no rule at the position.
    RuleNotFound = NOT_FOUND "rule_not_found";
    /// There is such a user already.
    UserExists = CONFLICT "user_exists";
    /// The user is one of the access file.
    UserInFile = CONFLICT "user_in_file";
    /// There is a rule at the position already.
    RuleExists = CONFLICT "rule_exists";
    /// There are as many as there may be.
    TooMany = CONFLICT "too_many";
    /// The user or rule is none that an access file could have.
    BadAccess = UNPROCESSABLE_ENTITY "bad_access";
    /// The body is not what the route takes.
    BadBody = BAD_REQUEST "bad_body";
    /// The node keeps nothing on disk.
    NoStore = NOT_IMPLEMENTED "no_store";
    /// The store takes no changes at present.
    StoreReadOnly = SERVICE_UNAVAILABLE "store_read_only";
    /// The path does not know the method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed";
    /// The body took too long.
    BodyTimeout = REQUEST_TIMEOUT "body_timeout";
    /// The body is too large.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large";
    /// The body broke off.
    BodyBroken = BAD_REQUEST "body_broken";
    /// It is done in memory and waits for the disk.
    NotOnDisk = SERVICE_UNAVAILABLE "not_on_disk";
    /// A WebSocket is opened here, and this is no request for one.
    NoWebSocket = BAD_REQUEST "no_websocket";
    /// The server failed.
    Internal = INTERNAL_SERVER_ERROR "internal";
}

/// A failure and its words.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) error: String,
    pub(crate) hint: String,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    error: &'a str,
    hint: &'a str,
}

impl Problem {
    pub(crate) fn new(kind: Kind, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, error: error.into(), hint: hint.into() }
    }

    /// For what only a fault of the server itself can bring about.
    pub(crate) fn internal() -> Self {
        Self::new(Kind::Internal, "the server could not do this", "its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body { code: self.kind.code(), error: &self.error, hint: &self.hint };
        let mut response = (self.kind.status(), Json(body)).into_response();
        match self.kind {
            Kind::Unauthenticated => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
            }
            // The rest of such a body is not read, so nothing can follow it on the connection.
            Kind::BodyTimeout | Kind::BodyTooLarge | Kind::BodyBroken => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
