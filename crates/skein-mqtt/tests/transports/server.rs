//! A server with one listener on an ephemeral port.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use skein_access::{Access, AccessList, Anonymous};
use skein_mqtt::{Clock, Listener, ListenerState, Settings, Shared, Transport, Workers};
use skein_plane::{Plane, PlaneLimits};
use skein_testkit::{DEADLINE, wait_until};

pub(crate) const PACKET_BYTES_MAX: u32 = 256 * 1024;

/// A running server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<ListenerState>,
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
        let plane = Arc::new(Plane::new(access, PlaneLimits { retained_messages_max: 1000 }));
        let shared = Shared::new(plane, Clock::start(), 2);
        let workers = Workers::start(2, &shared).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _entered = runtime.enter();
            Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), transport, settings).unwrap()
        };
        let state = listener.state().clone();
        let accepting = listener.run(shared.clone(), workers.clone());
        thread::spawn(move || runtime.block_on(accepting));
        Self { address: state.address, state, shared, workers }
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
        self.workers.stop();
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        connections_max: 100,
        connect_timeout: Duration::from_secs(20),
        packet_bytes_max: PACKET_BYTES_MAX,
        session_expiry_max_secs: 3600,
        ..Settings::default()
    }
}
