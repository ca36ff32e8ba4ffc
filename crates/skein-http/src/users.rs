//! `/api/v1/users`: the users of the access file and of the store; those of the store can be changed.
//!
//! Passwords come in requests and go nowhere else: no answer and no log has one, or what was made of it.

use std::{fmt, sync::Arc};

use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, Uri},
};
use serde::{Deserialize, Serialize};
use skein_access::{Credentials, NewUser, UserSummary};
use skein_plane::{NewPassword, StoredUser, UserChange};

use crate::{
    change::body,
    door::Shared,
    guard::Caller,
    page::{Page, PageWanted},
    problem::{Kind, Problem},
    timestamp::rfc3339,
};

/// A user as listings show it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Serialize)]
pub(crate) struct User {
    name: String,
    source: &'static str,
    roles: Vec<String>,
    has_password: bool,
    has_scram: bool,
    created_at: Option<String>,
    changed_at: Option<String>,
}

/// What is made of a password.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    #[default]
    Hash,
    Scram,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Added {
    name: String,
    password: String,
    #[serde(default)]
    credentials: Kept,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changed {
    password: Option<String>,
    credentials: Option<Kept>,
    roles: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    name: String,
    removed: bool,
}

/// Every user, by name; one that is in the file and in the store is the file's.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Page<User>>, Problem> {
    let (wanted, ()) = PageWanted::with(&uri, &[], |_| Ok(()))?;
    let all = shared.walk(|shared| shared.users_blocking()).await??;
    Ok(Json(wanted.of(all, User::clone)))
}

/// One user.
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<User>, Problem> {
    let name = of_path(name)?;
    let all = shared.walk(|shared| shared.users_blocking()).await??;
    let found = all.into_iter().find(|user| user.name == name);
    found.map(Json).ok_or_else(|| {
        Problem::new(
            Kind::UserNotFound,
            format!("there is no user {name:?}"),
            "GET /api/v1/users lists those there are; write a / inside a name as %2F",
        )
    })
}

/// Adds a user to the store.
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    json: Result<Json<Added>, JsonRejection>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let Added { name, password, credentials, roles } = body(json)?;
    let now = shared.now();
    let for_log = name.clone();
    let add = shared.change_access(&caller, "user added", &for_log, move |plane| {
        let credentials = credentials.into();
        plane.add_user(NewUser { name: &name, password: &password, roles: &roles, credentials }, now)
    });
    Ok((StatusCode::CREATED, Json(add.await?.into())))
}

/// Gives a user of the store another password or other roles.
pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    json: Result<Json<Changed>, JsonRejection>,
) -> Result<Json<User>, Problem> {
    let (name, Changed { password, credentials, roles }) = (of_path(name)?, body(json)?);
    if password.is_none() && (credentials.is_some() || roles.is_none()) {
        return Err(Problem::new(
            Kind::BadBody,
            "the body changes nothing: credentials are made of a password, which is never kept",
            "send a password, with credentials if they are to change, or roles",
        ));
    }
    let now = shared.now();
    let for_log = name.clone();
    let change = shared.change_access(&caller, "user changed", &for_log, move |plane| {
        let credentials = credentials.unwrap_or_default().into();
        let password = password.as_deref().map(|password| NewPassword { password, credentials });
        plane.change_user(&name, UserChange { password, roles: roles.as_deref() }, now)
    });
    Ok(Json(change.await?.into()))
}

/// Removes a user from the store; its clients are told and closed.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Removed>, Problem> {
    let name = of_path(name)?;
    let removed = name.clone();
    shared.change_access(&caller, "user removed", &name, move |plane| plane.remove_user(&removed)).await?;
    Ok(Json(Removed { name, removed: true }))
}

fn of_path(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|error| {
        let text = format!("the user's name cannot be read: {}", error.body_text());
        Problem::new(Kind::BadParameter, text, "send the name percent-encoded UTF-8")
    })
}

impl Shared {
    fn users_blocking(&self) -> Result<Vec<User>, Problem> {
        let access = self.plane.access();
        let mut all: Vec<User> = access.users_of_file().into_iter().map(User::of_file).collect();
        if self.plane.durable().is_some() {
            let stored = self.plane.stored_users()?.into_iter();
            all.extend(stored.filter(|user| !access.is_user_of_file(&user.summary.name)).map(User::from));
        }
        Ok(all)
    }
}

impl User {
    fn of_file(user: UserSummary) -> Self {
        let UserSummary { name, roles, has_hash, has_scram } = user;
        let source = "file";
        Self { name, source, roles, has_password: has_hash, has_scram, created_at: None, changed_at: None }
    }
}

impl From<StoredUser> for User {
    fn from(user: StoredUser) -> Self {
        let StoredUser { summary, created_at, changed_at } = user;
        let (created_at, changed_at) = (Some(rfc3339(created_at)), Some(rfc3339(changed_at)));
        Self { source: "store", created_at, changed_at, ..Self::of_file(summary) }
    }
}

impl From<Kept> for Credentials {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Hash => Self::Hash,
            Kept::Scram => Self::Scram,
            Kept::Both => Self::Both,
        }
    }
}

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Added").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("roles", &self.roles).finish_non_exhaustive()
    }
}
