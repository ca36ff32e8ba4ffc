//! What the HTTP door is made of, and what the node tells it about itself.
//!
//! Nothing here does IO; `serve.rs` does.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use skein_access::{OperatorToken, PasswordGate};
use skein_door::ListenerState;
use skein_plane::Plane;
use skein_types::{LogLimit, Moment};
use tokio::sync::Semaphore;

use crate::{cluster_view::ClusterView, timestamp::rfc3339};

/// The door's word in logs, listings and the configuration.
pub(crate) const NAME: &str = "http";

/// Password checks at once. Each takes a core for tens of milliseconds and 19 MiB, and operators are few.
const PASSWORD_CHECKS_MAX: usize = 2;
/// Lines in the log about refused requests in ten seconds.
const REFUSALS_MAX: u32 = 20;
/// Requests at once that look at every session. One after the other, so that listings never take more than one core
/// from the doors that carry messages.
const WALKS_MAX: usize = 1;
/// Changes of users and rules at once: they come one after the other anyhow, and one may wait for the disk.
const ACCESS_CHANGES_MAX: usize = 1;

/// Tells the node's time; the same clock that the other doors drive the plane with.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// Tells how the listeners of all doors stand.
pub type Listeners = Arc<dyn Fn() -> Vec<ListenerFigures> + Send + Sync>;

/// What the node says of itself.
#[derive(Clone)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u16,
    /// The version of the program.
    pub version: String,
    /// The wall-clock time at [`Moment::ZERO`].
    pub started_at: SystemTime,
    /// The node's clock.
    pub clock: Clock,
    /// Its cluster.
    pub cluster: Arc<dyn ClusterView>,
}

/// One listener of any door, at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFigures {
    /// Its name.
    pub name: String,
    /// What its connections speak below their protocol: `tcp`, `tls`, `ws`, `http`, `https`.
    pub transport: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections turned away because there were too many.
    pub refused: u64,
}

/// Whether the node takes clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// It is not there yet.
    Starting,
    /// It does.
    Ready,
    /// It is going away.
    Draining,
    /// It looks for the other nodes of its cluster.
    Joining,
}

/// The node's readiness, set by the node and shown by the door. A new one is starting.
#[derive(Debug, Default)]
pub struct ReadinessSwitch(AtomicU8);

/// Bounds of the door.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Bytes of a request's first line and headers; at least 8 KiB, which hyper asks for.
    pub header_bytes_max: usize,
    /// How long a request's head may take, the wait for it on an idle connection included.
    pub header_timeout: Duration,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// After this time a connection is closed at its next pause, so that a peer that reads nothing cannot keep it.
    pub connection_lifetime: Duration,
    /// How long a connection that is to close may take over the request under way.
    pub close_timeout: Duration,
    /// What an operator on this machine shows instead of a user's password.
    pub operator_token: Option<OperatorToken>,
}

/// What every request of the door sees.
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) node: NodeInfo,
    pub(crate) settings: HttpSettings,
    pub(crate) readiness: Arc<ReadinessSwitch>,
    pub(crate) passwords: Arc<PasswordGate>,
    /// Lines about requests that were refused.
    pub(crate) refusals: Mutex<LogLimit>,
    pub(crate) walks: Arc<Semaphore>,
    pub(crate) access_changes: Arc<Semaphore>,
    listeners: Listeners,
}

impl Shared {
    pub(crate) fn new(
        plane: Arc<Plane>,
        node: NodeInfo,
        listeners: Listeners,
        readiness: Arc<ReadinessSwitch>,
        settings: HttpSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            passwords: PasswordGate::new(plane.access().clone(), PASSWORD_CHECKS_MAX),
            plane,
            node,
            settings,
            readiness,
            refusals: Mutex::new(LogLimit::new(REFUSALS_MAX)),
            walks: Arc::new(Semaphore::new(WALKS_MAX)),
            access_changes: Arc::new(Semaphore::new(ACCESS_CHANGES_MAX)),
            listeners,
        })
    }

    pub(crate) fn log_left_out(&self) {
        let left_out = self.refusals.lock().left_out(self.now());
        if let Some(left_out) = left_out {
            tracing::info!("http: requests refused: {left_out}");
        }
    }

    /// Whether one more refusal of a client at `peer` is written.
    pub(crate) fn logs_refusal(&self, peer: Option<SocketAddr>) -> bool {
        self.log_left_out();
        peer.is_none_or(|peer| self.refusals.lock().admits(peer.ip(), self.now()))
    }

    pub(crate) fn now(&self) -> Moment {
        (self.node.clock)()
    }

    /// The wall-clock time of a moment. A clock that was set since the node started does not change it.
    pub(crate) fn wall_time(&self, moment: Moment) -> SystemTime {
        self.node.started_at.checked_add(moment.since(Moment::ZERO)).unwrap_or(self.node.started_at)
    }

    /// The wall-clock time of a moment as text; none of one that never comes.
    pub(crate) fn wall_text(&self, moment: Moment) -> Option<String> {
        (moment != Moment::NEVER).then(|| rfc3339(self.wall_time(moment)))
    }

    /// Every listener of the node.
    pub(crate) fn listeners(&self) -> Vec<ListenerFigures> {
        (self.listeners)()
    }
}

impl ListenerFigures {
    /// How a listener stands at the moment.
    #[must_use]
    pub fn of(state: &ListenerState) -> Self {
        Self {
            name: state.settings.load().name.to_string(),
            transport: transport_word(state).to_owned(),
            address: state.address,
            open: state.open.load(Relaxed) as u64,
            accepted: state.accepted.load(Relaxed),
            refused: state.refused.load(Relaxed),
        }
    }
}

/// What a listener's connections speak, as listings call it: for the HTTP door `http` or `https`.
#[must_use]
pub fn transport_word(state: &ListenerState) -> &'static str {
    match (state.door, state.transport) {
        (NAME, "tls") => "https",
        (NAME, _) => "http",
        (_, transport) => transport,
    }
}

impl Readiness {
    /// The readiness as answers show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Joining => "joining",
        }
    }
}

impl ReadinessSwitch {
    /// Sets the readiness.
    pub fn set(&self, readiness: Readiness) {
        self.0.store(readiness as u8, Relaxed);
    }

    /// The readiness now.
    #[must_use]
    pub fn get(&self) -> Readiness {
        match self.0.load(Relaxed) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            2 => Readiness::Draining,
            _ => Readiness::Joining,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            header_bytes_max: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            body_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(300),
            close_timeout: Duration::from_secs(5),
            operator_token: None,
        }
    }
}

impl fmt::Debug for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeInfo").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish_non_exhaustive()
    }
}
