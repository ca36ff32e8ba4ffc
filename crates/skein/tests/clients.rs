//! Third-party MQTT clients against the `skein` program: paho-mqtt, mqtt.js, Mosquitto's tools.
//!
//! The clients are what users have, so what they see is what counts; nothing here shares code with
//! the server. `cargo xtask setup` installs them, and a client that is missing fails its tests. With
//! `SKEIN_TEST_BROKER=mosquitto` the same tests run against Debian's Mosquitto, which shows that the
//! clients' scripts are right themselves.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

#[path = "clients/mosquitto_tools.rs"]
mod mosquitto_tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use skein_testkit::{Broker, BrokerOptions, User};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Skein,
    Mosquitto,
}

impl Program {
    fn chosen() -> Self {
        match std::env::var("SKEIN_TEST_BROKER").as_deref() {
            Err(_) | Ok("skein") => Self::Skein,
            Ok("mosquitto") => Self::Mosquitto,
            Ok(other) => panic!("SKEIN_TEST_BROKER is {other:?}; it may be skein or mosquitto"),
        }
    }

    fn start(self, options: &BrokerOptions) -> Broker {
        match self {
            Self::Skein => Broker::skein(env!("CARGO_BIN_EXE_skein"), options),
            Self::Mosquitto => Broker::mosquitto(options),
        }
    }

    /// The reason codes of a CONNACK that refuses a password, in MQTT 3.1.1 and in MQTT 5.
    /// Mosquitto says "not authorized" where the standard has "bad user name or password".
    fn refusal(self) -> (i32, i32) {
        match self {
            Self::Skein => (4, 0x86),
            Self::Mosquitto => (5, 0x87),
        }
    }

    /// Mosquitto 2.0.11 does not get through a WebSocket message of a megabyte.
    fn large_bytes(self, transport: Transport) -> u32 {
        match (self, transport) {
            (Self::Mosquitto, Transport::Ws | Transport::Wss) => 100_000,
            _ => 1_000_000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn port(self, broker: &Broker) -> u16 {
        match self {
            Self::Tcp => broker.tcp.port(),
            Self::Tls => broker.tls.port(),
            Self::Ws => broker.ws.port(),
            Self::Wss => broker.wss.port(),
        }
    }
}

#[derive(Clone, Copy)]
enum Client {
    Paho,
    MqttJs,
}

impl Client {
    fn script(self) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        match self {
            Self::Paho => {
                let mut command = Command::new("python3");
                command.arg("-B").arg(scripts.join("paho_client.py")).env("PYTHONPATH", tools("python"));
                command
            }
            Self::MqttJs => {
                let mut command = Command::new("node");
                command.arg(scripts.join("mqttjs_client.js")).env("NODE_PATH", tools("npm/node_modules"));
                command
            }
        }
    }

    /// Runs every scenario of the client over one transport in one version of MQTT.
    fn passes(self, transport: Transport, version: &str) {
        let program = Program::chosen();
        let broker = program.start(&BrokerOptions::default());
        let mut command = self.script();
        command.args(["127.0.0.1", &transport.port(&broker).to_string(), transport.name(), version]);
        command.arg("--ca").arg(&broker.certificates.ca_file);
        command.args(["--large-bytes", &program.large_bytes(transport).to_string()]);
        run(&mut command);
    }

    /// Checks that a user with the right password is let in and others get the right code.
    fn is_asked_for_a_password(self, version: &str) {
        let program = Program::chosen();
        let broker = program.start(&with_a_user());
        let (v3, v5) = program.refusal();
        let refused = match (self, version) {
            // paho shows the codes of 3.1.1 as those of 5 with the same meaning.
            (Self::Paho, "3.1.1") => v3 + 0x86 - 4,
            (Self::MqttJs, "3.1.1") => v3,
            _ => v5,
        };
        let mut command = self.script();
        command.args(["127.0.0.1", &broker.tcp.port().to_string(), "tcp", version]);
        command.args(["--user", "ada", "--password", "lovelace", "--refused", &refused.to_string()]);
        run(&mut command);
    }
}

fn with_a_user() -> BrokerOptions {
    let user = User { name: "ada".to_owned(), password: "lovelace".to_owned() };
    BrokerOptions { users: vec![user], ..BrokerOptions::default() }
}

/// Where `cargo xtask setup` put the packages of a language.
fn tools(language: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools").join(language);
    assert!(path.is_dir(), "{} is missing: run `cargo xtask setup`", path.display());
    path
}

/// Runs a client to its end and shows what it wrote when it failed.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot start {:?}: {error}. Run `cargo xtask setup`.", command.get_program())
    });
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "a script that passed prints one line: {text}");
}

macro_rules! scripts_pass {
    ($($name:ident: $client:ident $transport:ident $version:literal;)*) => {
        $(
            #[test]
            fn $name() {
                Client::$client.passes(Transport::$transport, $version);
            }
        )*
    };
}

scripts_pass! {
    paho_tcp_3_1: Paho Tcp "3.1";
    paho_tcp_3_1_1: Paho Tcp "3.1.1";
    paho_tcp_5: Paho Tcp "5";
    paho_tls_3_1_1: Paho Tls "3.1.1";
    paho_tls_5: Paho Tls "5";
    paho_ws_3_1_1: Paho Ws "3.1.1";
    paho_ws_5: Paho Ws "5";
    paho_wss_5: Paho Wss "5";
    mqttjs_tcp_3_1: MqttJs Tcp "3.1";
    mqttjs_tcp_3_1_1: MqttJs Tcp "3.1.1";
    mqttjs_tcp_5: MqttJs Tcp "5";
    mqttjs_tls_3_1_1: MqttJs Tls "3.1.1";
    mqttjs_tls_5: MqttJs Tls "5";
    mqttjs_ws_3_1_1: MqttJs Ws "3.1.1";
    mqttjs_ws_5: MqttJs Ws "5";
    mqttjs_wss_5: MqttJs Wss "5";
}

#[test]
fn paho_users_3_1_1() {
    Client::Paho.is_asked_for_a_password("3.1.1");
}

#[test]
fn paho_users_5() {
    Client::Paho.is_asked_for_a_password("5");
}

#[test]
fn mqttjs_users_3_1_1() {
    Client::MqttJs.is_asked_for_a_password("3.1.1");
}

#[test]
fn mqttjs_users_5() {
    Client::MqttJs.is_asked_for_a_password("5");
}
