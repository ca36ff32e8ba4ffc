//! The `skein` program: reads the command line and runs one command.
//!
//! Everything a command needs is in its own file; this one decides which runs and with which code the process ends: 0
//! when the command did its work, 1 when it could not, 2 when the command line or the configuration is wrong and trying
//! again changes nothing. It must stay free of logic: who embeds a node uses `skein-node`.

mod api_client;
mod check_config;
mod cli;
mod compat;
mod config_source;
mod dev;
mod drain;
mod listing;
mod logging;
mod mqtt_arguments;
mod mqtt_client;
mod nodes;
mod open_files;
mod output;
mod publish;
mod queue;
mod retained;
mod secret;
mod serve;
mod sessions;
mod status;
mod store;
mod subscribe;
mod table;
mod user;

use std::process::ExitCode;

use config_source::ConfigError;
use output::{OutputClosed, complain, in_full};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run() {
        Ok(code) => code,
        // Whoever read the output has seen enough, as `skein sub … | head` has.
        Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            complain(&in_full(&error));
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}
