//! Waiting for a condition with a deadline, the only way a test may wait.
//!
//! Tests never wait for an amount of time and hope: they name what they wait for, and the name is
//! in the failure.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take before a test gives up. Long enough for a loaded machine: a test
/// that passes does not spend it.
pub const DEADLINE: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls `condition` until it holds; panics with `what` when `deadline` has passed.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        thread::park_timeout(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_once_the_condition_holds() {
        let mut left = 3;
        wait_until("the count is down", DEADLINE, || {
            left -= 1;
            left == 0
        });
        assert_eq!(left, 0);
    }

    #[test]
    fn names_the_condition_that_never_holds() {
        let panic = std::panic::catch_unwind(|| {
            wait_until("pigs fly", Duration::from_millis(20), || false);
        })
        .unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("pigs fly"), "{text}");
    }
}
