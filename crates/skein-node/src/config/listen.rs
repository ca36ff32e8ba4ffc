//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    document::{Located, Value},
    setting::{Given, Setting, quoted},
};

/// The addresses of a door; none switches it off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen(pub Vec<SocketAddr>);

impl Setting for Listen {
    const KIND: &'static str = "address, list of addresses, or \"off\"";
    const IS_LIST: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        let texts = match given {
            Given::Text(text) => text.split(',').map(str::trim).collect(),
            Given::Value(Value::Text(text)) => vec![text.trim()],
            Given::Value(Value::List(items)) => texts_of(items)?,
            Given::Value(_) => return Err(format!("is not an address: {ADVICE}")),
        };
        if texts.is_empty() || texts == [""] || texts == ["off"] {
            return Ok(Self::default());
        }
        texts.into_iter().map(address).collect::<Result<_, _>>().map(Self)
    }

    fn to_toml(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(|address| quoted(&address.to_string())).collect();
        match shown.as_slice() {
            [] => quoted("off"),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        }
    }
}

const ADVICE: &str = "write an IP address and a port, such as \"127.0.0.1:1883\" or \"[::1]:1883\"";

fn texts_of(items: &[Located]) -> Result<Vec<&str>, String> {
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => texts.push(text.as_str()),
            other => return Err(format!("has the entry {other}, which is not an address: {ADVICE}")),
        }
    }
    Ok(texts)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:"))
        && port.parse::<u16>().is_ok()
    {
        let every = format!("\"0.0.0.0:{port}\" for every IPv4 address, \"[::]:{port}\" for every address");
        return Err(format!(
            "does not say which addresses: write {every}, \"127.0.0.1:{port}\" for this machine only"
        ));
    }
    text.parse().map_err(|_not_an_address| format!("is not an address: {ADVICE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expect) in [
            ("127.0.0.1:1883", Some("\"127.0.0.1:1883\"")),
            ("localhost:1883", Some("\"127.0.0.1:1883\"")),
            ("127.0.0.1:1883, [::1]:0", Some("[\"127.0.0.1:1883\", \"[::1]:0\"]")),
            ("", Some("\"off\"")),
            ("off", Some("\"off\"")),
            (":1883", None),
            ("*:1883", None),
            ("1883", None),
            ("example.org:1883", None),
            ("127.0.0.1", None),
            ("127.0.0.1:65536", None),
            ("127.0.0.1:1883,", None),
        ] {
            let read = Listen::read(Given::Text(text)).ok();
            assert_eq!(read.map(|listen| listen.to_toml()).as_deref(), expect, "{text}");
        }
    }
}
