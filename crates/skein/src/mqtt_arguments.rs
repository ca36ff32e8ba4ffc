//! The arguments that `skein pub` and `skein sub` share: where the server is and who asks.
//!
//! Names and meanings are those of mosquitto_pub and mosquitto_sub, so that what people type, and scripts, carry over.

use std::net::Ipv6Addr;

use anyhow::bail;
use clap::{ArgAction, Args};
use skein_node::{
    mqtt_codec::{Connect, Version},
    types::ByteString,
};

use crate::secret;

/// Session expiry that means the session stays (MQTT 5.0 section 3.1.2.11.2).
const EXPIRY_NEVER: u32 = u32::MAX;

const PORT_DEFAULT: u16 = 1883;

#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// Host of the server, with or without its port; IPv6 addresses with a port stand in brackets
    #[arg(short = 'h', long, default_value = "127.0.0.1", value_name = "HOST[:PORT]", value_parser = Host::parse)]
    host: Host,
    /// Port of the server [default: that of -h, or 1883]
    #[arg(short, long)]
    port: Option<u16>,
    /// User name; without -P the password is read from SKEIN_PASSWORD
    #[arg(short = 'u', long, value_name = "USER")]
    username: Option<String>,
    /// Password; other users of this machine can see it while the command runs
    #[arg(short = 'P', long = "pw", alias = "password", value_name = "PASSWORD", requires = "username")]
    password: Option<String>,
    /// Client id; the server assigns one by default
    #[arg(short, long, value_name = "ID")]
    id: Option<String>,
    /// Use a persistent session: subscriptions and undelivered messages wait for this client id to reconnect
    #[arg(short = 'c', long = "disable-clean-session", requires = "id")]
    keep_session: bool,
    /// Version of MQTT: 3.1, 3.1.1 (also 3) or 5
    #[arg(short = 'V', long, default_value = "5", value_name = "VERSION", value_parser = version)]
    pub(crate) protocol_version: Version,
    /// Keep alive in seconds; 0 switches it off
    #[arg(short, long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) keepalive: u16,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// A host, and the port if it was written behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let is_ipv6 = text.parse::<Ipv6Addr>().is_ok();
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (name, port) = match (bracketed, text.rsplit_once(':')) {
            (Some((name, "")), _) => (name, None),
            (Some((name, port)), _) => (name, Some(port.strip_prefix(':').unwrap_or(port))),
            (None, Some((name, port))) if !is_ipv6 => (name, Some(port)),
            (None, _) => (text, None),
        };
        if name.is_empty() || (bracketed.is_none() && !is_ipv6 && name.contains(':')) {
            return Err("write host, host:port or [IPv6 address]:port".to_owned());
        }
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err("behind the colon stands no port from 1 to 65535".to_owned()),
        };
        Ok(Self { name: name.to_owned(), port })
    }
}

impl ConnectionArgs {
    /// The server's host and port.
    pub(crate) fn server(&self) -> anyhow::Result<(&str, u16)> {
        let port = match (self.host.port, self.port) {
            (Some(one), Some(other)) if one != other => {
                bail!("the port is given twice: {one} behind the host and -p {other}. Leave one out")
            }
            (one, other) => one.or(other).unwrap_or(PORT_DEFAULT),
        };
        Ok((&self.host.name, port))
    }

    /// The CONNECT these arguments ask for.
    pub(crate) fn connect_packet(&self) -> anyhow::Result<Connect> {
        let version = self.protocol_version;
        // MQTT 3.1 has no way to ask for a name.
        let unnamed =
            || if version == Version::V31 { format!("skein-{}", std::process::id()) } else { String::new() };
        let client_id = self.id.clone().unwrap_or_else(unnamed);
        let mut connect = Connect::new(version, ByteString::from(client_id));
        connect.clean_start = !self.keep_session;
        connect.keep_alive_secs = self.keepalive;
        connect.properties.session_expiry_secs = self.keep_session.then_some(EXPIRY_NEVER);
        if let Some(user) = &self.username {
            connect.user_name = Some(ByteString::from(user.clone()));
            let password =
                self.password.clone().map_or_else(secret::of_environment, |given| Ok(Some(given)))?;
            connect.password = password.map(|text| text.into_bytes().into());
        }
        Ok(connect)
    }
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "3.1" | "31" | "mqttv31" => Ok(Version::V31),
        "3" | "3.1.1" | "311" | "mqttv311" => Ok(Version::V311),
        "5" | "5.0" | "mqttv5" => Ok(Version::V5),
        _ => Err("choose 3.1, 3.1.1 or 5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_host_with_and_without_a_port() {
        for (text, name, port) in [
            ("localhost", "localhost", None),
            ("broker.example.org:1884", "broker.example.org", Some(1884)),
            ("127.0.0.1:1883", "127.0.0.1", Some(1883)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[fe80::1]:8883", "fe80::1", Some(8883)),
        ] {
            assert_eq!(Host::parse(text), Ok(Host { name: name.to_owned(), port }), "{text}");
        }
        for wrong in ["", ":1883", "host:", "host:0", "host:65536", "host:mqtt", "a:b:1", "[::1]x", "[]:1"] {
            assert!(Host::parse(wrong).is_err(), "{wrong}");
        }
    }
}
