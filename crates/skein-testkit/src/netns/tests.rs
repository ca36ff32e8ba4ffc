//! Hosts that reach each other, and do not, with plain sockets. Where there are no rights the tests say so.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::wait::{DEADLINE, wait_until};

/// A socket on each host.
fn sockets(network: &Network) -> Vec<UdpSocket> {
    let socket = |host: &Host| {
        let socket = host.run(|| UdpSocket::bind((host.address(), 7000))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket
    };
    network.hosts().iter().map(socket).collect()
}

/// Empties the socket and returns whether a datagram with this content came.
fn came(socket: &UdpSocket, content: &[u8]) -> bool {
    let mut bytes = [0; 64];
    while let Ok(count) = socket.recv(&mut bytes) {
        if &bytes[..count] == content {
            return true;
        }
    }
    false
}

/// Whether `to` hears `from`; of several datagrams, because the first may be lost while addresses are learnt.
fn hears(sockets: &[UdpSocket], from: usize, to: usize) -> bool {
    let target = sockets[to].local_addr().unwrap();
    let content = format!("{from} to {to}");
    (0..4).any(|_| {
        // Without a carrier or a neighbour sending may fail, which is not hearing.
        drop(sockets[from].send_to(content.as_bytes(), target));
        came(&sockets[to], content.as_bytes())
    })
}

/// Who hears whom among three hosts: 01 10 02 20 12 21.
fn map(sockets: &[UdpSocket]) -> [bool; 6] {
    [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)].map(|(from, to)| hears(sockets, from, to))
}

#[test]
fn hosts_reach_each_other_until_they_are_cut_and_again_when_healed() {
    let Some(network) = Network::for_test("hosts_reach_each_other", 3) else { return };
    let sockets = sockets(&network);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    for number in 0..3 {
        network.cut(number);
        let others: [bool; 6] =
            [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)].map(|(a, b)| a != number && b != number);
        assert_eq!(map(&sockets), others, "host {number} is cut");
        network.heal(number);
        wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    }
}

#[test]
fn a_parted_network_has_two_sides() {
    let Some(network) = Network::for_test("a_parted_network", 3) else { return };
    let sockets = sockets(&network);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    network.part(&[&[0, 2], &[1]]);
    assert_eq!(map(&sockets), [false, false, true, true, false, false]);
    network.part(&[&[1, 2]]);
    wait_until("hosts 1 and 2 are together", DEADLINE, || {
        map(&sockets) == [false, false, false, false, true, true]
    });
    network.heal_all();
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
}

#[test]
fn one_way_is_cut_without_the_other() {
    let Some(network) = Network::for_test("one_way_is_cut", 3) else { return };
    let sockets = sockets(&network);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    network.cut_way(1, Cable::Incoming);
    assert_eq!(map(&sockets), [false, true, true, true, true, false]);
    network.heal(1);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    network.cut_way(1, Cable::Outgoing);
    assert_eq!(map(&sockets), [true, false, true, true, false, true]);
    network.heal(1);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
    network.unplug(2);
    assert_eq!(map(&sockets), [true, true, false, false, false, false]);
    network.heal(2);
    wait_until("the network is whole", DEADLINE, || map(&sockets) == [true; 6]);
}

#[test]
fn a_command_runs_on_its_host_and_everything_goes_with_the_network() {
    let Some(network) = Network::for_test("a_command_runs_on_its_host", 1) else { return };
    let host = network.host(0).clone();
    assert_eq!(host.address(), Ipv4Addr::new(10, 77, 0, 1));
    let addresses = host.command("ip").args(["-br", "addr"]).output().unwrap();
    let addresses = String::from_utf8_lossy(&addresses.stdout).into_owned();
    assert!(addresses.contains("10.77.0.1/24"), "{addresses}");
    let listener = host.run(|| TcpListener::bind((host.address(), 0))).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    assert!(host.run(|| std::net::TcpStream::connect(address)).is_ok());
    let mut forgotten = host.command("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    wait_until("the process is on its host", DEADLINE, || {
        tool::output(&["netns", "pids", &host.namespace]).contains(&forgotten.id().to_string())
    });
    let name = network.name.clone();
    drop(network);
    wait_until("the process has ended", DEADLINE, || forgotten.try_wait().unwrap().is_some());
    assert!(!tool::output(&["netns", "list"]).contains(&name));
}

#[test]
fn only_namespaces_of_ended_processes_are_left_behind() {
    assert_eq!(maker("skeintest-12-0-switch"), Some(12));
    assert_eq!(maker("skeintest-12-0-3"), Some(12));
    assert_eq!(maker("skein-12-0"), None);
    assert_eq!(maker("other"), None);
    let Some(network) = Network::for_test("only_namespaces_of_ended_processes", 1) else { return };
    // No process id is that high on Linux.
    let left = format!("{NAME}-4194999-0-0");
    must(ip(&["netns", "add", &left]));
    remove_left_behind();
    let list = tool::output(&["netns", "list"]);
    assert!(!list.contains(&left) && list.contains(&network.name), "{list}");
}
