//! The figures of the workloads that look at a cluster's promises: visible, takeover, storm.

use serde::{Deserialize, Serialize};

use super::Latency;

/// Whether publications on one node find a subscription that another has just acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visible {
    /// Subscriptions tried.
    pub times: u64,
    /// Messages that had not come when the quiet time was over, though they were published behind the SUBACK.
    pub misses: u64,
    /// Those of them that came afterwards.
    pub late: u64,
    /// From SUBSCRIBE to SUBACK.
    pub suback_ms: Latency,
}

/// What became of the older connection of a client id when the same id connected again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Takeover {
    /// Times a client id was taken over.
    pub times: u64,
    /// The older connection was open when the CONNACK of the newer one had arrived: both were alive.
    pub violations: u64,
    /// The end of the older connection was there when it was looked for, but had arrived behind the CONNACK.
    pub closed_behind: u64,
    /// The older connection was still open when the quiet time was over.
    pub never_closed: u64,
    /// With MQTT 5, the older connection ended without DISCONNECT with 0x8E.
    pub wrong_reason: u64,
    /// The longest time from the CONNACK to the end of the older connection, among the violations.
    pub closed_late_ms_max: f64,
}

/// Who was left when many clients had connected again and again with the same client ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// Client ids.
    pub clients: usize,
    /// Connections that got their CONNACK.
    pub connects: u64,
    /// Attempts that were refused or closed before a CONNACK; the loser of two simultaneous ones may be.
    pub turned_away: u64,
    /// Client ids with exactly one connection that answers at the end.
    pub alive_once: usize,
    /// Client ids with two or more.
    pub alive_twice: usize,
    /// Client ids with none.
    pub dead: usize,
}

impl Visible {
    pub(super) fn is_faulty(&self) -> bool {
        self.misses > 0
    }

    pub(super) fn rows(&self, rows: &mut Vec<(&'static str, String)>) {
        rows.push(("SUBACK ms", self.suback_ms.to_string()));
        rows.push((
            "visible",
            format!("{} subscriptions, {} missed, {} of them late", self.times, self.misses, self.late),
        ));
    }
}

impl Takeover {
    pub(super) fn is_faulty(&self) -> bool {
        self.violations + self.never_closed + self.wrong_reason > 0
    }

    pub(super) fn rows(&self, rows: &mut Vec<(&'static str, String)>) {
        rows.push((
            "takeover",
            format!(
                "{} times, {} with both alive (closed up to {:.3} ms later), {} never closed",
                self.times, self.violations, self.closed_late_ms_max, self.never_closed
            ),
        ));
        rows.push((
            "older one",
            format!(
                "{} closed just behind the CONNACK, {} without 0x8E",
                self.closed_behind, self.wrong_reason
            ),
        ));
    }
}

impl Storm {
    pub(super) fn is_faulty(&self) -> bool {
        self.alive_once != self.clients
    }

    pub(super) fn rows(&self, rows: &mut Vec<(&'static str, String)>) {
        rows.push((
            "storm",
            format!(
                "{} client ids, {} connects, {} turned away",
                self.clients, self.connects, self.turned_away
            ),
        ));
        rows.push((
            "alive at end",
            format!(
                "{} once, {} more than once, {} not at all",
                self.alive_once, self.alive_twice, self.dead
            ),
        ));
    }
}
