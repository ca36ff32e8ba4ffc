//! Changing users and rules on behalf of an operator: where blocking is allowed, in force before the answer.

use std::sync::Arc;

use axum::{Json, extract::rejection::JsonRejection};
use skein_plane::{AccessChangeError, Batch, Plane};

use crate::{
    commit::COMMIT_TIMEOUT,
    door::Shared,
    guard::Caller,
    problem::{Kind, Problem},
};

impl Shared {
    /// Makes a change and puts it into effect on connected clients; `what` says in the log what was changed.
    pub(crate) async fn change_access<T: Send + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        what: &'static str,
        name: &str,
        change: impl FnOnce(&Plane) -> Result<T, AccessChangeError> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(COMMIT_TIMEOUT, self.access_changes.clone().acquire_owned());
        let Ok(permit) = turn.await else { return Err(no_turn()) };
        let shared = self.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let changed = change(&shared.plane)?;
            let mut batch = Batch::default();
            shared.plane.enforce_access(&mut batch, shared.now());
            shared.plane.finish_unattended(&mut batch, shared.now());
            // It goes on when its request is gone, so the permit stays with it.
            drop(permit);
            Ok::<_, AccessChangeError>(changed)
        });
        match tokio::time::timeout(COMMIT_TIMEOUT, changed).await {
            Err(_elapsed) => Err(not_on_disk()),
            Ok(Ok(Ok(changed))) => {
                let user = caller.user.as_deref();
                tracing::info!(what, name, by = %caller.peer, user, "http: access changed by an operator");
                Ok(changed)
            }
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(error)) => {
                tracing::error!(%error, "http: a change of users or rules failed");
                Err(Problem::internal())
            }
        }
    }
}

fn no_turn() -> Problem {
    Problem::new(
        Kind::StoreReadOnly,
        format!(
            "an earlier change waits for the disk since {} s; nothing was changed",
            COMMIT_TIMEOUT.as_secs()
        ),
        "see /api/v1/status for the store's alarms, then try again",
    )
}

/// What is still on its way may hold later: nothing that waits for the disk can be taken back.
fn not_on_disk() -> Problem {
    Problem::new(
        Kind::NotOnDisk,
        format!("the change was not on disk within {} s; it holds when it is", COMMIT_TIMEOUT.as_secs()),
        "see /api/v1/status for the store's alarms; a full disk takes changes again when there is room",
    )
}

/// The body of a request, or what is wrong with it.
pub(crate) fn body<T>(json: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    json.map(|Json(body)| body).map_err(|error| {
        Problem::new(
            Kind::BadBody,
            format!("the body cannot be taken: {}", error.body_text()),
            "send a JSON object as /api/v1/openapi.json describes it, with content-type application/json",
        )
    })
}

impl From<AccessChangeError> for Problem {
    fn from(error: AccessChangeError) -> Self {
        use AccessChangeError as Error;
        let (kind, hint) = match &error {
            Error::NoStore => (Kind::NoStore, "/api/v1/status has no store where there is none"),
            Error::InFile(_) => {
                (Kind::UserInFile, "edit the file with `skein user` and send the node SIGHUP")
            }
            Error::UserExists(_) => (Kind::UserExists, "change it with PUT /api/v1/users/{name}"),
            Error::UserMissing(_) => (Kind::UserNotFound, "GET /api/v1/users lists those there are"),
            Error::RuleExists(_) => (Kind::RuleExists, "change it with PUT /api/v1/rules/{position}"),
            Error::RuleMissing(_) => (Kind::RuleNotFound, "GET /api/v1/rules lists those there are"),
            Error::TooMany(..) => {
                (Kind::TooMany, "one rule can name many users, and a user can have many roles")
            }
            Error::Faults(_) => (Kind::BadAccess, "docs/access.md says what users and rules may hold"),
            Error::Password(_) => (Kind::BadAccess, "send another password"),
            Error::Store(_) => {
                (Kind::StoreReadOnly, "see /api/v1/status for the store's alarms, then try again")
            }
            Error::Read(_) | Error::Refused(_) => {
                tracing::error!(%error, "http: users or rules cannot be read or written");
                return Self::internal();
            }
        };
        Self::new(kind, error.to_string(), hint)
    }
}
