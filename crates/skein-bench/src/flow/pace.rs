//! Publishes at a fixed total rate.
//!
//! Each message has a time when it is due, and its latency is counted from that time, so a stall of server or
//! generator shows up in the figures. Epoll waits in whole milliseconds, so the last stretch before a due time
//! is spent polling: paced runs keep the generator's core busy by design.

use std::time::Duration;

use super::traffic::Traffic;
use crate::{BenchError, driver::Driver};

/// Below this distance to the next due time the generator polls instead of waiting.
const POLL_NS: u64 = 2_000_000;

#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    start_ns: u64,
    /// Messages published since the start.
    count: u64,
}

impl Pace {
    pub(super) fn new(rate: u64, now_ns: u64) -> Self {
        Self { rate, start_ns: now_ns, count: 0 }
    }

    /// Begins the schedule anew, so that a pause between two parts is not caught up.
    pub(super) fn restart(&mut self, now_ns: u64) {
        self.start_ns = now_ns;
        self.count = 0;
    }

    /// Publishes what is due, each message by the next publisher, and returns how long to wait for events.
    ///
    /// A publisher whose window is full holds the schedule up; its messages keep the times they were due.
    pub(super) fn publish_due(
        &mut self,
        traffic: &mut Traffic,
        driver: &mut Driver<'_>,
    ) -> Result<Duration, BenchError> {
        loop {
            let due_ns = self.due_ns(self.count);
            let now_ns = driver.clock.now_ns();
            if due_ns > now_ns {
                let wait_ns = due_ns - now_ns;
                return Ok(Duration::from_nanos(
                    wait_ns.checked_sub(POLL_NS).map_or(0, |ns| ns + POLL_NS / 2),
                ));
            }
            if !traffic.publish_one(driver, due_ns)? {
                return Ok(Duration::from_millis(1));
            }
            self.count += 1;
        }
    }

    fn due_ns(&self, count: u64) -> u64 {
        let offset = u128::from(count) * 1_000_000_000 / u128::from(self.rate);
        self.start_ns.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn due_times_follow_the_rate_without_drift() {
        let pace = Pace::new(3, 7);
        assert_eq!(
            [0, 1, 2, 3].map(|count| pace.due_ns(count)),
            [7, 333_333_340, 666_666_673, 1_000_000_007]
        );
        assert_eq!(pace.due_ns(3_000_000), 1_000_000_000_000_007);
    }
}
