//! When one source is looked at again: growing intervals, or a steady one with a back-off while it fails.
//!
//! Only [`super::Discovery`] uses it.

use std::time::Duration;

use skein_types::Moment;

use super::Word;

/// The pace of one source.
#[derive(Debug)]
pub(super) struct Pace {
    due: Moment,
    /// A try is under way: nothing is due before it ends.
    under_way: bool,
    /// What the try under way does not know of has happened: the next one follows at once.
    again: bool,
    first: Duration,
    /// The interval while it works; none: it grows as it does while it fails.
    steady: Option<Duration>,
    step: Duration,
    failures: u32,
}

impl Pace {
    /// Due at once, then after `first`, and after twice as long each further time.
    pub(super) fn new(first: Duration) -> Self {
        Self {
            due: Moment::ZERO,
            under_way: false,
            again: false,
            first,
            steady: None,
            step: first,
            failures: 0,
        }
    }

    /// The same time passes between all tries that work, and at most that time after one that fails.
    pub(super) fn steady(mut self, interval: Duration) -> Self {
        self.steady = Some(interval);
        self
    }

    pub(super) fn due(&self) -> Moment {
        if self.under_way { Moment::NEVER } else { self.due }
    }

    /// Whether a try begins now.
    pub(super) fn begin(&mut self, now: Moment) -> bool {
        let begins = self.due() <= now;
        self.under_way |= begins;
        begins
    }

    /// Something has changed: the next try is due now. A database that fails is left its back-off.
    pub(super) fn hurry(&mut self, now: Moment) {
        if self.steady.is_some() && self.failures > 0 {
            return;
        }
        self.step = self.first;
        self.due = now;
        self.again = self.under_way;
    }

    /// A try has ended; no interval is longer than `longest`.
    pub(super) fn end(&mut self, worked: bool, now: Moment, longest: Duration) -> Word {
        self.under_way = false;
        let failed_before = self.failures;
        self.failures = if worked { 0 } else { failed_before.saturating_add(1) };
        let longest = self.steady.unwrap_or(longest);
        let wait = match self.steady {
            Some(interval) if worked => interval,
            Some(_) | None => self.step.min(longest),
        };
        // Growth starts anew with the first failure of a steady source, and goes on otherwise.
        self.step = if worked && self.steady.is_some() { self.first } else { (wait * 2).min(longest) };
        self.due = if std::mem::take(&mut self.again) { now } else { now.after(wait) };
        match (worked, failed_before) {
            (true, 0) => Word::Nothing,
            (true, _) => Word::WorksAgain,
            (false, _) if self.failures.is_power_of_two() => Word::Fails,
            (false, _) => Word::Nothing,
        }
    }
}
