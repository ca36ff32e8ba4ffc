//! `skein queue`: what a session has not done with yet, message by message.

use std::process::ExitCode;

use clap::Args;

use crate::{
    api_client::{ApiArgs, segment},
    listing::{PageArgs, expiry, payload, payload_query},
    table::{Column, member},
};

#[derive(Args, Clone, Debug)]
pub(crate) struct QueueArgs {
    /// Client id of the session
    client_id: String,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    page: PageArgs,
    /// Show the start of each payload, as text or in hexadecimal
    #[arg(long)]
    payload: bool,
}

impl QueueArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut columns = vec![
            Column("SEQ", |item| member(item, "seq")),
            Column("STATE", |item| member(item, "state").replace('_', " ")),
            Column("TOPIC", |item| member(item, "topic")),
            Column("QOS", |item| member(item, "qos")),
            Column("BYTES", |item| member(item, "payload_bytes")),
            Column("ON DISK", |item| member(item, "durable")),
            Column("EXPIRES", expiry),
        ];
        if self.payload {
            columns.push(Column("PAYLOAD", payload));
        }
        let query = payload_query(self.payload).into_iter().collect();
        let path = format!("/api/v1/sessions/{}/queue", segment(&self.client_id));
        self.page.print(&self.api, &path, query, &columns, "messages")?;
        Ok(ExitCode::SUCCESS)
    }
}
