//! `cargo xtask bench`: builds the node for speed and hands over to the comparison in skein-bench; with the word `store`
//! first it is the store that is compared.

mod store;

use anyhow::Result;

use crate::run::run;
use crate::workspace::Workspace;

/// The one peer that is built here; Mosquitto and nats-server come with the tests' Debian packages.
const RUMQTTD: [&str; 3] = ["rumqttd", "--version", "0.20.0"];
const TOOLS: &str = "target/bench-tools";

pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((subject, rest)) if subject == "store" => store::store(workspace, rest),
        _ => servers(workspace, arguments),
    }
}

fn servers(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    run(workspace.cargo().args(["build", "--release", "-p", "skein"]))?;
    // The comparison starts the bare relay, an example beside it, as one of its servers.
    run(workspace.cargo().args(["build", "--release", "-p", "skein-bench", "--examples"]))?;
    let rumqttd = workspace.path(TOOLS).join("bin/rumqttd");
    if !rumqttd.exists() {
        println!("bench: building rumqttd once into {TOOLS}, which takes some minutes");
        run(workspace.cargo().arg("install").args(RUMQTTD).args(["--root", TOOLS]))?;
    }
    let mut command = workspace.cargo();
    command.args(["run", "--release", "-p", "skein-bench", "--example", "compare", "--"]).args(arguments);
    command.arg("--program").arg(format!("rumqttd={}", rumqttd.display()));
    run(&mut command)
}
