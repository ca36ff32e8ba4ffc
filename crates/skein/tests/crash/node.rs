//! The `skein` program on a directory that outlives it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use skein_testkit::{Server, TestDirectory, free_address};

pub(crate) struct Node {
    /// None between a kill and the next start.
    server: Option<Server>,
    address: SocketAddr,
    arguments: Vec<String>,
    directory: TestDirectory,
}

impl Node {
    /// Settles where the node listens and keeps its data, and starts nothing.
    pub(crate) fn prepare(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let directory = TestDirectory::create("crash");
        Self { server: None, address: free_address(), arguments, directory }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn launch(&mut self) {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_skein")));
        command.current_dir(self.directory.path()).arg("serve");
        command.arg("--mqtt.listen").arg(self.address.to_string());
        command.args(["--mqtt.ws_listen", "off", "--http.listen", "off"]);
        command.arg("--data.dir").arg(self.data());
        // Small, so that snapshots are written while the process is killed.
        command.args(["--data.snapshot_log_bytes", "256KiB"]);
        command.args(&self.arguments);
        // The test's own variables are none of the program's.
        command.env_remove("SKEIN_CRASH_SEED").env_remove("SKEIN_CRASH_KILLS");
        self.server = Some(Server::start("skein", &mut command));
    }

    /// Starts the process and waits until it answers; its address.
    pub(crate) fn start(&mut self) -> SocketAddr {
        self.launch();
        if let Some(server) = &mut self.server {
            server.wait_for_port(self.address);
        }
        self.address
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// SIGTERM, which must end it with success.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let status = server.terminate();
            assert!(status.success(), "skein ended with {status}");
        }
    }
}
