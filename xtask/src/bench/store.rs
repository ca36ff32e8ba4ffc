//! `cargo xtask bench store`: builds the package of `benches/store-peers`, which is outside the workspace so that no
//! other build compiles its databases, and runs it. Called by `bench.rs`.

use anyhow::Result;

use crate::run::run;
use crate::workspace::Workspace;

const MANIFEST: &str = "benches/store-peers/Cargo.toml";
const TARGET: &str = "target/bench-tools/store-peers";
/// Where the databases of a run lie: beside the sources, because a temporary directory may be no disk at all.
const DATABASES: &str = "target/bench/store-databases";
const REPORT: &str = "target/bench";

pub(super) fn store(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["run", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir", TARGET, "--"]);
    command.args(["--dir", DATABASES, "--out", REPORT]).args(arguments);
    run(&mut command)
}
