//! Gathers what a configuration is made of: the file, the variables of the environment, the flags.
//!
//! Used by the commands that start or check a node, and again on every reload, so that the three go before each other in
//! the same order each time. What they mean is decided in `skein_node::config` alone.

use std::{fmt, fs, io, path::PathBuf};

use clap::Args;
use skein_node::config::{Config, Faults, Sources, VARIABLE_PREFIX};

use crate::secret::PASSWORD_VARIABLE;

const FILE_VARIABLE: &str = "SKEIN_CONFIG";

/// The arguments of every command that reads a configuration.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// Configuration file, TOML or YAML; SKEIN_CONFIG names one too [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Flags that set keys, which are taken out of the command line before it is parsed.
    #[arg(skip)]
    pub(crate) flags: Vec<(String, String)>,
}

/// A configuration that cannot be had.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// There are faults in what was read.
    Faults(Faults),
}

impl ConfigArgs {
    /// The file the configuration is read from, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os(FILE_VARIABLE).filter(|name| !name.is_empty());
        self.config.clone().or_else(|| variable().map(PathBuf::from))
    }

    /// Reads everything there is now.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let file = match self.file() {
            None => None,
            Some(path) => match fs::read_to_string(&path) {
                Ok(text) => Some((path, text)),
                Err(error) => return Err(ConfigError::File(path, error)),
            },
        };
        let sources = Sources { file, env: variables(), flags: self.flags.clone() };
        Config::load(&sources).map_err(ConfigError::Faults)
    }
}

/// Variables with our prefix; text that is not UTF-8 is shown as well as it can be, so that it is refused by name.
fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        // The password of commands that log in is no key; it may be exported for them.
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && name != PASSWORD_VARIABLE)
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => {
                let path = path.display();
                write!(f, "cannot read the configuration {path}: {error}. Check --config or {FILE_VARIABLE}.")
            }
            Self::Faults(faults) => {
                let count = faults.as_slice().len();
                let noun = if count == 1 { "fault" } else { "faults" };
                write!(f, "the configuration has {count} {noun}:\n{faults}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}
