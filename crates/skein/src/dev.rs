//! `skein dev`: several nodes on this machine that find each other, to try things on.
//!
//! Each node is a process of its own, so that it can be killed, stopped and started like a real one; what they log comes out
//! here with the number of the node before it. They listen on loopback only and end with this program.

mod nodes;
mod plan;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use self::{nodes::DevNodes, plan::Plan};
use crate::output::{note, print_line};

#[derive(Args, Clone, Debug)]
pub(crate) struct DevArgs {
    /// Number of nodes
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(plan::NODES_MAX)))]
    nodes: u16,
    /// Where the nodes keep their data
    #[arg(long, default_value = "skein-dev", value_name = "DIR")]
    dir: PathBuf,
    /// A certificate for MQTT over TLS, in PEM form
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Offset added to every port, if the usual ones are taken
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    offset: u16,
}

impl DevArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plan = Plan::new(self.nodes, self.offset, self.dir, self.cert.zip(self.key))?;
        let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT]).context("cannot catch signals")?;
        let mut nodes = DevNodes::start(&plan)?;
        print_line(&plan.what_to_try())?;
        loop {
            if signals.pending().next().is_some() {
                note("dev: stopping all nodes");
                nodes.stop();
                return Ok(ExitCode::SUCCESS);
            }
            if !nodes.are_running() {
                anyhow::bail!("all nodes have exited; their messages are above");
            }
            std::thread::park_timeout(nodes::POLL);
        }
    }
}
