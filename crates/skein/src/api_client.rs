//! Asks a running node over its HTTP interface.
//!
//! Used by `status` and `sessions`. It speaks plain HTTP: across machines, use it through a tunnel or on the node itself.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;

use crate::secret;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// Where the node serves HTTP
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// The user to log in as; its password is that of SKEIN_PASSWORD or --password-file
    #[arg(long)]
    user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl ApiArgs {
    /// Asks for `path` with the pairs of `query`.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(&url);
        for (name, value) in query {
            request = request.query(*name, value);
        }
        if let Some(authorization) = self.authorization()? {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|error| {
            anyhow!("cannot ask {url}: {error}. Does a node run, and does --url name its http.listen?")
        })?;
        let status = response.status();
        let body = response
            .body_mut()
            .read_to_string()
            .with_context(|| format!("cannot read the answer of {url}"))?;
        let answer: Option<Value> = serde_json::from_str(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(problem) if status.as_u16() == 401 || status.as_u16() == 403 => {
                bail!("{}. Log in with --user and SKEIN_PASSWORD", problem_text(&problem))
            }
            Some(problem) => bail!("{}", problem_text(&problem)),
            None => bail!("{url} answered {status} and no JSON. Does --url name a node's http.listen?"),
        }
    }

    fn authorization(&self) -> anyhow::Result<Option<String>> {
        let Some(user) = &self.user else { return Ok(None) };
        let password = match &self.password_file {
            Some(file) => Some(secret::of_file(file)?),
            None => secret::of_environment()?,
        };
        let password = password.ok_or_else(|| {
            anyhow!("there is no password for {user:?}. Set {} or --password-file", secret::PASSWORD_VARIABLE)
        })?;
        Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
    }
}

fn problem_text(problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("error"), text("hint")) {
        ("", _) => format!("the node refused: {problem}"),
        (error, "") => format!("the node refused: {error}"),
        (error, hint) => format!("the node refused: {error}; {hint}"),
    }
}
