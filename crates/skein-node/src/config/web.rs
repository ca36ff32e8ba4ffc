//! The section about web pages and host names, for every door that browsers reach.

use super::{
    check::Check,
    section::{Section, section, section_parts},
    setting::{Given, Setting},
    texts::{list_to_toml, texts_of},
};

/// Origins of web pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

/// Names of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNames(pub Vec<String>);

section! {
    /// Web pages, at every door that browsers reach.
    WebConfig = "web" {
        /// Origins whose pages may open WebSockets here, beside the node's own; `*` lets every page in, also those that
        /// make a browser on this machine connect.
        origins: Origins = Origins(vec![]), NewConnections;
        /// Names by which browsers reach the node, beside `localhost`, IP addresses and what the cluster advertises. A
        /// page under another name is refused, because anybody can make a name of his own lead here.
        host_names: HostNames = HostNames(vec![]), NewConnections;
    }
}

impl Section for WebConfig {
    section_parts!("web");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}

impl Setting for Origins {
    const KIND: &'static str = "list of origins";
    const IS_LIST: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        let advice = "write \"https://host\" or \"https://host:port\", or \"*\" for all";
        let texts = texts_of(given, advice)?;
        for text in &texts {
            let (scheme, authority) = text.split_once("://").unwrap_or_default();
            let is_origin = !scheme.is_empty() && is_host(authority.split(':').next().unwrap_or_default());
            let is_v6 = !scheme.is_empty() && authority.starts_with('[') && !authority.contains('/');
            if !(*text == "*" || is_origin && !authority.contains('/') || is_v6) {
                return Err(format!("has {text:?}, which is no origin: {advice}"));
            }
        }
        Ok(Self(texts.into_iter().map(str::to_owned).collect()))
    }

    fn to_toml(&self) -> String {
        list_to_toml(&self.0)
    }
}

impl Setting for HostNames {
    const KIND: &'static str = "list of host names";
    const IS_LIST: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        let advice = "write \"host.example.org\", without a port";
        let texts = texts_of(given, advice)?;
        if let Some(text) = texts.iter().find(|text| !is_host(text)) {
            return Err(format!("has {text:?}, which is no host name: {advice}"));
        }
        Ok(Self(texts.into_iter().map(str::to_owned).collect()))
    }

    fn to_toml(&self) -> String {
        list_to_toml(&self.0)
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || "-._".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_names() {
        for (text, is_origin, is_name) in [
            ("https://app.example", true, false),
            ("http://localhost:3000", true, false),
            ("http://[::1]:80", true, false),
            ("capacitor://localhost", true, false),
            ("*", true, false),
            ("null", false, true),
            ("https://app.example/", false, false),
            ("app.example", false, true),
            ("app.example:80", false, false),
            ("https://", false, false),
            ("", true, true),
        ] {
            assert_eq!(Origins::read(Given::Text(text)).is_ok(), is_origin, "{text}");
            assert_eq!(HostNames::read(Given::Text(text)).is_ok(), is_name, "{text}");
        }
    }
}
