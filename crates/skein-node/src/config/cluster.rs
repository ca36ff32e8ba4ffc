//! The section about the cluster: where nodes find each other, what they share, how quickly silence is noticed.
//!
//! A node without `cluster.listen`, `cluster.join` and a registry runs alone and opens no port for others.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    check::Check,
    peers::{Advertise, Join, PORT_DEFAULT},
    secrets::{DatabaseUrl, Secret},
    section::{Section, section, section_parts},
    texts::{Text, Urls},
};

/// A shorter secret is guessed by trying; a datagram is enough to try one at home.
const SECRET_BYTES_MIN: usize = 16;
/// Shorter times than this measure the machine's own pauses.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// A longer wait would hold clients up that wait for a peer's answer.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Text of MQTT is at most so long (MQTT 5.0 section 1.5.4), and a server reference is one.
const REFERENCE_BYTES_MAX: usize = 1024;

section! {
    /// The cluster.
    ClusterConfig = "cluster" {
        /// Where other nodes reach this one, by TCP and by UDP on the same port. `127.0.0.1:5777` as soon as cluster.join, cluster.registry or cluster.registry_file is set; without any of them the node runs alone.
        listen: Option<SocketAddr> = None, Restart;
        /// The address and port that other nodes dial, where it is not that of cluster.listen.
        advertise: Advertise = Advertise(None), Restart;
        /// Where other nodes are: `host`, `host:port`, or `srv:name` for the SRV records of a name. One that answers is enough; this node itself may be among them.
        join: Join = Join(vec![]), Restart;
        /// Secret that all nodes of the cluster share, 16 characters or more: it encrypts and authenticates everything between nodes. Never shown. Without a secret nodes talk on loopback only.
        secret: Secret = Secret(None), Restart;
        /// File whose first line is the secret, in place of cluster.secret.
        secret_file: Option<PathBuf> = None, Restart;
        /// Which nodes get a message: `interest`, those with subscribers; `broadcast`, all; `script:<file>`, those a script chooses; or the name of a strategy that an embedding program registered.
        strategy: String = "interest".to_owned(), Reload;
        /// Database with the table `cluster_nodes`, by which nodes find each other: `postgres://…` or `mysql://…`. Its password is never shown.
        registry: DatabaseUrl = DatabaseUrl(None), Restart;
        /// File whose first line is the registry's address, in place of cluster.registry, since that may have a password.
        registry_file: Option<PathBuf> = None, Restart;
        /// Time between two reads of the registry.
        registry_interval: Duration = Duration::from_secs(5), Restart;
        /// Time between two probes of other nodes.
        probe_interval: Duration = Duration::from_millis(300), Restart;
        /// Time a probe may take before other nodes are asked to probe too.
        probe_timeout: Duration = Duration::from_millis(120), Restart;
        /// Time a suspected node has to refute the suspicion before it is declared down.
        suspect_timeout: Duration = Duration::from_millis(1200), Restart;
        /// Time to reconnect a lost link before its peer is declared down.
        link_timeout: Duration = Duration::from_secs(2), Restart;
        /// Longest pause between two frames sent on a link; a link that is silent three times as long is closed.
        keepalive_interval: Duration = Duration::from_millis(500), Restart;
        /// Time a starting node waits for other nodes before it accepts clients without having found any.
        join_timeout: Duration = Duration::from_secs(5), Restart;
        /// Whether full copies of soft state are compressed on links.
        compress: bool = true, Restart;
        /// Addresses that get a POST of JSON when a node comes or goes.
        webhooks: Urls = Urls(vec![]), Reload;
        /// Server Reference that MQTT 5 clients get when another node redirects them here, such as `mqtt-2.example.org:1883`; the first MQTT address by default.
        server_reference: Text = Text(None), Restart;
    }
}

impl ClusterConfig {
    /// Whether the node takes part in a cluster.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.listen.is_some() || !self.join.0.is_empty() || self.has_registry()
    }

    /// The address of [`ClusterConfig::listen`], if others are looked for and it was not set.
    pub(super) fn listen_default(&self) -> Option<SocketAddr> {
        let looks = self.listen.is_none() && self.is_on();
        looks.then(|| SocketAddr::from(([127, 0, 0, 1], PORT_DEFAULT)))
    }

    /// Whether nodes find each other in a registry.
    pub(crate) fn has_registry(&self) -> bool {
        self.registry.0.is_some() || self.registry_file.is_some()
    }

    fn has_secret(&self) -> bool {
        self.secret.0.is_some() || self.secret_file.is_some()
    }

    fn check_secret(&self, check: &mut Check<'_>) {
        if let Some(secret) = &self.secret.0 {
            if let Err(reason) = check_secret_text(secret) {
                check.fault("cluster.secret", reason);
            }
            if self.secret_file.is_some() {
                check.fault("cluster.secret_file", "is set and cluster.secret is too; remove one");
            }
        }
        let Some(listen) = self.listen.filter(|_| !self.has_secret()) else { return };
        if !is_loopback(listen.ip()) {
            let why = "can be reached from other machines, but there is no secret to authenticate nodes";
            let what = "set cluster.secret_file to a file with the same text on all nodes, or listen on a loopback address";
            check.fault("cluster.listen", format!("= {listen} {why}; {what}"));
        }
    }

    fn check_addresses(&self, check: &mut Check<'_>) {
        let elsewhere = self.join.0.iter().find(|peer| peer.is_elsewhere());
        let Some(listen) = self.listen else {
            if self.is_on() {
                let what = "remove cluster.join and cluster.registry, or give it an address";
                check.fault(
                    "cluster.listen",
                    format!("is off, but cluster.join or cluster.registry is set; {what}"),
                );
            }
            return;
        };
        if listen.port() == 0 {
            let what = "write one that the other nodes can dial";
            check.fault("cluster.listen", format!("= {listen} has no fixed port; {what}"));
        }
        let Some(advertise) = &self.advertise.0 else {
            if listen.ip().is_unspecified() {
                let what = "set cluster.advertise to the address that the other nodes dial";
                check.fault(
                    "cluster.listen",
                    format!("= {listen} is a wildcard address, which nobody can dial; {what}"),
                );
            } else if let Some(other) = elsewhere.filter(|_| is_loopback(listen.ip())) {
                let what = "listen on an address that other machines reach, or set cluster.advertise to one";
                let why = format!("cannot be reached from other machines, but cluster.join names {other}");
                check.fault("cluster.listen", format!("= {listen} {why}; {what}"));
            }
            return;
        };
        let shown = advertise.to_string();
        if advertise.ip().is_some_and(|ip| ip.is_unspecified()) {
            let what = "write the address that the other nodes dial";
            check.fault(
                "cluster.advertise",
                format!("= {shown} is a wildcard address, which nobody can dial; {what}"),
            );
        } else if advertise.port == Some(0) {
            check.fault("cluster.advertise", format!("= {shown} has the port 0, which nobody can dial"));
        } else if let Some(other) = elsewhere.filter(|_| !advertise.is_elsewhere()) {
            let why = format!("is a loopback address, but cluster.join names {other}");
            let what = "write the address or name by which the other nodes reach this machine";
            check.fault("cluster.advertise", format!("= {shown} {why}; {what}"));
        }
    }

    fn check_times(&self, check: &mut Check<'_>) {
        let times = [
            ("registry_interval", self.registry_interval, Duration::from_secs(600)),
            ("probe_interval", self.probe_interval, TIMEOUT_MAX),
            ("probe_timeout", self.probe_timeout, TIMEOUT_MAX),
            ("suspect_timeout", self.suspect_timeout, TIMEOUT_MAX),
            ("link_timeout", self.link_timeout, TIMEOUT_MAX),
            ("keepalive_interval", self.keepalive_interval, TIMEOUT_MAX),
        ];
        let mut in_range = true;
        for (key, time, max) in times {
            if time < INTERVAL_MIN || time > max {
                in_range = false;
                let text = format!("is {time:?}; write {INTERVAL_MIN:?} to {max:?}");
                check.fault(&format!("cluster.{key}"), text);
            }
        }
        if self.join_timeout > Duration::from_secs(600) {
            check.fault("cluster.join_timeout", format!("is {:?}; write at most 600s", self.join_timeout));
        }
        if in_range {
            self.check_relations(check);
        }
    }

    fn check_relations(&self, check: &mut Check<'_>) {
        if self.probe_timeout >= self.probe_interval {
            let text = format!(
                "is {:?}, but must be less than cluster.probe_interval of {:?}: the rest of that is for others to probe",
                self.probe_timeout, self.probe_interval
            );
            check.fault("cluster.probe_timeout", text);
        }
        if self.suspect_timeout < self.probe_interval {
            let text = format!(
                "is {:?}, less than cluster.probe_interval of {:?}: a node that answers late would be down; raise it",
                self.suspect_timeout, self.probe_interval
            );
            check.fault("cluster.suspect_timeout", text);
        }
        let silence_max = self.keepalive_interval.saturating_mul(3);
        if self.link_timeout < self.keepalive_interval {
            let text = format!(
                "is {:?}, less than cluster.keepalive_interval of {:?}; raise it or lower that",
                self.link_timeout, self.keepalive_interval
            );
            check.fault("cluster.link_timeout", text);
        } else if silence_max > Duration::from_secs(60) {
            let text = format!(
                "is {:?}, so that a dead link would be noticed after {silence_max:?}; write at most 20s",
                self.keepalive_interval
            );
            check.fault("cluster.keepalive_interval", text);
        }
    }
}

/// Whether a text may be a secret.
///
/// # Errors
/// Why not, without the text.
pub(crate) fn check_secret_text(secret: &str) -> Result<(), String> {
    if secret.len() < SECRET_BYTES_MIN {
        let advice = "write at least 16 characters, such as what `openssl rand -base64 24` prints";
        return Err(format!("has {} characters and could be guessed; {advice}", secret.chars().count()));
    }
    Ok(())
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Section for ClusterConfig {
    section_parts!("cluster");

    fn validate(&self, _path: &str, check: &mut Check<'_>) {
        self.check_secret(check);
        if self.registry.0.is_some() && self.registry_file.is_some() {
            check.fault("cluster.registry_file", "is set and cluster.registry is too; remove one");
        }
        self.check_addresses(check);
        self.check_times(check);
        if self.strategy.is_empty() || self.strategy == "script:" {
            let what = "write \"interest\", \"broadcast\", \"script:\" and a file, or the name of your own";
            check.fault("cluster.strategy", format!("is {:?}; {what}", self.strategy));
        }
        if self.server_reference.0.as_ref().is_some_and(|text| text.len() > REFERENCE_BYTES_MAX) {
            check.fault("cluster.server_reference", "is longer than 1024 bytes");
        }
    }
}
