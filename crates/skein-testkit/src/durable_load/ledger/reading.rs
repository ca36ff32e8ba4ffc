//! One reader of one stream: when it was subscribed, what it got, what it still must get.

use super::{Kind, Stream};

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) granted: u8,
    /// Oldest first; only the last can be open.
    intervals: Vec<Interval>,
    received: Vec<bool>,
    /// One after the last place received.
    next: u64,
    /// Every place before it was received or need not be.
    settled: u64,
}

/// The time of one subscription, in places of the stream. Each boundary is two: between the request and its answer
/// messages may or may not match.
#[derive(Debug)]
struct Interval {
    possible_from: u64,
    /// From SUBACK on.
    required_from: Option<u64>,
    /// What was acknowledged to the publisher before UNSUBSCRIBE was sent is in the queue.
    required_until: Option<u64>,
    possible_until: Option<u64>,
}

impl Reading {
    pub(super) fn new(granted: u8) -> Self {
        Self { granted, intervals: Vec::new(), received: Vec::new(), next: 0, settled: 0 }
    }

    /// SUBSCRIBE is sent while everything before `unsettled` has been acknowledged to its publisher.
    pub(super) fn subscribing(&mut self, unsettled: u64) {
        if self.open().is_none() {
            let (required_from, required_until, possible_until) = (None, None, None);
            let possible_from = unsettled;
            self.intervals.push(Interval { possible_from, required_from, required_until, possible_until });
        }
    }

    pub(super) fn subscribed(&mut self, next: u64) {
        if let Some(interval) = self.open() {
            interval.required_from.get_or_insert(next);
        }
    }

    pub(super) fn unsubscribing(&mut self, unsettled: u64) {
        if let Some(interval) = self.open() {
            interval.required_until.get_or_insert(unsettled);
        }
    }

    pub(super) fn unsubscribed(&mut self, next: u64) {
        if let Some(interval) = self.open() {
            interval.possible_until = Some(next);
        }
    }

    pub(super) fn waived(&mut self) {
        self.intervals.iter_mut().for_each(|interval| interval.required_from = None);
    }

    pub(super) fn discarded(&mut self) {
        self.intervals.clear();
    }

    fn open(&mut self) -> Option<&mut Interval> {
        self.intervals.last_mut().filter(|interval| interval.possible_until.is_none())
    }

    pub(super) fn is_possible(&self, place: u64) -> bool {
        self.intervals.iter().rev().any(|interval| {
            interval.possible_from <= place && interval.possible_until.is_none_or(|until| place < until)
        })
    }

    pub(super) fn requires(&self, place: u64) -> bool {
        self.intervals.iter().rev().any(|interval| {
            interval.required_from.is_some_and(|from| from <= place)
                && interval.required_until.is_none_or(|until| place < until)
        })
    }

    pub(super) fn has(&self, place: u64) -> bool {
        usize::try_from(place).is_ok_and(|place| self.received.get(place).is_some_and(|has| *has))
    }

    /// Notes a reception; true for the first.
    pub(super) fn note(&mut self, place: u64) -> bool {
        let place = usize::try_from(place).expect("the place of a message that was sent");
        if self.received.len() <= place {
            self.received.resize(place + 1, false);
        }
        !std::mem::replace(&mut self.received[place], true)
    }

    /// A first reception: nothing later came before it, and nothing that is due before it is left out.
    pub(super) fn arrived_in_order(&mut self, place: u64, stream: &Stream) -> Result<(), String> {
        if place < self.next {
            // It may have been sent before the subscription, lost with the server, and sent again after it.
            let was_too_early = !self.requires(place) && stream.get(place).is_some_and(|sent| sent.again);
            if was_too_early {
                return Ok(());
            }
            return Err(format!("came after #{}", self.next - 1));
        }
        self.next = place + 1;
        if stream.kind == Kind::Will {
            return Ok(());
        }
        let left_out = (self.settled..place).find(|earlier| !self.has(*earlier) && self.requires(*earlier));
        if let Some(earlier) = left_out {
            let known = stream.get(earlier).is_some_and(|sent| sent.acknowledged);
            let known = if known { "acknowledged" } else { "sent" };
            return Err(format!("came, and #{earlier}, {known} before it, did not"));
        }
        self.settled = place + 1;
        Ok(())
    }

    /// Places that are acknowledged and due and did not come.
    pub(super) fn missing<'a>(&'a mut self, stream: &'a Stream) -> impl Iterator<Item = u64> + 'a {
        let is_will = stream.kind == Kind::Will;
        while !is_will
            && self.settled < stream.len()
            && (self.has(self.settled) || !self.requires(self.settled))
        {
            self.settled += 1;
        }
        let this = &*self;
        (this.settled..stream.len()).filter(move |place| {
            let acknowledged = stream.get(*place).is_some_and(|sent| sent.acknowledged);
            acknowledged && !this.has(*place) && this.requires(*place)
        })
    }
}
