//! When the process is killed.
//!
//! Most moments follow an answer at once: between an answer and the write it must come after lies less than a
//! millisecond, and only a kill in there finds them exchanged.

use std::time::Duration;

use skein_testkit::durable_load::{Moment, Random, Sight};

use crate::ROUND_MAX;

pub(crate) enum Kill {
    /// Before the process has read back what there is, perhaps.
    WhileStarting(Duration),
    AtWork(Moment),
}

impl Kill {
    pub(crate) fn choose(random: &mut Random) -> Self {
        let millis = |random: &mut Random, end: u64| Duration::from_micros(random.within(0..end * 1000));
        let at_work = |sight, count, then| Self::AtWork(Moment { sight, count, then, latest: ROUND_MAX });
        match random.within(0..22) {
            0 => Self::WhileStarting(millis(random, 60)),
            // While clients come back, some before and some after the kill.
            1..=2 => at_work(Sight::Greeting, random.within(1..35), Duration::ZERO),
            3..=4 => at_work(Sight::SubscriptionChange, random.within(1..8), Duration::ZERO),
            5..=6 => at_work(Sight::Completion, random.within(1..200), Duration::ZERO),
            7..=8 => at_work(Sight::Release, random.within(1..300), Duration::ZERO),
            9..=10 => at_work(Sight::Delivery, random.within(1..800), Duration::ZERO),
            11..=17 => at_work(Sight::Acknowledgement, random.within(1..600), Duration::ZERO),
            18..=19 => at_work(Sight::NewSession, random.within(1..3), Duration::ZERO),
            _ => at_work(Sight::Acknowledgement, random.within(1..400), millis(random, 40)),
        }
    }
}
