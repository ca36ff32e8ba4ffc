//! A door on a loopback port over a plane of its own, and sessions without an MQTT door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use parking_lot::Mutex;
use skein_access::{Access, AccessList, Anonymous, Door, Identity, OPERATOR_TOKEN_BYTES, OperatorToken};
use skein_door::{Clock, Listener, ListenerSettings, Shared, Transport, UpgradeRoute, WebRules, Workers};
use skein_http::{
    ClusterFigures, ClusterView, HttpDoor, HttpSettings, LaneFigures, LinkFigures, ListenerFigures, NodeInfo,
    NodeRow, ReadinessSwitch,
};
use skein_plane::{
    Batch, Connection, ConnectionHandle, ConnectionInfo, Ending, Open, Plane, PlaneLimits, QueueLimits,
    SessionLimits, TaskHandle, Will, WindowLimits, Work,
    wire::{DeliveryOptions, Encoded, Form, Frame, Wire},
};
use skein_testkit::{DEADLINE, wait_until};
use skein_types::{ClientId, Code, Message, Moment, QoS, Topic, UserName};

use crate::client::OPERATOR_BYTE;

/// Bytes that greet a client of these tests; nobody reads them, so they stay in its outbox.
pub(crate) const GREETING_BYTES: usize = 5;
/// The wall-clock time at which the nodes of these tests start, in seconds since 1970: 2025-01-01T00:00:00Z.
const STARTED_AT_SECS: u64 = 1_735_689_600;

pub(crate) struct Fixture {
    pub(crate) plane: Arc<Plane>,
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Arc<ReadinessSwitch>,
    pub(crate) clock_millis: Arc<AtomicU64>,
    pub(crate) cluster: Arc<TwoNodes>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
}

/// A connected client.
pub(crate) struct Connected {
    pub(crate) connection: ConnectionHandle,
    pub(crate) handle: Arc<TaskHandle>,
}

impl Fixture {
    /// A door that lets everybody on the machine in.
    pub(crate) fn open() -> Self {
        Self::start(Access::new(AccessList::open(), Anonymous::Loopback), HttpSettings::default())
    }

    pub(crate) fn with_settings(settings: HttpSettings) -> Self {
        Self::start(Access::new(AccessList::open(), Anonymous::Loopback), settings)
    }

    pub(crate) fn with_connections(connections_max: usize) -> Self {
        let access = Access::new(AccessList::open(), Anonymous::Loopback);
        let listener = ListenerSettings { connections_max, ..listener_settings() };
        Self::start_on(access, HttpSettings::default(), listener, Transport::Tcp, &[])
    }

    pub(crate) fn start(access: Access, settings: HttpSettings) -> Self {
        Self::start_on(access, settings, listener_settings(), Transport::Tcp, &[])
    }

    pub(crate) fn start_on(
        access: Access,
        settings: HttpSettings,
        listener: ListenerSettings,
        transport: Transport,
        upgrades: &[UpgradeRoute],
    ) -> Self {
        let operator_token = Some(OperatorToken::new([OPERATOR_BYTE; OPERATOR_TOKEN_BYTES]));
        let settings = HttpSettings { operator_token, ..settings };
        let plane = Arc::new(Plane::new(
            Arc::new(access),
            PlaneLimits { retained_messages_max: 10, ..PlaneLimits::default() },
        ));
        let cluster = Arc::new(TwoNodes::default());
        let clock_millis = Arc::new(AtomicU64::new(1500));
        let clock = clock_millis.clone();
        let node = NodeInfo {
            name: "nod\"e".to_owned(),
            id: 7,
            version: "1.2.3".to_owned(),
            started_at: UNIX_EPOCH + Duration::from_secs(STARTED_AT_SECS),
            clock: Arc::new(move || Moment::from_millis(clock.load(Relaxed))),
            cluster: cluster.clone(),
        };
        let mqtt = ListenerFigures {
            name: "mqtt".to_owned(),
            transport: "tcp".to_owned(),
            address: ([127, 0, 0, 1], 1883).into(),
            open: 3,
            accepted: 5,
            refused: 2,
        };
        let readiness = Arc::new(ReadinessSwitch::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _entered = runtime.enter();
            Listener::bind(HttpDoor::NAME, ([127, 0, 0, 1], 0).into(), transport, listener).unwrap()
        };
        let (own, address) = (listener.state().clone(), listener.state().address);
        let listeners = Arc::new(move || vec![mqtt.clone(), ListenerFigures::of(&own)]);
        let door = HttpDoor::new(plane.clone(), node, listeners, readiness.clone(), settings, upgrades);
        let shared = Shared::new(plane.clone(), Clock::start(), 1);
        let workers = Workers::start(1, &shared).unwrap();
        let accepting = listener.run(door, shared.clone(), workers.clone());
        thread::spawn(move || runtime.block_on(accepting));
        Self { plane, address, readiness, clock_millis, cluster, shared, workers }
    }

    /// Connects a client with a will as if a door had; a session with an expiry outlives its connection.
    pub(crate) fn connect(&self, id: &str, user: Option<&str>, expiry_secs: u32) -> Connected {
        let now = Moment::from_millis(self.clock_millis.load(Relaxed));
        let address = ([192, 0, 2, 1], 40_000).into();
        let identity = Identity::anonymous(ClientId::new(id), SocketAddr::ip(&address), Door::Mqtt);
        let identity = match user {
            Some(user) => identity.vouched(UserName::new(user)),
            None => identity,
        };
        let open = Open {
            client_id: ClientId::new(id),
            clean_start: false,
            expiry_secs,
            window: WindowLimits::unacknowledged(u16::MAX.into()),
            will: Some(will()),
            access: Some(Arc::new(self.plane.access().bind(identity))),
            limits: Arc::new(limits()),
            durability: skein_plane::Durability::Memory,
        };
        let info = ConnectionInfo {
            address,
            door: Door::Mqtt.name(),
            version: "3.1.1",
            listener: Arc::from("mqtt"),
            keep_alive_secs: 60,
            connected_at: now,
        };
        let handle = Arc::new(TaskHandle::default());
        let connection = Connection::new(Box::new(Silent), None, handle.clone(), info);
        let mut batch = Batch::default();
        let mut work = Work { plane: &self.plane, batch: &mut batch, now };
        let (connection, _present) =
            ConnectionHandle::open(open, connection, &mut work).expect("nobody else has its id");
        work.finish_unattended();
        Connected { connection, handle }
    }

    /// The client goes; its session stays for as long as it asked for.
    pub(crate) fn leave(&self, client: &Connected) {
        let (mut batch, now) = (Batch::default(), Moment::from_millis(self.clock_millis.load(Relaxed)));
        let mut work = Work { plane: &self.plane, batch: &mut batch, now };
        client.connection.close(Ending::Graceful, None, &mut work).unwrap();
        work.finish_unattended();
    }

    pub(crate) fn shut_down(&self) {
        self.shut_down_within(DEADLINE);
    }

    /// Stops it, and drops what has not ended by then.
    pub(crate) fn shut_down_within(&self, patience: Duration) {
        self.shared.stop();
        self.workers.stop(patience);
    }

    /// Waits until the door has ended.
    pub(crate) fn wait_for_end(&self) {
        wait_until("the door ends when it is told to", DEADLINE, || self.workers.are_done());
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shared.stop();
        self.workers.stop(Duration::ZERO);
    }
}

pub(crate) fn listener_settings() -> ListenerSettings {
    let web = WebRules { host_names: vec!["skein.example".to_owned()], ..WebRules::default() };
    ListenerSettings { name: Arc::from("http"), web: Arc::new(web), ..ListenerSettings::default() }
}

fn will() -> Will {
    let topic = Topic::new("will".into()).expect("it is a topic");
    let message = Message::new(topic, b"gone".as_slice().into(), QoS::AtMostOnce);
    Will { message, expiry_secs: None, delay_secs: 0 }
}

fn limits() -> SessionLimits {
    SessionLimits {
        outbox_bytes_max: 1024,
        queue: QueueLimits { messages_max: 10, bytes_max: 1024 },
        slow_consumer_timeout: Duration::from_secs(10),
        subscriptions_max: 10,
        subscriptions_bytes_max: usize::MAX,
    }
}

/// A node and a peer of it.
#[derive(Debug, Default)]
pub(crate) struct TwoNodes {
    /// The rate of every drain that was asked for.
    pub(crate) drained: Mutex<Vec<u32>>,
}

impl ClusterView for TwoNodes {
    fn nodes(&self) -> Vec<NodeRow> {
        let row = |node_id: u16, state| NodeRow {
            node_id,
            name: format!("node-{node_id}"),
            address: format!("192.0.2.{node_id}:5777"),
            qrank: 1,
            incarnation: u64::MAX,
            state,
            server_reference: (node_id == 8).then(|| "b.example.org:1883".to_owned()),
            is_self: node_id == 7,
            clients: (node_id == 7).then_some(5),
            messages_per_sec: (node_id == 7).then_some(0),
        };
        vec![row(7, "up"), row(8, "down")]
    }

    fn figures(&self) -> ClusterFigures {
        let lane = LaneFigures {
            lane: "control",
            sent_frames: 1,
            sent_bytes: 2,
            received_frames: 3,
            received_bytes: 4,
        };
        let link = LinkFigures {
            node_id: 8,
            linked: true,
            sent_messages: 5,
            dropped_messages: 6,
            lanes: vec![lane],
            ..LinkFigures::default()
        };
        ClusterFigures { links: vec![link], events: [("links_cut".to_owned(), 9)].into() }
    }

    fn drain(&self, rate_per_sec: u32) {
        self.drained.lock().push(rate_per_sec);
    }
}

/// The bytes of a protocol that only says hello.
#[derive(Debug)]
struct Silent;

impl Wire for Silent {
    fn form(&self, _options: &DeliveryOptions, _size_bytes: usize) -> Option<Form> {
        None
    }

    fn publish(&mut self, _frame: &Frame<'_>, _out: &mut Vec<u8>) -> Encoded {
        Encoded::TooLarge
    }

    fn own(&mut self, _seq: Option<u64>, _out: &mut Vec<u8>) {}

    fn release(&mut self, _seq: u64, _out: &mut Vec<u8>) {}

    fn greet(&mut self, _present: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; GREETING_BYTES]);
    }

    fn farewell(&mut self, _code: Code, _out: &mut Vec<u8>) {}
}
