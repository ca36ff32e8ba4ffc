//! What keeps browsers from being used against the server by the pages of others.
//!
//! A page can make a browser send requests to any address the browser reaches, also to the loopback of its machine.
//! It cannot read the answers, as the door allows no other origin, unless its own host name is made to resolve to the
//! server (DNS rebinding); then the Host header names a foreign host. It can cause effects by methods that change
//! something; then Sec-Fetch-Site or Origin names another site. Programs that are no browsers send neither header.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, Version, header, request::Parts, uri::Authority};

use crate::problem::{Kind, Problem};

/// The host a request is addressed to.
#[derive(Debug)]
pub(crate) struct Host(Authority);

impl Host {
    /// The host of the request's target or its Host header (RFC 9112 section 3.2); absent only in HTTP/1.0, which no
    /// browser speaks.
    pub(crate) fn of(parts: &Parts) -> Result<Option<Self>, Problem> {
        let mut all = parts.headers.get_all(header::HOST).iter();
        let first = all.next();
        if all.next().is_some() || (first.is_none() && parts.version >= Version::HTTP_11) {
            return Err(Problem::new(
                Kind::BadHost,
                "the request has no Host header or more than one",
                "send exactly one, as HTTP/1.1 asks for",
            ));
        }
        if let Some(target) = parts.uri.authority() {
            return Ok(Some(Self(target.clone())));
        }
        let Some(value) = first else { return Ok(None) };
        match Authority::try_from(value.as_bytes()) {
            Ok(authority) => Ok(Some(Self(authority))),
            Err(error) => Err(Problem::new(
                Kind::BadHost,
                format!("the Host header is no host: {error}"),
                "send the server's name or address and its port",
            )),
        }
    }

    /// Whether the name is one that nobody else can make resolve to this server.
    fn is_own(&self, host_names: &[String]) -> bool {
        let host = self.0.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host_names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Headers by which a proxy says that it passes on what others sent (RFC 7239, RFC 9110 section 7.6.3, and older habits).
const PROXY_HEADERS: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Whether the request was made on this machine. One that a proxy here passes on was not.
pub(crate) fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    peer.to_canonical().is_loopback() && !PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// Refuses a request without a user that came by the name of another host.
pub(crate) fn refuse_foreign_host(host: Option<&Host>, host_names: &[String]) -> Result<(), Problem> {
    match host {
        Some(host) if !host.is_own(host_names) => Err(Problem::new(
            Kind::HostNotAllowed,
            format!("{} is not a name of this server for requests without a user", host.0),
            "use the server's IP address or localhost, or log in as a user",
        )),
        _ => Ok(()),
    }
}

/// Refuses a request that changes something and that a browser sends for a page of another site. It holds for users
/// too: a browser adds the password it remembers to such requests.
pub(crate) fn refuse_cross_site(
    method: &Method,
    headers: &HeaderMap,
    host: Option<&Host>,
) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let allowed = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        // "none" is a request the user made himself, by the address bar.
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
            match (origin, host) {
                (Some((_, authority)), Some(host)) => host.0.as_str().eq_ignore_ascii_case(authority),
                _ => false,
            }
        }
        (None, None) => true,
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::new(
        Kind::CrossSite,
        format!("a page of another site may not {method} here"),
        "send the request from the server's own pages or from a program that is no browser",
    ))
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
    fn cross_site_requests() {
        let check = |site: Option<&str>, origin: Option<&str>, method: Method| {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            refuse_cross_site(&method, &headers, Some(&host("127.0.0.1:8080"))).is_ok()
        };
        for (site, origin) in [
            (None, None),
            (Some("same-origin"), Some("http://127.0.0.1:8080")),
            (Some("none"), None),
            (None, Some("http://127.0.0.1:8080")),
        ] {
            assert!(check(site, origin, Method::POST), "{site:?} {origin:?}");
        }
        for (site, origin) in [
            (Some("cross-site"), None),
            (Some("same-site"), Some("http://127.0.0.1:8080")),
            (None, Some("http://127.0.0.1:9000")),
            (None, Some("http://evil.example")),
            (None, Some("null")),
        ] {
            assert!(!check(site, origin, Method::POST), "{site:?} {origin:?}");
            assert!(check(site, origin, Method::GET), "{site:?} {origin:?}");
        }
    }
}
