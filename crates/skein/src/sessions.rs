//! `skein sessions`: who is there, a page at a time; and the end of one.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    api_client::{ApiArgs, segment},
    listing::PageArgs,
    output::note,
    table::{Column, member},
};

/// What the interface writes for a session that never expires (MQTT 5.0 section 3.1.2.11.2).
const EXPIRY_NEVER_SECS: u64 = u32::MAX as u64;

const COLUMNS: [Column; 10] = [
    Column("CLIENT", |item| member(item, "id")),
    Column("ONLINE", |item| member(item, "online")),
    Column("USER", |item| member(item, "username")),
    Column("ADDRESS", |item| member(item, "ip")),
    Column("LISTENER", |item| member(item, "listener")),
    Column("MQTT", |item| member(item, "protocol_version")),
    Column("FILTERS", |item| member(item, "subscriptions_count")),
    Column("QUEUED", |item| member(item, "queued_count")),
    Column("ON DISK", |item| member(item, "durable")),
    Column("EXPIRES", expires),
];

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: Option<SessionsCommand>,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    page: PageArgs,
    /// Show only clients whose id or user name contains this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

#[derive(Subcommand, Clone, Debug)]
enum SessionsCommand {
    /// End the session of a client, connected or not, and discard its queue
    End {
        /// The client id
        client_id: String,
        #[command(flatten)]
        api: ApiArgs,
    },
}

impl SessionsArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(SessionsCommand::End { client_id, api }) = self.command {
            api.delete(&format!("/api/v1/sessions/{}", segment(&client_id)))?;
            note(&format!("the session of {client_id:?} has ended"));
            return Ok(ExitCode::SUCCESS);
        }
        let query = self.search.map(|text| ("search", text)).into_iter().collect();
        self.page.print(&self.api, "/api/v1/mqtt/clients", query, &COLUMNS, "sessions")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// When the session ends; of a connected client, how long after its connection.
fn expires(item: &Value) -> String {
    let deadline = member(item, "session_expires_at");
    if deadline != "-" {
        return deadline;
    }
    match item.get("session_expiry_seconds").and_then(Value::as_u64) {
        Some(EXPIRY_NEVER_SECS) => "never".to_owned(),
        Some(0) => "with connection".to_owned(),
        Some(seconds) => format!("{seconds}s after"),
        None => deadline,
    }
}
