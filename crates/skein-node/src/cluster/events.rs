//! Who is told of nodes that come and go: the log, the `$SYS` topics, the program that embeds the node, webhooks.
//!
//! The cluster tells of each change once, on a thread that must not wait; here it goes through a bounded queue to a thread of
//! its own, in order.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::SystemTime,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use skein_cluster::{Cluster, Gone, NodeInfo, NodeState, Notification};
use skein_door::Clock;
use skein_plane::{Batch, Plane, Published, Publisher};
use skein_types::{Incarnation, Message, QoS, SessionKey, Topic};

use super::{incarnation, webhook::Webhooks};

/// Changes that wait; a cluster of hundreds of nodes that all change at once fits.
const QUEUE_MAX: usize = 1024;

/// What an embedder is told of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// What happened: `up`, `leaving` or `down`.
    pub event: &'static str,
    /// How a node that is down went: `left`, `failed` or `restarted`.
    pub reason: Option<&'static str>,
    /// The node's number.
    pub node_id: u16,
    /// Its name.
    pub name: String,
    /// Where other nodes reach it.
    pub address: String,
    /// Which life of it.
    pub incarnation: u64,
}

/// Is called with each change.
pub(crate) type Callback = Box<dyn Fn(&ClusterEvent) + Send + Sync>;

/// Takes changes and hands them on.
pub(crate) struct Events {
    queue: SyncSender<Notification>,
    callbacks: Arc<Mutex<Vec<Callback>>>,
    pub(crate) webhooks: Arc<Webhooks>,
}

/// What the thread works with.
struct Teller {
    plane: Arc<Plane>,
    clock: Clock,
    cluster: Arc<Cluster>,
    callbacks: Arc<Mutex<Vec<Callback>>>,
    webhooks: Arc<Webhooks>,
    publisher: Publisher,
    batch: Batch,
    /// Where the number of the node's life is kept, and the number that is there.
    data_dir: PathBuf,
    kept: Incarnation,
}

impl Events {
    /// Starts the thread; it ends with the value.
    pub(crate) fn start(
        plane: Arc<Plane>,
        clock: Clock,
        cluster: Arc<Cluster>,
        data_dir: PathBuf,
    ) -> std::io::Result<Arc<Self>> {
        let (queue, changes) = sync_channel(QUEUE_MAX);
        let callbacks = Arc::<Mutex<Vec<Callback>>>::default();
        let webhooks = Arc::<Webhooks>::default();
        let mut teller = Teller {
            plane,
            clock,
            kept: cluster.me().incarnation,
            cluster,
            callbacks: callbacks.clone(),
            webhooks: webhooks.clone(),
            publisher: Publisher::new(SessionKey::default(), None),
            batch: Batch::default(),
            data_dir,
        };
        teller.publish_state(&teller.cluster.me().clone(), NodeState::Up);
        std::thread::Builder::new().name("cluster-events".to_owned()).spawn(move || teller.run(&changes))?;
        Ok(Arc::new(Self { queue, callbacks, webhooks }))
    }

    /// Takes a change; never waits.
    pub(crate) fn observe(&self, change: &Notification) {
        match self.queue.try_send(change.clone()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(change)) => {
                tracing::error!(?change, "cluster: too many changes at once; this one is not announced");
            }
        }
    }

    pub(crate) fn add_callback(&self, callback: Callback) {
        self.callbacks.lock().push(callback);
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("webhooks", &self.webhooks).finish_non_exhaustive()
    }
}

impl Teller {
    fn run(&mut self, changes: &Receiver<Notification>) {
        while let Ok(change) = changes.recv() {
            self.tell(&change);
        }
    }

    fn tell(&mut self, change: &Notification) {
        let event = ClusterEvent::of(change);
        log(&event);
        let (info, state) = match change {
            Notification::Up(info) => (info, NodeState::Up),
            Notification::Leaving(info) => (info, NodeState::Leaving),
            Notification::Down(info, _) => (info, NodeState::Down),
        };
        // The next life of a node that is there again is told of by its own event.
        self.publish_state(info, state);
        let body = event.to_json(&self.cluster.me());
        self.publish("$SYS/cluster/events", &body, false);
        for callback in self.callbacks.lock().iter() {
            callback(&event);
        }
        self.webhooks.tell(&Arc::from(body.to_string()));
        self.keep_incarnation();
    }

    /// A node that was given up begins another life while it runs.
    fn keep_incarnation(&mut self) {
        let now = self.cluster.me().incarnation;
        if now > self.kept {
            match incarnation::keep(&self.data_dir, now) {
                Ok(()) => self.kept = now,
                Err(error) => tracing::warn!(%error, "cluster: the node's incarnation cannot be stored"),
            }
        }
    }

    fn publish_state(&mut self, info: &NodeInfo, state: NodeState) {
        let body = json!({
            "node_id": info.id.0,
            "name": &*info.name,
            "address": info.advertise.to_string(),
            "qrank": info.qrank,
            "incarnation": info.incarnation.0,
            "state": state.word(),
            "at_ms": unix_millis(),
        });
        self.publish(&format!("$SYS/cluster/nodes/{}", info.id), &body, true);
    }

    fn publish(&mut self, topic: &str, body: &Value, retain: bool) {
        let Ok(topic) = Topic::try_from(topic) else { return };
        let mut message = Message::new(topic, Bytes::from(body.to_string()), QoS::AtMostOnce);
        message.retain = retain;
        let now = self.clock.now();
        match self.plane.publish(&mut self.publisher, &mut self.batch, message, now) {
            Published::Matched | Published::Unmatched => {}
            Published::Denied | Published::Refused => {
                debug_assert!(false, "the node itself may publish what it knows");
            }
        }
        self.plane.finish_unattended(&mut self.batch, now);
    }
}

impl ClusterEvent {
    fn of(change: &Notification) -> Self {
        let (event, reason, info) = match change {
            Notification::Up(info) => ("up", None, info),
            Notification::Leaving(info) => ("leaving", None, info),
            Notification::Down(info, Gone::Left) => ("down", Some("left"), info),
            Notification::Down(info, Gone::Failed) => ("down", Some("failed"), info),
            Notification::Down(info, Gone::Restarted) => ("down", Some("restarted"), info),
        };
        Self {
            event,
            reason,
            node_id: info.id.0,
            name: info.name.to_string(),
            address: info.advertise.to_string(),
            incarnation: info.incarnation.0,
        }
    }

    fn to_json(&self, seen_by: &NodeInfo) -> Value {
        json!({
            "event": self.event,
            "reason": self.reason,
            "node_id": self.node_id,
            "name": self.name,
            "address": self.address,
            "incarnation": self.incarnation,
            "seen_by": seen_by.id.0,
            "at_ms": unix_millis(),
        })
    }
}

fn log(event: &ClusterEvent) {
    let ClusterEvent { event, reason, node_id, name, address, .. } = event;
    match (*event, *reason) {
        ("down", Some(reason @ "failed")) => {
            tracing::warn!(node = node_id, name, address, reason, "cluster: node {node_id} is down");
        }
        (word, reason) => {
            tracing::info!(node = node_id, name, address, reason, "cluster: node {node_id} is {word}");
        }
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
