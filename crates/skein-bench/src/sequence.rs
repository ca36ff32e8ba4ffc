//! Finds lost, duplicated and reordered messages from their sequence numbers.
//!
//! [`SequenceCheck`] is for one publisher seen by one subscriber, where order is promised. [`SetCheck`] is
//! for messages that several subscribers share or that arrive in no promised order: it finds loss and
//! duplicates only. Both cost a comparison per message while nothing is wrong.

use std::collections::{BTreeMap, VecDeque};

/// Gaps remembered at most; a server that loses more in scattered places has its oldest gaps settled as lost.
const GAPS_MAX: usize = 65_536;

/// What one arrival means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Messages settled by it, for the publisher's window: itself and those before it that were passed over; 0
    /// for one that comes late or twice.
    pub(crate) settled: u64,
    /// Whether it came for the first time.
    pub(crate) is_new: bool,
}

/// Checks the messages one subscriber gets from one publisher, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct SequenceCheck {
    next: u64,
    received: u64,
    duplicated: u64,
    reordered: u64,
    /// Numbers passed over and not seen since: start of the gap to the number behind its end.
    gaps: BTreeMap<u64, u64>,
}

impl SequenceCheck {
    /// Notes the arrival of message `number`.
    #[inline]
    pub(crate) fn record(&mut self, number: u64) -> Noted {
        if number == self.next {
            self.next += 1;
            self.received += 1;
            return Noted { settled: 1, is_new: true };
        }
        self.record_out_of_order(number)
    }

    #[cold]
    fn record_out_of_order(&mut self, number: u64) -> Noted {
        if number > self.next {
            let settled = number.saturating_add(1) - self.next;
            self.gaps.insert(self.next, number);
            if self.gaps.len() > GAPS_MAX {
                self.gaps.pop_first();
            }
            self.next = number.saturating_add(1);
            self.received += 1;
            return Noted { settled, is_new: true };
        }
        let gap = self.gaps.range(..=number).next_back().map(|(&start, &end)| (start, end));
        match gap {
            Some((start, end)) if number < end => {
                self.gaps.remove(&start);
                if start < number {
                    self.gaps.insert(start, number);
                }
                if number + 1 < end {
                    self.gaps.insert(number + 1, end);
                }
                self.received += 1;
                self.reordered += 1;
                Noted { settled: 0, is_new: true }
            }
            _ => {
                self.duplicated += 1;
                Noted { settled: 0, is_new: false }
            }
        }
    }

    /// Different messages received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// Messages that came after a later one.
    pub(crate) fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Messages of the `sent` first ones that never came.
    pub(crate) fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.received)
    }
}

/// Checks messages that may come in any order, each exactly once.
#[derive(Debug, Default)]
pub(crate) struct SetCheck {
    /// Number of the first bit of `words`; everything below was received.
    base: u64,
    words: VecDeque<u64>,
    received: u64,
    duplicated: u64,
}

impl SetCheck {
    /// Notes the arrival of message `number`, which must lie below `sent`.
    ///
    /// The bits kept span from the oldest missing message to the newest, one bit each.
    pub(crate) fn record(&mut self, number: u64, sent: u64) -> Noted {
        let is_new = number < sent && self.insert(number);
        if is_new {
            self.received += 1;
        } else {
            self.duplicated += 1;
        }
        Noted { settled: u64::from(is_new), is_new }
    }

    fn insert(&mut self, number: u64) -> bool {
        let Some(offset) = number.checked_sub(self.base) else { return false };
        let Ok(word_index) = usize::try_from(offset / 64) else { return false };
        if word_index >= self.words.len() {
            self.words.resize(word_index + 1, 0);
        }
        let bit = 1 << (offset % 64);
        let Some(word) = self.words.get_mut(word_index) else { return false };
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.base += 64;
        }
        true
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.duplicated
    }

    pub(crate) fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.received)
    }
}

/// Counts messages that one member of a group got after a later one of the same publisher.
#[derive(Debug, Default)]
pub(crate) struct OrderCheck {
    next: u64,
    reordered: u64,
}

impl OrderCheck {
    #[inline]
    pub(crate) fn record(&mut self, number: u64) {
        if number < self.next {
            self.reordered += 1;
        } else {
            self.next = number.saturating_add(1);
        }
    }

    pub(crate) fn reordered(&self) -> u64 {
        self.reordered
    }
}

#[cfg(test)]
mod tests {
    use super::{OrderCheck, SequenceCheck, SetCheck};

    fn run(numbers: impl IntoIterator<Item = u64>) -> (SequenceCheck, u64) {
        let mut check = SequenceCheck::default();
        let settled = numbers.into_iter().map(|number| check.record(number).settled).sum();
        (check, settled)
    }

    fn findings(check: &SequenceCheck, sent: u64) -> (u64, u64, u64) {
        (check.lost(sent), check.duplicated(), check.reordered())
    }

    #[test]
    fn a_clean_run_has_no_findings() {
        let (check, settled) = run(0..1000);
        assert_eq!(findings(&check, 1000), (0, 0, 0));
        assert_eq!((check.received(), settled), (1000, 1000));
    }

    #[test]
    fn a_planted_loss_in_the_middle_is_found_and_gives_its_credit_back() {
        let (check, settled) = run((0..1000).filter(|n| !(400..410).contains(n)));
        assert_eq!(findings(&check, 1000), (10, 0, 0));
        assert_eq!(settled, 1000);
    }

    #[test]
    fn a_planted_loss_at_the_end_is_found() {
        let (check, settled) = run(0..990);
        assert_eq!(findings(&check, 1000), (10, 0, 0));
        assert_eq!(settled, 990);
    }

    #[test]
    fn planted_duplicates_are_found_near_and_far() {
        let (check, settled) = run([0, 1, 1, 2, 3, 0, 4]);
        assert_eq!(findings(&check, 5), (0, 2, 0));
        assert_eq!(settled, 5);
    }

    #[test]
    fn planted_reordering_is_not_loss() {
        let (check, settled) = run([0, 1, 5, 3, 2, 4, 6]);
        assert_eq!(findings(&check, 7), (0, 0, 3));
        assert_eq!(settled, 7);
    }

    #[test]
    fn a_late_message_that_comes_twice_is_a_duplicate() {
        let (check, _) = run([0, 4, 2, 2, 5]);
        assert_eq!(findings(&check, 6), (2, 1, 1));
    }

    #[test]
    fn a_set_finds_loss_and_duplicates_in_any_order() {
        let mut set = SetCheck::default();
        for number in (0..500).rev().filter(|n| *n != 250) {
            assert!(set.record(number, 500).is_new);
        }
        assert!(!set.record(3, 500).is_new, "a duplicate is not new");
        assert!(!set.record(499, 500).is_new, "a duplicate above the gap is not new");
        assert_eq!((set.lost(500), set.duplicated(), set.received()), (1, 2, 499));
        assert!(set.record(250, 500).is_new);
        assert!(!set.record(250, 500).is_new, "a duplicate below the base is not new");
        assert_eq!((set.lost(500), set.duplicated()), (0, 3));
        assert!(!set.record(u64::MAX, 500).is_new, "a number that was never sent is refused");
    }

    #[test]
    fn a_member_that_goes_back_is_out_of_order() {
        let mut order = OrderCheck::default();
        for number in [0, 4, 8, 6, 9] {
            order.record(number);
        }
        assert_eq!(order.reordered(), 1);
    }
}
