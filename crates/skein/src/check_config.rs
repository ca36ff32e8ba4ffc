//! `skein check-config`: says what is wrong with a configuration, or what it amounts to.

use std::process::ExitCode;

use clap::Args;

use crate::{
    config_source::{ConfigArgs, ConfigError},
    output::{note, print_bytes, print_line},
};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CheckConfigArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print the configuration as TOML, every key with the value it has
    #[arg(long)]
    print: bool,
}

impl CheckConfigArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.config.load() {
            Ok(config) if self.print => print_bytes(config.to_toml().as_bytes())?,
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
