//! What the operator decides about the cluster, as plain values: the node's configuration makes them.

use std::{net::SocketAddr, time::Duration};

/// How a node takes part in its cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where links (TCP) and gossip (UDP) arrive; the same port for both.
    pub listen: SocketAddr,
    /// What all nodes of the cluster know and nobody else; none: peers on loopback only, and nothing is sealed.
    pub secret: Option<Secret>,
    /// How quickly silence is noticed.
    pub gossip: GossipSettings,
    /// How links behave.
    pub link: LinkSettings,
}

/// The cluster's secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How quickly silence is noticed (SWIM; the paper's protocol period and suspicion).
///
/// Shorter times notice sooner; they cost a few more datagrams, and a node that is only busy is given up more often.
#[derive(Clone, Copy, Debug)]
pub struct GossipSettings {
    /// Time between two probes of some member.
    pub probe_interval: Duration,
    /// How long a probe may take before others are asked to probe too; less than the interval.
    pub probe_timeout: Duration,
    /// How long a member that did not answer may contradict before it is down.
    pub suspect_timeout: Duration,
}

impl Default for GossipSettings {
    /// A silent member is down after one and a half to three seconds; past a hundred members see docs/scale.md.
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_millis(300),
            probe_timeout: Duration::from_millis(120),
            suspect_timeout: Duration::from_millis(1200),
        }
    }
}

/// How links behave.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// How long a link that was cut may take to be made anew before its peer is down.
    pub timeout: Duration,
    /// Something is sent at least so often; a link on which nothing comes for three times as long is cut.
    pub keepalive_interval: Duration,
    /// Whether copies are compressed.
    pub compress_bulk: bool,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(2000),
            keepalive_interval: Duration::from_millis(500),
            compress_bulk: true,
        }
    }
}
