//! What is due when: foca's timers in their order, and what a pause of this node does to them.
//!
//! It reads no clock. Only [`super::Membership`] uses it.

use std::{collections::BTreeMap, time::Duration};

use foca::Timer;
use skein_types::Moment;

use super::member::Life;

/// Timers by the moment at which they are due, then in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Moment, u64), Timer<Life>>,
    set: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Moment, timer: Timer<Life>) {
        self.set += 1;
        self.due.insert((at, self.set), timer);
    }

    pub(super) fn first(&self) -> Option<Moment> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take_due(&mut self, now: Moment) -> Option<Timer<Life>> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Puts every timer off when the first is overdue by more than `late_max`: this node was paused, or got no processor.
    ///
    /// What it would have heard meanwhile is unread in its socket. Without this it would hold its own sleep against the
    /// members it had just probed or suspected, and give up nodes that are well.
    pub(super) fn put_off(&mut self, now: Moment, late_max: Duration) {
        let Some(first) = self.first() else { return };
        let late = now.since(first);
        if late > late_max {
            let due = std::mem::take(&mut self.due);
            self.due = due.into_iter().map(|((at, set), timer)| ((at.after(late), set), timer)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_in_order_and_only_when_due() {
        let mut timers = Timers::default();
        timers.set(Moment::from_millis(20), Timer::PeriodicGossip(2));
        timers.set(Moment::from_millis(10), Timer::PeriodicGossip(1));
        timers.set(Moment::from_millis(20), Timer::ProbeRandomMember(3));
        assert_eq!(timers.first(), Some(Moment::from_millis(10)));
        assert_eq!(timers.take_due(Moment::from_millis(9)), None);
        let now = Moment::from_millis(20);
        let mut taken = std::iter::from_fn(|| timers.take_due(now));
        assert_eq!(taken.next(), Some(Timer::PeriodicGossip(1)));
        assert_eq!(taken.next(), Some(Timer::PeriodicGossip(2)));
        assert_eq!(taken.next(), Some(Timer::ProbeRandomMember(3)));
        assert_eq!(taken.next(), None);
    }

    #[test]
    fn keep_their_distances_over_a_pause() {
        let mut timers = Timers::default();
        timers.set(Moment::from_millis(100), Timer::PeriodicGossip(1));
        timers.set(Moment::from_millis(900), Timer::ProbeRandomMember(1));
        timers.put_off(Moment::from_millis(150), Duration::from_millis(100));
        assert_eq!(timers.first(), Some(Moment::from_millis(100)), "late by less is nothing");
        let woken = Moment::from_millis(30_100);
        timers.put_off(woken, Duration::from_millis(100));
        assert_eq!(timers.take_due(woken), Some(Timer::PeriodicGossip(1)));
        assert_eq!(timers.take_due(woken), None);
        assert_eq!(timers.first(), Some(Moment::from_millis(30_900)));
    }
}
