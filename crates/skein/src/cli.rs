//! The command line: which commands there are and how their arguments are told apart.
//!
//! Flags with a point in their name set keys of the configuration and are taken out before clap sees the rest; commands
//! that start no node keep all of their arguments.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use skein_bench::BenchArgs;
use skein_node::config::split_arguments;

use crate::{
    check_config::CheckConfigArgs, compat::CompatArgs, dev::DevArgs, drain::DrainArgs, nodes::NodesArgs,
    output::complain, publish::PubArgs, queue::QueueArgs, retained::RetainedArgs, serve::ServeArgs,
    sessions::SessionsArgs, status::StatusArgs, store::StoreArgs, subscribe::SubArgs, user::UserArgs,
};

/// The code of a process that was called wrongly, as clap has it.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Every key of the configuration is also a flag and a variable: mqtt.listen is --mqtt.listen and SKEIN_MQTT_LISTEN.

Examples:
  skein                                            a node on 127.0.0.1, MQTT on port 1883
  skein serve --config skein.toml --log.level debug
  skein dev 3                                      three nodes on 127.0.0.1 that find each other
  skein sub -t 'rooms/#' -v                        then elsewhere: skein pub -t rooms/1 -m hello";

/// A real-time message server: MQTT for devices, and the tools to run it.
#[derive(Parser, Debug)]
#[command(name = "skein", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a node (the default command)
    Serve(ServeArgs),
    /// Check a configuration and show every fault in it
    CheckConfig(CheckConfigArgs),
    /// Show the status of a running node
    Status(StatusArgs),
    /// List the nodes of the cluster as a running node sees them
    Nodes(NodesArgs),
    /// Move the clients of a running node to other nodes, then stop it
    Drain(DrainArgs),
    /// List the MQTT sessions of a running node
    Sessions(SessionsArgs),
    /// List the retained messages of a running node, or remove one
    Retained(RetainedArgs),
    /// List the messages queued for a client
    Queue(QueueArgs),
    /// Publish messages
    #[command(name = "pub", disable_help_flag = true)]
    Publish(PubArgs),
    /// Subscribe and print messages
    #[command(name = "sub", disable_help_flag = true)]
    Subscribe(SubArgs),
    /// Manage the users of an access file or of a running node
    User(UserArgs),
    /// Verify, dump or restore the stored data of a stopped node
    Store(StoreArgs),
    /// Run a small cluster on this machine to try things out
    Dev(DevArgs),
    /// Benchmark an MQTT server
    Bench(BenchArgs),
    /// Run a node with the flags and files of another server
    Compat(CompatArgs),
}

/// Commands that read a configuration, so that flags which set keys are theirs.
const CONFIGURED: [&str; 3] = ["serve", "check-config", "store"];

/// Reads the command line; `arguments` begins with the name of the program.
///
/// # Errors
/// The code to end with, after help or what is wrong was shown.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let mut texts = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(text) => texts.push(text),
            Err(argument) => {
                complain(&format!("the argument {argument:?} is not UTF-8; arguments must be"));
                return Err(ExitCode::from(USAGE));
            }
        }
    }
    let first = texts.get(1).map(String::as_str).unwrap_or_default();
    let is_configured = first.is_empty() || first.starts_with('-') || CONFIGURED.contains(&first);
    if !is_configured {
        return Cli::from_arguments(texts);
    }
    let split = split_arguments(texts).map_err(|faults| {
        complain(&faults.to_string());
        ExitCode::from(USAGE)
    })?;
    let mut cli = Cli::from_arguments(split.rest)?;
    cli.set_flags(split.flags)?;
    Ok(cli)
}

impl Cli {
    fn from_arguments(arguments: Vec<String>) -> Result<Self, ExitCode> {
        Self::try_parse_from(arguments).map_err(|error| {
            // Nothing can be said when the terminal itself is gone.
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
        })
    }

    fn set_flags(&mut self, flags: Vec<(String, String)>) -> Result<(), ExitCode> {
        match &mut self.command {
            None => self.serve.config.flags = flags,
            Some(Command::Serve(serve)) => serve.config.flags = flags,
            Some(Command::CheckConfig(check)) => check.config.flags = flags,
            Some(Command::Store(store)) => store.set_flags(flags),
            Some(_) => {
                if let Some((name, _)) = flags.first() {
                    complain(&format!(
                        "--{name} sets a key of the configuration, which this command does not read"
                    ));
                    return Err(ExitCode::from(USAGE));
                }
            }
        }
        Ok(())
    }

    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            None => self.serve.run(),
            Some(Command::Serve(serve)) => serve.run(),
            Some(Command::CheckConfig(check)) => check.run(),
            Some(Command::Status(status)) => status.run(),
            Some(Command::Nodes(nodes)) => nodes.run(),
            Some(Command::Drain(drain)) => drain.run(),
            Some(Command::Dev(dev)) => dev.run(),
            Some(Command::Sessions(sessions)) => sessions.run(),
            Some(Command::Retained(retained)) => retained.run(),
            Some(Command::Queue(queue)) => queue.run(),
            Some(Command::Publish(publish)) => publish.run(),
            Some(Command::Subscribe(subscribe)) => subscribe.run(),
            Some(Command::User(user)) => user.run(),
            Some(Command::Store(store)) => store.run(),
            Some(Command::Bench(bench)) => Ok(bench.execute()),
            Some(Command::Compat(compat)) => compat.run(),
        }
    }
}
