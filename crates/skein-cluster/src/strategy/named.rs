//! Strategies by the name that the configuration gives: those of Skein, and those a program registers, alone or as a kind.
//!
//! Read once at start, and again when the configuration is reloaded.

use std::{collections::BTreeMap, sync::Arc};

use super::{Broadcast, Interest, Strategy};

/// Stands between a kind and its argument.
const KIND_END: char = ':';

/// Why a kind could not make a strategy: a whole sentence for people.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Factory = Box<dyn Fn() -> Arc<dyn Strategy> + Send + Sync>;
type KindFactory = Box<dyn Fn(&str) -> Result<Arc<dyn Strategy>, BoxError> + Send + Sync>;

/// A strategy that is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StrategyError {
    /// Nobody registered that name.
    #[error(
        "cluster: there is no strategy {name:?}. Known are {known}. Set cluster.strategy to one of them, or register it \
         before the node starts."
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
    /// The name would be that of a kind with its argument.
    #[error("cluster: the name {0:?} of a strategy is empty or contains a colon. Give it another name.")]
    BadName(String),
    /// The kind is known and could not make it.
    #[error("cluster: the strategy {name:?} cannot be used.")]
    CannotBeMade {
        /// The kind with its argument.
        name: String,
        /// Why.
        source: BoxError,
    },
}

/// The strategies there are.
pub struct Strategies {
    factories: BTreeMap<String, Factory>,
    kinds: BTreeMap<String, Kind>,
}

struct Kind {
    /// What its argument is, in a word.
    argument: String,
    factory: KindFactory,
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
        Self { factories, kinds: BTreeMap::new() }
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
        self.check_name(name)?;
        self.factories.insert(name.to_owned(), Box::new(factory));
        Ok(())
    }

    /// Adds a kind of strategies: `name:<argument>` is made by `factory` from what stands behind the colon.
    ///
    /// # Errors
    ///
    /// When the name is taken or cannot be one.
    pub fn register_kind(
        &mut self,
        name: &str,
        argument: &str,
        factory: impl Fn(&str) -> Result<Arc<dyn Strategy>, BoxError> + Send + Sync + 'static,
    ) -> Result<(), StrategyError> {
        self.check_name(name)?;
        let kind = Kind { argument: argument.to_owned(), factory: Box::new(factory) };
        self.kinds.insert(name.to_owned(), kind);
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), StrategyError> {
        if name.is_empty() || name.contains(KIND_END) {
            return Err(StrategyError::BadName(name.to_owned()));
        }
        if self.factories.contains_key(name) || self.kinds.contains_key(name) {
            return Err(StrategyError::Taken(name.to_owned()));
        }
        Ok(())
    }

    /// The names, in order; those of kinds with what their argument is.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let kinds = self.kinds.iter().map(|(name, kind)| format!("{name}{KIND_END}<{}>", kind.argument));
        self.factories.keys().cloned().chain(kinds)
    }

    /// The strategy of this name.
    ///
    /// # Errors
    ///
    /// When there is none, or its kind cannot make it.
    pub fn make(&self, name: &str) -> Result<Arc<dyn Strategy>, StrategyError> {
        if let Some(factory) = self.factories.get(name) {
            return Ok(factory());
        }
        let kind =
            name.split_once(KIND_END).and_then(|(kind, argument)| Some((self.kinds.get(kind)?, argument)));
        let Some((kind, argument)) = kind else {
            let known = self.names().collect::<Vec<_>>().join(", ");
            return Err(StrategyError::Unknown { name: name.to_owned(), known });
        };
        (kind.factory)(argument)
            .map_err(|source| StrategyError::CannotBeMade { name: name.to_owned(), source })
    }
}

impl std::fmt::Debug for Strategies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
