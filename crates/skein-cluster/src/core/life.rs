//! This node's own life: joining, leaving, and beginning another one after others have given it up.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use skein_types::{Incarnation, Moment, NodeId};

use super::{Action, CloseReason, Core, JoinRefused, frame::Frame, members::Recollection, send};
use crate::{Gone, NodeState};

/// A node of which this one was told is waited for so long before the doors open without it.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay between two renewals of which the second comes soon; it doubles.
const RENEWAL_DELAY_FIRST: Duration = Duration::from_millis(500);
const RENEWAL_DELAY_MAX: Duration = Duration::from_secs(30);
/// After so long without a renewal the next one is not delayed.
const RENEWAL_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Life {
    /// It has left, or cannot take part.
    over: bool,
    pub(super) leaving: bool,
    /// It had a link to some other node: it is no newcomer.
    pub(super) linked: bool,
    /// How many dials there were.
    pub(super) dials: u64,
    joined: bool,
    candidates_known: bool,
    /// Nodes of which this one was told, and until when they are waited for.
    awaited: BTreeMap<NodeId, Moment>,
    /// Lives up to this were given up by others.
    given_up: Option<Incarnation>,
    renewals: u32,
    renewed_at: Moment,
    /// Peers lost by failure since there was a new one.
    failed: u32,
    /// It has lost all of them, and is about to begin another life for that.
    cut_off: bool,
}

/// So many peers lost until none is left are more likely one node cut off than as many failed.
const LOSSES_OF_ONE_CUT_OFF: u32 = 2;

impl Life {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it waits to begin another life; nothing new is begun until then.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    pub(super) fn await_node(&mut self, id: NodeId, now: Moment) {
        if !self.joined {
            self.awaited.entry(id).or_insert_with(|| now.after(JOIN_TIMEOUT));
        }
    }

    pub(super) fn await_no_longer(&mut self, id: NodeId) {
        self.awaited.remove(&id);
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        let renewal = self.given_up.map(|_| self.renewal_due());
        renewal.into_iter().chain(self.awaited.values().copied()).min()
    }

    /// The first renewal comes at once, later ones after ever longer, so that two nodes that cannot agree do not spin.
    fn renewal_due(&self) -> Moment {
        match self.renewals.checked_sub(1) {
            None => Moment::ZERO,
            Some(doublings) => {
                let delay = RENEWAL_DELAY_FIRST.saturating_mul(1 << doublings.min(16));
                self.renewed_at.after(delay.min(RENEWAL_DELAY_MAX))
            }
        }
    }
}

impl Core {
    pub(super) fn candidates(&mut self, addresses: Vec<SocketAddr>, now: Moment) {
        self.life.candidates_known = true;
        self.dials.set_seeds(addresses, now);
    }

    /// Others say that this node is down: what it had with anyone is over, and it begins another life.
    pub(super) fn given_up(&mut self, incarnation: Incarnation, now: Moment, out: &mut Vec<Action>) {
        if incarnation < self.cluster.me().incarnation || incarnation.0 == u64::MAX {
            return;
        }
        self.life.given_up = self.life.given_up.max(Some(incarnation));
        // Its peers' lives are not over; only what this node had with them is.
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.lose(id, Gone::Failed, Recollection::MeetAgain, now, out);
        }
        self.close_all(now, out);
    }

    /// A peer was lost. A node that has lost all of several is cut off, and it is the others who are together: it begins
    /// another life and holds none of theirs for over, so that they need not part when it comes back.
    pub(super) fn note_failed(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.life.failed = self.life.failed.saturating_add(1);
        let is_alone = self.members.values().all(|member| member.peer.is_none());
        if is_alone && self.life.failed >= LOSSES_OF_ONE_CUT_OFF && !self.life.is_given_up() {
            self.life.failed = 0;
            self.life.cut_off = true;
            tracing::warn!("cluster: all other nodes are lost at once; this one may be cut off");
            self.given_up(self.cluster.me().incarnation, now, out);
        }
    }

    pub(super) fn note_linked(&mut self) {
        self.life.failed = 0;
    }

    pub(super) fn renew_if_due(&mut self, now: Moment, out: &mut Vec<Action>) {
        let Some(given_up) = self.life.given_up else { return };
        if now < self.life.renewal_due() {
            return;
        }
        self.life.given_up = None;
        if std::mem::take(&mut self.life.cut_off) {
            self.pasts.forget_lives();
        }
        let quiet = now.since(self.life.renewed_at) > RENEWAL_WINDOW;
        self.life.renewals = if quiet { 1 } else { self.life.renewals + 1 };
        self.life.renewed_at = now;
        self.figures.renewals += 1;
        self.cluster.renew(Incarnation(given_up.0.saturating_add(1)));
        let me = self.cluster.me();
        tracing::warn!(incarnation = %me.incarnation, "cluster: this node was given up or cut off; it begins another life");
        let state = if self.life.leaving { NodeState::Leaving } else { NodeState::Up };
        self.cluster.set_status(&me, state, now);
        out.push(Action::Renew((*me).clone()));
    }

    /// The doors may open once every node of which this one was told is up here, or gone; a node that is told of nobody may
    /// open them once it has looked everywhere.
    pub(super) fn join_if_complete(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.life.awaited.retain(|_, until| *until > now);
        let looked = self.life.linked || self.life.candidates_known && self.dials.all_tried();
        if !self.life.joined && looked && self.life.awaited.is_empty() {
            self.life.joined = true;
            self.cluster.set_joined();
            out.push(Action::Joined);
        }
    }

    pub(super) fn drain(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.life.leaving = true;
        self.cluster.set_status(&self.cluster.me(), NodeState::Leaving, now);
        for link in self.members.values().filter_map(|member| member.link) {
            send(link, &Frame::Leaving, out);
        }
    }

    pub(super) fn leave(&mut self, now: Moment, out: &mut Vec<Action>) {
        for link in self.members.values().filter_map(|member| member.link) {
            send(link, &Frame::Left, out);
        }
        self.end(now, out);
        self.cluster.set_status(&self.cluster.me(), NodeState::Down, now);
    }

    /// This node cannot take part.
    pub(super) fn stop(&mut self, refused: JoinRefused, now: Moment, out: &mut Vec<Action>) {
        self.end(now, out);
        out.push(Action::Refused(refused));
    }

    fn end(&mut self, now: Moment, out: &mut Vec<Action>) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.lose(id, Gone::Left, Recollection::Silent, now, out);
        }
        self.close_all(now, out);
        self.life.over = true;
    }

    fn close_all(&mut self, now: Moment, out: &mut Vec<Action>) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(link, CloseReason::Ending, now, out);
        }
    }
}
