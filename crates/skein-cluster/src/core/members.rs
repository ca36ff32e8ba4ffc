//! The other nodes: heard of, let in, up, and gone.

use std::{sync::Arc, time::Duration};

use skein_types::{Moment, NodeId};

use super::{Action, CloseReason, Core, LinkId, frame::Frame, refusal::Refusal, send};
use crate::{
    Gone, NodeInfo, NodeState, Notification, Peer,
    soft::{Incoming, Outgoing},
};

/// A node that others told of, and that neither gossip nor a link has confirmed, is forgotten after this.
const HEARSAY_TIMEOUT: Duration = Duration::from_secs(30);
/// The higher of two nodes gives the other one so much time to dial first, so that they seldom dial both.
const YIELD_DELAY: Duration = Duration::from_millis(150);
const JITTER_MS: u64 = 30;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) info: NodeInfo,
    /// Gossip hears it.
    pub(super) alive: bool,
    /// It was let in.
    pub(super) peer: Option<Arc<Peer>>,
    /// The link on which both have agreed.
    pub(super) link: Option<LinkId>,
    /// Without a link it is lost then; without a peer it is forgotten then, unless gossip hears it.
    deadline: Moment,
    is_up: bool,
    is_leaving: bool,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

/// What a lost node is to be remembered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recollection {
    /// That life is over.
    Over,
    /// Its life goes on; this node's own is another one.
    MeetAgain,
    /// As before, and nobody is told: this node ends.
    Silent,
}

impl Member {
    fn new(info: NodeInfo, now: Moment) -> Self {
        Self {
            info,
            alive: false,
            peer: None,
            link: None,
            deadline: now.after(HEARSAY_TIMEOUT),
            is_up: false,
            is_leaving: false,
            outgoing: Outgoing::new(None, now),
            incoming: Incoming::default(),
        }
    }

    /// Whether nothing but hearsay speaks for it.
    pub(super) fn is_hearsay(&self) -> bool {
        self.peer.is_none() && !self.alive
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn next_due(&self) -> Moment {
        match (&self.peer, self.link) {
            (_, Some(_)) => self.outgoing.due(),
            (Some(_), None) => self.deadline,
            (None, None) => {
                if self.alive {
                    Moment::NEVER
                } else {
                    self.deadline
                }
            }
        }
    }
}

impl Core {
    /// Gossip hears a node.
    pub(super) fn alive(&mut self, info: NodeInfo, now: Moment, out: &mut Vec<Action>) {
        let id = info.id;
        self.hear_of(&info, now, out);
        if let Some(member) = self.members.get_mut(&id)
            && member.info.incarnation == info.incarnation
            && member.info.advertise == info.advertise
        {
            member.alive = true;
            self.note_up(id, now, out);
        }
    }

    /// Gossip has given up a node.
    pub(super) fn dead(&mut self, info: &NodeInfo, gone: Gone, now: Moment, out: &mut Vec<Action>) {
        if info.id == self.cluster.id() {
            return;
        }
        if self.members.get(&info.id).is_some_and(|member| member.info.incarnation <= info.incarnation) {
            self.lose(info.id, gone, Recollection::Over, now, out);
        }
        self.pasts.end(info.id, info.incarnation);
    }

    /// Someone says that there is this node: it is dialled, unless it is known or its life is over.
    pub(super) fn hear_of(&mut self, info: &NodeInfo, now: Moment, out: &mut Vec<Action>) {
        if info.id == self.cluster.id() || self.pasts.over(info.id) >= Some(info.incarnation) {
            return;
        }
        if let Some(known) = self.members.get(&info.id) {
            let is_newer = known.info.incarnation < info.incarnation;
            let elsewhere = known.info.advertise != info.advertise;
            // Who has a link here is not replaced because of hearsay from another address.
            if !is_newer || elsewhere && known.link.is_some() {
                return;
            }
            self.lose(info.id, Gone::Restarted, Recollection::Over, now, out);
        }
        self.members.insert(info.id, Member::new(info.clone(), now));
        self.want_member(info.id, now);
    }

    /// A newcomer's greeting says that there is this node.
    pub(super) fn meet(&mut self, info: &NodeInfo, now: Moment, out: &mut Vec<Action>) -> &mut Member {
        if self.members.get(&info.id).is_some_and(|known| known.info != *info) {
            self.lose(info.id, Gone::Restarted, Recollection::Over, now, out);
        }
        self.members.entry(info.id).or_insert_with(|| Member::new(info.clone(), now))
    }

    /// Dials a member without a link.
    pub(super) fn want_member(&mut self, id: NodeId, now: Moment) {
        let Some(member) = self.members.get(&id).filter(|member| member.link.is_none()) else { return };
        let yields = if self.cluster.id() > id { YIELD_DELAY } else { Duration::ZERO };
        let jitter = Duration::from_millis(self.random.below(JITTER_MS));
        self.dials.want_anew(member.info.advertise, yields + jitter, now);
    }

    /// The link of a member is gone.
    pub(super) fn unlink(&mut self, id: NodeId, now: Moment) {
        let timeout = self.settings.timeout;
        if let Some(member) = self.members.get_mut(&id) {
            member.link = None;
            member.deadline = now.after(timeout);
            self.want_member(id, now);
            self.dials.want_seeds(now);
        }
    }

    /// The node is up if its soft state is in effect here and gossip hears it.
    pub(super) fn note_up(&mut self, id: NodeId, now: Moment, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(peer) = member.peer.clone() else { return };
        if member.is_up || !member.alive || member.link.is_none() || member.incoming.applied().is_none() {
            return;
        }
        member.is_up = true;
        let (info, is_leaving) = (member.info.clone(), member.is_leaving);
        self.life.await_no_longer(id);
        self.cluster.set_status(&info, NodeState::Up, now);
        self.host.node_up(&peer, now);
        out.push(Action::Notify(Notification::Up(info.clone())));
        if is_leaving {
            self.announce_leaving(info, now, out);
        }
    }

    /// A peer says that it will leave.
    pub(super) fn note_leaving(&mut self, id: NodeId, now: Moment, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let is_news = !std::mem::replace(&mut member.is_leaving, true);
        if is_news && member.is_up {
            let info = member.info.clone();
            self.announce_leaving(info, now, out);
        }
    }

    fn announce_leaving(&mut self, info: NodeInfo, now: Moment, out: &mut Vec<Action>) {
        self.cluster.set_status(&info, NodeState::Leaving, now);
        out.push(Action::Notify(Notification::Leaving(info)));
    }

    /// The one place where a node goes, whatever the cause.
    pub(super) fn lose(
        &mut self,
        id: NodeId,
        gone: Gone,
        recollection: Recollection,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.remove(&id) else { return };
        self.life.await_no_longer(id);
        // Hearsay may be wrong about which lives there were.
        if recollection == Recollection::Over && !member.is_hearsay() {
            self.pasts.end(id, member.info.incarnation);
        }
        self.close_links_of(&member, gone, recollection, now, out);
        let member_was_peer = member.peer.is_some();
        if let Some(peer) = &member.peer {
            // First nobody sends to it or waits for it any more; then the plane clears up, and finds it gone.
            self.cluster.dismiss(peer);
            self.host.node_gone(peer, gone, now);
            if recollection == Recollection::Over && gone != Gone::Left {
                self.pasts.lose(id, now);
            }
        }
        if recollection == Recollection::Silent {
            return;
        }
        if member.peer.is_some() || member.alive {
            self.cluster.set_status(&member.info, NodeState::Down, now);
        }
        if member.is_up {
            out.push(Action::Notify(Notification::Down(member.info.clone(), gone)));
        }
        if gone != Gone::Left && !member.is_hearsay() {
            self.dials.lose(member.info.advertise, now);
        }
        self.dials.want_seeds(now);
        if recollection == Recollection::MeetAgain {
            let again = Member { alive: member.alive, ..Member::new(member.info, now) };
            self.members.insert(id, again);
            self.want_member(id, now);
        }
        if recollection == Recollection::Over && gone == Gone::Failed && member_was_peer {
            self.note_failed(now, out);
        }
    }

    fn close_links_of(
        &mut self,
        member: &Member,
        gone: Gone,
        recollection: Recollection,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let theirs = self.links_of(&member.info);
        for link in theirs {
            if member.link == Some(link) && gone == Gone::Failed && recollection == Recollection::Over {
                // It may be alive: so it learns that it has to begin another life.
                send(link, &Frame::Refuse(Refusal::GivenUp(member.info.incarnation)), out);
            }
            self.close(link, CloseReason::PeerGone(gone), now, out);
        }
    }

    pub(super) fn lose_unlinked_members(&mut self, now: Moment, out: &mut Vec<Action>) {
        let late = |member: &Member| member.link.is_none() && member.deadline <= now;
        let late: Vec<_> =
            self.members.iter().filter(|(_, member)| late(member)).map(|(id, _)| *id).collect();
        for id in late {
            let Some(member) = self.members.get(&id) else { continue };
            if member.peer.is_some() {
                self.figures.declared_down += 1;
                out.push(Action::DeclareDown(member.info.clone()));
                self.lose(id, Gone::Failed, Recollection::Over, now, out);
            } else if !member.alive {
                self.members.remove(&id);
                self.life.await_no_longer(id);
            }
        }
    }
}
