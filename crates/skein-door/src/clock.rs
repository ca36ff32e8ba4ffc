//! The node's clock, for the shells around the cores.

use std::time::{Duration, Instant};

use skein_types::Moment;

/// Monotonic time since the node started. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment at hand.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::ZERO.after(self.start.elapsed())
    }

    /// How long until `moment`; zero when it is over.
    #[must_use]
    pub fn until(&self, moment: Moment) -> Duration {
        moment.since(self.now())
    }
}
