//! MariaDB of this machine's Debian, with a data directory of the test's own.
//!
//! The server does not run as root: then it runs as the user `mysql`, which its package makes. Nothing of an installed service
//! is used or touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::Certificates;
use crate::database::{as_user, own, run};
use crate::directory::TestDirectory;
use crate::ports::free_address;
use crate::server::Server;

/// A MariaDB server on loopback with the empty database `skein`; it takes connections with TLS and without.
#[derive(Debug)]
pub struct Mariadb {
    server: Option<Server>,
    address: SocketAddr,
    directory: TestDirectory,
}

impl Mariadb {
    /// Makes a data directory and starts the server.
    #[track_caller]
    pub fn start_new() -> Self {
        let directory = TestDirectory::create("mariadb");
        own(directory.path(), "mysql");
        let mut install = as_user("mysql", PathBuf::from("mariadb-install-db"));
        install.arg("--no-defaults").arg(format!("--datadir={}", directory.path().join("data").display()));
        install
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            // Each removes what it takes for left-over temporary tables, those of others that start meanwhile too.
            .env("TMPDIR", directory.path())
            .current_dir(directory.path());
        run(&mut install);
        let init = "create database if not exists skein;
            create user if not exists 'skein'@'127.0.0.1' identified by 'se:cret';
            grant all on skein.* to 'skein'@'127.0.0.1';";
        own(&directory.write("init.sql", init), "mysql");
        own(&Certificates::create(directory.path()).server_key, "mysql");
        let mut mariadb = Self { server: None, address: free_address(), directory };
        mariadb.start();
        mariadb
    }

    /// Starts the server after [`Self::stop`], on the same port with the same data.
    #[track_caller]
    pub fn start(&mut self) {
        let mut command = as_user("mysql", mariadbd());
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"]);
        command.args([format!("--port={}", self.address.port()), format!("--datadir={}", path("data"))]);
        command.args([format!("--socket={}", path("s")), format!("--pid-file={}", path("pid"))]);
        command.arg(format!("--init-file={}", path("init.sql"))).current_dir(self.directory.path());
        command.args([
            format!("--ssl-cert={}", path("server.pem")),
            format!("--ssl-key={}", path("server.key")),
        ]);
        command.arg(format!("--tmpdir={}", self.directory.path().display()));
        command.args(["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"]);
        let mut server = Server::start("mariadbd", &mut command);
        server.wait_for_line("ready for connections");
        server.wait_for_port(self.address);
        self.server = Some(server);
    }

    /// Stops the server; connections are cut.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(server) = &mut self.server {
            server.terminate();
        }
        self.server = None;
    }

    /// The URL of the database, without TLS.
    pub fn url(&self) -> String {
        format!("mysql://skein:se%3Acret@{}/skein?ssl-mode=DISABLED", self.address)
    }

    /// The URL of the database with TLS; the server's certificate is checked.
    pub fn tls_url(&self) -> String {
        let authority = self.directory.path().join("ca.pem");
        let address = self.address;
        format!(
            "mysql://skein:se%3Acret@{address}/skein?ssl-mode=VERIFY_IDENTITY&ssl-ca={}",
            authority.display()
        )
    }

    /// What `mariadb` prints for a statement: a line for a row, columns separated by `|`.
    #[track_caller]
    pub fn query(&self, statement: &str) -> String {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--skip-ssl", "-N", "-B", "-h", "127.0.0.1", "-u", "skein"]);
        client.arg(format!("-P{}", self.address.port())).args(["-pse:cret", "skein", "-e", statement]);
        run(&mut client).replace('\t', "|")
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn mariadbd() -> PathBuf {
    let in_sbin = Path::new("/usr/sbin/mariadbd");
    if in_sbin.exists() { in_sbin.to_path_buf() } else { PathBuf::from("mariadbd") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_data_over_a_restart() {
        let mut mariadb = Mariadb::start_new();
        mariadb.query("create table t (a int)");
        mariadb.query("insert into t values (7)");
        mariadb.stop();
        mariadb.start();
        assert_eq!(mariadb.query("select a, 'x' from t"), "7|x\n");
    }
}
