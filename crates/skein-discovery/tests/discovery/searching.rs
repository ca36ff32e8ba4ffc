//! A node that does nothing but search, on a thread of its own.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::Mutex;
use skein_cluster::{Cluster, NodeInfo};
use skein_discovery::{DiscoverySettings, Names, Search};
use skein_testkit::{DEADLINE, wait_until};
use skein_types::{Incarnation, NodeId};
use tokio_util::sync::CancellationToken;

pub(crate) struct Searching {
    pub(crate) address: SocketAddr,
    found: Arc<Mutex<Vec<Vec<SocketAddr>>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Searching {
    pub(crate) fn start(id: u16, address: SocketAddr, settings: DiscoverySettings, names: Names) -> Self {
        Self::start_life(id, 1, address, settings, names)
    }

    pub(crate) fn start_life(
        id: u16,
        incarnation: u64,
        address: SocketAddr,
        settings: DiscoverySettings,
        names: Names,
    ) -> Self {
        let cluster = Cluster::new(NodeInfo {
            id: NodeId(id),
            incarnation: Incarnation(incarnation),
            name: format!("node's \"{id}\" ü").into(),
            advertise: address,
            qrank: 1,
            server_reference: Some(format!("mqtt{id}.example.org").into()),
        });
        let (stop, found) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let (stopped, into) = (stop.clone(), found.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let search = Search::new(&settings, &cluster, names).unwrap();
                // Spawned as the shell of the cluster does it.
                tokio::spawn(search.run(move |addresses| into.lock().push(addresses), stopped))
                    .await
                    .unwrap();
            });
        });
        Self { address, found, stop, thread: Some(thread) }
    }

    /// Everything found up to now.
    pub(crate) fn found(&self) -> HashSet<SocketAddr> {
        self.found.lock().iter().flatten().copied().collect()
    }

    /// What came first, in order.
    pub(crate) fn first(&self) -> Vec<SocketAddr> {
        wait_until("something is found", DEADLINE, || !self.found.lock().is_empty());
        self.found.lock()[0].clone()
    }

    pub(crate) fn wait_for(&self, address: SocketAddr) {
        wait_until(&format!("{} finds {address}", self.address), DEADLINE, || {
            self.found().contains(&address)
        });
    }

    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(crate) fn leave(mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Searching {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn settings(
    join: &[&str],
    registry: Option<String>,
    registry_interval: Duration,
) -> DiscoverySettings {
    DiscoverySettings {
        join: join.iter().map(|&entry| entry.to_owned()).collect(),
        registry,
        registry_interval,
    }
}
