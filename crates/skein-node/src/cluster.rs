//! The node's part in its cluster: who it is, what it is started with, who is told of changes, and how it goes.
//!
//! Used by `node.rs`, which decides when. A node that runs alone has this too, with itself as the only node, so that listings,
//! `$SYS` topics and drain are the same.

mod drain;
mod events;
mod incarnation;
mod search;
mod settings;
mod strategy;
mod view;
mod webhook;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use skein_cluster::{
    Cluster,
    shell::{self, ClusterStartError, Running},
    strategy::{Strategies, Strategy},
};
use skein_door::{Clock, ListenerState, Redirect};
use skein_http::{Readiness, ReadinessSwitch};
use skein_plane::Plane;

pub(crate) use self::{drain::Drain, events::Callback, view::View};
pub use self::{drain::Ended, events::ClusterEvent};
use self::{events::Events, search::Search, strategy::Current};
use crate::{config::Config, start_error::StartError};

/// How long a node that leaves may take to say so.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a starting node looks whether it has found others.
const JOIN_POLL: Duration = Duration::from_millis(10);

/// The node in its cluster.
#[derive(Debug)]
pub(crate) struct ClusterPart {
    cluster: Arc<Cluster>,
    strategy: Arc<Current>,
    events: Arc<Events>,
    drain: Arc<Drain>,
    /// None when the node runs alone.
    running: Option<Arc<Running>>,
    /// Why it has no part in the cluster any more.
    ended: Arc<Mutex<Option<shell::Ended>>>,
    search: Option<Search>,
}

/// This node as others will know it, and how it will treat them, before anything of the cluster runs.
#[derive(Debug)]
pub(crate) struct Introduced {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) strategy: Arc<Current>,
}

impl Introduced {
    /// Begins a new life of the node.
    pub(crate) fn new(
        config: &Config,
        listeners: &[Arc<ListenerState>],
        strategies: &Strategies,
    ) -> Result<Self, StartError> {
        let strategy = Current::new(strategies.make(&config.cluster.strategy)?);
        let dir = &config.data.dir;
        let begun = if config.cluster.is_on() { incarnation::begin(dir) } else { Ok(incarnation::unkept()) };
        let incarnation =
            begun.map_err(|source| StartError::Incarnation { dir: dir.display().to_string(), source })?;
        Ok(Self { cluster: Cluster::new(settings::node_info(config, incarnation, listeners)?), strategy })
    }
}

impl ClusterPart {
    /// Starts what the configuration asks for. The plane is part of the cluster by then, if there is one.
    pub(crate) fn start(
        config: &Config,
        me: Introduced,
        plane: &Arc<Plane>,
        door: Door<'_>,
    ) -> Result<Self, StartError> {
        let Introduced { cluster, strategy } = me;
        let Door { clock, redirect, readiness } = door;
        let events = Events::start(plane.clone(), clock, cluster.clone(), config.data.dir.clone())?;
        events.webhooks.set(&config.cluster.webhooks.0);
        let mut search = None;
        let running = match settings::cluster_settings(config)? {
            None => None,
            Some(settings) => {
                let discovery = settings::discovery_settings(&config.cluster)?;
                let observer = events.clone();
                let observer = Arc::new(move |change: &_| observer.observe(change));
                let now = move || clock.now();
                let started = Running::start(&settings, cluster.clone(), plane.host(), now, observer);
                let running = Arc::new(started.map_err(|source| start_error(config, source))?);
                search = Some(Search::start(&discovery, &cluster, running.clone())?);
                Some(running)
            }
        };
        let announcing = running.clone();
        let announce = Box::new(move || announcing.iter().for_each(|running| running.drain()));
        let drain = Drain::new(plane.clone(), cluster.clone(), redirect.clone(), readiness.clone(), announce);
        let ended = Arc::<Mutex<Option<shell::Ended>>>::default();
        if let Some(running) = &running {
            let (ended, drain) = (ended.clone(), drain.clone());
            running.on_end(move |why| {
                let end = Ended::WithoutCluster(why.to_string());
                *ended.lock() = Some(why);
                drain.end(end);
            });
        }
        Ok(Self { cluster, strategy, events, drain, running, ended, search })
    }

    /// Waits until other nodes are found, if any are looked for, or until the time for that is over.
    pub(crate) fn wait_until_joined(
        &self,
        config: &Config,
        readiness: &ReadinessSwitch,
    ) -> Result<(), StartError> {
        if self.running.is_none() || !settings::looks_for_others(config, &self.cluster.me()) {
            return Ok(());
        }
        readiness.set(Readiness::Joining);
        let deadline = Instant::now() + config.cluster.join_timeout;
        loop {
            if let Some(why) = self.ended.lock().take() {
                return Err(StartError::WithoutCluster(why));
            }
            let peers = self.cluster.peers().len();
            if peers > 0 && self.cluster.is_joined() {
                tracing::info!(peers, "cluster: joined");
                return Ok(());
            }
            if Instant::now() >= deadline {
                tracing::warn!("cluster: no other node found yet; accepting clients and still looking");
                return Ok(());
            }
            std::thread::park_timeout(JOIN_POLL);
        }
    }

    /// What the HTTP door shows.
    pub(crate) fn view(&self) -> View {
        View::new(self.cluster.clone(), self.running.clone(), self.drain.clone())
    }

    pub(crate) fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(crate) fn add_callback(&self, callback: Callback) {
        self.events.add_callback(callback);
    }

    /// Puts into force what can change while the node runs.
    pub(crate) fn reload(&self, before: &Config, config: &Config, strategy: Arc<dyn Strategy>) {
        let name = &config.cluster.strategy;
        // A script may have another text under the same name.
        if *name != before.cluster.strategy || name.starts_with("script:") {
            self.strategy.replace(strategy);
        }
        self.events.webhooks.set(&config.cluster.webhooks.0);
    }

    /// Says to the others that this node takes no new clients.
    pub(crate) fn announce_leaving(&self) {
        if let Some(running) = &self.running {
            running.drain();
        }
    }

    /// Says good-bye.
    pub(crate) fn leave(&self) {
        if let Some(search) = &self.search {
            search.stop();
        }
        if let Some(running) = &self.running {
            running.leave(LEAVE_TIMEOUT);
        }
    }
}

/// What of the doors the cluster's part works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door<'d> {
    pub(crate) clock: Clock,
    pub(crate) redirect: &'d Arc<Redirect>,
    pub(crate) readiness: &'d Arc<ReadinessSwitch>,
}

fn start_error(config: &Config, source: ClusterStartError) -> StartError {
    let address = config.cluster.listen.map(|listen| listen.to_string()).unwrap_or_default();
    StartError::Cluster { address, source }
}
