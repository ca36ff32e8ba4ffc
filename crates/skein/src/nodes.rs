//! `skein nodes`: the nodes of a cluster, as one of them sees it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use crate::{
    api_client::ApiArgs,
    output::print_line,
    table::{Column, member, table},
};

const COLUMNS: [Column; 8] = [
    Column("NODE", |item| member(item, "node_id")),
    Column("NAME", |item| member(item, "name")),
    Column("STATE", state),
    Column("ADDRESS", address),
    Column("CLIENTS", |item| member(item, "clients")),
    Column("CLIENTS AT", |item| member(item, "server_reference")),
    Column("QRANK", |item| member(item, "qrank")),
    Column("INCARNATION", |item| member(item, "incarnation")),
];

#[derive(Args, Clone, Debug)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print the full response as JSON
    #[arg(long)]
    json: bool,
}

impl NodesArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let nodes = self.api.get("/api/v1/cluster/nodes", &[])?;
        if self.json {
            print_line(&serde_json::to_string_pretty(&nodes)?)?;
        } else {
            let rows = nodes.as_array().context("the node's answer is no list")?;
            print_line(&table(&COLUMNS, rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn state(item: &Value) -> String {
    let is_self = item.get("is_self").and_then(Value::as_bool).unwrap_or_default();
    let note = if is_self { " (asked)" } else { "" };
    format!("{}{note}", member(item, "state"))
}

/// A node that runs alone has none.
fn address(item: &Value) -> String {
    let address = member(item, "address");
    if address.is_empty() { "-".to_owned() } else { address }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_as_a_table() {
        let rows = [
            json!({"node_id": 1, "name": "a", "address": "127.0.0.1:5777", "qrank": 1, "incarnation": 7, "state": "up",
                   "server_reference": "127.0.0.1:1883", "is_self": true, "clients": 12}),
            json!({"node_id": 2, "name": "b", "address": "", "qrank": 1, "incarnation": 8, "state": "down",
                   "server_reference": null, "is_self": false}),
        ];
        let expect = "\
NODE  NAME  STATE       ADDRESS         CLIENTS  CLIENTS AT      QRANK  INCARNATION
1     a     up (asked)  127.0.0.1:5777  12       127.0.0.1:1883  1      7
2     b     down        -               -        -               1      8";
        assert_eq!(table(&COLUMNS, &rows), expect);
    }
}
