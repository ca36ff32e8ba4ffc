//! What this node remembers of nodes that are gone: which lives of them are over, and how often they came and went.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use skein_types::{Incarnation, Moment, NodeId};

/// Who came and went so often within this time is let in again later.
const FLAPPING_WINDOW: Duration = Duration::from_secs(60);
const FLAPS_MIN: usize = 3;
/// The first delay; each further loss within the window doubles it.
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(30);
/// More losses make no difference.
const FLAPS_MAX: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Pasts(BTreeMap<NodeId, Past>);

#[derive(Debug, Default)]
struct Past {
    /// This life and all before it are over.
    over: Option<Incarnation>,
    losses: VecDeque<Moment>,
}

impl Pasts {
    /// That life of the node, and those before it, are over.
    pub(super) fn end(&mut self, id: NodeId, incarnation: Incarnation) {
        let past = self.0.entry(id).or_default();
        past.over = past.over.max(Some(incarnation));
    }

    /// No life is held for over any more.
    pub(super) fn forget_lives(&mut self) {
        self.0.values_mut().for_each(|past| past.over = None);
    }

    /// The node was up, and is lost.
    pub(super) fn lose(&mut self, id: NodeId, now: Moment) {
        let losses = &mut self.0.entry(id).or_default().losses;
        losses.push_back(now);
        if losses.len() > FLAPS_MAX {
            losses.pop_front();
        }
    }

    /// The last life that is over.
    pub(super) fn over(&self, id: NodeId) -> Option<Incarnation> {
        self.0.get(&id)?.over
    }

    /// Until when a node that comes and goes has to stay out, if it has to.
    pub(super) fn damped_until(&self, id: NodeId, now: Moment) -> Option<Moment> {
        let losses = &self.0.get(&id)?.losses;
        let recent = losses.iter().filter(|loss| now.since(**loss) < FLAPPING_WINDOW).count();
        let doublings = u32::try_from(recent.checked_sub(FLAPS_MIN)?).unwrap_or(u32::MAX);
        let delay = DELAY_FIRST.saturating_mul(1 << doublings.min(16)).min(DELAY_MAX);
        losses.back().map(|last| last.after(delay)).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_a_node_that_comes_and_goes_in_ever_later() {
        let (mut pasts, id) = (Pasts::default(), NodeId(7));
        let mut now = Moment::from_millis(1000);
        let mut delays = Vec::new();
        for _ in 0..9 {
            pasts.lose(id, now);
            let until = pasts.damped_until(id, now);
            delays.push(until.map_or(0, |until| until.since(now).as_secs()));
            now = now.after_secs(1);
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pasts.damped_until(id, now.after_secs(60)), None, "it has settled");
        assert_eq!(pasts.damped_until(NodeId(8), now), None, "others have nothing to do with it");
    }

    #[test]
    fn a_life_that_is_over_stays_so() {
        let mut pasts = Pasts::default();
        pasts.end(NodeId(7), Incarnation(5));
        pasts.end(NodeId(7), Incarnation(3));
        assert_eq!(pasts.over(NodeId(7)), Some(Incarnation(5)));
    }
}
