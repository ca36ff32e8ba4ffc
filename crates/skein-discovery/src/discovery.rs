//! Where other nodes are looked for, and when: addresses of hosts, names in the DNS, a table in a database.
//!
//! [`Discovery`] decides what is due and when, without IO and clock; [`Search`] in `discovery/search.rs` carries it out on the
//! thread of the links. It only ever suggests addresses: who is a peer is decided by links and gossip, and nothing that fails
//! here stops a node that runs.

mod dialect;
mod names;
mod pace;
mod registry;
mod search;
mod seed;
mod usage;

use std::time::Duration;

use skein_types::Moment;

use self::pace::Pace;
pub use self::{
    names::{LookError, Names},
    registry::{RegistryUrl, RegistryUrlError},
    search::Search,
    seed::{Seed, SeedError},
};
use crate::DiscoverySettings;

/// The first repetition of a look-up comes after this time, each further one after twice as long.
const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest time between two look-ups while there are no peers: it is what a node that starts first waits for the second.
const LOOK_INTERVAL_MAX_ALONE: Duration = Duration::from_secs(5);
/// The longest time between two look-ups while there are peers, who tell of the others.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// The shortest time between two rounds of the registry.
const REGISTRY_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Something that does not say where to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// An entry of the list of other nodes.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The URL of the registry.
    #[error(transparent)]
    Registry(#[from] RegistryUrlError),
}

/// Where is looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At a host or a name.
    Seed(Seed),
    /// In the table.
    Registry,
}

/// What to say about the end of a try, so that a failure that goes on does not fill the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing: it worked before too, or it was said lately that it fails.
    Nothing,
    /// It fails.
    Fails,
    /// It works again.
    WorksAgain,
}

/// Which source is due when. Sources are told apart by their index.
#[derive(Debug)]
pub struct Discovery {
    sources: Vec<(Source, Pace)>,
    peers: usize,
}

impl Discovery {
    /// Everything that the settings name, due at once.
    ///
    /// # Errors
    ///
    /// When an entry cannot be understood; the first such.
    pub fn new(settings: &DiscoverySettings) -> Result<Self, DiscoveryError> {
        let mut sources = Vec::new();
        for entry in &settings.join {
            sources.push((Source::Seed(entry.parse()?), Pace::new(LOOK_INTERVAL_MIN)));
        }
        if let Some(url) = &settings.registry {
            RegistryUrl::new(url)?;
            let interval = registry_interval(settings);
            sources.push((Source::Registry, Pace::new(LOOK_INTERVAL_MIN.min(interval)).steady(interval)));
        }
        Ok(Self { sources, peers: 0 })
    }

    /// When [`Discovery::tick`] has something to do, as far as is known now.
    #[must_use]
    pub fn next_due(&self) -> Moment {
        self.sources.iter().map(|(_, pace)| pace.due()).min().unwrap_or(Moment::NEVER)
    }

    /// What to look at now; each ends with [`Discovery::done`]. `peers` is how many are up: when some are gone, everything is
    /// looked at again at once.
    pub fn tick(&mut self, now: Moment, peers: usize) -> Vec<(usize, Source)> {
        if peers < self.peers {
            self.sources.iter_mut().for_each(|(_, pace)| pace.hurry(now));
        }
        self.peers = peers;
        let due = self.sources.iter_mut().enumerate();
        due.filter_map(|(index, (source, pace))| pace.begin(now).then(|| (index, source.clone()))).collect()
    }

    /// A try has ended.
    pub fn done(&mut self, index: usize, worked: bool, now: Moment) -> Word {
        let longest = if self.peers == 0 { LOOK_INTERVAL_MAX_ALONE } else { LOOK_INTERVAL_MAX };
        self.sources.get_mut(index).map_or(Word::Nothing, |(_, pace)| pace.end(worked, now, longest))
    }
}

/// A database is never asked without pause, whatever the settings say.
fn registry_interval(settings: &DiscoverySettings) -> Duration {
    settings.registry_interval.max(REGISTRY_INTERVAL_MIN)
}

#[cfg(test)]
mod tests;
