//! Soft state over the links: what this node says of itself goes out, what peers say is put into effect and confirmed.

use skein_types::{Moment, NodeId};

use super::{Action, Core, LinkId, frame::Frame, send};
use crate::{
    Announcement, Value,
    soft::{Applied, SoftFrame},
};

impl Core {
    /// Says to a peer what it has not been told, as far as it keeps up.
    pub(super) fn pump(&mut self, id: NodeId, now: Moment, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(link) = member.link else { return };
        while let Some(frame) = member.outgoing.next_frame(self.cluster.own(), now) {
            send(link, &Frame::Soft(frame), out);
        }
    }

    pub(super) fn pump_all(&mut self, now: Moment, out: &mut Vec<Action>) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.pump(id, now, out);
        }
    }

    pub(super) fn send_digests(&mut self, now: Moment, out: &mut Vec<Action>) {
        let due = self.members.iter().filter(|(_, member)| member.link.is_some());
        let due = due.filter(|(_, member)| member.outgoing.due() <= now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.pump(id, now, out);
        }
    }

    /// A peer says something of itself.
    pub(super) fn soft(
        &mut self,
        id: NodeId,
        link: LinkId,
        frame: SoftFrame,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(peer) = &member.peer else { return };
        let ends_copy = matches!(frame, SoftFrame::Copy { ends: true, .. });
        let Applied { changes, needs_copy, differs } = member.incoming.take(frame);
        for change in &changes {
            if let Some(Value::Claim(claim)) = &change.value {
                self.cluster.heard(claim.stamp);
            }
        }
        if !changes.is_empty() {
            self.host.apply(peer, &changes, now);
        }
        if differs {
            self.figures.digest_repairs += 1;
            tracing::warn!(node = %id, "cluster: what this node has of another one differs; it asks for all of it again");
        }
        if needs_copy {
            send(link, &Frame::CopyAgain, out);
        }
        let (number, frames) = (member.incoming.applied().unwrap_or(0), member.incoming.frames());
        send(link, &Frame::Confirm { number, frames }, out);
        if ends_copy {
            self.figures.copies_received += 1;
            self.note_up(id, now, out);
        }
    }

    /// A peer has what this node says of itself in effect up to `number`.
    pub(super) fn confirmed(
        &mut self,
        id: NodeId,
        number: u64,
        frames: u64,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        if let Some(member) = self.members.get_mut(&id)
            && let Some(peer) = &member.peer
        {
            // A number that was never said can not be in effect, whatever the peer says.
            peer.note_confirmed(member.outgoing.answered(frames, number));
            self.pump(id, now, out);
        }
    }

    pub(super) fn copy_again(&mut self, id: NodeId, now: Moment, out: &mut Vec<Action>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.outgoing.copy_again();
            self.pump(id, now, out);
        }
    }

    /// The plane of a peer says something.
    pub(super) fn received(&mut self, link: LinkId, announcement: Announcement, now: Moment) {
        let member = self.members.values().find(|member| member.link == Some(link));
        if let Some(peer) = member.and_then(|member| member.peer.as_ref()) {
            let Announcement { lane, kind, body } = announcement;
            self.host.received(peer, lane, kind, body, now);
        }
    }
}
