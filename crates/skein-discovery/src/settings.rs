//! What the operator decides about where other nodes are looked for, as plain values: the node's configuration makes them.

use std::time::Duration;

/// Where other nodes are looked for. Any of them is enough; one address that answers is enough.
#[derive(Clone, Debug, Default)]
pub struct DiscoverySettings {
    /// Addresses of other nodes: `host:port`, where a host name may have many addresses; or `srv:name`, whose SRV records
    /// give hosts and ports. Looked up again while the node runs.
    pub join: Vec<String>,
    /// A table in a database, as `postgres://…` or `mysql://…`.
    pub registry: Option<String>,
    /// How often the node says in the registry that it is there, and reads who else is.
    pub registry_interval: Duration,
}
