//! `test`, `verify` and `fix`: the commands that a change meets before it is merged.

use anyhow::{Result, bail};

use crate::run::run;
use crate::workspace::Workspace;
use crate::{deps, setup, tidy};

/// The README's second command. Installs what is missing and runs every test of the workspace.
pub(crate) fn test(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    setup::setup(workspace)?;
    cargo_test(workspace, arguments)
}

type Part = fn(&Workspace) -> Result<()>;

/// Everything a change must pass. All parts run, so that one look shows all that is wrong.
pub(crate) fn verify(workspace: &Workspace) -> Result<()> {
    let parts: [(&str, Part); 6] = [
        ("fmt", |workspace| run(workspace.cargo().args(["fmt", "--all", "--check"]))),
        ("deps", deps::deps),
        ("tidy", tidy::tidy),
        ("clippy", clippy),
        ("doc", doc),
        ("test", |workspace| cargo_test(workspace, &[])),
    ];
    let mut failed = Vec::new();
    for (name, part) in parts {
        println!("verify: {name}");
        if let Err(error) = part(workspace) {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("verify failed in: {}", failed.join(", "));
    }
    println!("verify: all passed");
    Ok(())
}

pub(crate) fn fix(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"]);
    run(&mut command)?;
    run(workspace.cargo().args(["fmt", "--all"]))
}

fn cargo_test(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    // One failing crate does not hide the state of the others.
    run(workspace.cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    run(workspace.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn doc(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
