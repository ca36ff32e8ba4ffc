//! What to run: the workload, its sizes and the server's address.
//!
//! [`Config::check`] finds every setting that cannot work before a socket is opened; the engine trusts the
//! values afterwards. The command line and the comparison runner build it.

use std::{net::SocketAddr, time::Duration};

use crate::{BenchError, Protocol, Qos};

/// Payload bytes that carry the sequence number and the send time.
pub const PAYLOAD_BYTES_MIN: usize = 16;
/// Bytes of a payload a run may use: one packet stays far below the protocol's limit.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Connections one client id of a storm has at most: two attempts, each with the connection it made before.
const STORM_CONNECTIONS_MAX: usize = 4;

/// The shape of the traffic.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Publishers that each have one subscriber of their own.
    Pairs {
        /// How many pairs.
        pairs: usize,
    },
    /// One publisher, every subscriber gets every message.
    Fanout {
        /// How many subscribers.
        subscribers: usize,
    },
    /// Many publishers, one subscriber gets all.
    Fanin {
        /// How many publishers.
        publishers: usize,
    },
    /// Many publishers, the members of one shared group divide the messages.
    Shared {
        /// How many publishers.
        publishers: usize,
        /// How many members.
        members: usize,
    },
    /// Connections that subscribe and stay silent.
    Idle {
        /// How many connections.
        connections: usize,
    },
    /// Retained messages, delivered to one new wildcard subscriber after the other.
    Retained {
        /// How many retained messages, each on its own topic.
        messages: u64,
        /// How many subscribers, one after the other.
        subscribers: usize,
    },
    /// Pairs at a fixed total rate.
    Paced {
        /// How many pairs.
        pairs: usize,
        /// Messages per second over all pairs.
        rate: u64,
    },
    /// Pairs whose publishers and subscribers are on different nodes of a cluster.
    Cross {
        /// How many pairs.
        pairs: usize,
        /// How many of the nodes, from the first, have the publishers; the others have the subscribers.
        publisher_nodes: usize,
    },
    /// A fresh subscription on one node, and at once after its acknowledgement a publication on another.
    Visible {
        /// How many times.
        times: u64,
        /// How many at the same time, each on two connections of its own.
        parallel: usize,
    },
    /// A client connects to one node while the same client id is connected to another.
    Takeover {
        /// How many times.
        times: u64,
        /// How many client ids at the same time.
        parallel: usize,
        /// What the choice of the nodes comes from.
        seed: u64,
    },
    /// Many client ids, each connecting again and again to any node, two attempts at a time.
    Storm {
        /// How many client ids.
        clients: usize,
        /// What the choice of the nodes comes from.
        seed: u64,
    },
}

impl Workload {
    /// The name in reports and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pairs { .. } => "pairs",
            Self::Fanout { .. } => "fanout",
            Self::Fanin { .. } => "fanin",
            Self::Shared { .. } => "shared",
            Self::Idle { .. } => "idle",
            Self::Retained { .. } => "retained",
            Self::Paced { .. } => "paced",
            Self::Cross { .. } => "cross",
            Self::Visible { .. } => "visible",
            Self::Takeover { .. } => "takeover",
            Self::Storm { .. } => "storm",
        }
    }

    /// Messages in flight per publisher when the user names no window.
    ///
    /// A window is what keeps the server's queues and this program's memory bounded. One publication of
    /// fanout counts as in flight until its last subscriber has it.
    pub fn window_default(&self) -> u64 {
        match self {
            Self::Fanout { .. } => 32,
            Self::Paced { .. } => 1000,
            _ => 100,
        }
    }

    fn connections(&self) -> usize {
        match *self {
            Self::Pairs { pairs } | Self::Paced { pairs, .. } | Self::Cross { pairs, .. } => {
                pairs.saturating_mul(2)
            }
            Self::Visible { parallel, .. } | Self::Takeover { parallel, .. } => parallel.saturating_mul(2),
            Self::Storm { clients, .. } => clients.saturating_mul(STORM_CONNECTIONS_MAX),
            Self::Fanout { subscribers: others }
            | Self::Fanin { publishers: others }
            | Self::Retained { subscribers: others, .. } => others.saturating_add(1),
            Self::Shared { publishers, members } => publishers.saturating_add(members),
            Self::Idle { connections } => connections,
        }
    }
}

/// When a run has enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// After this many publications in total, divided evenly over the publishers.
    Messages(u64),
    /// After this time.
    Time(Duration),
}

/// Everything a run needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The traffic.
    pub workload: Workload,
    /// The server, or the first node of a cluster.
    pub address: SocketAddr,
    /// The further nodes of a cluster, for the workloads that use several.
    pub more_addresses: Vec<SocketAddr>,
    /// The protocol version.
    pub protocol: Protocol,
    /// Quality of service of publications and subscriptions.
    pub qos: Qos,
    /// Bytes of each payload, at least [`PAYLOAD_BYTES_MIN`].
    pub payload_bytes: usize,
    /// When it is enough.
    pub length: Length,
    /// Traffic before the figures count.
    pub warmup: Duration,
    /// Messages of one publisher that may be published and not delivered yet; 1 is ping style. `None` takes
    /// [`Workload::window_default`].
    pub window: Option<u64>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Whether sessions outlive their connections, so that the server has to keep what waits for them.
    pub durable: bool,
    /// Process ids of the server or of all nodes, for their processor time and memory together.
    pub server_pids: Vec<u32>,
    /// Start of every client id and topic. `None` makes one that no other run has.
    pub client_id_prefix: Option<String>,
    /// A run that sees no delivery for this long ends, and what is missing counts as lost.
    pub quiet: Duration,
    /// The keep alive asked for; connections are pinged at half of it.
    pub keep_alive_seconds: u16,
    /// Whether a progress line is drawn on stderr.
    pub progress: bool,
}

impl Config {
    /// A configuration with the defaults of the command line.
    pub fn new(workload: Workload, address: SocketAddr) -> Self {
        Self {
            workload,
            address,
            more_addresses: Vec::new(),
            protocol: Protocol::V3,
            qos: Qos::AtMostOnce,
            payload_bytes: PAYLOAD_BYTES_MIN,
            length: Length::Time(Duration::from_secs(5)),
            warmup: Duration::from_millis(500),
            window: None,
            user: None,
            password: None,
            durable: false,
            server_pids: Vec::new(),
            client_id_prefix: None,
            quiet: Duration::from_secs(5),
            keep_alive_seconds: 3600,
            progress: false,
        }
    }

    /// The window this run uses.
    pub fn window(&self) -> u64 {
        self.window.unwrap_or_else(|| self.workload.window_default())
    }

    /// Number of nodes the run may connect to.
    pub(crate) fn nodes(&self) -> usize {
        self.more_addresses.len() + 1
    }

    /// The address of a node; the first one is number 0.
    pub(crate) fn node_address(&self, node: usize) -> SocketAddr {
        let more = node.checked_sub(1).and_then(|node| self.more_addresses.get(node));
        more.copied().unwrap_or(self.address)
    }

    /// Finds the first setting that cannot work.
    ///
    /// # Errors
    /// [`BenchError::Setting`] with the option's name and what would do.
    pub fn check(&self) -> Result<(), BenchError> {
        let payload = self.payload_bytes;
        if !(PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&payload) {
            let reason = format!("a payload has {PAYLOAD_BYTES_MIN} to {PAYLOAD_BYTES_MAX} bytes");
            return Err(setting("--payload", payload, reason));
        }
        let window = self.window();
        if !(1..=1_000_000).contains(&window) {
            return Err(setting("--window", window, "a window has 1 to 1 000 000 messages".to_owned()));
        }
        if self.workload.connections() == 0 || self.sizes().contains(&0) {
            return Err(setting("workload size", 0, "there must be at least one of each".to_owned()));
        }
        if let Workload::Paced { rate: 0, .. } = self.workload {
            return Err(setting("--rate", 0, "messages per second must be at least 1".to_owned()));
        }
        self.check_nodes()?;
        if self.length == Length::Messages(0) || self.length == Length::Time(Duration::ZERO) {
            return Err(setting("--messages/--seconds", 0, "a run must have some length".to_owned()));
        }
        if self.password.is_some() && self.user.is_none() {
            return Err(setting("--password", "set", "MQTT 3.1.1 wants --user beside it".to_owned()));
        }
        self.check_texts()?;
        self.check_open_files()
    }

    fn sizes(&self) -> [usize; 2] {
        match self.workload {
            Workload::Pairs { pairs: size }
            | Workload::Paced { pairs: size, .. }
            | Workload::Fanout { subscribers: size }
            | Workload::Fanin { publishers: size }
            | Workload::Idle { connections: size } => [size, size],
            Workload::Shared { publishers, members } => [publishers, members],
            Workload::Retained { messages, subscribers } => [usize::from(messages > 0), subscribers],
            Workload::Cross { pairs, publisher_nodes } => [pairs, publisher_nodes],
            Workload::Visible { times, parallel } | Workload::Takeover { times, parallel, .. } => {
                [usize::from(times > 0), parallel]
            }
            Workload::Storm { clients, .. } => [clients, clients],
        }
    }

    fn check_nodes(&self) -> Result<(), BenchError> {
        let nodes = self.nodes();
        match self.workload {
            Workload::Cross { publisher_nodes, .. } if nodes > 1 && publisher_nodes >= nodes => {
                let reason = format!("of {nodes} hosts at least one must be left for the subscribers");
                Err(setting("--publisher-hosts", publisher_nodes, reason))
            }
            Workload::Cross { .. }
            | Workload::Visible { .. }
            | Workload::Takeover { .. }
            | Workload::Storm { .. } => Ok(()),
            _ if nodes > 1 => {
                let reason = "this workload loads one host; cross, visible and takeover use several";
                Err(setting("number of --host", nodes, reason.to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn check_texts(&self) -> Result<(), BenchError> {
        let texts = [
            ("--user", self.user.as_deref()),
            ("--password", self.password.as_deref()),
            ("--client-id-prefix", self.client_id_prefix.as_deref()),
        ];
        for (name, text) in texts {
            if text.is_some_and(|text| text.len() > 1024) {
                return Err(setting(name, "a long text", "it may have 1024 bytes".to_owned()));
            }
        }
        match self.client_id_prefix.as_deref() {
            Some(prefix) if prefix.contains(['+', '#', '/', '\0']) => {
                let reason = "it starts topics too, so it may not contain + # / or NUL".to_owned();
                Err(setting("--client-id-prefix", prefix, reason))
            }
            _ => Ok(()),
        }
    }

    /// Each connection is an open file; running out in the middle would spoil a measurement.
    fn check_open_files(&self) -> Result<(), BenchError> {
        const OTHERS: usize = 32;
        let wanted = self.workload.connections();
        match crate::process::open_files_max() {
            Some(limit) if wanted.saturating_add(OTHERS) > limit => {
                let reason = format!(
                    "this process may open {limit} files. Raise the limit (ulimit -n) here and for the server, or ask for \
                     at most {}",
                    limit.saturating_sub(OTHERS)
                );
                Err(setting("number of connections", wanted, reason))
            }
            _ => Ok(()),
        }
    }
}

fn setting(setting: &'static str, value: impl ToString, reason: String) -> BenchError {
    BenchError::Setting { setting, value: value.to_string(), reason }
}
