//! Damping: a node that keeps going down and coming back is let in again later each time.
//!
//! Each admission costs its peers full copies and its clients new connections. Up to the second return within a minute
//! nothing is held back, so that a restart, even a failed one, costs nothing. From then on the delays are 1, 2, 4, 8, 16
//! and 30 seconds. A minute up, or a minute down, and all is forgotten. A planned leave does not count.
//!
//! Only [`super::roster`] uses it.

use std::{collections::BTreeMap, time::Duration};

use skein_types::{Moment, NodeId};

/// How long a node must stay as it is before its past is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(30);
/// How often a node may come back within [`MEMORY`] without being held back.
const FREE_RETURNS: u32 = 1;

/// How often nodes went down lately. There is at most one entry for an id.
#[derive(Debug, Default)]
pub(super) struct Damping(BTreeMap<NodeId, Past>);

#[derive(Debug)]
struct Past {
    downs: u32,
    /// When it last went down, or was last let in.
    changed: Moment,
}

impl Damping {
    /// It is gone without having said so.
    pub(super) fn went_down(&mut self, node: NodeId, now: Moment) {
        let past = self.0.entry(node).or_insert(Past { downs: 0, changed: now });
        if now.since(past.changed) >= MEMORY {
            past.downs = 0;
        }
        past.downs = past.downs.saturating_add(1);
        past.changed = now;
    }

    /// It is back: for how long it is held back.
    pub(super) fn delay(&mut self, node: NodeId, now: Moment) -> Duration {
        let Some(past) = self.0.get(&node) else { return Duration::ZERO };
        if now.since(past.changed) >= MEMORY {
            self.0.remove(&node);
            return Duration::ZERO;
        }
        match past.downs.checked_sub(FREE_RETURNS + 1) {
            None => Duration::ZERO,
            Some(doublings) => (DELAY_FIRST * (1 << doublings.min(5))).min(DELAY_MAX),
        }
    }

    /// It was let in.
    pub(super) fn admitted(&mut self, node: NodeId, now: Moment) {
        if let Some(past) = self.0.get_mut(&node) {
            past.changed = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(7);

    #[test]
    fn delays_grow_and_are_bounded() {
        let mut damping = Damping::default();
        let mut now = Moment::from_millis(5);
        let mut delays = Vec::new();
        for _ in 0..9 {
            delays.push(damping.delay(NODE, now).as_secs());
            now = now.after(damping.delay(NODE, now));
            damping.admitted(NODE, now);
            now = now.after_secs(2);
            damping.went_down(NODE, now);
            now = now.after_secs(1);
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(damping.delay(NodeId(8), now), Duration::ZERO, "another node's past is its own");
    }

    #[test]
    fn a_quiet_minute_is_forgiven() {
        let mut damping = Damping::default();
        for second in 0..5 {
            damping.went_down(NODE, Moment::from_millis(second * 1000));
        }
        let back = Moment::from_millis(10_000);
        assert_eq!(damping.delay(NODE, back), Duration::from_secs(8));
        damping.admitted(NODE, back);
        // Up for a minute, then down: it is as if it were the first time.
        damping.went_down(NODE, back.after_secs(60));
        assert_eq!(damping.delay(NODE, back.after_secs(61)), Duration::ZERO);
        damping.went_down(NODE, back.after_secs(62));
        assert_eq!(damping.delay(NODE, back.after_secs(63)), Duration::from_secs(1));
        assert_eq!(damping.delay(NODE, back.after_secs(122)), Duration::ZERO, "down for a minute");
    }
}
