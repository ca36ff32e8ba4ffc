//! Looks for other nodes while the node runs, on a thread of its own, so that neither a name server nor a database can hold
//! up links or clients.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use skein_cluster::{Cluster, shell::Running};
use skein_discovery::{DiscoverySettings, Names, Search as Looking};
use tokio_util::sync::CancellationToken;

use crate::start_error::StartError;

/// An address is tried for so long after it was found last; places are looked up at least three times within it.
const KEEP: Duration = Duration::from_secs(200);

/// The thread. It takes the node's row out of the registry before it ends.
#[derive(Debug)]
pub(crate) struct Search {
    stop: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Search {
    /// Starts looking.
    pub(crate) fn start(
        settings: &DiscoverySettings,
        cluster: &Arc<Cluster>,
        running: Arc<Running>,
    ) -> Result<Self, StartError> {
        let names = Names::system();
        let looking = Looking::new(settings, cluster, names).map_err(StartError::Discovery)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let until = stop.clone();
        if settings.join.is_empty() && settings.registry.is_none() {
            // Nobody is looked for, and that is all there is to know.
            running.candidates(Vec::new());
        }
        let found = Found::default();
        let thread = std::thread::Builder::new().name("cluster-search".to_owned()).spawn(move || {
            runtime.block_on(looking.run(move |addresses| running.candidates(found.with(addresses)), until));
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Stops looking and waits until the registry knows that the node is gone, or cannot be told.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("cluster: the discovery thread has panicked");
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What all places gave lately: each is looked up at its own time, and the links want to know all.
#[derive(Debug, Default)]
struct Found(Mutex<BTreeMap<SocketAddr, Instant>>);

impl Found {
    fn with(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let now = Instant::now();
        let mut known = self.0.lock();
        known.extend(addresses.into_iter().map(|address| (address, now)));
        known.retain(|_, found| now.duration_since(*found) < KEEP);
        known.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_place_gives_is_added_to_what_others_gave() {
        let found = Found::default();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(found.with(vec![address(2)]), [address(2)]);
        assert_eq!(found.with(vec![address(1)]), [address(1), address(2)]);
        assert_eq!(found.with(vec![]), [address(1), address(2)]);
    }
}
