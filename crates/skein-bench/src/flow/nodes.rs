//! Which node each client of a flow workload connects to.
//!
//! Only the workload cross has more than one node: its publishers take the first ones in turn, its subscribers
//! the others. [`super::traffic`] asks when it lists the connections.

use crate::{Config, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    publishers: usize,
    subscribers: usize,
}

impl Nodes {
    /// [`Config::check`] has made sure that a node is left for the subscribers, unless there is only one.
    pub(super) fn new(config: &Config) -> Self {
        match config.workload {
            Workload::Cross { publisher_nodes, .. } => Self {
                publishers: publisher_nodes,
                subscribers: config.nodes().saturating_sub(publisher_nodes),
            },
            _ => Self { publishers: 1, subscribers: 0 },
        }
    }

    pub(super) fn of_publisher(self, index: usize) -> usize {
        if self.subscribers == 0 { 0 } else { index % self.publishers }
    }

    pub(super) fn of_subscriber(self, index: usize) -> usize {
        if self.subscribers == 0 { 0 } else { self.publishers + index % self.subscribers }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Nodes;
    use crate::{Config, Workload};

    fn places(workload: Workload, nodes: u16) -> ([usize; 4], [usize; 4]) {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let mut config = Config::new(workload, address(1));
        config.more_addresses = (2..=nodes).map(address).collect();
        config.check().expect("the settings can work");
        let nodes = Nodes::new(&config);
        ([0, 1, 2, 3].map(|at| nodes.of_publisher(at)), [0, 1, 2, 3].map(|at| nodes.of_subscriber(at)))
    }

    #[test]
    fn publishers_and_subscribers_share_no_node_unless_there_is_one() {
        let cross = |publisher_nodes| Workload::Cross { pairs: 4, publisher_nodes };
        assert_eq!(places(cross(1), 2), ([0, 0, 0, 0], [1, 1, 1, 1]));
        assert_eq!(places(cross(2), 3), ([0, 1, 0, 1], [2, 2, 2, 2]));
        assert_eq!(places(cross(1), 3), ([0, 0, 0, 0], [1, 2, 1, 2]));
        assert_eq!(places(cross(1), 1), ([0; 4], [0; 4]));
        assert_eq!(places(Workload::Pairs { pairs: 4 }, 1), ([0; 4], [0; 4]));
    }
}
