//! Why a node does not start, in words for the person who starts it.
//!
//! Below everything that can fail at the start, so that each part says its own failure.

use std::io;

use skein_access::AccessFaults;
use skein_cluster::{
    shell::{ClusterStartError, Ended},
    strategy::StrategyError,
};
use skein_discovery::DiscoveryError;
use skein_door::{ListenError, TlsError};
use skein_plane::{AccessChangeError, RestoreError};
use skein_store::OpenError;

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The access file cannot be read.
    #[error("access: cannot read {path}: {source}. Check access.file and the file's permissions.")]
    AccessFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The access file has faults.
    #[error("access: {path} has faults:\n{faults}")]
    AccessFaults {
        /// The file.
        path: String,
        /// Which.
        faults: AccessFaults,
    },
    /// The store cannot be opened.
    #[error("store: cannot open {dir}: {source}")]
    Store {
        /// The data directory.
        dir: String,
        /// Why, and what to do.
        source: OpenError,
    },
    /// The users and rules in the store cannot be put in force.
    #[error("store: the users and rules in it cannot be applied: {source}. Use the version that wrote them.")]
    StoredAccess {
        /// Why.
        source: AccessChangeError,
    },
    /// The number of the node's life cannot be kept.
    #[error(
        "node: cannot store the node's incarnation in {dir}: {source}. Check data.dir and its permissions."
    )]
    Incarnation {
        /// The data directory.
        dir: String,
        /// Why.
        source: io::Error,
    },
    /// What the configuration says of the cluster cannot be used here.
    #[error(transparent)]
    ClusterSetUp(#[from] ClusterSetUpError),
    /// There is no such strategy, or its script cannot be used.
    #[error("{0}{why}", why = why_of(.0))]
    Strategy(#[from] StrategyError),
    /// What is written about where others are looked for cannot be understood.
    #[error("cluster: {0}")]
    Discovery(DiscoveryError),
    /// The cluster's port cannot be opened.
    #[error(
        "cluster: cannot start on {address}: {source}. Stop the program that uses the port or set cluster.listen."
    )]
    Cluster {
        /// Where it would listen.
        address: String,
        /// Why.
        source: ClusterStartError,
    },
    /// The other nodes do not take this one, or its part in the cluster has failed.
    #[error(transparent)]
    WithoutCluster(Ended),
    /// The store holds something the plane does not know.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The operating system gave no thread or event queue.
    #[error("node: cannot start threads: {0}. Check the limits of processes and open files.")]
    Threads(#[from] io::Error),
}

/// Something the node cannot take part in its cluster with.
#[derive(Debug, thiserror::Error)]
pub enum ClusterSetUpError {
    /// The file with the secret cannot be read.
    #[error(
        "cluster: cannot read the secret in {path}: {source}. Check cluster.secret_file and the file's permissions."
    )]
    SecretFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file with the registry's address cannot be used.
    #[error(
        "cluster: cannot use the registry's address in {path}: {reason}. Check cluster.registry_file and the file's \
         permissions."
    )]
    RegistryFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What the file holds is no secret.
    #[error("cluster: the secret in {path} {reason}")]
    Secret {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The name that other nodes are told has no address.
    #[error(
        "cluster: cluster.advertise = {advertise} has no address: {source}. Write a name that is known here, or the IP \
         address that other nodes dial."
    )]
    Advertise {
        /// The name.
        advertise: String,
        /// Why.
        source: io::Error,
    },
}

/// What a strategy's own message leaves to its cause, which people see in one line with it.
fn why_of(error: &StrategyError) -> String {
    std::error::Error::source(error).map(|source| format!(" {source}")).unwrap_or_default()
}
