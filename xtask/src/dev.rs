//! `cargo xtask dev`: the README's first command. Builds the program and becomes `skein dev`: nodes on loopback that find
//! each other.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::run::{find, run, shown};
use crate::workspace::Workspace;

const DIRECTORY: &str = "target/dev";
const NODES_DEFAULT: u16 = 3;
/// As many as `skein dev` takes.
const NODES_MAX: u16 = 20;

pub(crate) fn dev(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let count = node_count(arguments)?;
    run(workspace.cargo().args(["build", "-p", "skein"]))?;
    fs::create_dir_all(workspace.path(DIRECTORY)).with_context(|| format!("cannot create {DIRECTORY}"))?;
    let has_tls = make_certificate(workspace)?;

    let mut command = workspace.command("target/debug/skein");
    command.args(dev_arguments(count, has_tls));
    println!("$ {}", shown(&command));
    // The program takes this process's place: Ctrl-C and signals reach it, and it ends its nodes.
    Err(command.exec()).context("cannot start target/debug/skein")
}

fn node_count(arguments: &[String]) -> Result<u16> {
    match arguments {
        [] => Ok(NODES_DEFAULT),
        [count] => match count.parse::<u16>() {
            Ok(count @ 1..=NODES_MAX) => Ok(count),
            Ok(_) | Err(_) => {
                bail!(
                    "`dev` takes a number of nodes from 1 to {NODES_MAX}, got {count:?}. Try `cargo xtask dev 3`."
                )
            }
        },
        _ => bail!("`dev` takes one number of nodes, got {arguments:?}"),
    }
}

fn dev_arguments(count: u16, has_tls: bool) -> Vec<String> {
    let mut arguments = vec!["dev".to_owned(), count.to_string()];
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|text| (*text).to_owned()));
    add(&["--dir", DIRECTORY]);
    if has_tls {
        add(&["--cert", "target/dev/server.pem", "--key", "target/dev/server.key"]);
    }
    arguments
}

/// Makes a certificate for localhost once; without the openssl program there is no TLS listener.
fn make_certificate(workspace: &Workspace) -> Result<bool> {
    if workspace.path("target/dev/server.pem").exists() {
        return Ok(true);
    }
    if find("openssl").is_none() {
        println!("dev: no openssl program here, so no certificate and no TLS listener");
        return Ok(false);
    }
    let mut command = workspace.command("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "365", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    command.args(["-keyout", "target/dev/server.key", "-out", "target/dev/server.pem"]);
    run(command.stdin(Stdio::null()).stderr(Stdio::null()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn three_nodes_unless_told_otherwise() {
        assert_eq!(node_count(&[]).unwrap(), 3);
        assert_eq!(node_count(&words("1")).unwrap(), 1);
        for wrong in ["0", "21", "none", "1 2"] {
            assert!(node_count(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_certificate_is_handed_on_where_there_is_one() {
        assert_eq!(dev_arguments(3, false), words("dev 3 --dir target/dev"));
        let with = "dev 1 --dir target/dev --cert target/dev/server.pem --key target/dev/server.key";
        assert_eq!(dev_arguments(1, true), words(with));
    }
}
