//! `skein check-config`: says what is wrong with a configuration, or what it amounts to.

use std::process::ExitCode;

use clap::Args;
use skein_node::config::Config;

use crate::{
    config_source::{ConfigArgs, ConfigError},
    output::{note, print_bytes, print_line},
};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CheckConfigArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print the effective configuration as TOML
    #[arg(long)]
    print: bool,
}

impl CheckConfigArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.config.load() {
            Ok(config) if self.print => print_bytes(whole_toml(&config).as_bytes())?,
            Ok(_) => print_line("ok")?,
            Err(ConfigError::Faults(faults)) => {
                note(&faults.to_string());
                return Ok(ExitCode::FAILURE);
            }
            Err(error @ ConfigError::File(..)) => {
                note(&error.to_string());
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Every key with its value, and the further listeners.
fn whole_toml(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for (name, value) in config.values() {
        let Some((own, key)) = name.split_once('.') else { continue };
        if own != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}[{own}]\n"));
            section = own;
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    // What differs from the defaults is there already; listeners come after it and have no other place.
    let changed = config.to_toml();
    if let Some((_, listeners)) = changed.split_once("[[mqtt.listeners]]") {
        text.push_str("\n[[mqtt.listeners]]");
        text.push_str(listeners);
    }
    text
}
