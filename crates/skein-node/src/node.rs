//! A running node: what is started, in which order, and how it is stopped.
//!
//! Start: access list, plane, workers, listeners bound, then accepting. Stop: listeners close, every client is told
//! and closed, workers end, and only then the function returns. Nothing is acknowledged after its client was told.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use skein_mqtt::{Clock, ListenError, Listener, ListenerState, Shared, Workers};
use skein_plane::{
    Batch, Plane,
    access::{Access, AccessFaults, AccessList, read_access_file},
};
use skein_types::Code;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Changed, Config, Effect},
    settings::{mqtt_settings, plane_limits},
    sys::SysTopics,
};

/// How often wills and expiries are looked after; their times are whole seconds.
const EXPIRE_INTERVAL: Duration = Duration::from_millis(100);
/// How often a stopping node looks whether its clients are gone.
const STOP_POLL: Duration = Duration::from_millis(10);

/// A node that runs until it is stopped.
#[derive(Debug)]
pub struct Node {
    config: Config,
    plane: Arc<Plane>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    listeners: Vec<Arc<ListenerState>>,
    stop: CancellationToken,
    control: Option<JoinHandle<()>>,
}

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The access file cannot be read.
    #[error("access: cannot read {path}: {source}. Check access.file and the file's permissions.")]
    AccessFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The access file has faults.
    #[error("access: {path} has faults:\n{faults}")]
    AccessFaults {
        /// The file.
        path: String,
        /// Which.
        faults: AccessFaults,
    },
    /// The operating system gave no thread or event queue.
    #[error("node: cannot start threads: {0}. Check the limits of processes and open files.")]
    Threads(#[from] io::Error),
}

impl Node {
    /// Starts everything the configuration asks for. When it returns, every listener accepts.
    ///
    /// # Errors
    /// What could not be started, and what to do about it; nothing is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let access = Arc::new(Access::new(access_list(&config)?, config.access.anonymous));
        let plane = Arc::new(Plane::new(access, plane_limits(&config)));
        let cores = worker_count(&config);
        let shared = Shared::new(plane.clone(), clock, cores);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bound = {
            let _context = runtime.enter();
            bind_listeners(&config)?
        };
        let listeners = bound.iter().map(|listener| listener.state().clone()).collect();
        let workers = Workers::start(cores, &shared)?;
        let stop = CancellationToken::new();
        let control = {
            let (shared, workers, stop, config) =
                (shared.clone(), workers.clone(), stop.clone(), config.clone());
            std::thread::Builder::new()
                .name("control".to_owned())
                .spawn(move || runtime.block_on(control(config, shared, workers, bound, stop)))?
        };
        Ok(Self { config, plane, shared, workers, listeners, stop, control: Some(control) })
    }

    /// The message plane, for embedders.
    #[must_use]
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// The listeners with the addresses they really have.
    pub fn addresses(&self) -> impl Iterator<Item = (String, &'static str, SocketAddr)> {
        self.listeners
            .iter()
            .map(|state| (state.settings.load().name.to_string(), state.transport, state.address))
    }

    /// Applies what can change while the node runs and returns every key that changed. What needs a restart keeps its
    /// old value until then.
    ///
    /// # Errors
    /// A fault of the access file; then nothing is changed.
    pub fn reload(&mut self, config: Config) -> Result<Vec<Changed>, StartError> {
        let access = access_list(&config)?;
        let changed = Config::reloadable_diff(&self.config, &config);
        self.plane.access().replace(access);
        self.plane.access_changed();
        self.disconnect_revoked();
        for listener in config.mqtt.all_listeners() {
            let running = self.listeners.iter().find(|state| *state.settings.load().name == *listener.name);
            if let Some(state) = running {
                state.settings.store(Arc::new(mqtt_settings(&listener)));
            }
        }
        if changed.iter().all(|change| change.effect != Effect::Restart) {
            self.config = config;
        }
        Ok(changed)
    }

    /// Clients whose user is gone from the access file are told and closed.
    fn disconnect_revoked(&self) {
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        for session in self.plane.sessions().all() {
            if session.access().is_some_and(|access| access.is_revoked()) {
                self.plane.disconnect(&session, Code::NotAuthorized, false, &mut batch, now);
            }
        }
        self.plane.finish(&mut batch, now);
    }

    /// Stops the node: no new clients, every client is told why and closed, then the threads end. What is not done
    /// within `patience` is cut off.
    pub fn stop(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.shared.stop();
        self.stop.cancel();
        if let Some(control) = self.control.take() {
            // A panic there was reported when it happened.
            let _panicked = control.join();
        }
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        for session in self.plane.sessions().all() {
            self.plane.disconnect(&session, Code::ServerShuttingDown, false, &mut batch, now);
        }
        self.plane.finish(&mut batch, now);
        self.workers.stop();
        while !self.workers.are_done() && Instant::now() < deadline {
            std::thread::park_timeout(STOP_POLL);
        }
    }
}

/// What one thread beside the workers does: accept, look after deadlines, publish figures.
async fn control(
    config: Config,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    listeners: Vec<Listener>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    for listener in listeners {
        tasks.spawn(listener.run(shared.clone(), workers.clone()));
    }
    tasks.spawn(until(stop.clone(), look_after_deadlines(shared.clone())));
    let interval = config.mqtt.door.sys_interval;
    if !interval.is_zero() {
        tasks.spawn(until(stop.clone(), publish_figures(shared.clone(), interval)));
    }
    tasks.close();
    tasks.wait().await;
}

/// Runs `work` until the node stops; it may be dropped at any of its awaits.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn look_after_deadlines(shared: Arc<Shared>) {
    let mut batch = Batch::default();
    let mut ticks = tokio::time::interval(EXPIRE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.plane.expire(&mut batch, shared.clock.now());
    }
}

async fn publish_figures(shared: Arc<Shared>, interval: Duration) {
    let mut sys = SysTopics::new(shared.clock, env!("CARGO_PKG_VERSION"));
    let mut batch = Batch::default();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sys.publish(&shared.plane, &mut batch);
    }
}

fn bind_listeners(config: &Config) -> Result<Vec<Listener>, StartError> {
    let mut bound = Vec::new();
    for listener in config.mqtt.all_listeners() {
        let transport = skein_mqtt::Transport::Tcp;
        bound.push(Listener::bind(listener.address, transport, mqtt_settings(&listener))?);
    }
    Ok(bound)
}

fn access_list(config: &Config) -> Result<AccessList, StartError> {
    let Some(file) = &config.access.file else { return Ok(AccessList::open()) };
    let path = file.display().to_string();
    let text =
        read_access_file(file).map_err(|source| StartError::AccessFile { path: path.clone(), source })?;
    AccessList::parse(&text).map_err(|faults| StartError::AccessFaults { path, faults })
}

/// One worker per core this process may use, unless the operator says otherwise.
fn worker_count(config: &Config) -> usize {
    match config.node.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => usize::from(count),
    }
}
