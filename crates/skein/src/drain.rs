//! `skein drain`: sends the clients of a node to the others and has it leave.
//!
//! The node does the work, at its own pace; this asks for it and watches until the node is gone.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    api_client::ApiArgs,
    output::{note, print_line},
};

/// Time between two looks at how many clients are left.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Args, Clone, Debug)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Clients moved per second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Return as soon as draining has begun
    #[arg(long)]
    no_wait: bool,
}

impl DrainArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let begun = self.api.post("/api/v1/cluster/drain", &json!({"rate_per_sec": self.rate}))?;
        let clients = begun.get("connected").and_then(Value::as_u64).unwrap_or_default();
        note(&format!("draining: {clients} clients"));
        if self.no_wait {
            return Ok(ExitCode::SUCCESS);
        }
        let mut shown = clients;
        // The last thing a node does is to close this interface: when nothing answers any more it is gone.
        while let Ok(status) = self.api.get("/api/v1/status", &[]) {
            let left = status.pointer("/clients/connected").and_then(Value::as_u64).unwrap_or_default();
            if left != shown {
                note(&format!("draining: {left} clients"));
                shown = left;
            }
            std::thread::park_timeout(WATCH_INTERVAL);
        }
        print_line("drained: the node has left")?;
        Ok(ExitCode::SUCCESS)
    }
}
