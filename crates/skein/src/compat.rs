//! `skein compat`: runs a node with the command line or the file of another server.
//!
//! The translation is `skein_node::config::comqtt`'s; here its warnings are told, and the result printed or served.

use std::{collections::BTreeSet, fs, io, net::TcpListener, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use parking_lot::Mutex;
use skein_node::{
    Node,
    config::{
        Config,
        comqtt::{Translation, conf_file, translate},
    },
    skein_cluster::NodeState,
};

use crate::{
    config_source::ConfigError,
    output::{note, print_bytes, print_line},
    serve::serve,
};

const HELP: &str = "\
Usage: skein compat comqtt [--print] [FLAGS OF COMQTT]

Runs a node as comqtt would run with these flags, written -tcp or --tcp, or with the file of -conf. What is different or
missing is said on the standard error stream.

  --print    print the equal configuration as TOML instead of running it
  --help     print this help";

#[derive(Args, Clone, Debug)]
pub(crate) struct CompatArgs {
    #[command(subcommand)]
    server: Server,
}

#[derive(Subcommand, Clone, Debug)]
enum Server {
    /// comqtt, alone or in a cluster
    #[command(disable_help_flag = true)]
    Comqtt {
        /// --print, and the flags of comqtt
        // The other server's flags are not ours to parse: everything comes through as it is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        arguments: Vec<String>,
    },
}

impl CompatArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Server::Comqtt { mut arguments } = self.server;
        if arguments.iter().any(|argument| ["-h", "-help", "--help"].contains(&argument.as_str())) {
            print_line(HELP)?;
            return Ok(ExitCode::SUCCESS);
        }
        let before = arguments.len();
        arguments.retain(|argument| argument != "--print");
        let print = arguments.len() < before;
        let translation = read(&arguments)?;
        tell_warnings(&translation);
        if print {
            print_bytes(translation.toml.as_bytes())?;
            // What would not start is shown all the same, and said to be so.
            translation.config.map_err(ConfigError::Faults)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut config = translation.config.map_err(ConfigError::Faults)?;
        if config.cluster.is_on() {
            move_taken_dashboard(&mut config);
        }
        print_line("CoMQTT Broker initializing...")?;
        let read_again = || {
            let translation = read(&arguments)?;
            Ok(translation.config.map_err(ConfigError::Faults)?)
        };
        serve(config, &read_again, &print_started)
    }
}

fn read(arguments: &[String]) -> anyhow::Result<Translation> {
    let file: Option<PathBuf> = conf_file(arguments).map_err(ConfigError::Faults)?;
    let text = match &file {
        None => None,
        Some(path) => Some(
            fs::read_to_string(path)
                .with_context(|| format!("cannot read {}. Check -conf", path.display()))?,
        ),
    };
    let conf = file.as_deref().zip(text.as_deref());
    Ok(translate(arguments, conf).map_err(ConfigError::Faults)?)
}

fn tell_warnings(translation: &Translation) {
    for warning in &translation.warnings {
        note(&format!("warning: {warning}"));
    }
}

/// comqtt's own page has three nodes on one machine, of which the third wants a port for its dashboard that the first uses for
/// WebSocket. Its dashboard gets another one.
fn move_taken_dashboard(config: &mut Config) {
    for address in &mut config.http.listen.0 {
        let taken = TcpListener::bind(*address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        if taken {
            note(&format!(
                "warning: http.listen = {address} is taken; the dashboard is on another port, shown below"
            ));
            address.set_port(0);
        }
    }
}

/// The lines that people and scripts wait for, with the addresses that are really listened on.
fn print_started(node: &Node) -> anyhow::Result<()> {
    for (_, transport, address) in node.addresses() {
        let head = match transport {
            "tcp" | "tls" => "TCP",
            "ws" | "wss" => "Websocket",
            _ => "$SYS Dashboard",
        };
        print_line(&format!("{head} {}", as_comqtt(&address.to_string())))?;
    }
    print_line("Mqtt Server Started!")?;
    if node.cluster_address().is_some() {
        print_joined(node)?;
    }
    Ok(())
}

/// A line for each node: this one, those that are there, and later each that comes.
fn print_joined(node: &Node) -> anyhow::Result<()> {
    let shown = Arc::new(Mutex::new(BTreeSet::new()));
    let print_once = move |id: u16, incarnation: u64, name: &str| match shown.lock().insert((id, incarnation))
    {
        true => print_line(&format!("A node has joined: {name}")),
        false => Ok(()),
    };
    let me = node.cluster().me();
    print_once(me.id.0, me.incarnation.0, &me.name)?;
    let print_later = print_once.clone();
    node.on_cluster_event(move |event| {
        if event.event == "up" {
            // Whoever read the lines is gone; the node is not.
            drop(print_later(event.node_id, event.incarnation, &event.name));
        }
    });
    for status in node.cluster().nodes().into_iter().filter(|status| status.state == NodeState::Up) {
        print_once(status.info.id.0, status.info.incarnation.0, &status.info.name)?;
    }
    print_line(&format!("Local member {}", me.advertise))?;
    print_line("Cluster Node Created!")
}

/// comqtt leaves out the host that means every address.
fn as_comqtt(address: &str) -> String {
    address.strip_prefix("0.0.0.0").unwrap_or(address).to_owned()
}
