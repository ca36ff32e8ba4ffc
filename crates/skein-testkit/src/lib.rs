//! What tests start, talk to and measure: server processes, certificates, a packet-level client.
//!
//! Everything here is blocking and knows nothing of the server's own crates, so that a fault in the
//! server's codec cannot hide behind the same fault in the test. It must never be a dependency of
//! code that ships: crates name it under `[dev-dependencies]` only. A failed expectation panics,
//! because that is how a test fails; the panic names the caller's line.
//!
//! | for | use |
//! | --- | --- |
//! | one server process of any maker | [`Server`]; with every MQTT transport open, [`Broker`] |
//! | several nodes of a cluster, killed, paused, started again, waited for | [`Cluster`] |
//! | a way between two processes that is cut, frozen, delayed, lossy | [`TcpProxy`], [`UdpProxy`], both: [`Detour`] |
//! | hosts with addresses of their own, cut off and parted, in network namespaces | [`Network`] |
//! | bytes on the wire, written and expected | [`RawClient`], [`pattern`] |
//! | load on a durable server, and what it must have kept | [`durable_load`] |
//! | isolation of transactions | [`history`] |
//! | what a process costs | [`memory`], [`cpu_time`], [`thread_count`], [`open_files`] |
#![expect(clippy::panic, reason = "a failed expectation ends the test that stated it")]

mod broker;
mod certificates;
mod cluster;
mod database;
mod directory;
mod dns;
pub mod durable_load;
pub mod history;
mod mariadb;
mod netns;
mod notation;
mod numbers;
mod ports;
mod postgres;
mod process;
mod proxy;
mod raw_client;
mod server;
mod wait;

pub use broker::{Broker, BrokerOptions, User};
pub use certificates::Certificates;
pub use cluster::{Cluster, ClusterNode, ClusterOptions, Member, MemberState};
pub use directory::TestDirectory;
pub use dns::DnsServer;
pub use mariadb::Mariadb;
pub use netns::{Cable, Host, Network};
pub use notation::{Pattern, bytes, pattern};
pub use numbers::Numbers;
pub use ports::{free_address, free_port};
pub use postgres::Postgres;
pub use process::{Memory, cpu_time, memory, open_files, thread_count};
pub use proxy::{Detour, Direction, Gate, TcpProxy, UdpProxy};
pub use raw_client::RawClient;
pub use server::Server;
pub use wait::{DEADLINE, wait_until};
