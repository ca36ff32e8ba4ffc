//! Names and addresses of other nodes, and how this one is called by them.
//!
//! Nothing here asks a name server: names are looked up while the node runs, and again when they change.

use std::{fmt, net::IpAddr};

use super::{
    document::{Located, Value},
    setting::{Given, Setting, quoted},
};

/// The port of the cluster where none is written.
pub(crate) const PORT_DEFAULT: u16 = 5777;
/// What stands before a name whose SRV records are meant.
const SRV: &str = "srv:";
/// Longest name of the domain system (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A host with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// An IP address without brackets, or a name.
    pub host: String,
    /// The port, where one is written.
    pub port: Option<u16>,
}

/// Where another node may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAddress {
    /// A host, whose name may have many addresses.
    Host(HostPort),
    /// A name with SRV records.
    Srv(String),
}

/// What others dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertise(pub Option<HostPort>);

/// Where other nodes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join(pub Vec<JoinAddress>);

const ADVICE: &str =
    "write a name or IP address and a port, such as \"node-2.example.org:5777\" or \"[::1]:5777\"";

impl HostPort {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Some(Self { host: address.ip().to_string(), port: Some(address.port()) });
        }
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = unbracketed.parse::<IpAddr>() {
            return Some(Self { host: ip.to_string(), port: None });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        is_name(host).then(|| Self { host: host.to_owned(), port })
    }

    /// The IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it may be another machine than the one that looks.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match self.ip() {
            Some(ip) => !ip.to_canonical().is_loopback() && !ip.is_unspecified(),
            None => {
                let name = self.host.trim_end_matches('.').to_ascii_lowercase();
                name != "localhost" && !name.ends_with(".localhost")
            }
        }
    }

    /// Host and port, as sockets take it; the port of the cluster where none is written.
    #[must_use]
    pub fn dialled(&self) -> String {
        Self { host: self.host.clone(), port: self.port.or(Some(PORT_DEFAULT)) }.to_string()
    }
}

/// Letters, digits, `-`, `_` and points between them.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(usual)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // What looks like an IP address and is none is no name either: 1.2.3.400.
    let last_is_number = name.rsplit('.').next().is_some_and(|label| label.parse::<u64>().is_ok());
    name.len() <= NAME_BYTES_MAX && !last_is_number && name.split('.').all(is_label)
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match (host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{host}]:{port}"),
            (false, Some(port)) => write!(f, "{host}:{port}"),
            (_, None) => f.write_str(host),
        }
    }
}

impl JoinAddress {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(SRV) {
            Some(name) => is_name(name).then(|| Self::Srv(name.to_owned())),
            None => HostPort::parse(text).filter(|host| host.port != Some(0)).map(Self::Host),
        }
    }

    /// Whether it may be on another machine.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match self {
            Self::Host(host) => host.is_elsewhere(),
            Self::Srv(_) => true,
        }
    }

    /// As the cluster takes it: `host:port` or `srv:name`.
    #[must_use]
    pub fn dialled(&self) -> String {
        match self {
            Self::Host(host) => host.dialled(),
            Self::Srv(_) => self.to_string(),
        }
    }
}

impl fmt::Display for JoinAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Srv(name) => write!(f, "{SRV}{name}"),
        }
    }
}

impl Setting for Advertise {
    const KIND: &'static str = "host and port, or \"\" for none";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text().map(str::trim) {
            Some("") => Ok(Self(None)),
            Some(text) => match HostPort::parse(text) {
                Some(host) => Ok(Self(Some(host))),
                None => Err(format!("is not an address: {ADVICE}")),
            },
            None => Err(format!("is not an address: {ADVICE}")),
        }
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.as_ref().map(HostPort::to_string).unwrap_or_default())
    }
}

impl Setting for Join {
    const KIND: &'static str = "list of hosts";
    const IS_LIST: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        let texts = match given {
            Given::Text(text) => text.split(',').map(str::trim).collect(),
            Given::Value(Value::Text(text)) => vec![text.trim()],
            Given::Value(Value::List(items)) => texts_of(items)?,
            Given::Value(_) => return Err(format!("is no list of hosts: {ADVICE}")),
        };
        let mut join = Vec::new();
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            let Some(address) = JoinAddress::parse(text) else {
                return Err(format!("has {text:?}, which is no host: {ADVICE}, or \"srv:\" and a name"));
            };
            join.push(address);
        }
        Ok(Self(join))
    }

    fn to_toml(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(|address| quoted(&address.to_string())).collect();
        match shown.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        }
    }
}

fn texts_of(items: &[Located]) -> Result<Vec<&str>, String> {
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => texts.push(text.trim()),
            other => return Err(format!("has the entry {other}, which is no host: {ADVICE}")),
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expect, elsewhere) in [
            ("localhost:7946", Some("localhost:7946"), false),
            ("node-2", Some("node-2:5777"), true),
            ("node_2.example.org.:1", Some("node_2.example.org.:1"), true),
            ("192.168.0.103:7946", Some("192.168.0.103:7946"), true),
            ("192.168.0.103", Some("192.168.0.103:5777"), true),
            ("127.0.0.2", Some("127.0.0.2:5777"), false),
            ("[::1]:5777", Some("[::1]:5777"), false),
            ("::1", Some("[::1]:5777"), false),
            ("[fd00::2]", Some("[fd00::2]:5777"), true),
            ("srv:_skein._tcp.example.org", Some("srv:_skein._tcp.example.org"), true),
            ("srv:", None, false),
            ("1.2.3.400", None, false),
            ("a:b:c", None, false),
            ("a:70000", None, false),
            ("a:0", None, false),
            ("tcp://a:1", None, false),
            ("a b", None, false),
            ("a..b", None, false),
        ] {
            let read = Join::read(Given::Text(text)).ok().and_then(|join| join.0.first().cloned());
            assert_eq!(read.as_ref().map(JoinAddress::dialled).as_deref(), expect, "{text}");
            assert_eq!(read.is_some_and(|address| address.is_elsewhere()), elsewhere, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let join = Join::read(Given::Text("a:1, srv:b, ::1")).unwrap();
        assert_eq!(join.to_toml(), r#"["a:1", "srv:b", "::1"]"#);
        assert_eq!(Join::read(Given::Text("")).unwrap(), Join::default());
        let advertise = Advertise::read(Given::Text("[::2]:1")).unwrap();
        assert_eq!(advertise.to_toml(), "\"[::2]:1\"");
    }
}
