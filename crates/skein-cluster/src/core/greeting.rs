//! Who may stay: the greeting on a new link, and which of two links to the same node goes before the other.
//!
//! ```text
//! who dialled                      who was dialled
//!   Hello ------------------------->  judges
//!   judges <---------- Hello, Welcome   or Refuse
//!   Welcome ----------------------->  both have agreed
//! ```
//!
//! Both judge, because each knows other things. Nothing else of a link is touched before both have agreed.

use std::{cmp::Ordering, net::SocketAddr, time::Duration};

use skein_types::Moment;

use super::{
    Action, CloseReason, Core, JoinRefused, Link, LinkId, Stage,
    frame::{Frame, Hello, VERSION_MAX, VERSION_MIN, Welcome},
    refusal::Refusal,
    send,
};
use crate::Peer;

/// Who cannot be let in because the id is taken by a node that may be gone asks again after this.
const TAKEN_RETRY: Duration = Duration::from_millis(500);
/// Who cannot be let in as it is set up asks again after this, if it does not stop.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

impl Core {
    pub(super) fn hello(&self, dial: u64) -> Frame {
        Frame::Hello(Box::new(Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            features: 0,
            dial,
            linked: self.life.linked,
            info: (*self.cluster.me()).clone(),
        }))
    }

    /// The other one says who it is.
    pub(super) fn greeted(&mut self, id: LinkId, hello: Box<Hello>, now: Moment, out: &mut Vec<Action>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.stage = Stage::AwaitsWelcome;
        link.hello = Some(hello.clone());
        if let Some(address) = link.dialled {
            // It judges first; what is to be said about it is said when it has welcomed this node.
            self.dials.answered(address, hello.info.id);
            return;
        }
        link.dial = hello.dial;
        send(id, &self.hello(hello.dial), out);
        match self.judge(id, &hello, now) {
            Err(Refusal::IdTaken { id: taken, name, address }) if taken == self.cluster.id() => {
                self.settle_taken_id(id, &hello, Refusal::IdTaken { id: taken, name, address }, now, out);
            }
            Err(refusal) => self.refuse(id, refusal, now, out),
            Ok(()) if self.preferred(id).is_some() => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.stage = Stage::AwaitsInsistence;
                }
                send(id, &Frame::Refuse(Refusal::Linked { established: true }), out);
            }
            Ok(()) => send(id, &self.welcome(&hello), out),
        }
    }

    /// Two nodes have this node's id, and one of them has to yield: a newcomer to a node that is in a cluster, and of two
    /// newcomers the later one.
    fn settle_taken_id(
        &mut self,
        link: LinkId,
        hello: &Hello,
        refusal: Refusal,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let me = self.cluster.me();
        let this_one_yields = !self.life.linked
            && (hello.linked
                || (me.incarnation, me.advertise) > (hello.info.incarnation, hello.info.advertise));
        if !this_one_yields {
            return self.refuse(link, refusal, now, out);
        }
        let (id, name, address) = (me.id, hello.info.name.clone(), hello.info.advertise);
        self.stop(JoinRefused::IdTaken { id, name, address }, now, out);
    }

    fn welcome(&self, hello: &Hello) -> Frame {
        let known = self.members.get(&hello.info.id).filter(|member| member.info == hello.info);
        let received = known.and_then(|member| member.peer.as_deref()).map_or(0, Peer::received);
        let up = self.members.values().filter(|member| member.is_up() && member.info.id != hello.info.id);
        Frame::Welcome(Box::new(Welcome {
            received,
            applied: known.and_then(|member| member.incoming.applied()),
            nodes: up.map(|member| member.info.clone()).collect(),
        }))
    }

    /// Whether a node may stay.
    fn judge(&self, link: LinkId, hello: &Hello, now: Moment) -> Result<(), Refusal> {
        let (me, info) = (self.cluster.me(), &hello.info);
        if hello.version_max < VERSION_MIN || hello.version_min > VERSION_MAX {
            return Err(Refusal::Version { min: VERSION_MIN, max: VERSION_MAX });
        }
        if let Some(link) = self.links.get(&link) {
            judge_address(info.advertise, link.remote)?;
        }
        if info.id == me.id {
            if info.advertise == me.advertise {
                return Err(Refusal::Yourself);
            }
            return Err(Refusal::IdTaken { id: me.id, name: me.name.clone(), address: me.advertise });
        }
        if let Some(over) = self.pasts.over(info.id).filter(|over| *over >= info.incarnation) {
            return Err(Refusal::GivenUp(over));
        }
        if let Some(known) = self.members.get(&info.id) {
            let is_same_life = known.info.incarnation == info.incarnation;
            match (known.info.advertise == info.advertise, is_same_life) {
                (true, true) => return Ok(()),
                (true, false) if known.info.incarnation > info.incarnation => {
                    return Err(Refusal::GivenUp(known.info.incarnation));
                }
                (true, false) => {}
                (false, _) if known.link.is_some() => {
                    let (id, name) = (info.id, known.info.name.clone());
                    return Err(Refusal::IdTaken { id, name, address: known.info.advertise });
                }
                (false, _) if known.is_hearsay() => {}
                (false, _) => return Err(Refusal::TryLater { after_ms: millis(TAKEN_RETRY) }),
            }
        }
        match self.pasts.damped_until(info.id, now) {
            Some(until) => Err(Refusal::TryLater { after_ms: millis(until.since(now)) }),
            None => Ok(()),
        }
    }

    /// The other one lets this node stay: if this one does too, there is a link.
    pub(super) fn welcomed(&mut self, id: LinkId, welcome: Welcome, now: Moment, out: &mut Vec<Action>) {
        let Some(Link { dialled, hello: Some(hello), .. }) = self.links.get(&id) else { return };
        let (dialled, hello) = (*dialled, hello.clone());
        // It may have become another matter since it was judged.
        if let Err(refusal) = self.judge(id, &hello, now) {
            if let (Refusal::TryLater { after_ms }, Some(address)) = (&refusal, dialled) {
                self.dials.delay(address, now.after(Duration::from_millis((*after_ms).into())));
            }
            return self.refuse(id, refusal, now, out);
        }
        if let Some(other) = self.preferred(id) {
            tracing::debug!(
                link = id.0,
                other = other.0,
                "cluster: another link to the same node goes before this one"
            );
            return self.close(id, CloseReason::Replaced, now, out);
        }
        if dialled.is_some() {
            send(id, &self.welcome(&hello), out);
        }
        self.agree(id, &hello, welcome, now, out);
    }

    /// Both have welcomed each other.
    fn agree(&mut self, id: LinkId, hello: &Hello, welcome: Welcome, now: Moment, out: &mut Vec<Action>) {
        let before = self.meet(&hello.info, now, out).link.take();
        if let Some(before) = before {
            self.figures.links_replaced += 1;
            self.close(before, CloseReason::Replaced, now, out);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.stage = Stage::Established;
        let addresses = link.dialled.into_iter().chain([hello.info.advertise]);
        addresses.for_each(|address| self.dials.settled(address));
        self.figures.links_established += 1;
        let newcomer = !std::mem::replace(&mut self.life.linked, true);
        self.note_linked();
        let Some(member) = self.members.get_mut(&hello.info.id) else { return };
        member.link = Some(id);
        member.incoming.link_opened();
        member.outgoing = crate::soft::Outgoing::new(welcome.applied, now);
        let peer = member.peer.get_or_insert_with(|| {
            let peer = Peer::new(hello.info.clone());
            self.cluster.admit(&peer);
            peer
        });
        out.push(Action::Attach { link: id, peer: peer.clone(), handled: welcome.received });
        out.push(Action::Meet(hello.info.clone()));
        if self.life.leaving {
            send(id, &Frame::Leaving, out);
        }
        if newcomer {
            tracing::info!(node = %hello.info.id, "cluster: the first link to another node");
        }
        for told in &welcome.nodes {
            self.hear_of(told, now, out);
        }
        for told in welcome.nodes.iter().chain([&hello.info]) {
            let is_down_here = self.members.get(&told.id).is_some_and(|member| !member.is_up());
            if is_down_here {
                self.life.await_node(told.id, now);
            }
        }
        self.pump(hello.info.id, now, out);
        self.note_up(hello.info.id, now, out);
    }

    /// The established link to the node at the other end of `id` that goes before `id`, if there is one.
    fn preferred(&self, id: LinkId) -> Option<LinkId> {
        let link = self.links.get(&id)?;
        let info = &link.hello.as_ref()?.info;
        let member =
            self.members.get(&info.id).filter(|member| member.info.incarnation == info.incarnation)?;
        let other = member.link.filter(|other| *other != id)?;
        let before = self.precedence(self.links.get(&other)?).cmp(&self.precedence(link));
        (before == Ordering::Greater).then_some(other)
    }

    /// Of two links between the same two nodes the one dialled by the lower one stays, of two dialled by the same the later
    /// one. Both nodes see it alike, so that the link which stays is closed by neither of them.
    fn precedence(&self, link: &Link) -> (bool, u64) {
        let theirs = link.hello.as_ref().map(|hello| hello.info.id);
        let dialled_here = link.dialled.is_some();
        let here_is_lower = theirs.is_some_and(|theirs| self.cluster.id() < theirs);
        (dialled_here == here_is_lower, link.dial)
    }

    /// The other one has a link that goes before this one. When it does not exist here, it is cut, and the other one has not
    /// noticed.
    pub(super) fn insist_or_close(&mut self, id: LinkId, now: Moment, out: &mut Vec<Action>) {
        let info = self.links.get(&id).and_then(|link| link.hello.as_ref()).map(|hello| hello.info.clone());
        match info {
            Some(info) if self.links_of(&info) == [id] => send(id, &Frame::Insist, out),
            _ => self.close(id, CloseReason::RefusedElsewhere("linked"), now, out),
        }
    }

    /// The link that was preferred does not exist at the other end.
    pub(super) fn insisted(&mut self, id: LinkId, now: Moment, out: &mut Vec<Action>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.stage = Stage::AwaitsWelcome;
        let Some(hello) = link.hello.clone() else { return };
        if let Some(other) = self.preferred(id) {
            self.figures.links_replaced += 1;
            self.close(other, CloseReason::Replaced, now, out);
        }
        match self.judge(id, &hello, now) {
            Ok(()) => send(id, &self.welcome(&hello), out),
            Err(refusal) => self.refuse(id, refusal, now, out),
        }
    }

    /// This node is not let in as it is set up: a newcomer stops, any other goes on with whom it has.
    pub(super) fn refused_for_good(
        &mut self,
        (dialled, remote): (Option<SocketAddr>, SocketAddr),
        refusal: Refusal,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let why = match refusal {
            Refusal::Version { min, max } => JoinRefused::Version { min, max },
            Refusal::IdTaken { id, name, address } => JoinRefused::IdTaken { id, name, address },
            Refusal::UnreachableAddress { advertised, .. } => {
                JoinRefused::UnreachableAddress { advertised, from: remote }
            }
            Refusal::GivenUp(_)
            | Refusal::TryLater { .. }
            | Refusal::Linked { .. }
            | Refusal::Yourself
            | Refusal::Other(_) => return,
        };
        // Who was dialled may refuse a stranger that dials it; only who asks to be let in is told to stop.
        if dialled.is_some() && !self.life.linked {
            return self.stop(why, now, out);
        }
        tracing::warn!(%why, "cluster: another node refuses this one");
        if let Some(address) = dialled {
            self.dials.delay(address, now.after(REFUSED_RETRY));
        }
    }
}

/// An address of the loopback is of use to nodes on the same machine only.
fn judge_address(advertised: SocketAddr, seen: SocketAddr) -> Result<(), Refusal> {
    let ip = advertised.ip();
    let leads_nowhere = ip.is_unspecified() || advertised.port() == 0;
    if leads_nowhere || ip.is_loopback() && !seen.ip().is_loopback() {
        tracing::warn!(
            %advertised, %seen,
            "cluster: refused a node that advertises an address which leads nowhere from here; set its advertised address"
        );
        return Err(Refusal::UnreachableAddress { advertised, seen });
    }
    Ok(())
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
