//! A running node: what is started, in which order, and how it is stopped.
//!
//! Start: listeners bound, access list, plane restored, cluster, HTTP; MQTT accepts once other nodes are found, or not for the
//! time they may take. Stop: listeners close, the other nodes hear that this one leaves, every client is told and closed,
//! good-bye to the cluster, workers end, and only then the function returns. Nothing is acknowledged after its client was told.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use skein_access::{Access, AccessList};
use skein_cluster::strategy::Strategies;
use skein_door::{
    Clock, ListenError, Listener, ListenerSettings, ListenerState, Redirect, Shared, TlsSource, Transport,
    Workers,
};
use skein_http::{HttpDoor, ROLE_ADMIN, Readiness, ReadinessSwitch, transport_word};
use skein_mqtt::MqttDoor;
use skein_plane::{Batch, Plane};
use skein_types::{Code, Moment};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cluster::{ClusterEvent, ClusterPart, Door, Ended, Introduced},
    config::{Changed, Config},
    doors::{self, Bound, Served},
    durable,
    operator::OperatorFile,
    private,
    settings::{
        http_door, node_info, node_queue_limits, plane_limits, tls_files, warn_of_many_connections,
        worker_count,
    },
    start_error::StartError,
    sys::SysTopics,
};

/// How often wills and expiries are looked after; their times are whole seconds.
const EXPIRE_INTERVAL: Duration = Duration::from_millis(100);
/// How long it may take to drop what did not end in time.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a stopping node looks whether its clients are gone.
const STOP_POLL: Duration = Duration::from_millis(10);

/// A node that runs until it is stopped.
#[derive(Debug)]
pub struct Node {
    config: Config,
    plane: Arc<Plane>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    mqtt: Arc<MqttDoor>,
    listeners: Vec<Arc<ListenerState>>,
    tls: Option<Arc<TlsSource>>,
    readiness: Arc<ReadinessSwitch>,
    redirect: Arc<Redirect>,
    cluster: ClusterPart,
    strategies: Strategies,
    stop: CancellationToken,
    control: Option<JoinHandle<()>>,
    /// Where what accepts connections runs.
    runtime: tokio::runtime::Handle,
    operator: Option<OperatorFile>,
}

impl Node {
    /// Starts everything the configuration asks for. When it returns, every listener accepts. A node that looks for others
    /// takes MQTT clients once it has found some, or not for the time of `cluster.join_timeout`.
    ///
    /// # Errors
    /// What could not be started, and what to do about it; nothing is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Strategies::new())
    }

    /// The same for a program that brings strategies of its own: `cluster.strategy` chooses one by its name.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with(config: Config, mut strategies: Strategies) -> Result<Self, StartError> {
        skein_discovery::add_scripts(&mut strategies)?;
        let clock = Clock::start();
        let redirect = Arc::<Redirect>::default();
        let tls = tls_files(&config).map(TlsSource::load).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bound = {
            let _context = runtime.enter();
            Bound::bind(&config, tls.as_ref(), &redirect)?
        };
        let (mqtt, listeners) = (bound.mqtt_door.clone(), bound.states.clone());
        let readiness = Arc::new(ReadinessSwitch::default());
        let (plane, me) = assemble(&config, clock, &listeners, &strategies)?;
        warn_of_many_connections(&config);
        private::warn_of_open_files(&config);
        let door = Door { clock, redirect: &redirect, readiness: &readiness };
        let cluster = ClusterPart::start(&config, me, &plane, door)?;
        // After the store, which is locked: no other node of this directory runs.
        let operator = operator_file(&config);
        let cores = worker_count(&config);
        let shared = Shared::new(plane.clone(), clock, cores);
        let workers = Workers::start(cores, &shared)?;
        let stop = CancellationToken::new();
        let accepts_on = runtime.handle().clone();
        let (accept, accepting) = oneshot::channel();
        let token = operator.as_ref().map(|file| file.token().clone());
        let node = node_info(&config, clock, Arc::new(cluster.view()));
        let http = http_door(node, &shared, &listeners, &readiness, token, &bound.upgrades);
        let sys_interval = config.mqtt.door.sys_interval;
        let doors = Doors { doors: bound.doors(http), accept: accepting, sys_interval };
        let control = {
            let (shared, workers, stop) = (shared.clone(), workers.clone(), stop.clone());
            std::thread::Builder::new()
                .name("control".to_owned())
                .spawn(move || runtime.block_on(control(doors, shared, workers, stop)))?
        };
        let control = Some(control);
        let node = Self {
            config,
            plane,
            shared,
            workers,
            mqtt,
            listeners,
            tls,
            readiness,
            redirect,
            cluster,
            strategies,
            stop,
            control,
            runtime: accepts_on,
            operator,
        };
        node.open_doors(accept)
    }

    /// Lets clients in when the node has found its cluster.
    fn open_doors(self, accept: oneshot::Sender<()>) -> Result<Self, StartError> {
        if let Err(error) = self.cluster.wait_until_joined(&self.config, &self.readiness) {
            self.stop(Duration::ZERO);
            return Err(error);
        }
        self.readiness.set(Readiness::Ready);
        // The control thread is gone only when it has failed, which was reported when it happened.
        let _failed = accept.send(());
        Ok(self)
    }

    /// Opens a door of the program that embeds the node: clients of its protocol come in at `address`, and meet everybody
    /// else on the plane. Returns the address it really has. The door closes with the node.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub fn open_door(
        &self,
        address: SocketAddr,
        settings: ListenerSettings,
        door: Arc<dyn skein_door::Door>,
    ) -> Result<SocketAddr, ListenError> {
        let _context = self.runtime.enter();
        let listener = Listener::bind(door.name(), address, Transport::Tcp, settings)?;
        let address = listener.state().address;
        self.runtime.spawn(listener.run(door, self.shared.clone(), self.workers.clone()));
        Ok(address)
    }

    /// The message plane, for embedders.
    #[must_use]
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// The listeners with the addresses they really have: name, what they speak below their protocol, address.
    pub fn addresses(&self) -> impl Iterator<Item = (String, &'static str, SocketAddr)> {
        // What has no socket of its own is left out.
        let own = self.listeners.iter().filter(|state| !self.is_upgrade(state));
        own.map(|state| (state.settings.load().name.to_string(), transport_word(state), state.address))
    }

    /// Where programs of this machine reach the HTTP door; without TLS if there is such a listener.
    fn http_url(&self) -> Option<String> {
        let mut of = ["http", "https"].into_iter().filter_map(|scheme| {
            let listener = self.listeners.iter().find(|state| transport_word(state) == scheme)?;
            Some(format!("{scheme}://{}", reached_at(listener.address)))
        });
        of.next()
    }

    fn is_upgrade(&self, state: &ListenerState) -> bool {
        state.door != HttpDoor::NAME && self.http_addresses().any(|address| address == state.address)
    }

    fn http_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let http = self.listeners.iter().filter(|state| state.door == HttpDoor::NAME);
        http.map(|state| state.address)
    }

    /// The command that makes the first user, as long as there is none: what users of a running node need, or of a file.
    #[must_use]
    pub fn first_user_command(&self) -> Option<String> {
        if self.plane.access().list().users_count() > 0 {
            return None;
        }
        let dir = &self.config.data.dir;
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        match (&self.operator, self.http_url(), &self.config.access.file) {
            (Some(_), Some(url), _) if self.plane.durable().is_some() => Some(format!(
                "skein user add NAME --role {ROLE_ADMIN} --node {url} --data-dir {}",
                dir.display()
            )),
            (.., Some(file)) => {
                Some(format!("skein user add NAME --role {ROLE_ADMIN} --file {}", file.display()))
            }
            (.., None) => None,
        }
    }

    /// This node as the others of its cluster know it, and every node it has heard of.
    #[must_use]
    pub fn cluster(&self) -> &Arc<skein_cluster::Cluster> {
        self.cluster.cluster()
    }

    /// Where links and gossip of other nodes arrive; none when the node runs alone.
    #[must_use]
    pub fn cluster_address(&self) -> Option<SocketAddr> {
        self.config.cluster.listen
    }

    /// Calls `tell` with each change of a node's state from now on, one after the other, on a thread of its own.
    pub fn on_cluster_event(&self, tell: impl Fn(&ClusterEvent) + Send + Sync + 'static) {
        self.cluster.add_callback(Box::new(tell));
    }

    /// Sends all clients to other nodes, at most so many in a second, and then calls what [`Node::on_end`] was given.
    pub fn drain(&self, clients_per_sec: u32) {
        self.cluster.drain().begin(clients_per_sec);
    }

    /// Calls `tell` once if the node is to be stopped for a reason of its own: because it was drained, or because the others
    /// do not take it. Whoever runs the node then calls [`Node::stop`].
    pub fn on_end(&self, tell: impl FnOnce(Ended) + Send + 'static) {
        self.cluster.drain().on_end(Box::new(tell));
    }

    /// Applies what can change while the node runs and returns every key that changed. What needs a restart keeps its
    /// old value until then.
    ///
    /// # Errors
    /// A fault of the access file or the certificates; then nothing is changed.
    pub fn reload(&mut self, config: Config) -> Result<Vec<Changed>, StartError> {
        let access = access_list(&config)?;
        let strategy = self.strategies.make(&config.cluster.strategy)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        let changed = Config::reloadable_diff(&self.config, &config);
        let limits = plane_limits(&config);
        self.plane.retained().set_limits(limits.retained_messages_max, limits.retained_bytes_max);
        self.plane.queue().set_limits(node_queue_limits(&config));
        self.plane.access().replace(access);
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        self.plane.enforce_access(&mut batch, now);
        self.end_batch(&mut batch, now);
        doors::reload(&config, &self.redirect, &self.mqtt, &self.listeners);
        self.cluster.reload(&self.config, &config, strategy);
        // Also where a restart is needed: a change is reported once.
        self.config = config;
        Ok(changed)
    }

    fn end_batch(&self, batch: &mut Batch, now: Moment) {
        self.plane.finish_unattended(batch, now);
    }

    /// Stops the node: no new clients, every client is told why and closed, then the threads end. What is not done
    /// within `patience` is cut off.
    pub fn stop(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.readiness.set(Readiness::Draining);
        self.cluster.announce_leaving();
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
        self.cluster.leave();
        self.workers.stop(deadline.saturating_duration_since(Instant::now()));
        // What is left at the deadline is dropped at once, each with its session left in order.
        let dropped = deadline + DROP_TIMEOUT;
        while !self.workers.are_done() && Instant::now() < dropped {
            std::thread::park_timeout(STOP_POLL);
        }
        if let Some(durable) = self.plane.durable() {
            durable.store().close();
        }
    }
}

/// What the control thread runs.
struct Doors {
    doors: Vec<Served>,
    /// Tells when clients are let in; doors that are open early answer before.
    accept: oneshot::Receiver<()>,
    sys_interval: Duration,
}

/// What one thread beside the workers does: accept, look after deadlines, publish figures.
async fn control(doors: Doors, shared: Arc<Shared>, workers: Arc<Workers>, stop: CancellationToken) {
    let Doors { doors, accept, sys_interval } = doors;
    let tasks = TaskTracker::new();
    let all: Vec<_> = doors.iter().map(|served| served.door.clone()).collect();
    let (early, late): (Vec<_>, Vec<_>) = doors.into_iter().partition(|served| served.door.is_open_early());
    let accept_all = {
        let (tasks, shared, workers) = (tasks.clone(), shared.clone(), workers.clone());
        move |doors: Vec<Served>| {
            for Served { door, listeners } in doors {
                for listener in listeners {
                    tasks.spawn(listener.run(door.clone(), shared.clone(), workers.clone()));
                }
            }
        }
    };
    accept_all(early);
    tasks.spawn(until(stop.clone(), async move {
        // An error: the node was not started after all.
        if accept.await.is_ok() {
            accept_all(late);
        }
    }));
    tasks.spawn(until(stop.clone(), look_after_deadlines(shared.clone(), all)));
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

async fn look_after_deadlines(shared: Arc<Shared>, doors: Vec<Arc<dyn skein_door::Door>>) {
    let mut batch = Batch::default();
    let mut ticks = tokio::time::interval(EXPIRE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        go_on("looking after deadlines", &mut batch, |batch| shared.plane.expire(batch, shared.clock.now()));
        skein_door::log_left_out();
        doors.iter().for_each(|door| go_on("the tick of a door", &mut batch, |_| door.tick()));
    }
}

async fn publish_figures(shared: Arc<Shared>, interval: Duration) {
    let mut sys = SysTopics::new(shared.clock, env!("CARGO_PKG_VERSION"));
    let mut batch = Batch::default();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        go_on("publishing figures", &mut batch, |batch| sys.publish(&shared.plane, batch));
    }
}

/// Does one turn of work that comes again, and lets it come again should this turn panic: keep alives, wills and expiry must not
/// end for everybody because of one session. What was in the batch is lost with it.
fn go_on(what: &'static str, batch: &mut Batch, turn: impl FnOnce(&mut Batch)) {
    if catch_unwind(AssertUnwindSafe(|| turn(batch))).is_err() {
        tracing::error!(what, "node: a turn has panicked, the next one comes at its time");
        *batch = Batch::default();
    }
}

/// The plane with what it remembers and the cluster it is in, before anybody reaches it.
fn assemble(
    config: &Config,
    clock: Clock,
    listeners: &[Arc<ListenerState>],
    strategies: &Strategies,
) -> Result<(Arc<Plane>, Introduced), StartError> {
    let access = Arc::new(Access::new(access_list(config)?, config.access.anonymous));
    let mut plane = Plane::new(access, plane_limits(config));
    plane.queue().set_limits(node_queue_limits(config));
    let durable = durable::open(config, clock)?;
    let me = Introduced::new(config, listeners, strategies)?;
    if config.cluster.is_on() {
        plane = plane.with_cluster(me.cluster.clone(), me.strategy.clone());
    }
    if let Some(durable) = durable {
        plane = plane.with_durable(durable);
        // Before sessions come back, whose rights depend on it.
        plane.load_stored_access().map_err(|source| StartError::StoredAccess { source })?;
        durable::restore(&plane, config, clock)?;
    }
    Ok((Arc::new(plane), me))
}

fn access_list(config: &Config) -> Result<AccessList, StartError> {
    let Some(file) = &config.access.file else { return Ok(AccessList::open()) };
    let path = file.display().to_string();
    let text = crate::read_access_file(file)
        .map_err(|source| StartError::AccessFile { path: path.clone(), source })?;
    AccessList::parse(&text).map_err(|faults| StartError::AccessFaults { path, faults })
}

/// Without the file nobody is the operator; that is no reason not to carry messages.
fn operator_file(config: &Config) -> Option<OperatorFile> {
    if config.http.listen.0.is_empty() {
        return None;
    }
    let written = OperatorFile::write(&config.data.dir);
    written
        .inspect_err(|error| {
            let dir = config.data.dir.display();
            tracing::warn!(%dir, %error, "http: no operator's token could be written; only users administer this node");
        })
        .ok()
}

/// An address a program on this machine can dial.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let loopback = |address: SocketAddr| match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let ip = if address.ip().is_unspecified() { loopback(address) } else { address.ip() };
    SocketAddr::new(ip, address.port())
}
