//! The processes of `skein dev`: started, listened to, and ended with it.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::plan::Plan;
use crate::output::note;

/// How often it is looked whether something has ended.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// How long nodes have to end before they are killed; they need ten seconds at most.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// The nodes. Those that still run are ended with the value.
pub(super) struct DevNodes(Vec<DevNode>);

struct DevNode {
    id: u16,
    child: Child,
    ended: bool,
}

impl DevNodes {
    pub(super) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut nodes = Self(Vec::new());
        for id in plan.ids() {
            let mut command = Command::new(&program);
            command.args(plan.arguments(id)).stdin(Stdio::null()).stderr(Stdio::piped());
            // Ctrl-C reaches this program alone, which then asks each node once: a second signal would cut it off.
            command.process_group(0);
            let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
            if let Some(lines) = child.stderr.take() {
                let said = move || {
                    for line in BufReader::new(lines).lines().map_while(Result::ok) {
                        note(&format!("{id} | {line}"));
                    }
                };
                std::thread::Builder::new().name(format!("node-{id}")).spawn(said)?;
            }
            note(&format!("dev: node {id} is process {}", child.id()));
            nodes.0.push(DevNode { id, child, ended: false });
        }
        Ok(nodes)
    }

    /// Whether any node runs; says so when one has ended.
    pub(super) fn are_running(&mut self) -> bool {
        for node in self.0.iter_mut().filter(|node| !node.ended) {
            if let Ok(Some(status)) = node.child.try_wait() {
                node.ended = true;
                note(&format!("dev: node {} has ended: {status}", node.id));
            }
        }
        self.0.iter().any(|node| !node.ended)
    }

    /// Asks every node to end and waits for it.
    pub(super) fn stop(&mut self) {
        for node in self.0.iter().filter(|node| !node.ended) {
            // It may have ended by itself.
            let _gone_already = kill_process(Pid::from_child(&node.child), Signal::TERM);
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.are_running() && Instant::now() < deadline {
            std::thread::park_timeout(POLL);
        }
    }
}

impl Drop for DevNodes {
    fn drop(&mut self) {
        for node in self.0.iter_mut().filter(|node| !node.ended) {
            drop(node.child.kill());
            drop(node.child.wait());
        }
    }
}
