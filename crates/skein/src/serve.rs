//! `skein serve`: runs one node until a signal ends it.
//!
//! SIGTERM and SIGINT stop it in stages, a second one at once; SIGHUP reads the configuration again. Nothing is written to
//! the standard output; the lines about listeners and readiness are log messages with a fixed text.

use std::{
    ffi::c_int,
    process::ExitCode,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::{Handle, Signals},
};
use skein_node::{
    Ended, Node,
    config::{Changed, Config, Effect, secrets_in_flags},
};

use crate::{config_source::ConfigArgs, logging::Logging, open_files, output::in_full};

/// How long clients and threads have to end when the node stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

impl ServeArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let started = |_node: &Node| {
            for (key, file) in secrets_in_flags(&self.config.flags) {
                tracing::warn!(
                    "config: everybody on this machine can read the secret in --{key}. Put it into a file and set {file}, \
                     or into the environment or the configuration"
                );
            }
            Ok(())
        };
        serve(config, &|| self.config.load().map_err(anyhow::Error::new), &started)
    }
}

/// Runs a node with `config`. On SIGHUP its configuration is what `read_again` returns; `started` is called once it
/// serves.
pub(crate) fn serve(
    config: Config,
    read_again: &dyn Fn() -> anyhow::Result<Config>,
    started: &dyn Fn(&Node) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let logging = Logging::start(&config.log)?;
    // Signals wait from here on: one that comes while the node starts is not lost.
    let mut signals = catch_signals().context("cannot catch signals")?;
    let open_files = open_files::raise_limit();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), open_files, "skein: starting");
    let mut node = Node::start(config)?;
    for (_, transport, address) in node.addresses() {
        let door = if transport.starts_with("http") { "http" } else { "mqtt" };
        tracing::info!("{door}: listening on {transport}://{address}");
    }
    if let Some(address) = node.cluster_address() {
        tracing::info!("cluster: listening on {address}");
    }
    tracing::info!("skein: ready");
    if let Some(command) = node.first_user_command() {
        tracing::info!("access: there are no users yet; this command makes the first one: {command}");
    }
    started(&node)?;
    let ended = listen_for_end(&node, signals.handle());
    for signal in signals.forever() {
        match signal {
            SIGHUP => reload(&mut node, &logging, read_again),
            _ => break,
        }
    }
    tracing::info!("skein: stopping; send the signal again to exit at once");
    node.stop(STOP_PATIENCE);
    tracing::info!("skein: stopped");
    match ended.try_recv() {
        Ok(Ended::WithoutCluster(why)) => bail!("{why}"),
        Ok(Ended::Drained) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Ends the wait for signals when the node is to be stopped for a reason of its own.
fn listen_for_end(node: &Node, signals: Handle) -> Receiver<Ended> {
    let (tell, ended) = sync_channel(1);
    node.on_end(move |why| {
        // It is told once, and there is room for one.
        let _told = tell.try_send(why);
        signals.close();
    });
    ended
}

/// Signals go to the caller; the second one that asks to stop ends the process at once.
fn catch_signals() -> std::io::Result<Signals> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down and then raises it.
        flag::register_conditional_shutdown(signal, code_of(signal), stopping.clone())?;
        flag::register(signal, stopping.clone())?;
    }
    Signals::new([SIGHUP, SIGTERM, SIGINT])
}

/// The code a shell shows for a process that a signal ended.
const fn code_of(signal: c_int) -> c_int {
    128 + signal
}

/// Reads the configuration again; with a fault in it the node goes on as it was.
fn reload(node: &mut Node, logging: &Logging, read_again: &dyn Fn() -> anyhow::Result<Config>) {
    let outcome = read_again().and_then(|config| {
        let level = config.log.level;
        let changes = node.reload(config)?;
        logging.set_level(level);
        Ok(changes)
    });
    match outcome {
        Ok(changes) => {
            changes.iter().for_each(tell_change);
            tracing::info!(changes = changes.len(), "skein: configuration reloaded");
        }
        Err(error) => {
            tracing::error!("skein: configuration not reloaded: {}", in_full(&error));
        }
    }
}

fn tell_change(change: &Changed) {
    let Changed { key, old, new, effect } = change;
    match effect {
        Effect::Reload => tracing::info!(key, old, new, "config: changed"),
        Effect::NewConnections => tracing::info!(key, old, new, "config: changed for new connections"),
        Effect::Restart => {
            tracing::warn!(key, old, new, "config: changed, but takes effect only after a restart");
        }
    }
}
