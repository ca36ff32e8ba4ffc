//! `/api/v1/rules`: the rules in the store, in the order in which they are asked. Those of the access file are asked
//! before them and are not shown here.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, Uri},
};
use serde::{Deserialize, Serialize};
use skein_access::RuleBlock;
use skein_plane::StoredRule;

use crate::{
    change::body,
    door::Shared,
    guard::Caller,
    page::{Page, PageWanted},
    problem::{Kind, Problem},
};

/// A rule as listings show it and requests send it; what is null concerns everybody.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    position: Option<u32>,
    allow: bool,
    users: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    client_ids: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
    doors: Option<Vec<String>>,
    actions: Option<Vec<String>>,
    #[serde(default)]
    filters: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    position: u32,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The rules in the order in which they are asked.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Page<Rule>>, Problem> {
    let (wanted, ()) = PageWanted::with(&uri, &[], |_| Ok(()))?;
    let all = shared.walk(|shared| shared.plane.stored_rules()).await??;
    let total = all.len();
    let items = all.into_iter().skip(wanted.skip()).take(wanted.count()).map(Rule::from).collect();
    Ok(Json(wanted.filled(items, total)))
}

/// Adds a rule at a free position, or behind all others.
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    json: Result<Json<Rule>, JsonRejection>,
) -> Result<(StatusCode, Json<Rule>), Problem> {
    let rule = body(json)?;
    let (position, rule) = (rule.position, rule.into_block());
    let name = position.map_or_else(|| "last".to_owned(), |position| position.to_string());
    let add = shared
        .change_access(&caller, "rule added", &name, move |plane| plane.add_rule(position, &rule))
        .await?;
    Ok((StatusCode::CREATED, Json(add.into())))
}

/// Replaces the rule at a position.
pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    position: Result<Path<u32>, PathRejection>,
    json: Result<Json<Rule>, JsonRejection>,
) -> Result<Json<Rule>, Problem> {
    let (position, rule) = (of_path(position)?, body(json)?);
    if rule.position.is_some_and(|other| other != position) {
        return Err(Problem::new(
            Kind::BadBody,
            "the rule has another position than the path",
            "leave it out; to move a rule, add it at the new position and remove it at the old one",
        ));
    }
    let rule = rule.into_block();
    let name = position.to_string();
    let change = shared
        .change_access(&caller, "rule changed", &name, move |plane| plane.change_rule(position, &rule))
        .await?;
    Ok(Json(change.into()))
}

/// Removes the rule at a position.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    position: Result<Path<u32>, PathRejection>,
) -> Result<Json<Removed>, Problem> {
    let position = of_path(position)?;
    let name = position.to_string();
    shared.change_access(&caller, "rule removed", &name, move |plane| plane.remove_rule(position)).await?;
    let is_last = shared.plane.access().list().rules_count() == 0;
    let note = is_last.then_some("no rule is left, so nothing is allowed; add {\"allow\":true,\"filters\":[\"#\"]} to allow everything");
    Ok(Json(Removed { position, removed: true, note }))
}

fn of_path(position: Result<Path<u32>, PathRejection>) -> Result<u32, Problem> {
    position.map(|Path(position)| position).map_err(|error| {
        let text = format!("the rule's position cannot be read: {}", error.body_text());
        Problem::new(Kind::BadParameter, text, "send a whole number from 0 to 4294967295")
    })
}

impl Rule {
    fn into_block(self) -> RuleBlock {
        let Self { position: _, allow, users, roles, client_ids, addresses, doors, actions, filters } = self;
        RuleBlock { allow, users, roles, client_ids, addresses, doors, actions, filters }
    }
}

impl From<StoredRule> for Rule {
    fn from(stored: StoredRule) -> Self {
        let RuleBlock { allow, users, roles, client_ids, addresses, doors, actions, filters } = stored.rule;
        let position = Some(stored.position);
        Self { position, allow, users, roles, client_ids, addresses, doors, actions, filters }
    }
}
