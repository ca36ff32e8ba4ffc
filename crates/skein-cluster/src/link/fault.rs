//! Why a link cannot be, or cannot go on: one word for metrics each, and one sentence for people.
//!
//! Nothing here tells a stranger more than that it is refused: the sentences are for this node's own log.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::preamble::Versions;

/// Why a link ends. All but the last four end it before the other side is known to have the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Its first bytes are something else.
    #[error(
        "the other side does not speak the cluster's protocol; cluster.join and cluster.listen must name cluster ports"
    )]
    NotSkein,
    /// No version is spoken by both.
    #[error(
        "the other side speaks versions {theirs} of the cluster's protocol and this node {ours}; upgrade the older one"
    )]
    Version {
        /// What this node speaks.
        ours: Versions,
        /// What the other one does.
        theirs: Versions,
    },
    /// The other side has a secret, this node has none.
    #[error("the other side has a cluster.secret and this node has none; give both the same")]
    SecretMissingHere,
    /// This node has a secret, the other side has none.
    #[error("this node has a cluster.secret and the other side has none; give both the same")]
    SecretMissingThere,
    /// What came was not made with this secret for this connection. A recorded handshake cannot be told from a wrong secret.
    #[error("the other side's cluster.secret is another one, or its bytes were recorded earlier")]
    NotAuthentic,
    /// It did not say who it is in time.
    #[error("the other side did not finish the handshake in time")]
    HandshakeSlow,
    /// It went away before it was known. Whoever refuses a secret does that.
    #[error(
        "the other side closed the connection during the handshake; its log says why, most often another cluster.secret"
    )]
    HandshakeCut,
    /// Too many others wait to say who they are.
    #[error("more connections wait for their handshake than are kept; the oldest is closed")]
    Crowded,
    /// There is no secret, and the other side is on another machine.
    #[error("without a cluster.secret peers are on loopback only; set cluster.secret on every node")]
    NotLoopback,
    /// What came breaks the protocol.
    #[error("what came over the link is not understood: {0}")]
    Garbled(&'static str),
    /// Nothing came for three times the keep-alive interval.
    #[error("nothing came over the link for too long")]
    Silent,
    /// More waits for it than is kept.
    #[error("the other side takes less than is sent to it, and more waits than is kept")]
    Overrun,
    /// The other side closed it, or the network did.
    #[error("the connection was cut")]
    Cut,
}

impl LinkFault {
    /// The fault as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSkein => "not_skein",
            Self::Version { .. } => "version",
            Self::SecretMissingHere => "secret_missing_here",
            Self::SecretMissingThere => "secret_missing_there",
            Self::NotAuthentic => "not_authentic",
            Self::HandshakeSlow => "handshake_slow",
            Self::HandshakeCut => "handshake_cut",
            Self::Crowded => "crowded",
            Self::NotLoopback => "not_loopback",
            Self::Garbled(_) => "garbled",
            Self::Silent => "silent",
            Self::Overrun => "overrun",
            Self::Cut => "cut",
        }
    }
}

/// How often connections were refused or links ended, by fault.
#[derive(Debug, Default)]
pub struct FaultCounters {
    not_skein: AtomicU64,
    version: AtomicU64,
    secret_missing_here: AtomicU64,
    secret_missing_there: AtomicU64,
    not_authentic: AtomicU64,
    handshake_slow: AtomicU64,
    handshake_cut: AtomicU64,
    crowded: AtomicU64,
    not_loopback: AtomicU64,
    garbled: AtomicU64,
    silent: AtomicU64,
    overrun: AtomicU64,
    cut: AtomicU64,
}

/// The counters as they were at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// See [`LinkFault::NotSkein`].
    pub not_skein: u64,
    /// See [`LinkFault::Version`].
    pub version: u64,
    /// See [`LinkFault::SecretMissingHere`].
    pub secret_missing_here: u64,
    /// See [`LinkFault::SecretMissingThere`].
    pub secret_missing_there: u64,
    /// See [`LinkFault::NotAuthentic`].
    pub not_authentic: u64,
    /// See [`LinkFault::HandshakeSlow`].
    pub handshake_slow: u64,
    /// See [`LinkFault::HandshakeCut`].
    pub handshake_cut: u64,
    /// See [`LinkFault::Crowded`].
    pub crowded: u64,
    /// See [`LinkFault::NotLoopback`].
    pub not_loopback: u64,
    /// See [`LinkFault::Garbled`].
    pub garbled: u64,
    /// See [`LinkFault::Silent`].
    pub silent: u64,
    /// See [`LinkFault::Overrun`].
    pub overrun: u64,
    /// See [`LinkFault::Cut`].
    pub cut: u64,
}

impl FaultCounters {
    /// Counts one.
    pub fn count(&self, fault: LinkFault) {
        let counter = match fault {
            LinkFault::NotSkein => &self.not_skein,
            LinkFault::Version { .. } => &self.version,
            LinkFault::SecretMissingHere => &self.secret_missing_here,
            LinkFault::SecretMissingThere => &self.secret_missing_there,
            LinkFault::NotAuthentic => &self.not_authentic,
            LinkFault::HandshakeSlow => &self.handshake_slow,
            LinkFault::HandshakeCut => &self.handshake_cut,
            LinkFault::Crowded => &self.crowded,
            LinkFault::NotLoopback => &self.not_loopback,
            LinkFault::Garbled(_) => &self.garbled,
            LinkFault::Silent => &self.silent,
            LinkFault::Overrun => &self.overrun,
            LinkFault::Cut => &self.cut,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        FaultCounts {
            not_skein: self.not_skein.load(Relaxed),
            version: self.version.load(Relaxed),
            secret_missing_here: self.secret_missing_here.load(Relaxed),
            secret_missing_there: self.secret_missing_there.load(Relaxed),
            not_authentic: self.not_authentic.load(Relaxed),
            handshake_slow: self.handshake_slow.load(Relaxed),
            handshake_cut: self.handshake_cut.load(Relaxed),
            crowded: self.crowded.load(Relaxed),
            not_loopback: self.not_loopback.load(Relaxed),
            garbled: self.garbled.load(Relaxed),
            silent: self.silent.load(Relaxed),
            overrun: self.overrun.load(Relaxed),
            cut: self.cut.load(Relaxed),
        }
    }
}

impl FaultCounts {
    /// Each fault's label and count.
    pub fn labelled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("not_skein", self.not_skein),
            ("version", self.version),
            ("secret_missing_here", self.secret_missing_here),
            ("secret_missing_there", self.secret_missing_there),
            ("not_authentic", self.not_authentic),
            ("handshake_slow", self.handshake_slow),
            ("handshake_cut", self.handshake_cut),
            ("crowded", self.crowded),
            ("not_loopback", self.not_loopback),
            ("garbled", self.garbled),
            ("silent", self.silent),
            ("overrun", self.overrun),
            ("cut", self.cut),
        ]
        .into_iter()
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}
