//! How many lines of the log strangers can bring about: some in full, and of the others how many they were.
//!
//! Whoever reaches a port can be refused thousands of times a second. A door asks here before it writes such a line, and
//! writes what was left out once a window is over. Nothing here writes or reads a clock.

use std::{collections::HashSet, fmt, net::IpAddr, time::Duration};

use crate::Moment;

/// For how long lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Addresses told apart in one window.
const ADDRESSES_MAX: usize = 1000;

/// Lets some lines of each window through and counts the others.
#[derive(Debug)]
pub struct LogLimit {
    lines_max: u32,
    began: Moment,
    written: u32,
    left_out: u64,
    addresses: HashSet<IpAddr>,
}

/// Lines of one window that were not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub lines: u64,
    /// Of how many addresses; more than a thousand count as a thousand.
    pub addresses: usize,
}

impl LogLimit {
    /// Lets `lines_max` lines of each ten seconds through.
    #[must_use]
    pub fn new(lines_max: u32) -> Self {
        Self { lines_max, began: Moment::ZERO, written: 0, left_out: 0, addresses: HashSet::new() }
    }

    /// Whether a line about `address` is to be written. Ask [`LogLimit::left_out`] before, whose line goes first.
    pub fn admits(&mut self, address: IpAddr, now: Moment) -> bool {
        if now >= self.began.after(WINDOW) && self.left_out == 0 {
            (self.began, self.written) = (now, 0);
        }
        if self.written < self.lines_max {
            self.written += 1;
            return true;
        }
        self.left_out += 1;
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.insert(address);
        }
        false
    }

    /// What was left out in a window that is over; each line is told once.
    pub fn left_out(&mut self, now: Moment) -> Option<LeftOut> {
        if self.left_out == 0 || now < self.began.after(WINDOW) {
            return None;
        }
        let left_out = LeftOut { lines: self.left_out, addresses: self.addresses.len() };
        // The memory too: such windows are seldom.
        (self.left_out, self.addresses) = (0, HashSet::new());
        (self.began, self.written) = (now, 0);
        Some(left_out)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, addresses } = self;
        let (more, word) = match *addresses {
            1 => ("", "address"),
            ADDRESSES_MAX.. => ("at least ", "addresses"),
            _ => ("", "addresses"),
        };
        write!(f, "{lines} more from {more}{addresses} {word} in the last {} s", WINDOW.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_are_written_and_the_others_are_counted() {
        let mut limit = LogLimit::new(3);
        let (start, later) = (Moment::from_millis(60_000), Moment::from_millis(70_000));
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let written = (0..13_253).filter(|number| limit.admits(address((number % 4) as u8), start)).count();
        assert_eq!((written, limit.left_out(Moment::from_millis(69_999))), (3, None));
        let left_out = limit.left_out(later).unwrap();
        assert_eq!(left_out.to_string(), "13250 more from 4 addresses in the last 10 s");
        assert_eq!(limit.left_out(later), None);
        assert!(limit.admits(address(1), later));
        assert!(limit.admits(address(1), later.after(WINDOW)) && limit.left_out(Moment::NEVER).is_none());
    }

    #[test]
    fn the_memory_has_a_bound() {
        let mut limit = LogLimit::new(0);
        for number in 0..5000_u32 {
            assert!(!limit.admits(IpAddr::from(number.to_be_bytes()), Moment::ZERO));
        }
        let left_out = limit.left_out(Moment::ZERO.after(WINDOW)).unwrap();
        assert_eq!(left_out.to_string(), "5000 more from at least 1000 addresses in the last 10 s");
    }
}
