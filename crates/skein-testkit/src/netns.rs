//! Hosts with addresses of their own on one machine: network namespaces, joined by bridges, to cut and to part.
//!
//! Nothing is made outside of namespaces that the value itself made, and all of it goes with the value, the
//! processes in them too. It needs root and iproute2; where one is missing, a test says so and goes on without
//! ([`Network::for_test`]).
//!
//! Each host has `eth0` with 10.77.0.1 and following; the other end of its cable is a port of a bridge in one
//! more namespace. A host is cut by moving its port to a bridge of its own: packets are lost without a word, as on
//! a real network. One direction is cut by a queue of zero bytes, which drops everything.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

mod inside;
mod tool;

use tool::{ip, tc};

/// How the names of namespaces begin; the id of the process that made them follows.
const NAME: &str = "skeintest";
/// Hosts of one network.
const HOSTS_MAX: u8 = 64;
/// The bridge on which all hosts are at first.
const HOME: usize = 0;

/// Several hosts on one network. Dropped, it removes everything it made.
#[derive(Debug)]
pub struct Network {
    name: String,
    hosts: Vec<Host>,
}

/// One host.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
    address: Ipv4Addr,
}

/// A way over a host's cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    /// What the host sends.
    Outgoing,
    /// What is sent to the host.
    Incoming,
}

impl Network {
    /// Makes `count` hosts that reach each other.
    ///
    /// # Errors
    /// What is missing on this machine, in words.
    pub fn create(count: u8) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!((1..=HOSTS_MAX).contains(&count), "a network has 1 to {HOSTS_MAX} hosts, not {count}");
        tool::is_there()?;
        remove_left_behind();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut network = Self { name: format!("{NAME}-{}-{number}", std::process::id()), hosts: Vec::new() };
        let switch = network.switch();
        ip(&["netns", "add", &switch])?;
        for bridge in 0..=usize::from(count) {
            network.add_bridge(bridge)?;
        }
        for number in 0..count {
            network.add_host(number)?;
        }
        Ok(network)
    }

    /// Like [`Self::create`]; when this machine cannot, says so for `test` on the real standard error.
    pub fn for_test(test: &str, count: u8) -> Option<Self> {
        match Self::create(count) {
            Ok(network) => Some(network),
            Err(reason) => {
                // Written past the test harness, which keeps the output of tests that pass.
                drop(writeln!(std::io::stderr(), "{test} was NOT run: {reason}"));
                None
            }
        }
    }

    /// The hosts, in the order of their addresses.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with this number, from 0.
    #[track_caller]
    pub fn host(&self, number: usize) -> &Host {
        match self.hosts.get(number) {
            Some(host) => host,
            None => panic!("the network has {} hosts and no number {number}", self.hosts.len()),
        }
    }

    /// Cuts a host off from all others, both ways, without a word to anyone.
    #[track_caller]
    pub fn cut(&self, number: usize) {
        self.connect_port(number, bridge_of(number));
    }

    /// Cuts one way of a host's cable.
    #[track_caller]
    pub fn cut_way(&self, number: usize, cable: Cable) {
        let (namespace, device) = self.end_of(number, cable);
        must(tc(&namespace, &["qdisc", "replace", "dev", &device, "root", "bfifo", "limit", "0"]));
    }

    /// Takes the cable out: the host sees that it has no carrier.
    #[track_caller]
    pub fn unplug(&self, number: usize) {
        must(ip(&["-n", &self.switch(), "link", "set", &port(number), "down"]));
    }

    /// Parts the network: hosts of one group reach each other, and nobody else. Hosts in no group are alone.
    #[track_caller]
    pub fn part(&self, groups: &[&[usize]]) {
        let mut alone: BTreeSet<usize> = (0..self.hosts.len()).collect();
        for group in groups {
            let Some(&first) = group.first() else { continue };
            for &number in *group {
                assert!(alone.remove(&number), "host {number} is in two groups or is not there");
                self.connect_port(number, bridge_of(first));
            }
        }
        for number in alone {
            self.connect_port(number, bridge_of(number));
        }
    }

    /// Connects a host with all others that are not cut off, whatever was cut of it.
    #[track_caller]
    pub fn heal(&self, number: usize) {
        self.connect_port(number, HOME);
        must(ip(&["-n", &self.switch(), "link", "set", &port(number), "up"]));
        for cable in [Cable::Outgoing, Cable::Incoming] {
            let (namespace, device) = self.end_of(number, cable);
            // It fails where nothing was cut.
            drop(tc(&namespace, &["qdisc", "delete", "dev", &device, "root"]));
        }
    }

    /// Makes the network whole.
    #[track_caller]
    pub fn heal_all(&self) {
        for number in 0..self.hosts.len() {
            self.heal(number);
        }
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn add_bridge(&self, number: usize) -> Result<(), String> {
        let (switch, bridge) = (self.switch(), bridge(number));
        let of_bridge = ["stp_state", "0", "forward_delay", "0"];
        ip(&[&["-n", &switch, "link", "add", &bridge, "type", "bridge"], &of_bridge[..]].concat())?;
        ip(&["-n", &switch, "link", "set", &bridge, "up"])
    }

    fn add_host(&mut self, number: u8) -> Result<(), String> {
        let namespace = format!("{}-{number}", self.name);
        let address = Ipv4Addr::new(10, 77, 0, number + 1);
        ip(&["netns", "add", &namespace])?;
        self.hosts.push(Host { namespace: namespace.clone(), address });
        let (switch, port) = (self.switch(), port(number.into()));
        let cable = ["type", "veth", "peer", "name", &port, "netns", &switch];
        ip(&[&["link", "add", "eth0", "netns", &namespace], &cable[..]].concat())?;
        ip(&["-n", &switch, "link", "set", &port, "master", &bridge(HOME), "up"])?;
        ip(&["-n", &namespace, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        ip(&["-n", &namespace, "link", "set", "eth0", "up"])
    }

    #[track_caller]
    fn connect_port(&self, number: usize, to_bridge: usize) {
        self.host(number);
        must(ip(&["-n", &self.switch(), "link", "set", &port(number), "master", &bridge(to_bridge)]));
    }

    /// Namespace and device that send what goes one way.
    #[track_caller]
    fn end_of(&self, number: usize, cable: Cable) -> (String, String) {
        match cable {
            Cable::Outgoing => (self.host(number).namespace.clone(), "eth0".to_owned()),
            Cable::Incoming => (self.switch(), port(number)),
        }
    }
}

impl Host {
    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs `program` on the host. The process id is the program's own.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = tool::command("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let of_hosts = self.hosts.iter().map(|host| host.namespace.clone());
        for namespace in of_hosts.chain([self.switch()]) {
            remove(&namespace);
        }
    }
}

/// The bridge on which a host is alone, or with the group it is the first of.
fn bridge_of(host: usize) -> usize {
    host + 1
}

fn bridge(number: usize) -> String {
    format!("bridge{number}")
}

fn port(number: usize) -> String {
    format!("port{number}")
}

/// Ends the processes in a namespace, which somebody may have forgotten, and removes it.
fn remove(namespace: &str) {
    for pid in tool::output(&["netns", "pids", namespace]).split_ascii_whitespace() {
        drop(Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status());
    }
    drop(ip(&["netns", "delete", namespace]));
}

/// Removes what a process left behind that was killed in the middle of a test.
fn remove_left_behind() {
    for line in tool::output(&["netns", "list"]).lines() {
        let namespace = line.split_ascii_whitespace().next().unwrap_or_default();
        if maker(namespace).is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            remove(namespace);
        }
    }
}

/// The process that made a namespace, when its name is one of ours.
fn maker(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(NAME)?.strip_prefix('-')?.split('-').next()?.parse().ok()
}

#[track_caller]
fn must(result: Result<(), String>) {
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests;
