//! A server with one listener on an ephemeral port.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use skein_access::{Access, AccessList, Anonymous};
use skein_door::{Clock, Listener, ListenerSettings, ListenerState, Shared, Stream, Transport, Workers};
use skein_mqtt::{MqttDoor, Settings};
use skein_plane::{Plane, PlaneLimits};
use skein_testkit::{DEADLINE, wait_until};

pub(crate) const PACKET_BYTES_MAX: u32 = 256 * 1024;

/// A running server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<ListenerState>,
    pub(crate) door: Arc<MqttDoor>,
    pub(crate) shared: Arc<Shared>,
    workers: Arc<Workers>,
}

impl Server {
    /// A server that lets everybody do everything.
    pub(crate) fn start(transport: Transport) -> Self {
        Self::start_with(transport, settings(), AccessList::open(), Anonymous::Always)
    }

    pub(crate) fn start_with(
        transport: Transport,
        settings: Settings,
        list: AccessList,
        anonymous: Anonymous,
    ) -> Self {
        let access = Arc::new(Access::new(list, anonymous));
        let plane = Arc::new(Plane::new(
            access,
            PlaneLimits { retained_messages_max: 1000, ..PlaneLimits::default() },
        ));
        let shared = Shared::new(plane, Clock::start(), 2);
        let workers = Workers::start(2, &shared).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let of_listener = settings.listener.clone();
        let door = MqttDoor::new([settings]);
        let listener = {
            let _entered = runtime.enter();
            let address = (Ipv4Addr::LOCALHOST, 0).into();
            Listener::bind(MqttDoor::NAME, address, transport, of_listener).unwrap()
        };
        let state = listener.state().clone();
        let accepting = listener.run(door.clone(), shared.clone(), workers.clone());
        thread::spawn(move || runtime.block_on(accepting));
        Self { address: state.address, state, door, shared, workers }
    }

    /// Serves a stream until it ends, on whichever runtime this is polled.
    pub(crate) fn serve(&self, stream: Box<dyn Stream>) -> impl Future<Output = ()> + use<> {
        let (door, shared, state) = (self.door.clone(), self.shared.clone(), self.state.clone());
        async move { door.serve_stream(shared, state, ([127, 0, 0, 1], 9).into(), stream).await }
    }

    /// Waits until so many connections are open: none means that every failure gave its place back once.
    #[track_caller]
    pub(crate) fn wait_for_open(&self, count: usize) {
        let what = format!("{count} connections are open");
        wait_until(&what, DEADLINE, || self.state.open.load(Relaxed) == count);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        self.workers.stop(Duration::ZERO);
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        listener: ListenerSettings {
            connections_max: 100,
            connect_timeout: Duration::from_secs(20),
            ..ListenerSettings::default()
        },
        packet_bytes_max: PACKET_BYTES_MAX,
        session_expiry_max_secs: 3600,
        ..Settings::default()
    }
}

/// Settings with a connect timeout of their own.
pub(crate) fn with_timeout(connect_timeout: Duration) -> Settings {
    let settings = settings();
    Settings { listener: ListenerSettings { connect_timeout, ..settings.listener }, ..settings }
}
