//! `skein store`: looks at what a node keeps on disk, writes it as text, and makes a data directory of such text.
//!
//! The node must not be running: each command takes the directory as a node does. What the files mean is known to
//! `skein_store` alone; the text is made and read in `store/`.

mod dump;
mod json;
mod restore;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use skein_store::{ClassId, ReadError, Snapshot};

use crate::{
    config_source::ConfigArgs,
    output::{in_full, note, print_bytes, print_line},
};

/// What a node calls the directory of its store, below `data.dir`.
const DIRECTORY: &str = "store";

/// The store of a node that is not running: `data.dir` of the configuration says where it is
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Check every file and report everything that is wrong
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Write all stored objects as text, one JSON object per line
    Dump {
        #[command(flatten)]
        config: ConfigArgs,
        /// Only the objects of this class
        #[arg(long, value_name = "NAME")]
        class: Option<String>,
    },
    /// Create a store from the output of `dump`
    Restore {
        #[command(flatten)]
        config: ConfigArgs,
        /// File with the output of `dump`; - for the standard input
        file: PathBuf,
    },
}

impl StoreArgs {
    /// The flags that set keys, which were taken out of the command line.
    pub(crate) fn set_flags(&mut self, flags: Vec<(String, String)>) {
        let (Action::Verify { config } | Action::Dump { config, .. } | Action::Restore { config, .. }) =
            &mut self.action;
        config.flags = flags;
    }

    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Verify { config } => verify(&data_directory(&config)?.join(DIRECTORY)),
            Action::Dump { config, class } => {
                let directory = data_directory(&config)?.join(DIRECTORY);
                let snapshot = skein_store::read(&directory).map_err(|error| not_read(error, &directory))?;
                dump::print(&snapshot, class.as_deref())?;
                Ok(ExitCode::SUCCESS)
            }
            Action::Restore { config, file } => {
                let directory = data_directory(&config)?;
                let restored = restore::restore(&file, &directory, DIRECTORY)?;
                note(&format!("{restored} objects are restored in {}", directory.display()));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn data_directory(config: &ConfigArgs) -> anyhow::Result<PathBuf> {
    Ok(config.load()?.data.dir)
}

/// Shows what is there; fails when anything is wrong with it.
fn verify(directory: &Path) -> anyhow::Result<ExitCode> {
    let report = skein_store::verify(directory).map_err(|error| not_read(error, directory))?;
    print_bytes(report.to_string().as_bytes())?;
    if !report.is_sound() {
        return Ok(ExitCode::FAILURE);
    }
    // Sound files may still hold what makes no state: only reading all of it shows that.
    match skein_store::read(directory) {
        Ok(snapshot) => {
            print_line(&contents(&snapshot))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            print_line(&format!("the contents cannot be read: {}", in_full(&not_read(error, directory))))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The classes with the number of their objects.
fn contents(snapshot: &Snapshot) -> String {
    let count = |id: ClassId| snapshot.len(id);
    let classes = snapshot.schema().classes().iter();
    let classes: Vec<String> = classes.map(|class| format!("{} {}", count(class.id), class.name)).collect();
    format!("after entry {}: {}", snapshot.index(), classes.join(", "))
}

fn not_read(error: ReadError, directory: &Path) -> anyhow::Error {
    if error.is_in_use() {
        return anyhow!(
            "a node is running on {}. Stop it first; a running node shows itself by `skein status`",
            directory.display()
        );
    }
    if matches!(error, ReadError::NoStore(_)) {
        return anyhow!("{error}. Name the node's data directory with --data.dir or --config");
    }
    error.into()
}
