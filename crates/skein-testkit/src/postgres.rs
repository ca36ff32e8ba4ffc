//! PostgreSQL of this machine's Debian, with a data directory of the test's own.
//!
//! The server refuses to run as root: then it runs as the user `postgres`, which its package makes. Nothing of an installed
//! service is used or touched.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::certificates::Certificates;
use crate::database::{as_user, own, run};
use crate::directory::TestDirectory;
use crate::ports::free_address;
use crate::server::Server;

/// A PostgreSQL server on loopback with the empty database `skein`; it takes connections with TLS and without.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Server>,
    address: SocketAddr,
    directory: TestDirectory,
}

impl Postgres {
    /// Makes a data directory and starts the server.
    #[track_caller]
    pub fn start_new() -> Self {
        let directory = TestDirectory::create("postgres");
        own(directory.path(), "postgres");
        let mut initdb = as_user("postgres", program("initdb"));
        initdb.arg("-D").arg(directory.path().join("data"));
        // Words of the password are those of the URL: real authentication (SCRAM) is part of what is tested.
        let password = directory.write("password", "se:cret\n");
        own(&password, "postgres");
        initdb.args(["-U", "skein", "-E", "UTF8", "--locale=C", "--no-sync", "-A", "scram-sha-256"]);
        initdb.arg("--pwfile").arg(password).current_dir(directory.path());
        run(&mut initdb);
        let certificates = Certificates::create(directory.path());
        own(&certificates.server_key, "postgres");
        run(Command::new("chmod").arg("600").arg(&certificates.server_key));
        let mut postgres = Self { server: None, address: free_address(), directory };
        postgres.start();
        postgres.query_in("postgres", "create database skein");
        postgres
    }

    /// Starts the server after [`Self::stop`], on the same port with the same data.
    #[track_caller]
    pub fn start(&mut self) {
        let mut command = as_user("postgres", program("postgres"));
        command.arg("-D").arg(self.directory.path().join("data"));
        command.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string(), "-F"]);
        command.args([
            "-c",
            "ssl=on",
            "-c",
            "ssl_cert_file=../server.pem",
            "-c",
            "ssl_key_file=../server.key",
        ]);
        command.arg("-k").arg(self.directory.path()).current_dir(self.directory.path());
        let mut server = Server::start("postgres", &mut command);
        server.wait_for_port(self.address);
        server.wait_for_line("ready to accept connections");
        self.server = Some(server);
    }

    /// Stops the server; connections are cut.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(server) = &mut self.server {
            server.signal("INT");
            server.wait_for_end();
        }
        self.server = None;
    }

    /// The URL of the database, without TLS.
    pub fn url(&self) -> String {
        format!("postgres://skein:se%3Acret@{}/skein?sslmode=disable", self.address)
    }

    /// The URL of the database with TLS; the server's certificate is checked.
    pub fn tls_url(&self) -> String {
        let authority = self.directory.path().join("ca.pem");
        let address = self.address;
        format!(
            "postgres://skein:se%3Acret@{address}/skein?sslmode=verify-full&sslrootcert={}",
            authority.display()
        )
    }

    /// What `psql` prints for a statement: a line for a row, columns separated by `|`.
    #[track_caller]
    pub fn query(&self, statement: &str) -> String {
        self.query_in("skein", statement)
    }

    #[track_caller]
    fn query_in(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        psql.args(["-U", "skein", "-d", database, "-c", statement]).env("PGPASSWORD", "se:cret");
        run(&mut psql)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // In good order when the test passed: killed, it leaves shared memory behind.
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Debian keeps the programs of each version apart and off the PATH.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let installed = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")));
    installed.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_data_over_a_restart() {
        let mut postgres = Postgres::start_new();
        postgres.query("create table t (a int)");
        postgres.query("insert into t values (7)");
        postgres.stop();
        postgres.start();
        assert_eq!(postgres.query("select a, 'x' from t"), "7|x\n");
    }
}
