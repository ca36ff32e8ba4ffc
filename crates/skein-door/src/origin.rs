//! What keeps browsers from being used against the server by the pages of others.
//!
//! A page can make a browser send requests to any address the browser reaches, also to the loopback of its machine. It
//! cannot read the answers to plain requests, but it can use a WebSocket as any client can, and no rule of the browser
//! stops it: the server has to look at the header Origin, which a page cannot leave out or choose (RFC 6455 section
//! 10.2). A page that makes its own host name resolve to the server (DNS rebinding) looks as if it came from here; then
//! the Host header names a foreign host. Programs that are no browsers send no Origin.

use std::net::IpAddr;

use tokio_tungstenite::tungstenite::http::{HeaderMap, Uri, Version, header, uri::Authority};

/// What an operator says of web pages and host names; the same for every door that browsers reach.
#[derive(Clone, Debug, Default)]
pub struct WebRules {
    /// Origins whose pages may open WebSockets, such as `https://app.example.org`; `*` stands for all.
    pub origins: Vec<String>,
    /// Names by which browsers may reach the node, beside `localhost` and IP addresses.
    pub host_names: Vec<String>,
}

/// Why a WebSocket is not opened, or a request not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebRefusal {
    /// There is no Host header, or more than one.
    #[error("the request has no Host header or more than one")]
    HostCount,
    /// What the Host header has is none.
    #[error("the Host header is no host: {0}")]
    NoHost(String),
    /// The request came by the name of another host.
    #[error("{0} is not a name of this server")]
    ForeignHost(String),
    /// A page of another origin would open a WebSocket.
    #[error("pages of the origin {0:?} may not open a WebSocket here")]
    ForeignOrigin(String),
}

/// The host a request is addressed to.
#[derive(Debug)]
pub struct Host(Authority);

impl Host {
    /// The host of the request's target or its Host header (RFC 9112 section 3.2); absent only in HTTP/1.0, which no
    /// browser speaks.
    ///
    /// # Errors
    /// When the Host header is missing, there several times, or no host.
    pub fn of(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<Self>, WebRefusal> {
        let mut all = headers.get_all(header::HOST).iter();
        let first = all.next();
        if all.next().is_some() || (first.is_none() && version >= Version::HTTP_11) {
            return Err(WebRefusal::HostCount);
        }
        if let Some(target) = uri.authority() {
            return Ok(Some(Self(target.clone())));
        }
        let Some(value) = first else { return Ok(None) };
        match Authority::try_from(value.as_bytes()) {
            Ok(authority) => Ok(Some(Self(authority))),
            Err(error) => Err(WebRefusal::NoHost(error.to_string())),
        }
    }

    /// Whether the name is one that nobody else can make resolve to this server.
    #[must_use]
    pub fn is_own(&self, host_names: &[String]) -> bool {
        let host = self.0.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host_names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether `origin` is this host, port included.
    #[must_use]
    pub fn is_origin(&self, origin: &str) -> bool {
        origin.split_once("://").is_some_and(|(_, authority)| self.0.as_str().eq_ignore_ascii_case(authority))
    }

    /// The host and port as they came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl WebRules {
    /// Whether a WebSocket may be opened by this request, on a listener that only this machine reaches or on another.
    ///
    /// # Errors
    /// When a page of another origin asks, or the request came by the name of another host.
    pub fn check_upgrade(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        is_loopback: bool,
    ) -> Result<(), WebRefusal> {
        let host = match Host::of(uri, version, headers) {
            // Simple programs leave it out; no browser does.
            Err(WebRefusal::HostCount) if !headers.contains_key(header::HOST) => None,
            host => host?,
        };
        let is_own = host.as_ref().is_some_and(|host| host.is_own(&self.host_names));
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return match host {
                Some(host) if is_loopback && !is_own => Err(WebRefusal::ForeignHost(host.0.to_string())),
                _ => Ok(()),
            };
        };
        let text = origin.to_str().unwrap_or("not text");
        let foreign = || WebRefusal::ForeignOrigin(text.chars().take(200).collect());
        if origins.next().is_some() {
            return Err(foreign());
        }
        // One that is listed is trusted by whichever name it reaches the server.
        if self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(text)) {
            return Ok(());
        }
        match host {
            // Under a name that anybody may claim, being of the same origin says nothing.
            Some(host) if host.is_origin(text) && is_own => Ok(()),
            Some(host) if host.is_origin(text) => Err(WebRefusal::ForeignHost(host.0.to_string())),
            _ => Err(foreign()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host(Authority::try_from(name).unwrap())
    }

    #[test]
    fn own_hosts() {
        let names = ["Skein.example".to_owned()];
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "a.localhost",
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "[2001:db8::1]",
            "skein.EXAMPLE:80",
        ] {
            assert!(host(own).is_own(&names), "{own}");
        }
        for foreign in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "skein.example.evil.example",
            "127.0.0.1.nip.io:80",
            "1.2.3",
        ] {
            assert!(!host(foreign).is_own(&names), "{foreign}");
        }
    }

    #[test]
    fn upgrades() {
        let rules = WebRules {
            origins: vec!["https://App.example".to_owned()],
            host_names: vec!["mqtt.example".to_owned()],
        };
        let check = |host: &str, origins: &[&str], is_loopback: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            for origin in origins {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            rules.check_upgrade(&Uri::from_static("/mqtt"), Version::HTTP_11, &headers, is_loopback).is_ok()
        };
        for (host, origins, on_loopback, elsewhere) in [
            // Programs.
            ("127.0.0.1:1882", &[][..], true, true),
            ("mqtt.example", &[], true, true),
            ("other.example", &[], false, true),
            // Pages of the server's own.
            ("127.0.0.1:1882", &["http://127.0.0.1:1882"], true, true),
            ("mqtt.example", &["https://mqtt.example"], true, true),
            // Rebinding: the page's own name leads here.
            ("evil.example:1882", &["http://evil.example:1882"], false, false),
            // Pages of others, also from another port of this machine.
            ("127.0.0.1:1882", &["http://evil.example"], false, false),
            ("127.0.0.1:1882", &["http://127.0.0.1:3000"], false, false),
            ("127.0.0.1:1882", &["null"], false, false),
            ("127.0.0.1:1882", &[""], false, false),
            ("127.0.0.1:1882", &["https://app.example", "https://app.example"], false, false),
            // The page that is listed, whatever name a proxy in front hands on.
            ("127.0.0.1:1882", &["https://app.example"], true, true),
            ("other.example", &["https://app.example"], true, true),
            ("127.0.0.1:1882", &["http://app.example"], false, false),
            ("127.0.0.1:1882", &["https://app.example.evil.example"], false, false),
        ] {
            assert_eq!(check(host, origins, true), on_loopback, "{host} {origins:?}");
            assert_eq!(check(host, origins, false), elsewhere, "{host} {origins:?}");
        }
        let open = WebRules { origins: vec!["*".to_owned()], ..WebRules::default() };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "evil.example".parse().unwrap());
        headers.insert(header::ORIGIN, "null".parse().unwrap());
        assert!(open.check_upgrade(&Uri::from_static("/"), Version::HTTP_11, &headers, true).is_ok());
    }
}
