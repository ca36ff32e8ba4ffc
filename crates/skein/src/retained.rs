//! `skein retained`: the messages that new subscribers get, and removing one.

use std::process::ExitCode;

use clap::Args;

use crate::{
    api_client::{ApiArgs, segment},
    listing::{PageArgs, expiry, payload, payload_query},
    output::note,
    table::{Column, member},
};

#[derive(Args, Clone, Debug)]
pub(crate) struct RetainedArgs {
    /// Show only topics that match this filter; by default #, which matches all but those that start with $
    filter: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    page: PageArgs,
    /// Show the start of each payload, as text or in hexadecimal
    #[arg(long)]
    payload: bool,
    /// Remove the message of this topic instead; subscribers are not notified
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["filter", "payload"])]
    remove: Option<String>,
}

impl RetainedArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(topic) = self.remove {
            self.api.delete(&format!("/api/v1/retained/{}", segment(&topic)))?;
            note(&format!("the retained message of {topic:?} is removed"));
            return Ok(ExitCode::SUCCESS);
        }
        let mut columns = vec![
            Column("TOPIC", |item| member(item, "topic")),
            Column("BYTES", |item| member(item, "payload_bytes")),
            Column("QOS", |item| member(item, "qos")),
            Column("ON DISK", |item| member(item, "durable")),
            Column("EXPIRES", expiry),
        ];
        if self.payload {
            columns.push(Column("PAYLOAD", payload));
        }
        let mut query: Vec<_> = payload_query(self.payload).into_iter().collect();
        query.extend(self.filter.map(|filter| ("filter", filter)));
        self.page.print(&self.api, "/api/v1/retained", query, &columns, "retained messages")?;
        Ok(ExitCode::SUCCESS)
    }
}
