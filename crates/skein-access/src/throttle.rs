//! How fast one address may guess: failed logins are counted, and whoever has too many waits for the next try.
//!
//! Each address may fail [`FAILURES_FREE`] times; then it gets one try in [`FAILURE_COST`], at all doors together, by
//! password or by SCRAM. Right passwords cost nothing. An IPv6 address counts as its /64, which one machine has all of. The
//! table is bounded. Nothing here reads a clock.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use skein_types::{Code, Moment};

use super::Access;

/// Failures that cost an address nothing: somebody mistypes, a fleet has one wrong device.
const FAILURES_FREE: u32 = 10;
/// From one try to the next of an address that has failed more often.
const FAILURE_COST: Duration = Duration::from_secs(1);
/// What the free failures would cost.
const CREDIT: Duration = FAILURE_COST.saturating_mul(FAILURES_FREE);
/// How long an address pays at most for what it has done, beside the free failures.
const DEBT_MAX: Duration = Duration::from_secs(60);
/// Addresses remembered at most; each costs about 50 bytes.
const ADDRESSES_MAX: usize = 16 * 1024;

/// The failures of all addresses.
#[derive(Default)]
pub(crate) struct Throttle {
    /// When each address has paid for its failures, the free ones too.
    paid_at: Mutex<HashMap<IpAddr, Moment, RandomState>>,
}

/// One try of a client to prove who it is, from its turn to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    address: IpAddr,
    at: Moment,
    /// It had to wait, and its failure is paid already, so that those who wait come one after the other.
    is_paid: bool,
}

impl Guess {
    /// When it may be looked at.
    #[must_use]
    pub fn at(&self) -> Moment {
        self.at
    }
}

impl Access {
    /// When a client at `address` may try, and be it later; report the outcome with [`Access::guess_failed`] or
    /// [`Access::guess_was_right`].
    ///
    /// # Errors
    /// [`Code::ConnectionRateExceeded`] when that is after `deadline`: the address has failed too often.
    pub fn guess(&self, address: IpAddr, now: Moment, deadline: Moment) -> Result<Guess, Code> {
        self.throttle.guess(origin(address), now, deadline).ok_or(Code::ConnectionRateExceeded)
    }

    /// The try failed.
    pub fn guess_failed(&self, guess: Guess, now: Moment) {
        if !guess.is_paid {
            self.throttle.charge(guess.address, now);
        }
    }

    /// The try was right, and costs nothing.
    pub fn guess_was_right(&self, guess: Guess) {
        if guess.is_paid {
            self.throttle.refund(guess.address);
        }
    }
}

impl Throttle {
    fn guess(&self, address: IpAddr, now: Moment, deadline: Moment) -> Option<Guess> {
        let mut all = self.paid_at.lock();
        let debtor = all.get_mut(&address).filter(|paid_at| **paid_at > now.after(CREDIT));
        let Some(paid_at) = debtor else { return Some(Guess { address, at: now, is_paid: false }) };
        let at = before(*paid_at, CREDIT);
        if at > deadline {
            return None;
        }
        *paid_at = paid_at.after(FAILURE_COST);
        Some(Guess { address, at, is_paid: true })
    }

    fn charge(&self, address: IpAddr, now: Moment) {
        let mut all = self.paid_at.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            make_room(&mut all, now);
        }
        let paid_at = all.entry(address).or_insert(now);
        *paid_at = (*paid_at).max(now).after(FAILURE_COST).min(now.after(CREDIT).after(DEBT_MAX));
    }

    fn refund(&self, address: IpAddr) {
        if let Some(paid_at) = self.paid_at.lock().get_mut(&address) {
            *paid_at = before(*paid_at, FAILURE_COST);
        }
    }
}

/// Forgets those who have paid; if there are none, the one who owes least.
fn make_room(all: &mut HashMap<IpAddr, Moment, RandomState>, now: Moment) {
    all.retain(|_, paid_at| *paid_at > now);
    if all.len() >= ADDRESSES_MAX
        && let Some(least) = all.iter().min_by_key(|(_, paid_at)| **paid_at).map(|(address, _)| *address)
    {
        all.remove(&least);
    }
}

/// What counts as one address.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn before(moment: Moment, by: Duration) -> Moment {
    Moment::from_millis(moment.as_millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(5000);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn address(text: &str) -> IpAddr {
        origin(text.parse().unwrap())
    }

    fn try_at(throttle: &Throttle, address: IpAddr, now: Moment) -> Option<Duration> {
        throttle.guess(address, now, now.after(PATIENCE)).map(|guess| guess.at.since(now))
    }

    #[test]
    fn after_the_free_failures_there_is_one_try_at_a_time() {
        let (throttle, eve) = (Throttle::default(), address("192.0.2.1"));
        for _ in 0..FAILURES_FREE {
            assert_eq!(try_at(&throttle, eve, NOW), Some(Duration::ZERO));
            throttle.charge(eve, NOW);
        }
        assert_eq!(try_at(&throttle, eve, NOW), Some(Duration::ZERO));
        throttle.charge(eve, NOW);
        let waits: Vec<_> = (0..7).map(|_| try_at(&throttle, eve, NOW).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(3), Some(4), Some(5), None, None]);
        assert_eq!(try_at(&throttle, address("192.0.2.2"), NOW), Some(Duration::ZERO), "others do not wait");
        let later = NOW.after(Duration::from_secs(6));
        assert_eq!(try_at(&throttle, eve, later), Some(Duration::ZERO));
        let much_later = NOW.after(CREDIT + DEBT_MAX);
        for _ in 0..=FAILURES_FREE {
            assert_eq!(
                try_at(&throttle, eve, much_later),
                Some(Duration::ZERO),
                "it has all free ones again"
            );
            throttle.charge(eve, much_later);
        }
    }

    #[test]
    fn right_ones_cost_nothing_and_debts_have_a_bound() {
        let (throttle, all) = (Throttle::default(), address("192.0.2.1"));
        for _ in 0..1000 {
            throttle.charge(all, NOW);
        }
        assert_eq!(throttle.guess(all, NOW, Moment::NEVER).unwrap().at.since(NOW), DEBT_MAX);
        throttle.refund(all);
        assert_eq!(throttle.guess(all, NOW, Moment::NEVER).unwrap().at.since(NOW), DEBT_MAX);
    }

    #[test]
    fn what_counts_as_one_address() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::"));
        assert_ne!(address("2001:db8:1:2::"), address("2001:db8:1:3::"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn the_table_has_a_bound_and_forgets_who_owes_least() {
        let throttle = Throttle::default();
        let number = |number: u32| IpAddr::from(number.to_be_bytes());
        throttle.charge(number(0), NOW);
        throttle.charge(number(0), NOW);
        for other in 1..=ADDRESSES_MAX as u32 {
            throttle.charge(number(other), NOW);
        }
        let all = throttle.paid_at.lock();
        assert_eq!(all.len(), ADDRESSES_MAX);
        assert!(all.contains_key(&number(0)) && all.contains_key(&number(ADDRESSES_MAX as u32)));
        drop(all);
        throttle.charge(number(u32::MAX), NOW.after(CREDIT));
        assert_eq!(throttle.paid_at.lock().len(), 1, "those who have paid go first");
    }
}
