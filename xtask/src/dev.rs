//! `cargo xtask dev`: the README's first command. Builds a node and becomes it, on loopback only.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::run::{find, run, shown};
use crate::workspace::Workspace;

const DIRECTORY: &str = "target/dev";

pub(crate) fn dev(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    check_node_count(arguments)?;
    run(workspace.cargo().args(["build", "-p", "skein"]))?;
    fs::create_dir_all(workspace.path(DIRECTORY)).with_context(|| format!("cannot create {DIRECTORY}"))?;
    let has_tls = make_certificate(workspace)?;

    let mut command = workspace.command("target/debug/skein");
    command.args(serve_arguments(has_tls));
    println!("{}", what_to_try(has_tls));
    println!("$ {}", shown(&command));
    // The node takes this process's place: Ctrl-C and signals reach it and nothing else.
    Err(command.exec()).context("cannot start target/debug/skein")
}

fn check_node_count(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => Ok(()),
        [count] => match count.parse::<u16>() {
            Ok(1) => Ok(()),
            Ok(0) | Err(_) => bail!("`dev` takes a number of nodes, got {count:?}. Try `cargo xtask dev`."),
            Ok(more) => bail!(
                "cannot run {more} nodes: nodes do not find each other yet, the cluster is still to be built. \
                 Run one with `cargo xtask dev`."
            ),
        },
        _ => bail!("`dev` takes one number of nodes, got {arguments:?}"),
    }
}

fn serve_arguments(has_tls: bool) -> Vec<String> {
    let mut arguments = vec!["serve"];
    arguments.extend(["--mqtt.listen", "127.0.0.1:1883", "--mqtt.ws_listen", "127.0.0.1:1882"]);
    arguments.extend(["--http.listen", "127.0.0.1:8080", "--access.anonymous", "true"]);
    arguments.extend(["--data.dir", "target/dev/data"]);
    if has_tls {
        arguments.extend(["--mqtt.tls_listen", "127.0.0.1:8883"]);
        arguments.extend(["--tls.cert", "target/dev/server.pem", "--tls.key", "target/dev/server.key"]);
    }
    arguments.into_iter().map(str::to_owned).collect()
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

fn what_to_try(has_tls: bool) -> String {
    let mut text = "
One node, reachable from this machine only, open to anyone on it. In other terminals:

  mosquitto_sub -h 127.0.0.1 -t 'demo/#' -v
  mosquitto_pub -h 127.0.0.1 -t demo/hello -m 'hello from Mosquitto' -q 1 -r
"
    .to_owned();
    if has_tls {
        text.push_str(
            "  mosquitto_pub -h localhost -p 8883 --cafile target/dev/server.pem -t demo/tls -m 'over TLS'\n",
        );
    }
    text.push_str(
        "  curl http://127.0.0.1:8080/api/v1/status
  curl http://127.0.0.1:8080/metrics

A browser's mqtt.js connects to ws://127.0.0.1:1882/mqtt. Ctrl-C stops the node.
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_node_is_all_there_is() {
        assert!(check_node_count(&[]).is_ok());
        assert!(check_node_count(&words("1")).is_ok());
        let refused = check_node_count(&words("3")).unwrap_err().to_string();
        assert!(refused.contains("cluster is still to be built"), "{refused}");
        assert!(check_node_count(&words("none")).is_err());
        assert!(check_node_count(&words("1 2")).is_err());
    }

    #[test]
    fn every_door_is_on_loopback() {
        let arguments = serve_arguments(true);
        let mut listeners = 0;
        for pair in arguments.windows(2) {
            if let [flag, address] = pair
                && flag.ends_with("listen")
            {
                assert!(address.starts_with("127.0.0.1:"), "{flag} {address}");
                listeners += 1;
            }
        }
        assert_eq!(listeners, 4);
        assert!(!serve_arguments(false).iter().any(|argument| argument.contains("tls")));
    }
}
