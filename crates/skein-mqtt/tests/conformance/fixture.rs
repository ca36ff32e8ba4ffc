//! A server of its own for each test, and the few packets every test writes.
//!
//! The server is made from the crate's public parts as the node makes it: workers, a listener on an ephemeral port and
//! the tick that ends sessions. Nothing here expects anything about MQTT beyond CONNACK and SUBACK.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, SystemTime},
};

use crate::DURABILITY;

use skein_access::{Access, AccessList, Anonymous};
use skein_door::{Clock, Listener, ListenerSettings, ListenerState, Redirect, Shared, Transport, Workers};
use skein_mqtt::{MqttDoor, Settings};
use skein_plane::{
    Batch, Durability, Durable, LedgerFigures, Plane, PlaneLimits, Publisher, SessionInfo, WallClock,
};
use skein_store::{Options, Store, Time};
use skein_testkit::{DEADLINE, RawClient, TestDirectory, wait_until};
use skein_types::{ClientId, Code, Message, QoS, Topic};

const TICK: Duration = Duration::from_millis(20);
const WORKERS: usize = 2;

/// A running server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) plane: Arc<Plane>,
    pub(crate) state: Arc<ListenerState>,
    pub(crate) redirect: Arc<Redirect>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    stopped: Arc<AtomicBool>,
    /// Where its store is.
    _directory: Option<TestDirectory>,
}

impl Server {
    /// Everybody may do everything.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Everybody may do everything, within other limits.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_as(AccessList::open(), Anonymous::Always, change)
    }

    /// With an access file; who has no password comes in without a user.
    pub(crate) fn with_access(file: &str) -> Self {
        Self::start_as(AccessList::parse(file).unwrap(), Anonymous::Always, |_| {})
    }

    pub(crate) fn start_as(
        list: AccessList,
        anonymous: Anonymous,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let access = Arc::new(Access::new(list, anonymous));
        let plane =
            Plane::new(access, PlaneLimits { retained_messages_max: 100_000, ..PlaneLimits::default() });
        let (plane, directory) = match DURABILITY {
            Durability::Memory => (Arc::new(plane), None),
            Durability::Disk => {
                let directory = TestDirectory::create("conformance");
                let store = Store::open(skein_plane::schema(), Options::durable(directory.path())).unwrap();
                let clock = WallClock::new(Time::from_system_time(SystemTime::now()));
                (Arc::new(plane.with_durable(Durable::new(store, clock))), Some(directory))
            }
        };
        let shared = Shared::new(plane.clone(), Clock::start(), WORKERS);
        let workers = Workers::start(WORKERS, &shared).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut settings = Settings { durability: DURABILITY, ..settings() };
        change(&mut settings);
        let redirect = settings.redirect.clone();
        let of_listener = settings.listener.clone();
        let door = MqttDoor::new([settings]);
        let listener = {
            let _entered = runtime.enter();
            let address = (Ipv4Addr::LOCALHOST, 0).into();
            Listener::bind(MqttDoor::NAME, address, Transport::Tcp, of_listener).unwrap()
        };
        let state = listener.state().clone();
        let accepting = listener.run(door, shared.clone(), workers.clone());
        thread::spawn(move || runtime.block_on(accepting));
        let stopped = Arc::new(AtomicBool::new(false));
        thread::spawn({
            let (shared, stopped) = (shared.clone(), stopped.clone());
            move || tick(&shared, &stopped)
        });
        Self {
            address: state.address,
            plane,
            state,
            redirect,
            shared,
            workers,
            stopped,
            _directory: directory,
        }
    }

    /// A connection on which nothing was sent.
    #[track_caller]
    pub(crate) fn raw(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// A clean session of MQTT 3.1.1.
    #[track_caller]
    pub(crate) fn v4(&self, client_id: &str) -> RawClient {
        RawClient::open_v4(self.address, client_id)
    }

    /// A clean session of MQTT 5 without properties.
    #[track_caller]
    pub(crate) fn v5(&self, client_id: &str) -> RawClient {
        RawClient::open_v5(self.address, client_id)
    }

    /// A clean session of MQTT 5 with properties.
    #[track_caller]
    pub(crate) fn v5_with(&self, properties: &str, client_id: &str) -> RawClient {
        let mut client = self.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {properties} ] "{client_id}" ]"#));
        client.expect("20 [ 00 00 * ]");
        client
    }

    /// A session of MQTT 5 that expires an hour after its connection, new or present.
    #[track_caller]
    pub(crate) fn durable(&self, client_id: &str, present: Present) -> RawClient {
        self.resume(client_id, "11 00000e10", present)
    }

    /// Connects with clean start 0 and the given properties.
    #[track_caller]
    pub(crate) fn resume(&self, client_id: &str, properties: &str, present: Present) -> RawClient {
        let mut client = self.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 00 0000 [ {properties} ] "{client_id}" ]"#));
        client.expect(match present {
            Present::Yes => "20 [ 01 00 * ]",
            Present::No => "20 [ 00 00 * ]",
        });
        client
    }

    /// A client of MQTT 5 that is subscribed; options as in the SUBSCRIBE packet.
    #[track_caller]
    pub(crate) fn subscriber(&self, client_id: &str, filter: &str, options: &str) -> RawClient {
        let mut client = self.v5(client_id);
        subscribe(&mut client, filter, options);
        client
    }

    pub(crate) fn session(&self, client_id: &str) -> Option<SessionInfo> {
        self.plane.sessions().get(&ClientId::new(client_id)).map(|session| session.info())
    }

    /// Waits until the client has no connection any more.
    #[track_caller]
    pub(crate) fn wait_away(&self, client_id: &str) {
        wait_until(&format!("{client_id} is away"), DEADLINE, || {
            self.session(client_id).is_none_or(|session| session.connection.is_none())
        });
    }

    /// Waits until the session has ended.
    #[track_caller]
    pub(crate) fn wait_ended(&self, client_id: &str) {
        wait_until(&format!("the session of {client_id} has ended"), DEADLINE, || {
            self.session(client_id).is_none()
        });
    }

    /// Breaks the client's connection and waits until the server knows.
    #[track_caller]
    pub(crate) fn drop_connection(&self, client: RawClient, client_id: &str) {
        drop(client);
        self.wait_away(client_id);
    }

    /// Publishes as the node itself does, which may use topics that start with `$`.
    pub(crate) fn publish_as_node(&self, topic: &'static str, payload: &'static str) {
        self.publish(topic, payload, false);
    }

    /// The same with the retain flag.
    pub(crate) fn retain_as_node(&self, topic: &'static str, payload: &'static str) {
        self.publish(topic, payload, true);
    }

    fn publish(&self, topic: &'static str, payload: &'static str, retain: bool) {
        let message = Message {
            retain,
            ..Message::new(Topic::try_from(topic).unwrap(), payload.into(), QoS::AtMostOnce)
        };
        let (mut batch, now) = (Batch::default(), self.shared.clock.now());
        self.plane.publish(&mut Publisher::default(), &mut batch, message, now);
        self.plane.finish(&mut batch, now);
    }

    pub(crate) fn ledger(&self) -> LedgerFigures {
        self.plane.ledger().figures()
    }

    /// Ends a client's connection as an operator or a shutdown does.
    #[track_caller]
    pub(crate) fn disconnect(&self, client_id: &str, code: Code) {
        let session = self.plane.sessions().get(&ClientId::new(client_id)).unwrap();
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        assert!(self.plane.disconnect(&session, code, false, &mut batch, now));
        self.plane.finish(&mut batch, now);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
        self.shared.stop();
        self.workers.stop(Duration::ZERO);
    }
}

/// Whether the CONNACK says that the session was there.
#[derive(Clone, Copy)]
pub(crate) enum Present {
    Yes,
    No,
}

/// Subscribes a client of MQTT 5 to one filter and expects what it asked for.
#[track_caller]
pub(crate) fn subscribe(client: &mut RawClient, filter: &str, options: &str) {
    client.send(&format!(r#"82 [ 0001 00 "{filter}" {options} ]"#));
    let qos = u8::from_str_radix(options, 16).unwrap() & 3;
    client.expect(&format!("90 [ 0001 00 {qos:02x} ]"));
}

/// Expects a DISCONNECT of MQTT 5 with this reason and then the end.
#[track_caller]
pub(crate) fn expect_refusal(client: &mut RawClient, reason: &str) {
    client.expect(&format!("e0 [ {reason} * ]"));
    client.expect_closed();
}

/// Lets what a publisher sent arrive everywhere: the server answers a ping after it handed on all before.
#[track_caller]
pub(crate) fn settle(publisher: &mut RawClient) {
    publisher.expect_nothing();
}

fn tick(shared: &Shared, stopped: &AtomicBool) {
    let mut batch = Batch::default();
    while !stopped.load(Relaxed) {
        shared.plane.expire(&mut batch, shared.clock.now());
        thread::park_timeout(TICK);
    }
}

/// What the tests read in a CONNACK: receive maximum 0x400, maximum packet size 0x40000, topic alias maximum 0x10.
fn settings() -> Settings {
    Settings {
        listener: ListenerSettings {
            connections_max: 100,
            connect_timeout: Duration::from_secs(20),
            ..ListenerSettings::default()
        },
        packet_bytes_max: 0x40000,
        receive_maximum: NonZeroU16::new(0x400).unwrap(),
        topic_alias_max: 0x10,
        topic_alias_out_max: 0x10,
        ..Settings::default()
    }
}
