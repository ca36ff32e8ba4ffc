//! An entry of `cluster.join`: a host with a port, or the name of a service.
//!
//! Nothing is looked up here.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

/// The longest name the DNS has (RFC 1035 section 3.1), as text.
const NAME_BYTES_MAX: usize = 253;

/// Where other nodes may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seed {
    /// An address; nothing needs to be looked up.
    Address(SocketAddr),
    /// All addresses of a host, each with this port.
    Host(Arc<str>, u16),
    /// The hosts and ports of this name's SRV records.
    Service(Arc<str>),
}

/// A text that is no seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// A host without port.
    #[error("cluster: {0:?} in cluster.join has no port. Write host:port, or srv:name for SRV records.")]
    NoPort(String),
    /// Something else than a port behind the colon.
    #[error("cluster: {0:?} in cluster.join does not end in a port from 1 to 65535. Write host:port.")]
    BadPort(String),
    /// What is there instead of a name cannot be one.
    #[error(
        "cluster: {0:?} in cluster.join holds no host name: letters, digits, '-', '_' and '.' make one, of at most 253 \
         characters. Write host:port, [address]:port for IPv6, or srv:name."
    )]
    BadName(String),
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let text = text.trim();
        let bad_name = || SeedError::BadName(text.to_owned());
        if let Some(name) = text.strip_prefix("srv:") {
            return if is_name(name) { Ok(Self::Service(name.into())) } else { Err(bad_name()) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(SeedError::BadPort(text.to_owned()))
            } else {
                Ok(Self::Address(address))
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| SeedError::NoPort(text.to_owned()))?;
        if !is_name(host) {
            return Err(bad_name());
        }
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self::Host(host.into(), port)),
            _ => Err(SeedError::BadPort(text.to_owned())),
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Service(name) => write!(f, "srv:{name}"),
        }
    }
}

/// Underscores are no part of host names, but of the names of services, and hosts in company networks have them too.
fn is_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    labels.len() <= NAME_BYTES_MAX && labels.split('.').all(is_label)
}
