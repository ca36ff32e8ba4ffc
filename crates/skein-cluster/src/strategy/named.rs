//! Strategies by the name that the configuration gives: those of Skein, those a program registers, and scripts.
//!
//! Read once at start; the only place where the file of a script is opened.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path, sync::Arc};

use super::{Broadcast, Interest, Script, ScriptError, Strategy};

/// A larger script is refused.
pub const SCRIPT_BYTES_MAX: u64 = 256 * 1024;

const SCRIPT_PREFIX: &str = "script:";

type Factory = Box<dyn Fn() -> Arc<dyn Strategy> + Send + Sync>;

/// A strategy that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StrategyError {
    /// Nobody registered that name.
    #[error(
        "cluster: there is no strategy {name:?}. Known are {known}, and script:<file>. Set cluster.strategy to one of them, \
         or register it before the node starts."
    )]
    Unknown {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The name is taken.
    #[error("cluster: a strategy {0:?} is registered already. Give yours another name.")]
    Taken(String),
    /// The name would be a script's.
    #[error("cluster: the name {0:?} of a strategy is empty or begins with script:. Give it another name.")]
    BadName(String),
    /// The file of a script cannot be read.
    #[error(
        "cluster: the script {file:?} of cluster.strategy cannot be read. See that the file exists and is readable."
    )]
    File {
        /// Its path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file of a script holds something else.
    #[error(
        "cluster: the script {file:?} of cluster.strategy cannot be used. Correct it, or set cluster.strategy to interest."
    )]
    Script {
        /// Its path.
        file: String,
        /// Why.
        source: ScriptError,
    },
}

/// The strategies there are.
pub struct Strategies {
    factories: BTreeMap<String, Factory>,
}

impl Default for Strategies {
    fn default() -> Self {
        Self::new()
    }
}

impl Strategies {
    /// `interest` and `broadcast`.
    #[must_use]
    pub fn new() -> Self {
        let mut factories: BTreeMap<String, Factory> = BTreeMap::new();
        factories.insert("interest".to_owned(), Box::new(|| Arc::new(Interest)));
        factories.insert("broadcast".to_owned(), Box::new(|| Arc::new(Broadcast)));
        Self { factories }
    }

    /// Adds one under a name of its own.
    ///
    /// # Errors
    ///
    /// When the name is taken or cannot be one.
    pub fn register(
        &mut self,
        name: &str,
        factory: impl Fn() -> Arc<dyn Strategy> + Send + Sync + 'static,
    ) -> Result<(), StrategyError> {
        if name.is_empty() || name.starts_with(SCRIPT_PREFIX) {
            return Err(StrategyError::BadName(name.to_owned()));
        }
        if self.factories.contains_key(name) {
            return Err(StrategyError::Taken(name.to_owned()));
        }
        self.factories.insert(name.to_owned(), Box::new(factory));
        Ok(())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// The strategy of this name, or the script in this file.
    ///
    /// # Errors
    ///
    /// When there is none, or the script cannot be read or used.
    pub fn make(&self, name: &str) -> Result<Arc<dyn Strategy>, StrategyError> {
        if let Some(file) = name.strip_prefix(SCRIPT_PREFIX) {
            return Ok(Arc::new(Script::from_file(Path::new(file))?));
        }
        let factory = self.factories.get(name).ok_or_else(|| StrategyError::Unknown {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })?;
        Ok(factory())
    }
}

impl std::fmt::Debug for Strategies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}

impl Script {
    /// The script in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used.
    pub fn from_file(file: &Path) -> Result<Self, StrategyError> {
        let text = read(file)?;
        Self::new(&text).map_err(|source| StrategyError::Script { file: file.display().to_string(), source })
    }

    /// Takes the script in a file from now on; what was in use stays when that fails.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used.
    pub fn reload_file(&self, file: &Path) -> Result<(), StrategyError> {
        let text = read(file)?;
        self.reload(&text)
            .map_err(|source| StrategyError::Script { file: file.display().to_string(), source })
    }
}

fn read(path: &Path) -> Result<String, StrategyError> {
    let failed = |source| StrategyError::File { file: path.display().to_string(), source };
    let mut text = String::new();
    let mut file = File::open(path).map_err(failed)?.take(SCRIPT_BYTES_MAX + 1);
    file.read_to_string(&mut text).map_err(failed)?;
    // One byte more than may be says that there is more; the script refuses it with its own words.
    Ok(text)
}
