//! Emptying a node: no new clients, those that are there are sent to other nodes at a limited rate, then it leaves.
//!
//! Begun by an operator over HTTP. It never cuts off a message that is in hand: a connection goes when everything it has
//! received is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use skein_cluster::{Cluster, NodeState};
use skein_door::Redirect;
use skein_http::{Readiness, ReadinessSwitch};
use skein_plane::Plane;

/// How long clients have to go once all were asked.
const LAST_CLIENTS: Duration = Duration::from_secs(10);
/// Clients are sent away in steps of this length.
const STEP: Duration = Duration::from_millis(20);

/// Why a node ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An operator asked for it, and all clients are gone.
    Drained,
    /// It has no part in its cluster any more, for this reason: the other nodes do not take it, or that part of it has failed.
    WithoutCluster(String),
}

/// Is called once, when the node is to be stopped.
pub(crate) type OnEnd = Box<dyn FnOnce(Ended) + Send>;

/// Empties the node, once.
pub(crate) struct Drain {
    pub(crate) plane: Arc<Plane>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) redirect: Arc<Redirect>,
    pub(crate) readiness: Arc<ReadinessSwitch>,
    /// Says to the other nodes that this one takes no new clients.
    pub(crate) announce: Box<dyn Fn() + Send + Sync>,
    begun: AtomicBool,
    end: Mutex<End>,
}

enum End {
    Not(Option<OnEnd>),
    Reached(Ended),
}

impl Drain {
    /// What empties the node that these are of.
    pub(crate) fn new(
        plane: Arc<Plane>,
        cluster: Arc<Cluster>,
        redirect: Arc<Redirect>,
        readiness: Arc<ReadinessSwitch>,
        announce: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let (begun, end) = (AtomicBool::new(false), Mutex::new(End::Not(None)));
        Arc::new(Self { plane, cluster, redirect, readiness, announce, begun, end })
    }

    /// Begins; a second time changes nothing.
    pub(crate) fn begin(self: &Arc<Self>, rate_per_sec: u32) {
        if self.begun.swap(true, Relaxed) {
            return;
        }
        // From here on, before whoever asked is answered, nobody new comes in.
        self.readiness.set(Readiness::Draining);
        (self.announce)();
        let references = self.references();
        self.redirect.begin(&references);
        let clients = self.plane.sessions().connected();
        tracing::info!(clients, rate_per_sec, to = ?references, "node: draining");
        let own = self.clone();
        let spawned =
            std::thread::Builder::new().name("drain".to_owned()).spawn(move || own.run(rate_per_sec.max(1)));
        if let Err(error) = spawned {
            tracing::error!(%error, "node: cannot start the thread that drains; try again");
            self.redirect.end();
            self.readiness.set(Readiness::Ready);
            self.begun.store(false, Relaxed);
        }
    }

    /// Calls `tell` when the node is to be stopped, also when that has been so already.
    pub(crate) fn on_end(&self, tell: OnEnd) {
        let reached = match &mut *self.end.lock() {
            End::Not(waiting) => {
                *waiting = Some(tell);
                return;
            }
            End::Reached(ended) => ended.clone(),
        };
        tell(reached);
    }

    /// The node is to be stopped.
    pub(crate) fn end(&self, ended: Ended) {
        let before = std::mem::replace(&mut *self.end.lock(), End::Reached(ended.clone()));
        if let End::Not(Some(tell)) = before {
            tell(ended);
        }
    }

    fn run(&self, rate_per_sec: u32) {
        self.send_away(rate_per_sec);
        let deadline = Instant::now() + LAST_CLIENTS;
        while self.plane.sessions().connected() > 0 && Instant::now() < deadline {
            std::thread::park_timeout(STEP);
        }
        tracing::info!(left = self.plane.sessions().connected(), "node: drained");
        self.end(Ended::Drained);
    }

    /// Where clients reach the nodes that stay.
    fn references(&self) -> Vec<Arc<str>> {
        let me = self.cluster.id();
        let nodes = self.cluster.nodes().into_iter();
        let stay = nodes.filter(|node| node.state == NodeState::Up && node.info.id != me);
        stay.filter_map(|node| node.info.server_reference).collect()
    }

    fn send_away(&self, rate_per_sec: u32) {
        let code = self.redirect.farewell();
        let started = Instant::now();
        let mut asked: u64 = 0;
        for session in self.plane.sessions().all() {
            if !session.ask_to_leave(code) {
                continue;
            }
            asked += 1;
            // As many as fit into the time that has passed, and one step's worth more.
            let due = Duration::from_millis(asked.saturating_mul(1000) / u64::from(rate_per_sec));
            while started.elapsed() + STEP < due {
                std::thread::park_timeout(STEP);
            }
        }
        // Whoever was about to come in when the list was made.
        for session in self.plane.sessions().all() {
            session.ask_to_leave(code);
        }
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("begun", &self.begun).finish_non_exhaustive()
    }
}
