//! The workloads as subcommands of `skein bench mqtt`, each with its own sizes.

use clap::Subcommand;

use super::Common;
use crate::{Workload, cross::ROUNDS_DEFAULT};

#[derive(Subcommand, Clone, Debug)]
pub(super) enum Shape {
    /// N publishers, each to its own subscriber.
    Pairs {
        #[arg(long, default_value_t = 100)]
        pairs: usize,
        #[command(flatten)]
        common: Common,
    },
    /// One publisher to N subscribers.
    Fanout {
        #[arg(long, default_value_t = 1000)]
        subscribers: usize,
        #[command(flatten)]
        common: Common,
    },
    /// N publishers to one subscriber.
    Fanin {
        #[arg(long, default_value_t = 100)]
        publishers: usize,
        #[command(flatten)]
        common: Common,
    },
    /// N publishers to one shared group.
    Shared {
        #[arg(long, default_value_t = 100)]
        publishers: usize,
        /// Subscribers in the group.
        #[arg(long, default_value_t = 4)]
        members: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that subscribe and stay silent.
    Idle {
        #[arg(long, default_value_t = 20_000)]
        connections: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Retained messages delivered to new wildcard subscribers.
    Retained {
        /// Retained messages, each on its own topic.
        #[arg(long, default_value_t = 10_000)]
        retained: u64,
        /// New subscribers, one after the other.
        #[arg(long, default_value_t = 10)]
        subscribers: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Pairs at a fixed total rate; each message's latency counts from the time it was due.
    Paced {
        #[arg(long, default_value_t = 100)]
        pairs: usize,
        /// Messages per second over all pairs.
        #[arg(long, default_value_t = 5000)]
        rate: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Pairs across the nodes of a cluster: publishers on the first of several --host, subscribers on the others.
    Cross {
        #[arg(long, default_value_t = 100)]
        pairs: usize,
        /// How many of the hosts, from the first, have the publishers.
        #[arg(long, default_value_t = 1, value_name = "HOSTS")]
        publisher_hosts: usize,
        /// Run the same pairs on the first host alone in turn, and print the ratio of the medians.
        #[arg(long)]
        ratio: bool,
        /// Rounds of both with --ratio.
        #[arg(long, default_value_t = ROUNDS_DEFAULT, requires = "ratio")]
        rounds: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Subscribe on one host and publish on another as soon as the answer came; --quiet is the deadline.
    Visible {
        /// Subscriptions in all, each to a fresh filter.
        #[arg(long, default_value_t = 100_000)]
        times: u64,
        /// Subscriptions at the same time, each on two connections.
        #[arg(long, default_value_t = 16)]
        parallel: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Connect with the client id of a connection on another host, which must be closed before the answer.
    Takeover {
        /// Takeovers in all.
        #[arg(long, default_value_t = 10_000, conflicts_with = "storm")]
        times: u64,
        /// Client ids at the same time.
        #[arg(long, default_value_t = 8, conflicts_with = "storm")]
        parallel: usize,
        /// Many clients connect to any host again and again for --seconds; then each id must have one connection.
        #[arg(long)]
        storm: bool,
        /// Client ids of the storm.
        #[arg(long, default_value_t = 1000, requires = "storm")]
        clients: usize,
        /// What the choice of the hosts comes from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        common: Common,
    },
}

impl Shape {
    /// Workload, further settings, and the rounds of a ratio to one node, when one is wanted.
    pub(super) fn into_parts(self) -> (Workload, Common, Option<usize>) {
        let ratio = match self {
            Self::Cross { ratio: true, rounds, .. } => Some(rounds),
            _ => None,
        };
        let (workload, common) = self.into_workload();
        (workload, common, ratio)
    }

    fn into_workload(self) -> (Workload, Common) {
        match self {
            Self::Pairs { pairs, common } => (Workload::Pairs { pairs }, common),
            Self::Fanout { subscribers, common } => (Workload::Fanout { subscribers }, common),
            Self::Fanin { publishers, common } => (Workload::Fanin { publishers }, common),
            Self::Shared { publishers, members, common } => {
                (Workload::Shared { publishers, members }, common)
            }
            Self::Idle { connections, common } => (Workload::Idle { connections }, common),
            Self::Retained { retained: messages, subscribers, common } => {
                (Workload::Retained { messages, subscribers }, common)
            }
            Self::Paced { pairs, rate, common } => (Workload::Paced { pairs, rate }, common),
            Self::Cross { pairs, publisher_hosts: publisher_nodes, common, .. } => {
                (Workload::Cross { pairs, publisher_nodes }, common)
            }
            Self::Visible { times, parallel, common } => (Workload::Visible { times, parallel }, common),
            Self::Takeover { storm: true, clients, seed, common, .. } => {
                (Workload::Storm { clients, seed }, common)
            }
            Self::Takeover { times, parallel, seed, common, .. } => {
                (Workload::Takeover { times, parallel, seed }, common)
            }
        }
    }
}
