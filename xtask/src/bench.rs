//! `cargo xtask bench`: builds the node for speed and hands over to the comparison in skein-bench.

use anyhow::Result;

use crate::run::run;
use crate::workspace::Workspace;

pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    run(workspace.cargo().args(["build", "--release", "-p", "skein"]))?;
    // The comparison starts the bare relay, an example beside it, as one of its servers.
    run(workspace.cargo().args(["build", "--release", "-p", "skein-bench", "--examples"]))?;
    let mut command = workspace.cargo();
    command.args(["run", "--release", "-p", "skein-bench", "--example", "compare", "--"]).args(arguments);
    run(&mut command)
}
