//! What keeps browsers from being used against the server by the pages of others.
//!
//! A page can make a browser send requests to any address the browser reaches, also to the loopback of its machine.
//! It cannot read the answers, as the door allows no other origin, unless its own host name is made to resolve to the
//! server (DNS rebinding); then the Host header names a foreign host. It can cause effects by methods that change
//! something; then Sec-Fetch-Site or Origin names another site. Programs that are no browsers send neither header.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header, request::Parts};
use skein_door::Host;

use crate::problem::{Kind, Problem};

/// The host a request is addressed to.
pub(crate) fn host_of(parts: &Parts) -> Result<Option<Host>, Problem> {
    Host::of(&parts.uri, parts.version, &parts.headers).map_err(|error| {
        let hint = "send exactly one Host header with the server's name or address and its port";
        Problem::new(Kind::BadHost, error.to_string(), hint)
    })
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
            format!("{} is not a name of this server for requests without a user", host.as_str()),
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
            let origin = origin.to_str().unwrap_or_default();
            host.is_some_and(|host| host.is_origin(origin))
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
    use axum::http::{Request, Version};

    use super::*;

    fn host(name: &'static str) -> Host {
        let (parts, ()) = Request::get(format!("http://{name}/")).body(()).unwrap().into_parts();
        Host::of(&parts.uri, Version::HTTP_10, &parts.headers).unwrap().unwrap()
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
