//! A running node, and commands of the program that are run to their end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use skein_testkit::{DEADLINE, Server, TestDirectory};

/// The program without any setting of the environment it is tested in.
pub(crate) fn skein() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SKEIN_") {
            command.env_remove(name);
        }
    }
    command
}

/// A node with MQTT over TCP on a port of the system's choice and everything else off.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) directory: TestDirectory,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(TestDirectory::create("program"), arguments)
    }

    /// The same in a directory that has files in it already; they are found by their names alone.
    pub(crate) fn start_in(directory: TestDirectory, arguments: &[&str]) -> Self {
        let mut command = skein();
        command.arg("serve").args(["--mqtt.listen", "127.0.0.1:0", "--mqtt.ws_listen", "off"]);
        if !arguments.contains(&"--http.listen") {
            command.args(["--http.listen", "off"]);
        }
        command.args(arguments).current_dir(directory.path());
        let server = Server::start("skein", &mut command);
        server.wait_for_line("skein: ready");
        let address = listening(&server, "tcp");
        Self { server, address, directory }
    }

    /// The program as the node's operator runs it.
    pub(crate) fn operator(&self) -> Command {
        let mut command = skein();
        command.env("SKEIN_DATA_DIR", self.directory.path().join("data"));
        command
    }

    /// `skein pub` or `skein sub` for this node.
    pub(crate) fn client(&self, command: &str, arguments: &[&str]) -> Command {
        let mut client = skein();
        client.args([command, "-p", &self.address.port().to_string()]).args(arguments);
        client.current_dir(self.directory.path());
        client
    }

    pub(crate) fn publish(&self, arguments: &[&str]) {
        succeeds(&mut self.client("pub", arguments));
    }

    /// Sends a request to the HTTP interface as the node's operator; returns the status and the body of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(listening(&self.server, "http")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let length = body.len();
        let token = std::fs::read_to_string(self.directory.path().join("data/operator.token")).unwrap();
        let token = token.trim_end();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sends SIGHUP and waits until the configuration was read again; returns what was logged about it.
    pub(crate) fn reload(&self) -> String {
        let before = self.server.lines().len();
        self.server.signal("HUP");
        let (after, _) = self.server.wait_for_line_from(before, "configuration");
        self.server.lines().get(before..after).unwrap_or_default().join("\n")
    }
}

/// The address a node said it listens on.
pub(crate) fn listening(server: &Server, transport: &str) -> SocketAddr {
    let line = server.wait_for_line(&format!("listening on {transport}://"));
    let (_, address) = line.split_once("://").unwrap();
    address.parse().unwrap()
}

/// What a finished command wrote and how it ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

pub(crate) fn run(command: &mut Command) -> Finished {
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// Runs a command that reads `input`.
pub(crate) fn run_with(command: &mut Command, input: &[u8]) -> Finished {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not want its input may end first.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap().into()
}

#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> Finished {
    let finished = run(command);
    assert_eq!(finished.code, Some(0), "{command:?}: {}{}", finished.out, finished.err);
    finished
}

/// Runs `skein user` on a file; the password, if any, is its input.
pub(crate) fn user(file: &Path, arguments: &[&str], password: &str) -> Finished {
    let mut command = skein();
    command.arg("user").args(arguments).arg("--file").arg(file);
    run_with(&mut command, format!("{password}\n").as_bytes())
}
