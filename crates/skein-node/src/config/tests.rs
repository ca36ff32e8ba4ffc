//! The configuration as an operator meets it.

mod cluster;
mod faults;
mod keys;
mod sources;

use super::{Config, Faults, Sources};

/// Loads a TOML text.
fn toml(text: &str) -> Result<Config, Faults> {
    named("skein.toml", text)
}

fn named(name: &str, text: &str) -> Result<Config, Faults> {
    Config::load(&Sources { file: Some((name.into(), text.to_owned())), ..Sources::default() })
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
