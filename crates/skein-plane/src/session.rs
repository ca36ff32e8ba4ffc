//! A session: one client's subscriptions, queue and delivery state, and the connection it has at the moment.
//!
//! Everything about a session is under one lock, held for a few lines and never while a system call runs.
//! Each connection gets a new epoch; whoever comes with an older one is told that the session is no longer its
//! own and changes nothing (guarantee G4).

pub(crate) mod connection;
pub(crate) mod deliver;
mod effects;
mod inbound;
pub(crate) mod journal;
mod pending;
mod pump;
mod push;
mod subscriptions;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};
use skein_access::{BoundAccess, Verdict};
use skein_types::{ClientId, Moment, SessionKey, Stamp, SubscriptionFilter, Topic, UserName};

use self::subscriptions::Subscriptions;
pub use self::{
    connection::{Connection, ConnectionInfo, Flushed},
    effects::Effects,
};
pub(crate) use self::{inbound::Inbound, pending::PendingRetained, pump::Sources};
use crate::{
    delivery::{Delivery, QueueLimits, WindowLimits},
    subscription::SubscribeOptions,
    turn::Turn,
    will::Will,
};

/// A session that never expires (MQTT 5.0 section 3.1.2.11.2).
pub const EXPIRY_NEVER_SECS: u32 = u32::MAX;

/// Number of a connection within its session; a session's present connection has the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u32);

/// Bounds of a session, from the listener its client came through.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Bytes waiting for the connection; above, QoS 0 messages are dropped.
    pub outbox_bytes_max: usize,
    /// Messages and bytes waiting for their turn or for the client's return.
    pub queue: QueueLimits,
    /// A connection whose outbox is full and that takes nothing for this long is closed.
    pub slow_consumer_timeout: Duration,
    /// Subscriptions.
    pub subscriptions_max: usize,
    /// Bytes of memory that they take, about.
    pub subscriptions_bytes_max: usize,
}

impl SessionLimits {
    /// Above this many waiting bytes, publishers slow down.
    #[must_use]
    pub fn outbox_bytes_high(&self) -> usize {
        self.outbox_bytes_max / 4 * 3
    }

    /// Below this many, they go on.
    #[must_use]
    pub fn outbox_bytes_low(&self) -> usize {
        self.outbox_bytes_max / 2
    }
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    client_id: ClientId,
    /// Whose it is, for as long as it lives; nobody's is one user, too.
    owner: Option<UserName>,
    access: ArcSwapOption<BoundAccess>,
    /// Whether the session is on disk, for those who ask without the lock.
    durable: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// The session itself, for what outlives the lock.
    me: Weak<Session>,
    pub(crate) epoch: Epoch,
    pub(crate) connection: Option<Connection>,
    pub(crate) delivery: Delivery,
    pub(crate) inbound: Inbound,
    pub(crate) subscriptions: Subscriptions,
    /// Retained messages still to be sent for subscriptions made since the client connected. Boxed, because sessions get
    /// them once and seldom.
    pub(crate) retained: Option<Box<PendingRetained>>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) limits: Arc<SessionLimits>,
    /// Seconds the session outlives its connection.
    pub(crate) expiry_secs: u32,
    /// When the session ends, or its will is due, if the client stays away.
    pub(crate) expires_at: Option<Moment>,
    pub(crate) will_at: Option<Moment>,
    pub(crate) ended: bool,
    /// The claim of its last connection.
    pub(crate) claimed: Stamp,
    /// The claim by which its owner got the client id; none yet is before all others.
    pub(crate) owned_since: Stamp,
    /// What the session has to remember is on disk (docs/adr/0009).
    pub(crate) durable: bool,
    /// The last batch of one of its connections that recorded something of it.
    pub(crate) last_batch: Option<Arc<Turn>>,
}

/// A session as listings show it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Client id.
    pub client_id: ClientId,
    /// Whose session it is, if the client said so.
    pub user: Option<UserName>,
    /// Its connection, if it has one.
    pub connection: Option<ConnectionInfo>,
    /// What it subscribed to; empty in a summary.
    pub subscriptions: Vec<(SubscriptionFilter, SubscribeOptions)>,
    /// How many subscriptions it has.
    pub subscriptions_count: usize,
    /// Messages sent and not acknowledged.
    pub in_flight: usize,
    /// Messages waiting.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Bytes waiting for the connection.
    pub outbox_bytes: usize,
    /// Seconds it outlives its connection.
    pub expiry_secs: u32,
    /// Whether it is on disk and outlives the node.
    pub durable: bool,
}

/// What waits for clients, of one session or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLoad {
    /// Messages waiting for their turn or for the client's return.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Bytes waiting for connections.
    pub outbox_bytes: usize,
    /// The largest number of bytes waiting for one connection.
    pub outbox_bytes_max: usize,
}

impl SessionLoad {
    /// This load and another one together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            queued_messages: self.queued_messages + other.queued_messages,
            queued_bytes: self.queued_bytes + other.queued_bytes,
            outbox_bytes: self.outbox_bytes + other.outbox_bytes,
            outbox_bytes_max: self.outbox_bytes_max.max(other.outbox_bytes_max),
        }
    }
}

impl Session {
    pub(crate) fn new(
        key: SessionKey,
        client_id: ClientId,
        owner: Option<UserName>,
        limits: Arc<SessionLimits>,
    ) -> Arc<Self> {
        let state = |me: &Weak<Self>| State {
            me: me.clone(),
            epoch: Epoch(0),
            connection: None,
            delivery: Delivery::default(),
            inbound: Inbound::default(),
            subscriptions: Subscriptions::default(),
            retained: None,
            will: None,
            limits,
            expiry_secs: 0,
            expires_at: None,
            will_at: None,
            ended: false,
            claimed: Stamp::default(),
            owned_since: Stamp::default(),
            durable: false,
            last_batch: None,
        };
        Arc::new_cyclic(|me| Self {
            key,
            client_id,
            owner,
            access: ArcSwapOption::empty(),
            durable: AtomicBool::new(false),
            state: Mutex::new(state(me)),
        })
    }

    /// The session's number.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The client's name.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Whose session it is; none is anonymous clients, who are one user. Only its owner may resume or replace it.
    #[must_use]
    pub fn owner(&self) -> Option<&UserName> {
        self.owner.as_ref()
    }

    /// Whether access rules let this session receive from `topic`; asked only where a subscription is partly allowed.
    #[must_use]
    pub fn may_receive(&self, topic: &Topic) -> bool {
        self.access.load().as_ref().is_none_or(|access| access.check_receive(topic) == Verdict::Allow)
    }

    pub(crate) fn bind(&self, access: Option<Arc<BoundAccess>>) {
        self.access.store(access);
    }

    /// The rules that hold for this session's client.
    #[must_use]
    pub fn access(&self) -> Option<Arc<BoundAccess>> {
        self.access.load_full()
    }

    /// Whether what the session has to remember is on disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable.load(Relaxed)
    }

    pub(crate) fn set_durable(&self, state: &mut State, durable: bool) {
        state.durable = durable;
        self.durable.store(durable, Relaxed);
    }

    /// Whether a client is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.lock().connection.is_some()
    }

    /// What waits for the client.
    #[must_use]
    pub fn load(&self) -> SessionLoad {
        let state = self.state.lock();
        let (queued_messages, queued_bytes) = state.delivery.queued();
        let outbox_bytes = state.outbox_bytes();
        SessionLoad { queued_messages, queued_bytes, outbox_bytes, outbox_bytes_max: outbox_bytes }
    }

    /// Messages sent to the client and not acknowledged by it.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.lock().delivery.in_flight()
    }

    /// What listings show.
    #[must_use]
    pub fn info(&self) -> SessionInfo {
        let state = self.state.lock();
        SessionInfo { subscriptions: state.subscriptions.to_vec(), ..self.summarise(&state) }
    }

    /// What listings of many sessions show: everything but the subscriptions themselves.
    #[must_use]
    pub fn summary(&self) -> SessionInfo {
        self.summarise(&self.state.lock())
    }

    fn summarise(&self, state: &State) -> SessionInfo {
        let (queued_messages, queued_bytes) = state.delivery.queued();
        SessionInfo {
            client_id: self.client_id.clone(),
            user: self.owner.clone(),
            connection: state.connection.as_ref().map(|connection| connection.info.clone()),
            subscriptions: Vec::new(),
            subscriptions_count: state.subscriptions.len(),
            in_flight: state.delivery.in_flight(),
            queued_messages,
            queued_bytes,
            outbox_bytes: state.outbox_bytes(),
            expiry_secs: state.expiry_secs,
            durable: state.durable,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The state, if the connection of `epoch` still owns it.
    pub(crate) fn lock_as(&self, epoch: Epoch) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        (state.epoch == epoch && state.connection.is_some()).then_some(state)
    }
}

impl Epoch {
    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl State {
    /// The session, for what outlives the lock.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.me.upgrade()
    }

    /// Whether the session outlives its connection.
    pub(crate) fn is_persistent(&self) -> bool {
        self.expiry_secs > 0
    }

    fn outbox_bytes(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| connection.outbox.len())
    }

    pub(crate) fn connected(&mut self, connection: Connection, window: WindowLimits) -> Epoch {
        self.epoch = self.epoch.next();
        self.delivery.connected(window);
        self.connection = Some(connection);
        self.expires_at = None;
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection costs little more than its session. The allocator has blocks of 640 bytes, of which it uses up to
    /// seven for the alignment, and the next larger ones have 768; two counts come to what is shared.
    #[test]
    fn a_session_fits_the_allocators_block() {
        assert!(size_of::<Session>() + 16 + 7 <= 640, "{}", size_of::<Session>());
    }
}
