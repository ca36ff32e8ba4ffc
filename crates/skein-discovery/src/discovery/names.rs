//! Looks seeds up in the DNS and the hosts file of the system.
//!
//! Nothing is remembered between two look-ups, the server's addresses included: a node runs for months, and what it looks for
//! is what has changed. [`super::Search`] calls it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, rdata::SRV},
};

use super::Seed;

/// How long a look-up may take in all.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one question to a server may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Hosts that are taken from SRV records; more are not needed to find a cluster.
const SERVICE_HOSTS_MAX: usize = 64;
/// Addresses that are taken from one seed.
const ADDRESSES_MAX: usize = 256;

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// There is no address, or no answer.
    #[error("the look-up failed: {0}")]
    Failed(String),
    /// The SRV records say that there is no such service (RFC 2782: the target is the root).
    #[error("the SRV records say that the service is not offered")]
    NotOffered,
    /// Nothing came in time.
    #[error("no answer within {} s", LOOK_TIMEOUT.as_secs())]
    TimedOut,
}

/// Who is asked.
#[derive(Clone, Debug, Default)]
pub struct Names {
    server: Option<SocketAddr>,
}

impl Names {
    /// Whom the system's resolv.conf names, after its hosts file.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// This server.
    #[must_use]
    pub fn at(server: SocketAddr) -> Self {
        Self { server: Some(server) }
    }

    /// All addresses of a seed; those of a service by the priority of its records, and at least one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn look(&self, seed: &Seed) -> Result<Vec<SocketAddr>, LookError> {
        if let Seed::Address(address) = seed {
            return Ok(vec![*address]);
        }
        let looked = tokio::time::timeout(LOOK_TIMEOUT, async {
            let resolver = self.resolver()?;
            match seed {
                Seed::Address(address) => Ok(vec![*address]),
                Seed::Host(host, port) => host_addresses(&resolver, host, *port).await,
                Seed::Service(name) => service_addresses(&resolver, name).await,
            }
        });
        let mut addresses = looked.await.unwrap_or(Err(LookError::TimedOut))?;
        addresses.truncate(ADDRESSES_MAX);
        Ok(addresses)
    }

    fn resolver(&self) -> Result<TokioResolver, LookError> {
        let mut builder = match self.server {
            Some(server) => Resolver::builder_with_config(asking(server), TokioRuntimeProvider::default()),
            // As the C library does it: without a readable resolv.conf the machine itself is asked.
            None => Resolver::builder_tokio().unwrap_or_else(|_unreadable| {
                let config = asking(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }),
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = QUESTION_TIMEOUT;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build().map_err(|error| LookError::Failed(error.to_string()))
    }
}

fn asking(server: SocketAddr) -> ResolverConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())];
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections)])
}

async fn host_addresses(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, LookError> {
    let found = resolver.lookup_ip(host).await.map_err(|error| LookError::Failed(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = found.iter().collect();
    // Servers rotate them; an order of our own makes two nodes try the same one first.
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

async fn service_addresses(resolver: &TokioResolver, name: &str) -> Result<Vec<SocketAddr>, LookError> {
    let found = resolver.srv_lookup(name).await.map_err(|error| LookError::Failed(error.to_string()))?;
    let mut records: Vec<&SRV> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(record) => Some(record),
            _ => None,
        })
        .collect();
    records.sort_by(|a, b| {
        (a.priority, b.weight, a.target.to_utf8()).cmp(&(b.priority, a.weight, b.target.to_utf8()))
    });
    records.retain(|record| !record.target.is_root());
    if records.is_empty() {
        return Err(LookError::NotOffered);
    }
    records.truncate(SERVICE_HOSTS_MAX);
    let hosts = records.iter().map(|record| async {
        let host = record.target.to_utf8();
        host_addresses(resolver, &host, record.port).await
    });
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut error = None;
    for result in join_all(hosts).await {
        match result {
            Ok(found) => addresses.extend(found),
            Err(failure) => error = Some(failure),
        }
    }
    match error {
        Some(error) if addresses.is_empty() => Err(error),
        _ => Ok(addresses),
    }
}
