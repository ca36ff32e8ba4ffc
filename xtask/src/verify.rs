//! `test`, `verify` and `fix`: the commands that a change meets before it is merged.

use anyhow::{Result, bail};

use crate::run::run;
use crate::workspace::Workspace;
use crate::{deps, licences, setup, tidy};

/// The README's second command, and what continuous integration runs: installs what is missing, then everything a change must
/// pass. With arguments, which go to `cargo test`, only the tests they choose.
pub(crate) fn test(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    setup::setup(workspace)?;
    if arguments.is_empty() { verify(workspace) } else { cargo_test(workspace, arguments) }
}

type Part = fn(&Workspace) -> Result<()>;

/// What a change must pass, the quick parts first. The tests are last, so that their results are the end of what is shown.
const PARTS: [(&str, Part); 7] = [
    ("fmt", |workspace| run(workspace.cargo().args(["fmt", "--all", "--check"]))),
    ("deps", deps::deps),
    ("tidy", tidy::tidy),
    ("licences", licences::licences),
    ("clippy", clippy),
    ("doc", doc),
    ("test", |workspace| cargo_test(workspace, &[])),
];

/// Everything a change must pass. All parts run, so that one look shows all that is wrong.
pub(crate) fn verify(workspace: &Workspace) -> Result<()> {
    run_all(&PARTS, workspace)
}

fn run_all(parts: &[(&str, Part)], workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();
    for (name, part) in parts {
        println!("verify: {name}");
        if let Err(error) = part(workspace) {
            eprintln!("{error:#}");
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_and_one_that_fails_fails_the_whole() {
        let workspace = Workspace::find().unwrap();
        let parts: [(&str, Part); 3] =
            [("one", |_| bail!("no")), ("two", |_| Ok(())), ("three", |_| bail!("neither"))];
        let error = run_all(&parts, &workspace).unwrap_err().to_string();
        assert_eq!(error, "failed: one, three");
        assert!(run_all(&parts[1..2], &workspace).is_ok());
    }

    #[test]
    fn the_tests_are_the_last_part() {
        assert_eq!(PARTS.last().map(|(name, _)| *name), Some("test"));
    }
}
