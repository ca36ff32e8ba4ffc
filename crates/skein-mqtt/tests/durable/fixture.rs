//! A server with a store on a disk in memory, one worker thread, and clients that look whether they were answered.
//!
//! One worker, so that the answer to one client's PINGREQ tells that everything sent before by others was handled.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use skein_access::{Access, AccessList, Anonymous};
use skein_door::{Clock, Listener, Shared, Transport, Workers};
use skein_mqtt::{MqttDoor, Settings};
use skein_plane::{Batch, Durability, Durable, Plane, PlaneLimits, WallClock};
use skein_store::{ClassId, Options, Store, Time};
use skein_testkit::{DEADLINE, RawClient, wait_until};
use skein_types::ClientId;
use skein_wal::disk::{FaultyDisk, SyncHold};

const TICK: Duration = Duration::from_millis(10);
/// Classes of the plane: sessions, subscriptions, queues, messages, ids received; the next is that of retained messages.
const CLASSES: std::ops::Range<u16> = 1..6;

/// How a server is started.
pub(crate) struct Start {
    pub(crate) settings: Settings,
    pub(crate) memory_bytes_max: u64,
    pub(crate) disk: FaultyDisk,
    /// Whether somebody looks after deadlines and after commits that nobody waits for.
    pub(crate) ticks: bool,
}

impl Default for Start {
    fn default() -> Self {
        let settings = Settings { durability: Durability::Disk, ..Settings::default() };
        Self { settings, memory_bytes_max: u64::MAX, disk: FaultyDisk::new(), ticks: true }
    }
}

/// A running server; it stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) plane: Arc<Plane>,
    pub(crate) disk: FaultyDisk,
    /// How often the store said that it cannot go on.
    pub(crate) fatal: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(Start::default())
    }

    pub(crate) fn start_with(start: Start) -> Self {
        let Start { settings, memory_bytes_max, disk, ticks } = start;
        let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
        let fatal = Arc::<AtomicUsize>::default();
        let mut options = Options::durable("/store");
        options.disk = Arc::new(disk.clone());
        options.segment_bytes = 1 << 20;
        options.on_fatal = Some({
            let fatal = fatal.clone();
            Arc::new(move |_why: &str| _ = fatal.fetch_add(1, Relaxed))
        });
        let store = Store::open(skein_plane::schema(), options).unwrap();
        let durable = Durable::new(store, WallClock::new(Time(1_700_000_000_000_000)));
        let plane = Plane::new(access, PlaneLimits { retained_messages_max: 1000, ..PlaneLimits::default() })
            .with_durable(durable.with_memory_bytes_max(memory_bytes_max));
        let plane = Arc::new(plane);
        let clock = Clock::start();
        plane.restore(&settings.session, &mut Batch::default(), clock.now()).unwrap();
        let shared = Shared::new(plane.clone(), clock, 1);
        let workers = Workers::start(1, &shared).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let of_listener = settings.listener.clone();
        let door = MqttDoor::new([settings]);
        let listener = {
            let _entered = runtime.enter();
            let address = (Ipv4Addr::LOCALHOST, 0).into();
            Listener::bind(MqttDoor::NAME, address, Transport::Tcp, of_listener).unwrap()
        };
        let address = listener.state().address;
        let accepting = listener.run(door, shared.clone(), workers.clone());
        thread::spawn(move || runtime.block_on(accepting));
        let stopped = Arc::new(AtomicBool::new(!ticks));
        thread::spawn({
            let (shared, stopped) = (shared.clone(), stopped.clone());
            move || {
                let mut batch = Batch::default();
                while !stopped.load(Relaxed) {
                    shared.plane.expire(&mut batch, shared.clock.now());
                    thread::park_timeout(TICK);
                }
            }
        });
        Self { address, plane, disk, fatal, shared, workers, stopped }
    }

    /// The machine loses its power with everything that was not synced, and a server starts on its disk.
    pub(crate) fn restart(self) -> Self {
        self.disk.crash(|_| false);
        let disk = self.disk.clone();
        drop(self);
        Self::start_with(Start { disk, ..Start::default() })
    }

    pub(crate) fn raw(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// A clean session that ends with its connection.
    #[track_caller]
    pub(crate) fn v5(&self, client_id: &str) -> RawClient {
        RawClient::open_v5(self.address, client_id)
    }

    #[track_caller]
    pub(crate) fn v4(&self, client_id: &str) -> RawClient {
        RawClient::open_v4(self.address, client_id)
    }

    /// A CONNECT of MQTT 5 for a session that expires after an hour.
    #[track_caller]
    pub(crate) fn connect(&self, client_id: &str) -> RawClient {
        self.connect_with(client_id, "11 00000e10")
    }

    #[track_caller]
    pub(crate) fn connect_with(&self, client_id: &str, properties: &str) -> RawClient {
        let mut client = self.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 00 0000 [ {properties} ] "{client_id}" ]"#));
        client
    }

    /// A session that is kept and not there yet.
    #[track_caller]
    pub(crate) fn kept(&self, client_id: &str) -> RawClient {
        let mut client = self.connect(client_id);
        client.expect("20 [ 00 00 * ]");
        client
    }

    /// A session that is kept and there.
    #[track_caller]
    pub(crate) fn resumed(&self, client_id: &str) -> RawClient {
        let mut client = self.connect(client_id);
        client.expect("20 [ 01 00 * ]");
        client
    }

    /// A session that is kept, with one subscription.
    #[track_caller]
    pub(crate) fn kept_subscriber(&self, client_id: &str, filter: &str, qos: &str) -> RawClient {
        let mut client = self.kept(client_id);
        client.send(&format!(r#"82 [ 0001 00 "{filter}" {qos} ]"#));
        client.expect(&format!("90 [ 0001 00 {qos} ]"));
        client
    }

    /// Nothing gets on the disk as long as the hold is kept.
    pub(crate) fn hold(&self) -> Hold<'_> {
        // A sync that is under way is not one of ours.
        self.settle();
        Hold { disk: &self.disk, pinger: self.v5("pinger"), _syncs: self.disk.hold_syncs() }
    }

    /// Everything that was handed over is on disk.
    pub(crate) fn settle(&self) {
        let store = self.plane.durable().unwrap().store();
        store.commit(store.batch()).unwrap();
    }

    /// Waits until the client has no connection any more.
    #[track_caller]
    pub(crate) fn wait_away(&self, client_id: &str) {
        wait_until(&format!("{client_id} is away"), DEADLINE, || {
            let session = self.plane.sessions().get(&ClientId::new(client_id));
            session.is_none_or(|session| !session.is_connected())
        });
    }

    pub(crate) fn is_kept(&self, client_id: &str) -> bool {
        self.plane.sessions().get(&ClientId::new(client_id)).is_some_and(|session| session.is_durable())
    }

    /// How many rows there are beside those of retained messages.
    pub(crate) fn rows(&self) -> usize {
        self.settle();
        let snapshot = self.plane.durable().unwrap().store().snapshot();
        CLASSES.map(|class| snapshot.len(ClassId(class))).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
        self.shared.stop();
        self.workers.stop(Duration::ZERO);
    }
}

/// As long as it lives nothing gets on the disk.
pub(crate) struct Hold<'a> {
    disk: &'a FaultyDisk,
    pinger: RawClient,
    _syncs: SyncHold,
}

impl Hold<'_> {
    /// What clients have sent is handled, and what it changes is on its way to the disk.
    #[track_caller]
    pub(crate) fn handled(&mut self) {
        wait_until("a sync is held back", DEADLINE, || self.disk.syncs_waiting() > 0);
        self.ping();
    }

    /// What clients have sent is handled.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        self.pinger.expect_nothing();
    }
}

/// Sends and expects no answer before the sync, and this answer after it.
#[track_caller]
pub(crate) fn withholds(server: &Server, client: &mut RawClient, send: &str, expect: &str) {
    let mut hold = server.hold();
    client.send(send);
    hold.handled();
    assert!(!client.has_received(), "answered before it is on disk: {send}");
    drop(hold);
    client.expect(expect);
}
