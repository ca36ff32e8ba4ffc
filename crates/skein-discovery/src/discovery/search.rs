//! Carries out what [`Discovery`] decides: look-ups and rounds of the registry, side by side, on the thread of the links.
//!
//! It never ends by itself while the node runs, whatever fails. The shell of the cluster runs it.

use std::{collections::HashSet, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use skein_cluster::Cluster;
use skein_types::Moment;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Discovery, DiscoveryError, LookError, Names, RegistryUrl, Seed, Source, Word,
    registry::{OwnRow, Registry, RegistryError},
    registry_interval,
    usage::Usage,
};
use crate::DiscoverySettings;

/// How often it is looked whether peers are gone.
const PEERS_INTERVAL: Duration = Duration::from_millis(250);
/// How long a round of the registry that is under way may still take when the node stops.
const LAST_ROUND_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks for other nodes.
#[derive(Debug)]
pub struct Search {
    discovery: Discovery,
    cluster: Arc<Cluster>,
    names: Names,
    /// None while a round is under way, or when there is none.
    registry: Option<Registry>,
    usage: Usage,
    start: Instant,
}

/// What ended.
enum Finished {
    Look(usize, Seed, Result<Vec<SocketAddr>, LookError>),
    Round(usize, Registry, Result<Vec<SocketAddr>, RegistryError>),
}

type Tries = FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>;

impl Search {
    /// What is to be looked for, as whom, and who is asked for names.
    ///
    /// # Errors
    ///
    /// When a seed or URL in the settings cannot be understood.
    pub fn new(
        settings: &DiscoverySettings,
        cluster: &Arc<Cluster>,
        names: Names,
    ) -> Result<Self, DiscoveryError> {
        let registry = match &settings.registry {
            Some(url) => Some(Registry::new(RegistryUrl::new(url)?, registry_interval(settings))),
            None => None,
        };
        Ok(Self {
            discovery: Discovery::new(settings)?,
            cluster: cluster.clone(),
            names,
            registry,
            usage: Usage::default(),
            start: Instant::now(),
        })
    }

    /// Looks until `stop`, then takes the node's row out of the registry. `found` is given addresses that may be nodes', in
    /// the order in which to try them, never this node's own, again each time they are found: whoever dials has to know
    /// which of them he is connected with. The runtime needs its clock and IO.
    pub async fn run(mut self, found: impl Fn(Vec<SocketAddr>) + Send, stop: CancellationToken) {
        let mut tries = Tries::new();
        loop {
            let peers = self.cluster.peers().len();
            let now = self.now();
            for (index, source) in self.discovery.tick(now, peers) {
                self.begin(&mut tries, index, source);
            }
            let wait = self.discovery.next_due().since(self.now()).min(PEERS_INTERVAL);
            // Each arm can be given up: a try that has not ended stays among the tries.
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tries.next(), if !tries.is_empty() => self.end(ended, &found),
                () = tokio::time::sleep(wait), if self.has_sources() => {}
            }
        }
        self.leave(tries).await;
    }

    fn has_sources(&self) -> bool {
        !self.discovery.sources.is_empty()
    }

    fn now(&self) -> Moment {
        Moment::ZERO.after(self.start.elapsed())
    }

    fn begin(&mut self, tries: &mut Tries, index: usize, source: Source) {
        let names = self.names.clone();
        match source {
            Source::Seed(seed) => tries.push(Box::pin(async move {
                let result = names.look(&seed).await;
                Finished::Look(index, seed, result)
            })),
            Source::Registry => {
                let own = self.own_row();
                if let Some(mut registry) = self.registry.take() {
                    tries.push(Box::pin(async move {
                        let result = round(&mut registry, &own, &names).await;
                        Finished::Round(index, registry, result)
                    }));
                }
            }
        }
    }

    fn end(&mut self, ended: Finished, found: &impl Fn(Vec<SocketAddr>)) {
        let now = self.now();
        match ended {
            Finished::Look(index, seed, result) => {
                match (self.discovery.done(index, result.is_ok(), now), &result) {
                    (Word::Fails, Err(error)) => tracing::warn!(
                        "cluster: {seed} in cluster.join gives no address: {error}. It is looked up again; if it is \
                         wrong, set cluster.join."
                    ),
                    (Word::WorksAgain, _) => tracing::info!("cluster: {seed} gives addresses again"),
                    _ => {}
                }
                self.suggest(result.unwrap_or_default(), found);
            }
            Finished::Round(index, registry, result) => {
                let url = registry.url();
                match (self.discovery.done(index, result.is_ok(), now), &result) {
                    (Word::Fails, Err(error)) => tracing::warn!(
                        "cluster: the registry at {url} cannot be used: {error}. Nodes that know each other stay \
                         connected, and it is tried again. See that the database runs and cluster.registry is right."
                    ),
                    (Word::WorksAgain, _) => {
                        tracing::info!("cluster: the registry at {url} can be used again")
                    }
                    _ => {}
                }
                self.registry = Some(registry);
                self.suggest(result.unwrap_or_default(), found);
            }
        }
    }

    fn suggest(&self, addresses: Vec<SocketAddr>, found: &impl Fn(Vec<SocketAddr>)) {
        let mut seen = HashSet::from([self.cluster.me().advertise]);
        let addresses: Vec<_> = addresses.into_iter().filter(|address| seen.insert(*address)).collect();
        if !addresses.is_empty() {
            found(addresses);
        }
    }

    fn own_row(&mut self) -> OwnRow {
        let me = self.cluster.me();
        let (cpu_usage, mem_usage) = self.usage.sample(self.start.elapsed());
        OwnRow {
            hostname: me.advertise.ip().to_string(),
            port: me.advertise.port(),
            secondary: me.server_reference.as_deref().map(|reference| reference.chars().take(512).collect()),
            cpu_usage,
            mem_usage,
            node_id: me.id.0,
            incarnation: me.incarnation.0,
            name: me.name.chars().take(255).collect(),
        }
    }

    async fn leave(mut self, mut tries: Tries) {
        // A round that is under way could write the row behind its removal.
        let last_round = async {
            while self.registry.is_none()
                && let Some(ended) = tries.next().await
            {
                if let Finished::Round(_, registry, _) = ended {
                    self.registry = Some(registry);
                }
            }
        };
        _ = tokio::time::timeout(LAST_ROUND_TIMEOUT, last_round).await;
        let own = self.own_row();
        if let Some(registry) = &mut self.registry
            && let Err(error) = registry.leave(&own).await
        {
            let url = registry.url();
            tracing::warn!(
                "cluster: this node's row stays in the registry at {url} until others remove it: {error}"
            );
        }
    }
}

/// A round, and the addresses of rows that hold names.
async fn round(
    registry: &mut Registry,
    own: &OwnRow,
    names: &Names,
) -> Result<Vec<SocketAddr>, RegistryError> {
    let seeds = registry.round(own).await?;
    let looked = join_all(seeds.iter().map(|seed| names.look(seed))).await;
    Ok(looked.into_iter().filter_map(Result::ok).flatten().collect())
}
