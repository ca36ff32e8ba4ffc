//! How quickly gossip goes: foca's settings from ours, and what the size of the cluster changes in them.
//!
//! Two things grow with the number of members n, both with its logarithm, because that is how many steps news takes to
//! reach everybody when each who heard it tells some others:
//!
//! - how often a node passes one piece of news on: 4 log10(n + 1), and never less than 6 times;
//! - how long a suspected member may contradict: `suspect_timeout` up to 100 members, then log10(n) - 1 times as long, so
//!   that the suspicion can reach it and its answer everybody. A silent member is noticed that much later.
//!
//! The load of a node that probes and is probed does not grow with n.

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use foca::{Config, PeriodicParams};

use super::PLAIN_BYTES_MAX;
use crate::GossipSettings;

/// How many members are asked to probe one that did not answer, and are told news at once.
const FANOUT: usize = 3;
/// While there are news a node passes them on this often, beside what travels with probes.
const NEWS_INTERVAL: Duration = Duration::from_millis(100);
/// How often a node asks another one for members it may have missed.
const FEED_INTERVAL: Duration = Duration::from_secs(10);
/// How many members a node that leaves tells itself; these tell the others.
const FAREWELLS: usize = 32;
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// foca's settings in a cluster of this many members.
pub(super) fn config(settings: &GossipSettings, members: usize) -> Config {
    let probe_period = settings.probe_interval.max(INTERVAL_MIN);
    Config {
        probe_period,
        // Strictly less, so that the indirect probes of a period are sent before its end.
        probe_rtt: settings.probe_timeout.clamp(INTERVAL_MIN / 2, probe_period * 2 / 3),
        num_indirect_probes: at_least_one(FANOUT),
        max_transmissions: transmissions(members),
        suspect_to_down_after: settings.suspect_timeout.mul_f64(patience(members)).max(INTERVAL_MIN),
        // Down is final for a life; a node's next life takes the place of its last, so that ids bound the memory.
        remove_down_after: None,
        max_packet_size: at_least_one(PLAIN_BYTES_MAX),
        // Who was given up must hear of it, to begin another life.
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: FEED_INTERVAL, num_members: at_least_one(1) }),
        // Nodes that are down are found again by links: only a hello says which life of theirs is to be spoken to.
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams { frequency: NEWS_INTERVAL, num_members: at_least_one(FANOUT) }),
    }
}

/// The same for a node's good-bye, which goes to many at once: nobody hears from it again.
pub(super) fn farewell(settings: &GossipSettings, members: usize) -> Config {
    Config { num_indirect_probes: at_least_one(members.min(FAREWELLS)), ..config(settings, members) }
}

#[expect(clippy::cast_precision_loss, reason = "no cluster has 2^52 members")]
fn patience(members: usize) -> f64 {
    ((members.max(1) as f64).log10() - 1.0).max(1.0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "four times a logarithm"
)]
fn transmissions(members: usize) -> NonZeroU8 {
    let times = (4.0 * (members as f64 + 1.0).log10()).ceil().clamp(6.0, 64.0) as u8;
    NonZeroU8::new(times).unwrap_or(NonZeroU8::MIN)
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_changes_what_the_documentation_says() {
        let settings = GossipSettings::default();
        let patience = |members| config(&settings, members).suspect_to_down_after.as_millis();
        let base = settings.suspect_timeout.as_millis();
        assert_eq!([patience(0), patience(3), patience(100)], [base; 3]);
        assert_eq!([patience(1000), patience(10_000)], [2 * base, 3 * base]);
        let times = |members| config(&settings, members).max_transmissions.get();
        assert_eq!([times(0), times(3), times(100), times(1000), times(10_000)], [6, 6, 9, 13, 17]);
    }

    #[test]
    fn any_settings_are_ones_foca_can_run_with() {
        for millis in [0, 1, 50, 1_000_000] {
            let each = Duration::from_millis(millis);
            let settings =
                GossipSettings { probe_interval: each, probe_timeout: each, suspect_timeout: each };
            let config = config(&settings, 5);
            assert!(config.probe_rtt < config.probe_period && !config.probe_rtt.is_zero());
            assert!(!config.suspect_to_down_after.is_zero());
        }
    }
}
