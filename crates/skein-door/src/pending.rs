//! Connections that nobody has logged in on, counted for each listener and for each address.
//!
//! Their number is bounded here and their time by the connect timeout, so that who has no account can hold only so
//! much of the server. The table by address is locked once when a connection comes and once when it logs in or ends.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

/// The prefix of an IPv6 network that one customer has at least.
const IPV6_NETWORK: u128 = !0 << 64;

/// The connections of one listener that have not logged in.
#[derive(Debug, Default)]
pub struct Pending {
    count: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A place among them, given back when dropped.
#[derive(Debug)]
pub(crate) struct PendingPlace {
    pending: Arc<Pending>,
    address: Option<IpAddr>,
}

impl Pending {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(crate) fn enter(self: &Arc<Self>, max: usize) -> Option<PendingPlace> {
        let place = PendingPlace { pending: self.clone(), address: None };
        (self.count.fetch_add(1, Relaxed) < max).then_some(place)
    }
}

impl PendingPlace {
    /// Counts it for its address; false when that has as many as it may.
    pub(crate) fn is_from(&mut self, address: IpAddr, max: usize) -> bool {
        let network = network_of(address);
        let mut by_address = self.pending.by_address.lock();
        let count = by_address.entry(network).or_default();
        if *count >= max {
            if *count == 0 {
                by_address.remove(&network);
            }
            return false;
        }
        *count = count.saturating_add(1);
        self.address = Some(network);
        true
    }
}

impl Drop for PendingPlace {
    fn drop(&mut self) {
        self.pending.count.fetch_sub(1, Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.pending.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_apart_and_forgotten() {
        let pending = Arc::<Pending>::default();
        let enter = |address: &str| {
            let mut place = pending.enter(5)?;
            place.is_from(address.parse().unwrap(), 2).then_some(place)
        };
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").is_none(), "an address in both of its forms is one");
        let _v6 = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8::3").is_none(), "a network of 64 bits counts as one");
        assert_eq!(pending.count(), 4);
        let _other = enter("2001:db8:0:1::3").unwrap();
        assert!(enter("192.0.2.9").is_none(), "there are five");
        drop(first);
        let _again = enter("192.0.2.1").unwrap();
        assert_eq!(pending.by_address.lock().len(), 3);
    }
}
