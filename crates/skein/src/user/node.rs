//! The users in the store of a running node, through its HTTP interface.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Action, kept};
use crate::{
    api_client::{ApiArgs, OperatorArgs, TrustArgs, segment},
    output::{note, print_line},
    secret,
    table::member,
};

/// Users asked for at a time.
const PAGE_SIZE: u32 = 100;

/// Which node, and who asks it.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// Manage the users of a running node instead, at its http.listen address such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", global = true)]
    node: Option<String>,
    /// User name at the node; the password is read from --login-password-file or SKEIN_PASSWORD
    #[arg(long, value_name = "USER", global = true, requires = "node")]
    login: Option<String>,
    /// File whose first line is the password of --login
    #[arg(long, value_name = "FILE", global = true, requires = "login")]
    login_password_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl NodeArgs {
    /// The node, if one is named.
    pub(super) fn api(&self) -> Option<ApiArgs> {
        let url = self.node.clone()?;
        Some(ApiArgs::new(
            url,
            self.login.clone(),
            self.login_password_file.clone(),
            self.trust.clone(),
            self.operator.clone(),
        ))
    }
}

pub(super) fn run(api: &ApiArgs, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Add { name, roles, scram } => {
            let password = secret::ask_for_new(name)?;
            let credentials = credentials(*scram);
            let user =
                json!({"name": name, "password": password, "credentials": credentials, "roles": roles});
            api.post("/api/v1/users", &user)?;
            note(&format!("user {name:?} is added and can log in"));
        }
        Action::Remove { name } => {
            api.delete(&path(name))?;
            note(&format!("user {name:?} is removed; its clients are closed"));
        }
        Action::List => list(api)?,
        Action::Passwd { name, scram } => {
            // Whoever types a password twice should not hear afterwards that there is no such user.
            api.get(&path(name), &[])?;
            let password = secret::ask_for_new(name)?;
            api.put(&path(name), &json!({"password": password, "credentials": credentials(*scram)}))?;
            note(&format!("user {name:?} has another password"));
        }
    }
    Ok(())
}

fn list(api: &ApiArgs) -> anyhow::Result<()> {
    for page in 1_u32.. {
        let query = [("page", page.to_string()), ("page_size", PAGE_SIZE.to_string())];
        let answer = api.get("/api/v1/users", &query)?;
        let users = answer.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if users.is_empty() {
            break;
        }
        for user in users {
            let has = |key: &str| user.get(key).and_then(Value::as_bool).unwrap_or_default();
            let roles = user.get("roles").and_then(Value::as_array).into_iter().flatten();
            let roles: Vec<&str> = roles.filter_map(Value::as_str).collect();
            let (name, source) = (member(user, "name"), member(user, "source"));
            let kept = kept(has("has_password"), has("has_scram"));
            print_line(format!("{name}\t{source}\t{kept}\t{}", roles.join(",")).trim_end())?;
        }
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/api/v1/users/{}", segment(name))
}

fn credentials(scram: bool) -> &'static str {
    if scram { "scram" } else { "hash" }
}
