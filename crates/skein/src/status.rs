//! `skein status`: the node at a glance.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::{api_client::ApiArgs, output::print_line, table::shown};

#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print the full response as JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let status = self.api.get("/api/v1/status", &[])?;
        if self.json {
            print_line(&serde_json::to_string_pretty(&status)?)?;
        } else {
            print_line(&in_words(&status))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(status: &Value) -> String {
    let at = |path: &str| shown(status.pointer(path).unwrap_or(&Value::Null));
    let mut lines = vec![
        format!(
            "node           {} ({}), version {}, {}",
            at("/node/name"),
            at("/node/id"),
            at("/node/version"),
            at("/node/readiness")
        ),
        format!("started        {}", at("/node/started_at")),
        format!(
            "clients        {} connected, {} sessions",
            at("/clients/connected"),
            at("/clients/sessions")
        ),
        format!("subscriptions  {}", at("/subscriptions")),
        format!("retained       {}", at("/retained/messages")),
        format!(
            "messages       {} accepted, {} delivered, {} pending",
            at("/messages/accepted"),
            at("/messages/delivered"),
            at("/messages/pending")
        ),
    ];
    if status.pointer("/store").is_some_and(|store| !store.is_null()) {
        lines.push(format!(
            "store          {} bytes in memory, {} in the log, {} commits, read-only: {}",
            at("/store/bytes"),
            at("/store/log_bytes"),
            at("/store/commits"),
            at("/store/read_only")
        ));
    }
    for alarm in status.pointer("/store/alarms").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("alarm          {}", shown(alarm)));
    }
    for listener in status.pointer("/listeners").and_then(Value::as_array).into_iter().flatten() {
        let at = |key: &str| shown(listener.get(key).unwrap_or(&Value::Null));
        lines.push(format!(
            "listener       {} {}://{}, {} open",
            at("name"),
            at("transport"),
            at("address"),
            at("open")
        ));
    }
    lines.join("\n")
}
