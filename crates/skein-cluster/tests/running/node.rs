//! A node with a plane that only writes down what it is told.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use skein_cluster::{
    Change, Cluster, Completion, EncodedRun, ForwardedRun, Gone, GossipSettings, Handled, Host, Inbound, Key,
    Lane, LinkSettings, NodeInfo, Notification, Peer, RunEncoder, Secret, Settings, Value, shell::Running,
};
use skein_types::{ByteString, Incarnation, Message, Moment, NodeId, QoS, Topic};

pub(crate) struct Node {
    pub(crate) running: Running,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) host: Arc<Notes>,
    pub(crate) notifications: Arc<Mutex<Vec<Notification>>>,
    fails: Arc<Mutex<Option<&'static str>>>,
}

impl Node {
    /// `advertise` is where it is reached, if that is not where it listens.
    pub(crate) fn start(
        id: u16,
        listen: SocketAddr,
        advertise: Option<SocketAddr>,
        secret: Option<&str>,
    ) -> Self {
        let cluster = Cluster::new(NodeInfo {
            id: NodeId(id),
            incarnation: Incarnation(1),
            name: format!("node{id}").into(),
            advertise: advertise.unwrap_or(listen),
            qrank: 1,
            server_reference: None,
        });
        let settings = Settings {
            listen,
            secret: secret.map(|secret| Secret(secret.to_owned())),
            gossip: GossipSettings::default(),
            link: LinkSettings::default(),
        };
        let host = Arc::new(Notes::default());
        let notifications = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let fails = Arc::<Mutex<Option<&'static str>>>::default();
        let failing = fails.clone();
        let clock = move || {
            let thread = std::thread::current();
            assert!(thread.name() != *failing.lock(), "a test lets this thread fail");
            Moment::ZERO.after(began.elapsed())
        };
        let told = notifications.clone();
        let observer = Arc::new(move |notification: &Notification| told.lock().push(notification.clone()));
        let running = Running::start(&settings, cluster.clone(), host.clone(), clock, observer).unwrap();
        Self { running, cluster, host, notifications, fails }
    }

    /// Lets the thread of this name panic when it next asks for the time.
    pub(crate) fn fail(&self, thread: &'static str) {
        *self.fails.lock() = Some(thread);
    }

    pub(crate) fn id(&self) -> NodeId {
        self.cluster.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// How many notifications there were of a node that is up.
    pub(crate) fn ups(&self) -> usize {
        self.notifications.lock().iter().filter(|told| matches!(told, Notification::Up(_))).count()
    }

    pub(crate) fn has_notified(&self, which: &dyn Fn(&Notification) -> bool) -> bool {
        self.notifications.lock().iter().any(which)
    }
}

/// A run of one message whose payload is `text`.
pub(crate) fn run(text: &str, kept: bool) -> EncodedRun {
    let qos = if kept { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let topic = Topic::new(ByteString::from_static("a/topic")).unwrap();
    let message = Message::new(topic, Bytes::copy_from_slice(text.as_bytes()), qos);
    let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
    encoder.push(&message);
    encoder.finish()
}

#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) applied: Mutex<BTreeMap<(NodeId, Key), Value>>,
    messages: Arc<Mutex<Vec<(NodeId, String)>>>,
    /// Lane, kind and length of what was told.
    pub(crate) told: Mutex<Vec<(Lane, u8, usize)>>,
}

impl Notes {
    /// The payloads that came from a node, in order.
    pub(crate) fn messages_from(&self, from: NodeId) -> Vec<String> {
        let messages = self.messages.lock();
        messages.iter().filter(|(node, _)| *node == from).map(|(_, text)| text.clone()).collect()
    }
}

impl Host for Notes {
    fn node_up(&self, _: &Arc<Peer>, _: Moment) {}

    fn node_gone(&self, peer: &Arc<Peer>, _: Gone, _: Moment) {
        self.applied.lock().retain(|(node, _), _| *node != peer.id());
    }

    fn apply(&self, from: &Arc<Peer>, changes: &[Change], _: Moment) {
        let mut applied = self.applied.lock();
        for Change { key, value } in changes {
            let key = (from.id(), key.clone());
            match value.clone() {
                Some(value) => _ = applied.insert(key, value),
                None => _ = applied.remove(&key),
            }
        }
    }

    fn received(&self, _: &Arc<Peer>, lane: Lane, kind: u8, body: Bytes, _: Moment) {
        self.told.lock().push((lane, kind, body.len()));
    }

    fn inbound(&self, from: &Arc<Peer>) -> Box<dyn Inbound> {
        Box::new(Incoming { from: from.id(), messages: self.messages.clone(), batches: 0 })
    }
}

#[derive(Debug)]
struct Incoming {
    from: NodeId,
    messages: Arc<Mutex<Vec<(NodeId, String)>>>,
    batches: u32,
}

impl Inbound for Incoming {
    fn run(&mut self, run: ForwardedRun, _: Moment) {
        let texts = run.messages.iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap());
        self.messages.lock().extend(texts.map(|text| (self.from, text)));
    }

    fn finish(&mut self, now: Moment) -> Handled {
        self.batches += 1;
        // Sometimes at once, sometimes later; now and then clients do not keep up.
        let kept =
            (!self.batches.is_multiple_of(3)).then(|| Later::boxed(now.after(Duration::from_millis(2))));
        let congestion =
            self.batches.is_multiple_of(50).then(|| Later::boxed(now.after(Duration::from_millis(20))));
        Handled { kept, congestion }
    }
}

/// Done at a moment.
#[derive(Debug)]
struct Later {
    at: Moment,
    waits: bool,
}

impl Later {
    fn boxed(at: Moment) -> Box<dyn Completion> {
        Box::new(Self { at, waits: false })
    }
}

impl Completion for Later {
    fn poll_done(&mut self, waker: &Waker, now: Moment) -> bool {
        if now >= self.at {
            return true;
        }
        if !std::mem::replace(&mut self.waits, true) {
            let (waker, delay) = (waker.clone(), self.at.since(now));
            std::thread::spawn(move || {
                let until = Instant::now() + delay + Duration::from_millis(1);
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    std::thread::park_timeout(left);
                }
                waker.wake();
            });
        }
        false
    }
}
