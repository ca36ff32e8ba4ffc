//! A cluster of `skein serve` processes, on loopback or on the hosts of a [`Network`]: started, watched, hurt.
//!
//! Every node has addresses and a data directory of its own that stay the same over its lives. What a node knows
//! of the others is read from its HTTP door, `GET /api/v1/cluster/nodes`. Processes end with the value.
//!
//! The usual way is [`Cluster::start`]. A test that puts a [`crate::Detour`] before a node prepares the cluster,
//! names the detour with [`Cluster::lead_through`] and then calls [`Cluster::start_all`].

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::directory::TestDirectory;
use crate::netns::{Host, Network};
use crate::ports::free_address;
use crate::server::Server;
use crate::wait::{DEADLINE, wait_until};

mod arguments;
mod http;
mod members;

pub use members::{Member, MemberState};

/// How often a node is asked what it knows.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// The ports on the hosts of a network, where no two nodes share an address.
const HOST_PORTS: [u16; 3] = [1883, 8080, 5777];

/// How a cluster is started; the default is three nodes without a secret.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Nodes with the ids from 1 on.
    pub nodes: u16,
    /// The secret of the cluster; without one nodes meet on loopback only.
    pub secret: Option<String>,
    /// Further arguments of every node, after the usual ones.
    pub arguments: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { nodes: 3, secret: None, arguments: Vec::new() }
    }
}

/// Several nodes.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    options: ClusterOptions,
    // The processes end before the namespaces and the directory go.
    nodes: Vec<ClusterNode>,
    network: Option<Network>,
    directory: TestDirectory,
}

/// One node of a cluster.
#[derive(Debug)]
pub struct ClusterNode {
    /// Its id.
    pub id: u16,
    /// MQTT over TCP.
    pub mqtt: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
    /// Links and gossip.
    pub cluster: SocketAddr,
    /// What the node keeps.
    pub data: PathBuf,
    /// Further arguments of this node alone, for its next start.
    pub arguments: Vec<String>,
    /// Where other nodes reach it, when that is not its own address.
    detour: Option<SocketAddr>,
    host: Option<Host>,
    /// None before the first start and between an end and the next start.
    server: Option<Server>,
    is_paused: bool,
}

impl Cluster {
    /// Starts `program`, a `skein` binary, as a cluster on loopback and waits until each node reports all up.
    #[track_caller]
    pub fn start(program: impl AsRef<Path>, options: &ClusterOptions) -> Self {
        let mut cluster = Self::prepare(program, options);
        cluster.start_all();
        cluster
    }

    /// Like [`Self::start`], each node on a host of `network`, which must have that many.
    #[track_caller]
    pub fn start_on(network: Network, program: impl AsRef<Path>, options: &ClusterOptions) -> Self {
        let mut cluster = Self::prepare_on(Some(network), program, options);
        cluster.start_all();
        cluster
    }

    /// Settles addresses and directories and starts nothing.
    #[track_caller]
    pub fn prepare(program: impl AsRef<Path>, options: &ClusterOptions) -> Self {
        Self::prepare_on(None, program, options)
    }

    /// [`Self::prepare`] on the hosts of a network, when there is one.
    #[track_caller]
    pub fn prepare_on(network: Option<Network>, program: impl AsRef<Path>, options: &ClusterOptions) -> Self {
        let mut cluster = Self {
            program: program.as_ref().to_path_buf(),
            options: options.clone(),
            nodes: Vec::new(),
            network,
            directory: TestDirectory::create("cluster"),
        };
        for _ in 0..options.nodes {
            cluster.prepare_node();
        }
        cluster
    }

    /// Settles addresses and directory of one more node, which has the next id, and does not start it.
    #[track_caller]
    pub fn prepare_node(&mut self) -> u16 {
        let id = self.nodes.last().map_or(1, |last| last.id + 1);
        let host = self.network.as_ref().map(|network| network.host(usize::from(id) - 1).clone());
        let [mqtt, http, cluster] = match &host {
            // HTTP on each host's own loopback: from elsewhere it shows a stranger nothing.
            Some(host) => {
                let [mqtt, http, cluster] = HOST_PORTS.map(|port| SocketAddr::from((host.address(), port)));
                [mqtt, SocketAddr::from(([127, 0, 0, 1], http.port())), cluster]
            }
            None => std::array::from_fn(|_| free_address()),
        };
        let data = self.directory.path().join(format!("node-{id}"));
        let arguments = Vec::new();
        let node = ClusterNode {
            id,
            mqtt,
            http,
            cluster,
            data,
            arguments,
            detour: None,
            host,
            server: None,
            is_paused: false,
        };
        self.nodes.push(node);
        id
    }

    /// Tells the other nodes, when they start, to reach this one at `address`, where something leads to it.
    #[track_caller]
    pub fn lead_through(&mut self, id: u16, address: SocketAddr) {
        self.node_mut(id).detour = Some(address);
    }

    /// Starts every node that does not run and waits until each reports all of them up.
    #[track_caller]
    pub fn start_all(&mut self) {
        for id in self.ids() {
            if self.node(id).server.is_none() {
                self.launch(id);
            }
        }
        for id in self.ids() {
            self.wait_for_door(id);
        }
        self.wait_until_whole();
    }

    /// Adds one more node, starts it and waits until it answers; its id.
    #[track_caller]
    pub fn add(&mut self) -> u16 {
        let id = self.prepare_node();
        self.launch(id);
        self.wait_for_door(id);
        id
    }

    /// The ids of all nodes, running or not.
    pub fn ids(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// The ids of the nodes that were started and neither ended nor paused by the test.
    pub fn awake(&self) -> Vec<u16> {
        self.nodes
            .iter()
            .filter(|node| node.server.is_some() && !node.is_paused)
            .map(|node| node.id)
            .collect()
    }

    /// A node by its id.
    #[track_caller]
    pub fn node(&self, id: u16) -> &ClusterNode {
        match self.nodes.iter().find(|node| node.id == id) {
            Some(node) => node,
            None => panic!("the cluster has the nodes {:?} and no node {id}", self.ids()),
        }
    }

    /// A node by its id, to change its arguments.
    #[track_caller]
    pub fn node_mut(&mut self, id: u16) -> &mut ClusterNode {
        let ids = self.ids();
        match self.nodes.iter_mut().find(|node| node.id == id) {
            Some(node) => node,
            None => panic!("the cluster has the nodes {ids:?} and no node {id}"),
        }
    }

    /// The network whose hosts the nodes are on.
    #[track_caller]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the cluster was started on a network")
    }

    /// Starts a node and waits for nothing.
    #[track_caller]
    pub fn launch(&mut self, id: u16) {
        let arguments = arguments::of(self.node(id), &self.nodes, &self.options);
        let mut command = match &self.node(id).host {
            Some(host) => host.command(&self.program),
            None => Command::new(&self.program),
        };
        command.current_dir(self.directory.path()).args(arguments);
        let node = self.node_mut(id);
        assert!(node.server.is_none(), "node {id} runs already");
        node.server = Some(Server::start(&format!("node {id}"), &mut command));
        node.is_paused = false;
    }

    /// SIGKILL: the node ends at once.
    #[track_caller]
    pub fn kill(&mut self, id: u16) {
        self.node_mut(id).take_server().kill();
    }

    /// SIGTERM, and waits until the node has ended by itself.
    #[track_caller]
    pub fn terminate(&mut self, id: u16) -> ExitStatus {
        self.node_mut(id).take_server().terminate()
    }

    /// Waits until a node ends by itself, as one that was drained does.
    #[track_caller]
    pub fn wait_for_end(&mut self, id: u16) -> ExitStatus {
        self.node_mut(id).take_server().wait_for_end()
    }

    /// SIGSTOP: the node stands still, and its sockets stay open.
    #[track_caller]
    pub fn stop_signal(&mut self, id: u16) {
        let node = self.node_mut(id);
        node.server().signal("STOP");
        node.is_paused = true;
    }

    /// SIGCONT: the node goes on as if no time had passed.
    #[track_caller]
    pub fn continue_signal(&mut self, id: u16) {
        let node = self.node_mut(id);
        node.server().signal("CONT");
        node.is_paused = false;
    }

    /// Starts a node again with its data and addresses, after SIGTERM when it still runs, and waits until it
    /// answers.
    #[track_caller]
    pub fn restart(&mut self, id: u16) {
        if self.node(id).server.is_some() {
            self.terminate(id);
        }
        self.launch(id);
        self.wait_for_door(id);
    }

    /// Waits until a node takes MQTT clients.
    #[track_caller]
    pub fn wait_for_door(&mut self, id: u16) {
        let node = self.node_mut(id);
        let address = node.mqtt;
        wait_until(&format!("node {id} answers on {address}"), DEADLINE, || {
            assert!(node.is_running(), "node {id} ended before it answered on {address}");
            node.inside(|| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
        });
    }

    /// Waits until every node that is awake reports exactly these up, itself among them.
    #[track_caller]
    pub fn wait_until_whole(&self) {
        let awake = self.awake();
        self.wait_for_members(&awake, &awake);
    }

    /// Waits until each node of `seen_by` reports exactly the nodes of `up` up.
    #[track_caller]
    pub fn wait_for_members(&self, seen_by: &[u16], up: &[u16]) {
        let up: BTreeSet<u16> = up.iter().copied().collect();
        let start = Instant::now();
        while let Some(difference) = self.difference(seen_by, &up) {
            assert!(
                start.elapsed() < DEADLINE,
                "waited {DEADLINE:?} in vain for {up:?} to be up: {difference}"
            );
            thread::park_timeout(ASK_INTERVAL);
        }
    }

    /// What the first node that disagrees says instead.
    #[track_caller]
    fn difference(&self, seen_by: &[u16], up: &BTreeSet<u16>) -> Option<String> {
        seen_by.iter().find_map(|&id| match self.node(id).members() {
            Ok(members) if members::up(&members) == *up => None,
            Ok(members) => Some(format!("node {id} reports {}", members::in_words(&members))),
            Err(error) => Some(format!("node {id} gives no answer: {error}")),
        })
    }
}

impl ClusterNode {
    /// The process.
    #[track_caller]
    pub fn server(&self) -> &Server {
        match &self.server {
            Some(server) => server,
            None => panic!("node {} does not run", self.id),
        }
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.server().pid()
    }

    /// Whether the process was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(Server::is_running)
    }

    /// Where other nodes reach it.
    pub fn reached_at(&self) -> SocketAddr {
        self.detour.unwrap_or(self.cluster)
    }

    /// Runs `work` on the node's host, where its addresses lead to it; on loopback, just runs it.
    #[track_caller]
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.host {
            Some(host) => host.run(work),
            None => work(),
        }
    }

    /// A command that runs `program` on the node's host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.host {
            Some(host) => host.command(program),
            None => Command::new(program),
        }
    }

    /// What the node answers on its HTTP door: status and body.
    ///
    /// # Errors
    /// The answer did not come or was none, in words.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        self.inside(|| http::get(self.http, path))
    }

    /// The nodes of the cluster as this one knows them.
    ///
    /// # Errors
    /// The answer did not come or was not what it should be, in words.
    pub fn members(&self) -> Result<Vec<Member>, String> {
        match self.get("/api/v1/cluster/nodes")? {
            (200, body) => members::read(&body),
            (status, body) => Err(format!("status {status}: {body}")),
        }
    }

    #[track_caller]
    fn take_server(&mut self) -> Server {
        self.is_paused = false;
        match self.server.take() {
            Some(server) => server,
            None => panic!("node {} does not run", self.id),
        }
    }
}

#[cfg(test)]
mod tests;
