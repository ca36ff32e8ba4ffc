//! Scripts in files: the only place where one is opened.
//!
//! [`add_scripts`] makes `script:<file>` a strategy that the configuration can name.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use skein_cluster::strategy::{Strategies, StrategyError};

use super::{SCRIPT_BYTES_MAX, Script, ScriptError};

/// A file that gives no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptFileError {
    /// It cannot be read.
    #[error("The script {file:?} cannot be read: {reason}. Check that the file exists and is readable.")]
    File {
        /// Its path.
        file: String,
        /// Why.
        reason: std::io::Error,
    },
    /// It holds something else.
    #[error("The script {file:?} is not usable: {reason}. Correct it, or set cluster.strategy to interest.")]
    Script {
        /// Its path.
        file: String,
        /// Why.
        reason: ScriptError,
    },
}

/// Makes `script:<file>` a strategy that can be named.
///
/// # Errors
///
/// When there is another kind of that name.
pub fn add_scripts(strategies: &mut Strategies) -> Result<(), StrategyError> {
    strategies.register_kind("script", "file", |file| Ok(Arc::new(Script::from_file(Path::new(file))?)))
}

impl Script {
    /// The script in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used.
    pub fn from_file(file: &Path) -> Result<Self, ScriptFileError> {
        let text = read(file)?;
        Self::new(&text)
            .map_err(|reason| ScriptFileError::Script { file: file.display().to_string(), reason })
    }

    /// Takes the script in a file from now on; what was in use stays when that fails.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used.
    pub fn reload_file(&self, file: &Path) -> Result<(), ScriptFileError> {
        let text = read(file)?;
        self.reload(&text)
            .map_err(|reason| ScriptFileError::Script { file: file.display().to_string(), reason })
    }
}

fn read(path: &Path) -> Result<String, ScriptFileError> {
    let failed = |reason| ScriptFileError::File { file: path.display().to_string(), reason };
    let mut text = String::new();
    let mut file = File::open(path).map_err(failed)?.take(SCRIPT_BYTES_MAX + 1);
    file.read_to_string(&mut text).map_err(failed)?;
    // One byte more than may be says that there is more; the script refuses it with its own words.
    Ok(text)
}
