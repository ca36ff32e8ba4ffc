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

use skein_http::{HttpDoor, Readiness, ReadinessSwitch};
use skein_mqtt::{Clock, ListenError, Listener, ListenerState, Shared, TlsError, TlsSource, Workers};
use skein_plane::{
    AccessChangeError, Batch, Plane, RestoreError,
    access::{Access, AccessFaults, AccessList, read_access_file},
};
use skein_store::OpenError;
use skein_types::{Code, Moment};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Changed, Config},
    durable,
    settings::{http_door, mqtt_settings, node_queue_limits, plane_limits, tls_files, transport_of},
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
    http: Vec<SocketAddr>,
    tls: Option<Arc<TlsSource>>,
    readiness: Arc<ReadinessSwitch>,
    stop: CancellationToken,
    control: Option<JoinHandle<()>>,
}

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The HTTP address cannot be listened on.
    #[error(
        "http: cannot listen on {address}: {source}. Stop the program that uses the port or set http.listen."
    )]
    ListenHttp {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// HTTP over TLS was asked for.
    #[error(
        "http: http.tls is true, but this version serves HTTP without TLS only. Leave it false, keep http.listen on \
         loopback and put a proxy with TLS in front of it."
    )]
    HttpTls,
    /// The certificate files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// The store cannot be opened.
    #[error("store: cannot open {dir}: {source}")]
    Store {
        /// The data directory.
        dir: String,
        /// Why, and what to do.
        source: OpenError,
    },
    /// The users and rules in the store cannot be put in force.
    #[error(
        "store: the users and rules in it cannot be put in force: {source}. Use the version that wrote them."
    )]
    StoredAccess {
        /// Why.
        source: AccessChangeError,
    },
    /// The store holds something the plane does not know.
    #[error(transparent)]
    Restore(#[from] RestoreError),
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
        if config.http.tls {
            return Err(StartError::HttpTls);
        }
        let clock = Clock::start();
        let access = Arc::new(Access::new(access_list(&config)?, config.access.anonymous));
        let mut plane = Plane::new(access, plane_limits(&config));
        plane.queue().set_limits(node_queue_limits(&config));
        if let Some(durable) = durable::open(&config, clock)? {
            plane = plane.with_durable(durable);
            // Before sessions come back, whose rights depend on it.
            plane.load_stored_access().map_err(|source| StartError::StoredAccess { source })?;
            durable::restore(&plane, &config, clock)?;
        }
        let plane = Arc::new(plane);
        let tls = tls_files(&config).map(TlsSource::load).transpose()?;
        let cores = worker_count(&config);
        let shared = Shared::new(plane.clone(), clock, cores);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mqtt, http) = {
            let _context = runtime.enter();
            (bind_mqtt(&config, tls.as_ref())?, bind_http(&config)?)
        };
        let listeners: Vec<_> = mqtt.iter().map(|listener| listener.state().clone()).collect();
        let http_addresses = http.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let workers = Workers::start(cores, &shared)?;
        let stop = CancellationToken::new();
        let readiness = Arc::new(ReadinessSwitch::default());
        let doors = Doors {
            mqtt,
            http,
            http_door: http_door(&config, &shared, &listeners, &readiness),
            sys_interval: config.mqtt.door.sys_interval,
        };
        let control = {
            let (shared, workers, stop) = (shared.clone(), workers.clone(), stop.clone());
            std::thread::Builder::new()
                .name("control".to_owned())
                .spawn(move || runtime.block_on(control(doors, shared, workers, stop)))?
        };
        readiness.set(Readiness::Ready);
        let control = Some(control);
        Ok(Self {
            config,
            plane,
            shared,
            workers,
            listeners,
            http: http_addresses,
            tls,
            readiness,
            stop,
            control,
        })
    }

    /// The message plane, for embedders.
    #[must_use]
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// The listeners with the addresses they really have: name, what they speak below their protocol, address.
    pub fn addresses(&self) -> impl Iterator<Item = (String, &'static str, SocketAddr)> {
        let mqtt = self.listeners.iter();
        let mqtt = mqtt.map(|state| (state.settings.load().name.to_string(), state.transport, state.address));
        mqtt.chain(self.http.iter().map(|address| ("http".to_owned(), "http", *address)))
    }

    /// Applies what can change while the node runs and returns every key that changed. What needs a restart keeps its
    /// old value until then.
    ///
    /// # Errors
    /// A fault of the access file or the certificates; then nothing is changed.
    pub fn reload(&mut self, config: Config) -> Result<Vec<Changed>, StartError> {
        let access = access_list(&config)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        let changed = Config::reloadable_diff(&self.config, &config);
        self.plane.retained().set_messages_max(plane_limits(&config).retained_messages_max);
        self.plane.queue().set_limits(node_queue_limits(&config));
        self.plane.access().replace(access);
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        self.plane.enforce_access(&mut batch, now);
        self.end_batch(&mut batch, now);
        for listener in config.mqtt.all_listeners() {
            let running = self.listeners.iter().find(|state| *state.settings.load().name == *listener.name);
            if let Some(state) = running {
                state.settings.store(Arc::new(mqtt_settings(&listener)));
            }
        }
        // Also where a restart is needed: a change is reported once.
        self.config = config;
        Ok(changed)
    }

    fn end_batch(&self, batch: &mut Batch, now: Moment) {
        if let Some(commit) = self.plane.finish(batch, now) {
            self.plane.leave(commit);
        }
    }

    /// Stops the node: no new clients, every client is told why and closed, then the threads end. What is not done
    /// within `patience` is cut off.
    pub fn stop(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.readiness.set(Readiness::Draining);
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
        self.end_batch(&mut batch, now);
        self.workers.stop();
        while !self.workers.are_done() && Instant::now() < deadline {
            std::thread::park_timeout(STOP_POLL);
        }
        if let Some(durable) = self.plane.durable() {
            durable.store().close();
        }
    }
}

/// What the control thread runs.
struct Doors {
    mqtt: Vec<Listener>,
    http: Vec<TcpListener>,
    http_door: HttpDoor,
    sys_interval: Duration,
}

/// What one thread beside the workers does: accept, look after deadlines, publish figures, answer HTTP.
async fn control(doors: Doors, shared: Arc<Shared>, workers: Arc<Workers>, stop: CancellationToken) {
    let Doors { mqtt, http, http_door, sys_interval } = doors;
    let tasks = TaskTracker::new();
    for listener in mqtt {
        tasks.spawn(listener.run(shared.clone(), workers.clone()));
    }
    for listener in http {
        tasks.spawn(http_door.clone().run(listener, stop.clone()));
    }
    tasks.spawn(until(stop.clone(), look_after_deadlines(shared.clone())));
    if !sys_interval.is_zero() {
        tasks.spawn(until(stop.clone(), publish_figures(shared.clone(), sys_interval)));
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

fn bind_mqtt(config: &Config, tls: Option<&Arc<TlsSource>>) -> Result<Vec<Listener>, StartError> {
    let mut bound = Vec::new();
    for listener in config.mqtt.all_listeners() {
        // The configuration was refused if a listener needs a certificate that is not there.
        let Some(transport) = transport_of(listener.transport, tls) else { continue };
        bound.push(Listener::bind(listener.address, transport, mqtt_settings(&listener))?);
    }
    Ok(bound)
}

fn bind_http(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let bind = |address: &SocketAddr| {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let addresses = &config.http.listen.0;
    addresses
        .iter()
        .map(|address| bind(address).map_err(|source| StartError::ListenHttp { address: *address, source }))
        .collect()
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
