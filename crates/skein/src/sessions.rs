//! `skein sessions`: who is there, a page at a time.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::{
    api_client::ApiArgs,
    output::{note, print_line},
    status::shown,
};

const COLUMNS: [(&str, &str); 8] = [
    ("CLIENT", "id"),
    ("ONLINE", "online"),
    ("USER", "username"),
    ("ADDRESS", "ip"),
    ("LISTENER", "listener"),
    ("MQTT", "protocol_version"),
    ("FILTERS", "subscriptions_count"),
    ("QUEUED", "queued_count"),
];

#[derive(Args, Clone, Debug)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Show only clients whose id or user has this text in it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// The page to show
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// Sessions on a page
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    page_size: u32,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

impl SessionsArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut query = vec![("page", self.page.to_string()), ("page_size", self.page_size.to_string())];
        query.extend(self.search.map(|text| ("search", text)));
        let page = self.api.get("/api/v1/mqtt/clients", &query)?;
        if self.json {
            print_line(&serde_json::to_string_pretty(&page)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let items = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        print_line(&table(items))?;
        let total = page.get("total").and_then(Value::as_u64).unwrap_or_default();
        note(&format!("page {}: {} of {total} sessions", self.page, items.len()));
        Ok(ExitCode::SUCCESS)
    }
}

fn table(items: &[Value]) -> String {
    let mut rows = vec![COLUMNS.map(|(head, _)| head.to_owned())];
    rows.extend(
        items.iter().map(|item| COLUMNS.map(|(_, key)| shown(item.get(key).unwrap_or(&Value::Null)))),
    );
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS.len()]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
