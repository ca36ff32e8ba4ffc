//! Asks a running node over its HTTP interface.
//!
//! Used by the commands that look at a node or change something of it. Over `https://` the node's certificate is checked
//! against the authorities of `--cacert`, or the system's.

mod trust;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;
use skein_node::OPERATOR_FILE;
use ureq::tls::TlsConfig;

pub(crate) use self::trust::TrustArgs;
use crate::secret;

/// The variable of the key `data.dir`, and its default.
const DATA_DIR_VARIABLE: &str = "SKEIN_DATA_DIR";
const DATA_DIR_DEFAULT: &str = "data";
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// HTTP address of the node, http:// or https://
    #[arg(long, visible_alias = "node", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// User name; the password is read from --password-file or SKEIN_PASSWORD
    #[arg(long)]
    user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// The proof that who asks may read the node's data directory.
#[derive(Args, Clone, Debug)]
pub(crate) struct OperatorArgs {
    /// The node's data.dir: who may read it is the node's operator and needs no user [default: SKEIN_DATA_DIR, or data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl OperatorArgs {
    /// What the header of the request says, if the directory is a running node's and may be read.
    fn authorization(&self) -> anyhow::Result<Option<String>> {
        let variable =
            || std::env::var_os(DATA_DIR_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let named = self.data_dir.clone();
        let dir = named.clone().or_else(variable).unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
        let file = dir.join(OPERATOR_FILE);
        match fs::read_to_string(&file) {
            Ok(token) => Ok(Some(format!("Bearer {}", token.trim_end()))),
            Err(error) if named.is_some() => Err(anyhow!(
                "cannot read {}: {error}. Does the node run with this data.dir, and do you run as its user?",
                file.display()
            )),
            // Whoever did not ask for it asks as nobody in particular.
            Err(_) => Ok(None),
        }
    }
}

impl ApiArgs {
    /// The node at `url`, where `user` logs in, if anybody has to.
    pub(crate) fn new(
        url: String,
        user: Option<String>,
        password_file: Option<PathBuf>,
        trust: TrustArgs,
        operator: OperatorArgs,
    ) -> Self {
        Self { url, user, password_file, trust, operator }
    }

    /// Asks for `path` with the pairs of `query`.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut target = path.to_owned();
        for (index, (name, value)) in query.iter().enumerate() {
            let before = if index == 0 { '?' } else { '&' };
            target.push_str(&format!("{before}{name}={}", segment(value)));
        }
        self.ask("GET", &target, None)
    }

    /// Has what is at `path` removed.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("DELETE", path, None)
    }

    /// Sends `body` to `path`.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("POST", path, Some(body))
    }

    /// Replaces what is at `path`, or the parts of it that `body` has.
    pub(crate) fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("PUT", path, Some(body))
    }

    fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = format!("{}{target}", self.url.trim_end_matches('/'));
        let authorization = self.authorization()?;
        let agent = agent(self.trust.tls(&url)?);
        // A token that nobody named may be that of another node; what needs none must not fail for it.
        let is_found = authorization.is_some() && self.user.is_none() && self.operator.data_dir.is_none();
        let mut answered = send(&agent, method, &url, body, authorization);
        if is_found && answered.as_ref().is_ok_and(|answer| answer.status().as_u16() == 401) {
            answered = send(&agent, method, &url, body, None);
        }
        let mut response = answered.map_err(|error| unreachable(&url, &error))?;
        let status = response.status();
        let body = response
            .body_mut()
            .read_to_string()
            .with_context(|| format!("cannot read the response of {url}"))?;
        let answer: Option<Value> = serde_json::from_str(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(problem) if status.as_u16() == 401 || status.as_u16() == 403 => {
                bail!(
                    "{}. Log in with --user and SKEIN_PASSWORD, or name the node's data.dir",
                    problem_text(&problem)
                )
            }
            Some(problem) => bail!("{}", problem_text(&problem)),
            None => {
                bail!("{url} answered {status} without JSON. Is --url the http.listen address of a node?")
            }
        }
    }

    fn authorization(&self) -> anyhow::Result<Option<String>> {
        let Some(user) = &self.user else { return self.operator.authorization() };
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

fn unreachable(url: &str, error: &ureq::Error) -> anyhow::Error {
    match error {
        ureq::Error::Rustls(_) => anyhow!("cannot reach {url}: {error}. {}", trust::ADVICE),
        // rustls' own errors arrive within those of reading and writing.
        ureq::Error::Io(inner) if inner.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            anyhow!("cannot reach {url}: {error}. {}", trust::ADVICE)
        }
        _ => anyhow!("cannot reach {url}: {error}. Is a node running, and is --url its http.listen address?"),
    }
}

fn agent(tls: TlsConfig) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .tls_config(tls)
        .build()
        .into()
}

fn send(
    agent: &ureq::Agent,
    method: &str,
    url: &str,
    body: Option<&Value>,
    authorization: Option<String>,
) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    match body {
        None => agent.run(request.body(())?),
        Some(body) => agent.run(request.header("content-type", "application/json").body(body.to_string())?),
    }
}

/// Text as one segment of a path or a value of a query (RFC 3986 section 2).
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn problem_text(problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("error"), text("hint")) {
        ("", _) => format!("the node refused: {problem}"),
        (error, "") => format!("the node refused: {error}"),
        (error, hint) => format!("the node refused: {error}; {hint}"),
    }
}
