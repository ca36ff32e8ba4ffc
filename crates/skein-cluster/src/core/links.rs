//! Links: dialled, opened, closed; and which frame may come when.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use skein_types::{Moment, NodeId};

use super::{
    Action, CloseReason, Core, DIAL_DELAY_MAX, Link, LinkId, Stage,
    frame::{Frame, FrameError},
    members::Recollection,
    refusal::Refusal,
    send,
};
use crate::{Gone, NodeInfo};

/// Both must have greeted within twice the time in which a cut link has to be re-made.
const GREETING_TIMEOUTS: u32 = 2;

impl Core {
    pub(super) fn link_opened(
        &mut self,
        link: LinkId,
        dialled: Option<SocketAddr>,
        remote: SocketAddr,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let deadline = now.after(self.settings.timeout * GREETING_TIMEOUTS);
        let dial = if dialled.is_some() { self.next_dial() } else { 0 };
        self.links
            .insert(link, Link { dialled, remote, dial, stage: Stage::AwaitsHello, hello: None, deadline });
        if self.life.is_given_up() {
            self.close(link, CloseReason::Ending, now, out);
        } else if dialled.is_some() {
            send(link, &self.hello(dial), out);
        }
    }

    fn next_dial(&mut self) -> u64 {
        self.life.dials += 1;
        self.life.dials
    }

    pub(super) fn dial_failed(&mut self, to: SocketAddr, now: Moment) {
        self.figures.dials_failed += 1;
        let delay_max = self.dial_delay_max(to);
        self.dials.failed(to, delay_max, &mut self.random, now);
    }

    /// A peer that waits for its link is dialled several times before it is given up.
    fn dial_delay_max(&self, to: SocketAddr) -> Duration {
        let waits = |info: &NodeInfo| info.advertise == to;
        let waits = self.members.values().any(|member| waits(&member.info) && member.peer.is_some());
        if waits { self.settings.timeout / 4 } else { DIAL_DELAY_MAX }
    }

    pub(super) fn dial_what_is_due(&mut self, now: Moment, out: &mut Vec<Action>) {
        for address in self.dials.overdue(now) {
            self.dial_failed(address, now);
        }
        if self.life.is_given_up() {
            return;
        }
        for address in self.dials.due(now) {
            if address == self.cluster.me().advertise {
                self.dials.is_myself(address);
            } else if self.is_wanted(address) {
                self.dials.begin(address, now);
                out.push(Action::Dial { to: address });
            } else {
                self.dials.remove(address);
            }
        }
    }

    /// Whether someone is missed at this address.
    fn is_wanted(&self, address: SocketAddr) -> bool {
        let led_to = self.dials.led_to(address).and_then(|id| self.members.get(&id));
        let there = self.members.values().find(|member| member.info.advertise == address);
        match there.or(led_to) {
            Some(member) => member.link.is_none(),
            None => self.dials.is_sought(address),
        }
    }

    /// A link is cut.
    pub(super) fn link_closed(&mut self, link: LinkId, now: Moment, out: &mut Vec<Action>) {
        if self.links.get(&link).is_some_and(|link| link.stage == Stage::Established) {
            self.figures.links_cut += 1;
        }
        self.drop_link(link, now, out);
    }

    /// Closes a link.
    pub(super) fn close(&mut self, link: LinkId, why: CloseReason, now: Moment, out: &mut Vec<Action>) {
        if self.drop_link(link, now, out) {
            if let CloseReason::Faulty(what) = why {
                self.figures.faulty_links += 1;
                tracing::warn!(
                    link = link.0,
                    what,
                    "cluster: closed a link on which something came that makes no sense"
                );
            }
            out.push(Action::Close { link, why });
        }
    }

    /// Forgets a link, and sees to it that another one is made if one is missed; false when it is not known.
    fn drop_link(&mut self, link: LinkId, now: Moment, out: &mut Vec<Action>) -> bool {
        let Some(Link { dialled, stage, hello, .. }) = self.links.remove(&link) else { return false };
        if stage == Stage::Established {
            out.push(Action::Detach { link });
        } else if let Some(address) = dialled {
            let delay_max = self.dial_delay_max(address);
            self.dials.failed(address, delay_max, &mut self.random, now);
        }
        if let Some(hello) = hello {
            match self.members.get(&hello.info.id) {
                Some(member) if member.link == Some(link) => self.unlink(hello.info.id, now),
                // It greeted and was not dialled because of that.
                Some(member) if member.link.is_none() && stage != Stage::Established => {
                    self.dials.want(member.info.advertise, Duration::ZERO, now);
                }
                Some(_) | None => {}
            }
        }
        true
    }

    pub(super) fn close_silent_links(&mut self, now: Moment, out: &mut Vec<Action>) {
        let silent =
            self.links.iter().filter(|(_, link)| link.stage != Stage::Established && link.deadline <= now);
        for link in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(link, CloseReason::Silent, now, out);
        }
    }

    /// Every link whose other end said that it is this life of a node.
    pub(super) fn links_of(&self, info: &NodeInfo) -> Vec<LinkId> {
        let is_theirs = |link: &Link| {
            link.hello
                .as_ref()
                .is_some_and(|hello| hello.info.id == info.id && hello.info.incarnation == info.incarnation)
        };
        self.links.iter().filter(|(_, link)| is_theirs(link)).map(|(id, _)| *id).collect()
    }

    /// A frame of the control lane.
    pub(super) fn control(&mut self, link: LinkId, frame: Bytes, now: Moment, out: &mut Vec<Action>) {
        let Some(Link { stage, hello, .. }) = self.links.get(&link) else { return };
        let (stage, id) = (*stage, hello.as_ref().map(|hello| hello.info.id));
        let frame = match Frame::decode(frame) {
            Ok(frame) => frame,
            Err(FrameError(what)) => return self.close(link, CloseReason::Faulty(what), now, out),
        };
        match (stage, id, frame) {
            (Stage::AwaitsHello, _, Frame::Hello(hello)) => self.greeted(link, hello, now, out),
            (Stage::AwaitsWelcome, _, Frame::Welcome(welcome)) => self.welcomed(link, *welcome, now, out),
            (Stage::AwaitsInsistence, _, Frame::Insist) => self.insisted(link, now, out),
            (_, _, Frame::Refuse(refusal)) => self.refused(link, refusal, now, out),
            (Stage::Established, Some(id), frame) => self.established(link, id, frame, now, out),
            _ => self.close(link, CloseReason::Faulty("a greeting out of turn"), now, out),
        }
    }

    fn established(&mut self, link: LinkId, id: NodeId, frame: Frame, now: Moment, out: &mut Vec<Action>) {
        match frame {
            Frame::Soft(frame) => self.soft(id, link, frame, now, out),
            Frame::Confirm { number, frames } => self.confirmed(id, number, frames, now, out),
            Frame::CopyAgain => self.copy_again(id, now, out),
            Frame::Leaving => self.note_leaving(id, now, out),
            Frame::Left => self.lose(id, Gone::Left, Recollection::Over, now, out),
            Frame::Hello(_) | Frame::Welcome(_) | Frame::Refuse(_) | Frame::Insist => {
                self.close(link, CloseReason::Faulty("a greeting out of turn"), now, out);
            }
        }
    }

    /// The other one refuses this node.
    fn refused(&mut self, link: LinkId, refusal: Refusal, now: Moment, out: &mut Vec<Action>) {
        let Some(Link { dialled, stage, remote, .. }) = self.links.get(&link) else { return };
        let (dialled, stage, remote) = (*dialled, *stage, *remote);
        if refusal == (Refusal::Linked { established: true }) && stage == Stage::AwaitsWelcome {
            return self.insist_or_close(link, now, out);
        }
        self.figures.refused_elsewhere(refusal.label());
        tracing::debug!(%remote, ?refusal, "cluster: refused by another node");
        self.close(link, CloseReason::RefusedElsewhere(refusal.label()), now, out);
        match refusal {
            Refusal::GivenUp(incarnation) => self.given_up(incarnation, now, out),
            Refusal::TryLater { after_ms } => {
                if let Some(address) = dialled {
                    self.dials.delay(address, now.after(Duration::from_millis(after_ms.into())));
                }
            }
            Refusal::Yourself => {
                if let Some(address) = dialled {
                    self.dials.is_myself(address);
                }
            }
            Refusal::Linked { .. } | Refusal::Other(_) => {}
            Refusal::Version { .. } | Refusal::IdTaken { .. } | Refusal::UnreachableAddress { .. } => {
                self.refused_for_good((dialled, remote), refusal, now, out);
            }
        }
    }
}
