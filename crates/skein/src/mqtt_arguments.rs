//! The arguments that `skein pub` and `skein sub` share: where the server is and who asks.
//!
//! Names and meanings are those of mosquitto_pub and mosquitto_sub, so that what people type, and scripts, carry over.

use clap::{ArgAction, Args};
use skein_node::{
    mqtt_codec::{Connect, Version},
    types::ByteString,
};

use crate::secret;

/// Session expiry that means the session stays (MQTT 5.0 section 3.1.2.11.2).
const EXPIRY_NEVER: u32 = u32::MAX;

#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// Where the server is
    #[arg(short = 'h', long, default_value = "127.0.0.1", value_name = "HOST")]
    pub(crate) host: String,
    /// Its port
    #[arg(short, long, default_value_t = 1883)]
    pub(crate) port: u16,
    /// The user to log in as; without -P its password is that of SKEIN_PASSWORD
    #[arg(short = 'u', long, value_name = "USER")]
    username: Option<String>,
    /// The user's password; others on this machine can see it while the command runs
    #[arg(short = 'P', long = "pw", alias = "password", value_name = "PASSWORD", requires = "username")]
    password: Option<String>,
    /// The client id; the server makes one up without it
    #[arg(short, long, value_name = "ID")]
    id: Option<String>,
    /// Keep the session: what was subscribed to and not delivered waits for the same client id to come back
    #[arg(short = 'c', long = "disable-clean-session", requires = "id")]
    keep_session: bool,
    /// Version of MQTT: 3.1, 3.1.1 (also 3) or 5
    #[arg(short = 'V', long, default_value = "5", value_name = "VERSION", value_parser = version)]
    pub(crate) protocol_version: Version,
    /// Seconds without a packet after which both ends ask each other whether they are there; 0 for never
    #[arg(short, long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) keepalive: u16,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl ConnectionArgs {
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
