//! How a node finds others, and scripts that decide where messages go: everything about the cluster that needs a client of
//! another server or an interpreter.
//!
//! Start with [`Search`], which suggests addresses of other nodes, and [`Script`], a strategy for the cluster. Only the node
//! uses this crate, so that neither the plane nor a door compiles a database client. It is without IO and clock but for what
//! `discovery/search.rs` runs, `script/file.rs`, and [`Script::new`], which reads the machine's clock and has a twin that is
//! given one.
#![warn(missing_docs)]

mod discovery;
mod script;
mod settings;

pub use discovery::{
    Discovery, DiscoveryError, LookError, Names, RegistryUrl, RegistryUrlError, Search, Seed, SeedError,
    Source, Word,
};
pub use script::{SCRIPT_BYTES_MAX, Script, ScriptError, ScriptFigures, ScriptFileError, add_scripts};
pub use settings::DiscoverySettings;
