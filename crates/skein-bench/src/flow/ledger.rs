//! Who should have got what: the checks of all subscribers of a flow workload.

use super::publisher::Publisher;
use crate::{
    Report,
    sequence::{Noted, OrderCheck, SequenceCheck, SetCheck},
};

/// The checks, by the shape of the traffic.
#[derive(Debug)]
pub(super) enum Ledger {
    /// Subscriber `n` gets all messages of publisher `n` alone.
    Pairs(Vec<SequenceCheck>),
    /// Every subscriber gets all messages of publisher 0.
    Fanout(Vec<SequenceCheck>),
    /// Subscriber 0 gets all messages; a check per publisher.
    Fanin(Vec<SequenceCheck>),
    /// The subscribers share the messages: each exactly once in the group, in order at each member.
    Shared { sets: Vec<SetCheck>, orders: Vec<Vec<OrderCheck>> },
}

impl Ledger {
    /// Notes message `number` of `publisher` at `subscriber`. Returns what that means, or `None` when
    /// this subscriber should not get messages of this publisher.
    #[inline]
    pub(super) fn record(
        &mut self,
        subscriber: usize,
        publisher: usize,
        number: u64,
        sent: u64,
    ) -> Option<Noted> {
        match self {
            Self::Pairs(checks) if subscriber == publisher => {
                Some(checks.get_mut(subscriber)?.record(number))
            }
            Self::Pairs(_) => None,
            Self::Fanout(checks) => Some(checks.get_mut(subscriber)?.record(number)),
            Self::Fanin(checks) => Some(checks.get_mut(publisher)?.record(number)),
            Self::Shared { sets, orders } => {
                orders.get_mut(subscriber)?.get_mut(publisher)?.record(number);
                Some(sets.get_mut(publisher)?.record(number, sent))
            }
        }
    }

    /// Different messages delivered, each subscriber's counted.
    pub(super) fn received(&self) -> u64 {
        match self {
            Self::Pairs(checks) | Self::Fanout(checks) | Self::Fanin(checks) => {
                checks.iter().map(SequenceCheck::received).sum()
            }
            Self::Shared { sets, .. } => sets.iter().map(SetCheck::received).sum(),
        }
    }

    pub(super) fn fill(&self, publishers: &[Publisher], report: &mut Report) {
        let sent = |index: usize| publishers.get(index).map_or(0, |publisher| publisher.sent);
        match self {
            Self::Pairs(checks) | Self::Fanin(checks) => {
                report.lost = checks.iter().enumerate().map(|(index, check)| check.lost(sent(index))).sum();
            }
            Self::Fanout(checks) => report.lost = checks.iter().map(|check| check.lost(sent(0))).sum(),
            Self::Shared { sets, orders } => {
                report.lost = sets.iter().enumerate().map(|(index, set)| set.lost(sent(index))).sum();
                report.duplicated = sets.iter().map(SetCheck::duplicated).sum();
                report.reordered = orders.iter().flatten().map(OrderCheck::reordered).sum();
            }
        }
        if let Self::Pairs(checks) | Self::Fanout(checks) | Self::Fanin(checks) = self {
            report.duplicated = checks.iter().map(SequenceCheck::duplicated).sum();
            report.reordered = checks.iter().map(SequenceCheck::reordered).sum();
        }
        report.delivered = self.received();
    }
}
