//! An MQTT server with every transport open on loopback: Skein, or Debian's Mosquitto as the known
//! good peer against which client scripts prove themselves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;

use crate::certificates::Certificates;
use crate::directory::TestDirectory;
use crate::ports::free_address;
use crate::server::Server;

/// A running MQTT server and the addresses of its listeners.
#[derive(Debug)]
pub struct Broker {
    /// The process.
    pub server: Server,
    /// MQTT over TCP.
    pub tcp: SocketAddr,
    /// MQTT over TLS.
    pub tls: SocketAddr,
    /// MQTT over WebSocket.
    pub ws: SocketAddr,
    /// MQTT over WebSocket over TLS.
    pub wss: SocketAddr,
    /// HTTP; Mosquitto has none, nothing listens there then.
    pub http: SocketAddr,
    /// The certificates of the TLS listeners.
    pub certificates: Certificates,
    /// Configuration and data; goes with the value.
    pub directory: TestDirectory,
}

/// A name with its password.
#[derive(Debug, Clone)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The password in clear text.
    pub password: String,
}

/// How a broker is started; the default lets anyone in.
#[derive(Debug, Clone, Default)]
pub struct BrokerOptions {
    /// The users that may connect. With any of them, nobody else may.
    pub users: Vec<User>,
    /// Further arguments of the program, after the usual ones.
    pub arguments: Vec<String>,
}

impl Broker {
    /// Starts `program`, a `skein` binary, and waits until it answers on every MQTT listener.
    #[track_caller]
    pub fn skein(program: impl AsRef<Path>, options: &BrokerOptions) -> Self {
        let places = Places::choose();
        let mut command = Command::new(program.as_ref());
        command.current_dir(places.directory.path()).arg("serve");
        for (flag, address) in [
            ("--mqtt.listen", places.tcp),
            ("--mqtt.tls_listen", places.tls),
            ("--mqtt.ws_listen", places.ws),
            ("--mqtt.wss_listen", places.wss),
            ("--http.listen", places.http),
        ] {
            command.arg(flag).arg(address.to_string());
        }
        command.arg("--tls.cert").arg(&places.certificates.server_cert);
        command.arg("--tls.key").arg(&places.certificates.server_key);
        if options.users.is_empty() {
            command.args(["--access.anonymous", "true"]);
        } else {
            let file = places.directory.write("access.toml", skein_access(&options.users));
            command.args(["--access.anonymous", "false"]).arg("--access.file").arg(file);
        }
        command.args(&options.arguments);
        places.serve("skein", &mut command)
    }

    /// Starts the Mosquitto on this machine and waits until it answers on every listener.
    #[track_caller]
    pub fn mosquitto(options: &BrokerOptions) -> Self {
        let places = Places::choose();
        let config = places.directory.write("mosquitto.conf", mosquitto_config(&places, &options.users));
        let mut command = mosquitto_program("mosquitto");
        command.arg("-c").arg(config).args(&options.arguments);
        places.serve("mosquitto", &mut command)
    }
}

/// Everything about a broker that is settled before it starts.
struct Places {
    directory: TestDirectory,
    certificates: Certificates,
    tcp: SocketAddr,
    tls: SocketAddr,
    ws: SocketAddr,
    wss: SocketAddr,
    http: SocketAddr,
}

impl Places {
    #[track_caller]
    fn choose() -> Self {
        let directory = TestDirectory::create("broker");
        let certificates = Certificates::create(directory.path());
        let [tcp, tls, ws, wss, http] = std::array::from_fn(|_| free_address());
        Self { directory, certificates, tcp, tls, ws, wss, http }
    }

    #[track_caller]
    fn serve(self, name: &str, command: &mut Command) -> Broker {
        let mut server = Server::start(name, command);
        for address in [self.tcp, self.tls, self.ws, self.wss] {
            server.wait_for_port(address);
        }
        let Self { directory, certificates, tcp, tls, ws, wss, http } = self;
        Broker { server, tcp, tls, ws, wss, http, certificates, directory }
    }
}

/// Debian puts servers into /usr/sbin, which is not on everybody's PATH.
fn mosquitto_program(name: &str) -> Command {
    let in_sbin = Path::new("/usr/sbin").join(name);
    Command::new(if in_sbin.exists() { in_sbin } else { PathBuf::from(name) })
}

#[track_caller]
fn mosquitto_config(places: &Places, users: &[User]) -> String {
    // Limits off: what is compared is behaviour, not where each server draws a line by default.
    let mut config = "user root\npersistence false\nset_tcp_nodelay true\nmax_queued_messages 0\n".to_owned();
    if users.is_empty() {
        config.push_str("allow_anonymous true\n");
    } else {
        let file = mosquitto_users(&places.directory, users);
        config.push_str(&format!("allow_anonymous false\npassword_file {}\n", file.display()));
    }
    let tls = format!(
        "certfile {}\nkeyfile {}\n",
        places.certificates.server_cert.display(),
        places.certificates.server_key.display()
    );
    for (address, protocol, security) in [
        (places.tcp, "mqtt", ""),
        (places.tls, "mqtt", tls.as_str()),
        (places.ws, "websockets", ""),
        (places.wss, "websockets", tls.as_str()),
    ] {
        let (port, ip) = (address.port(), address.ip());
        config.push_str(&format!("listener {port} {ip}\nprotocol {protocol}\n{security}"));
    }
    config
}

#[track_caller]
fn mosquitto_users(directory: &TestDirectory, users: &[User]) -> PathBuf {
    let file = directory.write("users", "");
    for user in users {
        let mut command = Command::new("mosquitto_passwd");
        command.arg("-b").arg(&file).args([&user.name, &user.password]);
        run(&mut command);
    }
    file
}

/// An access file in which each of the users may do everything.
fn skein_access(users: &[User]) -> String {
    let mut text = String::new();
    for User { name, password } in users {
        let hash =
            Argon2::default().hash_password(password.as_bytes()).expect("the system gives random numbers");
        text.push_str(&format!("[[users]]\nname = '{name}'\npassword = '{hash}'\n\n"));
    }
    text.push_str("[[rules]]\nallow = true\nusers = ['*']\nfilters = ['#', '$SYS/#']\n");
    text
}

#[track_caller]
fn run(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cannot start {command:?}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawClient;

    #[test]
    fn mosquitto_speaks_to_the_raw_client() {
        let mut broker = Broker::mosquitto(&BrokerOptions::default());
        let mut client = RawClient::open_v4(broker.tcp, "raw");
        client.dialogue(
            r#"> 82 [ 0001 "a/#" 01 ]
               < 90 [ 0001 01 ]
               > 30 [ "a/b" 'hello' ]
               < 30 [ "a/b" 'hello' ]"#,
        );
        client.expect_nothing();
        RawClient::open_v5(broker.tcp, "raw").expect_nothing();
        client.expect_closed();
        assert!(broker.server.terminate().success());
    }
}
