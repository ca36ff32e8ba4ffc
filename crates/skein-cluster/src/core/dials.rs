//! When which address is dialled: soon at first, then ever more rarely, never in step with others.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use skein_types::{Moment, NodeId};

use super::random::Random;

/// The first delay after a dial that failed; each further one doubles it.
const DELAY_FIRST: Duration = Duration::from_millis(50);
/// A dial or a greeting of which nothing is heard for so long has failed.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nodes that failed are looked for: the other side of a partition comes back.
const LOST_TIMEOUT: Duration = Duration::from_secs(3600);
/// How many of them.
const LOST_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Dials {
    dials: BTreeMap<SocketAddr, Dial>,
    seeds: BTreeSet<SocketAddr>,
    /// Seeds that were tried to the end at least once.
    tried: BTreeSet<SocketAddr>,
    /// Whom the seeds lead to.
    led_to: BTreeMap<SocketAddr, NodeId>,
    /// Addresses that lead back here.
    myself: BTreeSet<SocketAddr>,
    /// Where nodes were that failed, and until when they are looked for.
    lost: BTreeMap<SocketAddr, Moment>,
}

#[derive(Debug)]
struct Dial {
    due: Moment,
    tries: u32,
    /// It is under way, and has failed when nothing is heard until then.
    under_way: Option<Moment>,
}

impl Dials {
    /// The addresses at which nodes are looked for, now and after every loss.
    pub(super) fn set_seeds(&mut self, seeds: Vec<SocketAddr>, now: Moment) {
        self.seeds = seeds.into_iter().collect();
        let seeds = &self.seeds;
        self.tried.retain(|address| seeds.contains(address));
        self.led_to.retain(|address, _| seeds.contains(address));
        self.myself.retain(|address| seeds.contains(address));
        self.want_seeds(now);
    }

    pub(super) fn want_seeds(&mut self, now: Moment) {
        for seed in self.seeds.clone() {
            self.want(seed, Duration::ZERO, now);
        }
    }

    /// Dials `address`, after a while, if that is not going to happen anyway.
    pub(super) fn want(&mut self, address: SocketAddr, after: Duration, now: Moment) {
        if !self.myself.contains(&address) {
            let dial = Dial { due: now.after(after), tries: 0, under_way: None };
            self.dials.entry(address).or_insert(dial);
        }
    }

    /// Dials `address` soon, however often that failed before.
    pub(super) fn want_anew(&mut self, address: SocketAddr, after: Duration, now: Moment) {
        self.dials.remove(&address);
        self.want(address, after, now);
    }

    /// Nothing is dialled before that moment.
    pub(super) fn delay(&mut self, address: SocketAddr, until: Moment) {
        if let Some(dial) = self.dials.get_mut(&address) {
            dial.due = dial.due.max(until);
        }
    }

    /// A node failed at `address`: it may come back there.
    pub(super) fn lose(&mut self, address: SocketAddr, now: Moment) {
        self.lost.retain(|_, until| *until > now);
        if self.lost.len() < LOST_MAX {
            self.lost.insert(address, now.after(LOST_TIMEOUT));
        }
        self.want_anew(address, DIAL_TIMEOUT / 10, now);
    }

    /// The address is looked for whoever is known.
    pub(super) fn is_sought(&self, address: SocketAddr) -> bool {
        self.seeds.contains(&address) || self.lost.contains_key(&address)
    }

    /// Whom a seed led to when it was dialled last.
    pub(super) fn led_to(&self, address: SocketAddr) -> Option<NodeId> {
        self.led_to.get(&address).copied()
    }

    /// Someone answered there.
    pub(super) fn answered(&mut self, address: SocketAddr, id: NodeId) {
        if self.seeds.contains(&address) {
            self.led_to.insert(address, id);
        }
    }

    /// The address leads back here.
    pub(super) fn is_myself(&mut self, address: SocketAddr) {
        self.dials.remove(&address);
        self.tried.insert(address);
        self.myself.insert(address);
    }

    /// There is a link now: nothing has to be dialled.
    pub(super) fn settled(&mut self, address: SocketAddr) {
        self.tried.insert(address);
        self.dials.remove(&address);
        self.lost.remove(&address);
    }

    /// The dial has failed, or its greeting.
    pub(super) fn failed(
        &mut self,
        address: SocketAddr,
        delay_max: Duration,
        random: &mut Random,
        now: Moment,
    ) {
        self.tried.insert(address);
        if let Some(dial) = self.dials.get_mut(&address)
            && dial.under_way.take().is_some()
        {
            let delay = DELAY_FIRST.saturating_mul(1 << dial.tries.min(16)).min(delay_max);
            let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let jittered = millis / 2 + random.below(millis / 2 + 1);
            dial.due = dial.due.max(now.after(Duration::from_millis(jittered)));
            dial.tries += 1;
        }
    }

    /// The addresses whose dial is due; each has to be begun with [`Dials::begin`] or taken out.
    pub(super) fn due(&self, now: Moment) -> Vec<SocketAddr> {
        let due = self.dials.iter().filter(|(_, dial)| dial.under_way.is_none() && dial.due <= now);
        due.map(|(address, _)| *address).collect()
    }

    /// Dials of which nothing was heard.
    pub(super) fn overdue(&self, now: Moment) -> Vec<SocketAddr> {
        let overdue = self.dials.iter().filter(|(_, dial)| dial.under_way.is_some_and(|until| until <= now));
        overdue.map(|(address, _)| *address).collect()
    }

    pub(super) fn begin(&mut self, address: SocketAddr, now: Moment) {
        if let Some(dial) = self.dials.get_mut(&address) {
            dial.under_way = Some(now.after(DIAL_TIMEOUT));
        }
    }

    pub(super) fn remove(&mut self, address: SocketAddr) {
        self.dials.remove(&address);
    }

    /// Whether each seed was tried to the end.
    pub(super) fn all_tried(&self) -> bool {
        self.seeds.iter().all(|seed| self.tried.contains(seed))
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.dials.values().map(|dial| dial.under_way.unwrap_or(dial.due)).min()
    }
}
