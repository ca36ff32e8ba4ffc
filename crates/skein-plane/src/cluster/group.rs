//! Messages of shared groups whose member is on another node: kept here until it has acknowledged them.
//!
//! The node of the publisher keeps a QoS 1 message under a ticket. The chosen node says that the member is done with it when
//! the message leaves its session, whatever the reason, or gives the message back when it has no member any more. When the
//! node goes down first, another member gets the message. What is kept has a bound; above it messages go without ticket.

use std::{collections::BTreeMap, sync::Arc};

use skein_cluster::{GroupTarget, Lane, Peer, Sent};
use skein_types::{Message, Moment, QoS};

use crate::{
    announcement::{GROUP_ASK, GROUP_DONE, Reader, Writer},
    batch::Batch,
    clustered::{Clustered, KeptMessage},
    ledger::DropReason,
    matcher::Group,
    plane::Plane,
    subscription::GroupKey,
    ticket::{Outstanding, Ticket},
};

/// What is said of tickets may be lost with a link: who keeps a message for so long asks.
const ASK_AFTER_MILLIS: u64 = 10_000;
/// Tickets asked for at once.
const ASK_MAX: usize = 4096;
/// Marks a message that comes back from a node without members.
const BACK: u64 = 1 << 63;

impl Plane {
    /// Sends a message of the present run to a node with members of `group`; false when it is on its way to nobody.
    pub(crate) fn send_to_group(
        &self,
        group: &Group,
        index: usize,
        peer: &Arc<Peer>,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        let Some(Clustered { tickets, .. }) = self.clustered() else { return false };
        let acknowledged = batch.run().is_acknowledged();
        let mut ticket = 0;
        if batch.run().message(index).qos == QoS::AtLeastOnce {
            let message = batch.run_mut().shared(index);
            match tickets.keep(peer, group.key(), message, now) {
                Some(number) => ticket = number,
                None => batch.effects.tally.group_unkept += 1,
            }
        }
        let target = target(group.key(), ticket);
        let run = batch.run().encode_one(index, &target, now);
        match batch.send(peer, &run, acknowledged) {
            Sent::Kept(number) => {
                tickets.went_with(ticket, number);
                true
            }
            Sent::Unkept => true,
            // When it is kept no more, whoever saw the node go has given it to another member.
            Sent::Dropped | Sent::Down => ticket != 0 && tickets.take(ticket).is_none(),
        }
    }

    /// Takes a message that another node chose this one for, or one that comes back from there.
    pub(super) fn take_shared(
        &self,
        message: Message,
        target: &GroupTarget,
        (from, outstanding): (&Arc<Peer>, &Arc<Outstanding>),
        batch: &mut Batch,
        now: Moment,
    ) {
        self.settle(batch, now);
        let number = target.ticket & !BACK;
        let group = self.matcher().group(&target.filter, &target.name);
        if target.ticket & BACK != 0 {
            let Some(Clustered { tickets, .. }) = self.clustered() else { return };
            let is_kept = number == 0 || tickets.take(number).is_some();
            if is_kept {
                self.give_to_another(group.as_ref(), Arc::new(message), Some(from), batch, now);
            }
            return;
        }
        batch.begin_shared(self, Arc::new(message.detached()), outstanding.ticket(number));
        let taken = group.is_some_and(|group| batch.deliver_here(&group, 0, now));
        if !taken {
            let ticket = batch.run_mut().take_ticket(0);
            let number = ticket.map_or(0, |ticket| ticket.give_back().1);
            let target = GroupTarget { ticket: number | BACK, ..target.clone() };
            self.send_back(from, &target, batch, now);
        }
        self.end_run(batch);
    }

    /// The member's session ended, and nobody else here can take the message of the present run.
    pub(crate) fn give_back(&self, group: &GroupKey, ticket: Ticket, batch: &mut Batch, now: Moment) {
        let (outstanding, number) = ticket.give_back();
        self.send_back(outstanding.peer(), &target(group, number | BACK), batch, now);
    }

    fn send_back(&self, to: &Arc<Peer>, target: &GroupTarget, batch: &mut Batch, now: Moment) {
        let run = batch.run().encode_one(0, target, now);
        let acknowledged = batch.run().is_acknowledged();
        batch.send(to, &run, acknowledged);
    }

    fn give_to_another(
        &self,
        group: Option<&Arc<Group>>,
        message: Arc<Message>,
        except: Option<&Arc<Peer>>,
        batch: &mut Batch,
        now: Moment,
    ) {
        batch.begin_shared(self, message, None);
        match group {
            Some(group) => _ = self.deliver_to_group(group, 0, except.map(|peer| peer.id()), batch, now),
            None => {
                batch.effects.tally.routed += 1;
                batch.effects.tally.drop_messages(DropReason::ClientAway, 1);
            }
        }
        self.end_run(batch);
    }

    /// A node is gone: what its members have not acknowledged goes to others.
    pub(super) fn give_all_to_others(&self, peer: &Arc<Peer>, batch: &mut Batch, now: Moment) {
        let Some(Clustered { tickets, .. }) = self.clustered() else { return };
        self.settle(batch, now);
        for KeptMessage { group, message, .. } in tickets.take_all(peer) {
            let group = self.matcher().group(&group.filter, &group.name);
            self.give_to_another(group.as_ref(), message, None, batch, now);
        }
    }

    /// Tells other nodes which messages they need not keep any more.
    pub(super) fn announce_done(&self, batch: &mut Batch) {
        let Some(Clustered { nodes, .. }) = self.clustered() else { return };
        let all: Vec<_> = nodes.lock().values().map(|node| node.outstanding.clone()).collect();
        for outstanding in all {
            announce_done(&outstanding, batch);
        }
    }

    /// Other nodes are done with messages kept here.
    pub(super) fn tickets_done(&self, body: Reader) {
        let Some(Clustered { tickets, .. }) = self.clustered() else { return };
        for number in body.numbers() {
            tickets.take(number);
        }
    }

    /// Asks other nodes for messages that are kept here for long.
    pub(super) fn ask_for_tickets(&self, batch: &mut Batch, now: Moment) {
        let Some(Clustered { tickets, .. }) = self.clustered() else { return };
        let mut bodies: BTreeMap<_, (Arc<Peer>, Writer)> = BTreeMap::new();
        {
            let mut kept = tickets.kept.lock();
            if now.as_millis() < kept.asked_at.as_millis() + ASK_AFTER_MILLIS || kept.messages.is_empty() {
                return;
            }
            kept.asked_at = now;
            let old = |kept: &&KeptMessage| now.as_millis() >= kept.since.as_millis() + ASK_AFTER_MILLIS;
            // Only what arrived there can be known there.
            let arrived = |kept: &KeptMessage| kept.run.is_some_and(|run| kept.peer.has_handled(run));
            let asked = kept.messages.iter().filter(|(_, kept)| old(kept) && arrived(kept)).take(ASK_MAX);
            for (number, kept) in asked {
                let (_, body) =
                    bodies.entry(kept.peer.id()).or_insert_with(|| (kept.peer.clone(), Writer::default()));
                *body = std::mem::take(body).number(*number);
            }
        }
        for (peer, body) in bodies.into_values() {
            peer.announce(Lane::Control, GROUP_ASK, body.finish());
            batch.touch_peer(&peer);
        }
    }

    /// Another node asks for messages it keeps: those that are not here any more are done.
    pub(super) fn tickets_asked_for(&self, from: &Arc<Peer>, body: Reader, batch: &mut Batch) {
        let Some(clustered) = self.clustered() else { return };
        let Some(outstanding) = clustered.with_node(from, |node| node.outstanding.clone()) else { return };
        outstanding.note_gone(body.numbers());
        announce_done(&outstanding, batch);
    }
}

/// Where a message of a group goes.
fn target(group: &GroupKey, ticket: u64) -> GroupTarget {
    GroupTarget { filter: group.filter.clone(), name: group.name.clone(), ticket }
}

/// Says which tickets are done, if any.
fn announce_done(outstanding: &Outstanding, batch: &mut Batch) {
    let done = outstanding.take_done();
    if !done.is_empty() {
        let body = done.iter().fold(Writer::default(), |body, number| body.number(*number));
        outstanding.peer().announce(Lane::Control, GROUP_DONE, body.finish());
        batch.touch_peer(outstanding.peer());
    }
}
