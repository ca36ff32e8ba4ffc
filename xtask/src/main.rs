//! The project's own commands, run as `cargo xtask <command>`; `cargo xtask help` lists them.
//!
//! People and the continuous-integration script call it. It starts ordinary programs and reads the
//! tree; it never ships, and `verify` and everything it calls never writes to the tree.
#![expect(clippy::print_stdout, reason = "a command speaks to the person who started it")]

mod bench;
mod deps;
mod dev;
mod fuzz;
mod licences;
mod modules;
mod run;
mod setup;
mod source;
mod tidy;
mod verify;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask <command>

  dev [N]        build and run N nodes (3) on loopback, and say what to try
  test           install what the tests need, then `verify`: what continuous integration runs
  test ARGS      the same installation, then only `cargo test` with ARGS
  setup          only install what the tests need; what is there already is left alone

  verify         everything a change must pass; writes nothing but target/
  fix            format, and apply what clippy can apply
  deps           the edges between crates, against the table of xtask/src/deps.rs, and circles of modules
  tidy           the rules of the tree that no compiler checks
  licences       licences, versions and sources of all dependencies, against deny.toml

  bench [ARGS]   compare with other servers on this machine (ARGS go to the comparison)
  bench store    the store beside SQLite, redb and bare writes (more ARGS as above)
  fuzz [FACTOR]  the property and fuzz tests for FACTOR times as long as usual (default 100)
  help           this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{HELP}");
        return Ok(());
    };
    let workspace = Workspace::find()?;
    match name.as_str() {
        "dev" => dev::dev(&workspace, rest),
        "test" => verify::test(&workspace, rest),
        "bench" => bench::bench(&workspace, rest),
        "fuzz" => fuzz::fuzz(&workspace, rest),
        "setup" | "verify" | "fix" | "deps" | "tidy" | "licences" | "help" | "--help" | "-h"
            if !rest.is_empty() =>
        {
            bail!("`{name}` takes no arguments, got {rest:?}. `cargo xtask help` lists the commands.")
        }
        "setup" => setup::setup(&workspace),
        "verify" => verify::verify(&workspace),
        "fix" => verify::fix(&workspace),
        "deps" => deps::deps(&workspace),
        "tidy" => tidy::tidy(&workspace),
        "licences" => licences::licences(&workspace),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("there is no command `{name}`. `cargo xtask help` lists the commands."),
    }
}
