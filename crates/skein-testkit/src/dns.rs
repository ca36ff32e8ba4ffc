//! A DNS server: dnsmasq of this machine's Debian on a loopback port, with the records of the test and no others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ports::free_address;
use crate::server::Server;

/// A running name server.
#[derive(Debug)]
pub struct DnsServer {
    server: Server,
    address: SocketAddr,
    zone: String,
}

impl DnsServer {
    /// Starts one that answers for everything under `zone` from `records`, which are options of dnsmasq such as
    /// `host-record=a.test,127.0.0.2` or `srv-host=_x._tcp.test,a.test,5777,10`.
    #[track_caller]
    pub fn start(zone: &str, records: &[&str]) -> Self {
        let address = free_address();
        Self { server: start(zone, records, address), address, zone: zone.to_owned() }
    }

    /// Where it answers, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from other records from now on.
    #[track_caller]
    pub fn replace(&mut self, records: &[&str]) {
        self.server.kill();
        self.server = start(&self.zone, records, self.address);
    }
}

#[track_caller]
fn start(zone: &str, records: &[&str], address: SocketAddr) -> Server {
    let in_sbin = Path::new("/usr/sbin/dnsmasq");
    let program = if in_sbin.exists() { in_sbin.to_path_buf() } else { PathBuf::from("dnsmasq") };
    let mut command = Command::new(program);
    command.args([
        "--keep-in-foreground",
        "--log-facility=-",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
    ]);
    command.args(["--bind-interfaces", "--pid-file=", "--user=", "--group=", &format!("--local=/{zone}/")]);
    command.arg(format!("--listen-address={}", address.ip())).arg(format!("--port={}", address.port()));
    command.args(records.iter().map(|record| format!("--{record}")));
    let mut server = Server::start("dnsmasq", &mut command);
    server.wait_for_port(address);
    server
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::wait::DEADLINE;

    #[test]
    fn answers_with_the_records_it_was_given() {
        let server = DnsServer::start("test", &["host-record=a.test,127.0.0.9"]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // A question (RFC 1035 section 4.1): id 7, one question, `a.test`, type A, class IN.
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        socket.send_to(question, server.address()).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        assert!(answer[..length].ends_with(&[127, 0, 0, 9]), "{:?}", &answer[..length]);
    }
}
