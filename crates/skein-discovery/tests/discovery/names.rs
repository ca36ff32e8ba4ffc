//! Places that are names: hosts with several addresses, SRV records, and names that give nothing yet.

use std::{net::SocketAddr, time::Duration};

use skein_discovery::{LookError, Names, Seed};
use skein_testkit::DnsServer;

use crate::searching::{Searching, settings};

const ME: &str = "127.0.0.1:5777";

fn look(server: &DnsServer, seed: &str) -> Result<Vec<SocketAddr>, LookError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seed: Seed = seed.parse().unwrap();
    runtime.block_on(Names::at(server.address()).look(&seed))
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_host_gives_all_its_addresses() {
    let records = ["host-record=all.test,127.0.0.3,::1", "host-record=all.test,127.0.0.2"];
    let server = DnsServer::start("test", &records);
    let found = look(&server, "all.test:5777");
    assert_eq!(found, Ok(addresses(&["127.0.0.2:5777", "127.0.0.3:5777", "[::1]:5777"])));
}

#[test]
fn a_service_gives_ports_and_hosts_by_priority_and_weight() {
    let server = DnsServer::start(
        "test",
        &[
            "srv-host=_skein._tcp.test,last.test,5799,30,100",
            "srv-host=_skein._tcp.test,first.test,5777,10,5",
            "srv-host=_skein._tcp.test,second.test,5788,20,1",
            "srv-host=_skein._tcp.test,heavy.test,5780,20,50",
            "srv-host=_skein._tcp.test,nowhere.test,5790,1,1",
            "host-record=first.test,127.0.0.9",
            "host-record=second.test,127.0.0.2",
            "host-record=second.test,127.0.0.3",
            "host-record=heavy.test,127.0.0.4",
            "host-record=last.test,127.0.0.1",
        ],
    );
    let found = look(&server, "srv:_skein._tcp.test");
    let expected = ["127.0.0.9:5777", "127.0.0.4:5780", "127.0.0.2:5788", "127.0.0.3:5788", "127.0.0.1:5799"];
    assert_eq!(found, Ok(addresses(&expected)), "the host that has no address is left out");
}

#[test]
fn many_records_come_over_tcp() {
    let hosts: Vec<String> =
        (1..=60).map(|n| format!("host-record=a-host-with-a-long-name-{n}.test,127.0.1.{n}")).collect();
    let services: Vec<String> = (1..=60)
        .map(|n| format!("srv-host=_many._tcp.test,a-host-with-a-long-name-{n}.test,{},{n}", 6000 + n))
        .collect();
    let records: Vec<&str> = hosts.iter().chain(&services).map(String::as_str).collect();
    let server = DnsServer::start("test", &records);
    let found = look(&server, "srv:_many._tcp.test").unwrap();
    assert_eq!(found.len(), 60);
    assert_eq!(found[59], "127.0.1.60:6060".parse().unwrap());
}

#[test]
fn what_is_not_there_is_an_error() {
    let server = DnsServer::start("test", &["srv-host=_empty._tcp.test,nowhere.test,5777,10"]);
    for seed in ["nowhere.test:5777", "srv:_none._tcp.test", "srv:_empty._tcp.test"] {
        assert!(matches!(look(&server, seed), Err(LookError::Failed(_))), "{seed}");
    }
}

#[test]
fn a_name_is_looked_up_until_it_gives_something_and_again_later() {
    let mut server = DnsServer::start("test", &["host-record=other.test,127.0.0.8"]);
    let seeds = ["nodes.test:5777", "127.0.0.7:5777", ME];
    let node = Searching::start(
        1,
        ME.parse().unwrap(),
        settings(&seeds, None, Duration::ZERO),
        Names::at(server.address()),
    );
    node.wait_for("127.0.0.7:5777".parse().unwrap());
    server.replace(&["host-record=nodes.test,127.0.0.2"]);
    node.wait_for("127.0.0.2:5777".parse().unwrap());
    server.replace(&["host-record=nodes.test,127.0.0.3"]);
    node.wait_for("127.0.0.3:5777".parse().unwrap());
    assert!(!node.found().contains(&node.address), "a node is not told of itself");
    node.leave();
}

#[test]
fn the_order_of_a_service_arrives() {
    let records = [
        "srv-host=_skein._tcp.test,b.test,5778,20",
        "srv-host=_skein._tcp.test,a.test,5779,10",
        "host-record=a.test,127.0.0.2",
        "host-record=b.test,127.0.0.1",
    ];
    let server = DnsServer::start("test", &records);
    let search = settings(&["srv:_skein._tcp.test"], None, Duration::ZERO);
    let node = Searching::start(1, ME.parse().unwrap(), search, Names::at(server.address()));
    assert_eq!(node.first(), addresses(&["127.0.0.2:5779", "127.0.0.1:5778"]));
    node.leave();
}

#[test]
fn the_systems_own_configuration_knows_localhost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seed: Seed = "localhost:5777".parse().unwrap();
    let found = runtime.block_on(Names::system().look(&seed)).unwrap();
    assert!(found.contains(&"127.0.0.1:5777".parse().unwrap()), "{found:?}");
}
