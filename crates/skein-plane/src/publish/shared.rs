//! Messages for shared groups: one member each, wherever it is (MQTT 5.0 section 4.8.2).
//!
//! The node of the publisher chooses the node, in turn and weighted by members; the chosen node chooses the member. A node
//! that has no member any more gives the message back (`cluster/group.rs`).

use std::sync::Arc;

use skein_types::{Message, Moment, NodeId};

use crate::{
    batch::Batch,
    ledger::DropReason,
    matcher::{Group, MemberPlace},
    plane::Plane,
    session::deliver::{Part, Willing},
    subscription::{GroupKey, SubscribeOptions},
    ticket::Ticket,
    wire::SubscriptionIds,
};

impl Plane {
    /// One message of the present run to one member, on any node but `except`; false when nobody can take it.
    pub(crate) fn deliver_to_group(
        &self,
        group: &Arc<Group>,
        index: usize,
        except: Option<NodeId>,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        if group.elsewhere().is_empty() {
            if batch.deliver_here(group, index, now) {
                return true;
            }
        } else if self.deliver_to_place(group, index, except, batch, now) {
            return true;
        }
        batch.effects.tally.routed += 1;
        batch.effects.tally.drop_messages(DropReason::ClientAway, 1);
        false
    }

    fn deliver_to_place(
        &self,
        group: &Arc<Group>,
        index: usize,
        except: Option<NodeId>,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        for place in group.next_places() {
            let taken = match place {
                MemberPlace::Here(first) => [Willing::Ready, Willing::Connected]
                    .into_iter()
                    .any(|willing| batch.deliver_to_member(group, first, index, willing, now)),
                MemberPlace::There(peer) => {
                    except != Some(peer.id()) && self.send_to_group(group, index, peer, batch, now)
                }
            };
            if taken {
                return true;
            }
        }
        batch.deliver_to_member(group, 0, index, Willing::Persistent, now)
    }

    /// Gives messages of an ended session to the other members of the groups they came through (MQTT-4.8.2-5).
    pub(crate) fn redeliver(
        &self,
        group: &GroupKey,
        message: &Arc<Message>,
        ticket: Option<Ticket>,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        self.settle(batch, now);
        let kept_elsewhere = ticket.is_some();
        batch.begin_shared(self, message.clone(), ticket);
        let taken = match self.matcher().group(&group.filter, &group.name) {
            // The node that keeps the message finds another member on another node.
            Some(group) if kept_elsewhere => batch.deliver_here(&group, 0, now),
            Some(group) => self.deliver_to_group(&group, 0, None, batch, now),
            None => false,
        };
        if !taken && let Some(ticket) = batch.run.take_ticket(0) {
            self.give_back(group, ticket, batch, now);
        }
        self.end_run(batch);
        taken
    }
}

impl Batch {
    /// Makes one message the present run, outside of any route.
    pub(crate) fn begin_shared(&mut self, plane: &Plane, message: Arc<Message>, ticket: Option<Ticket>) {
        self.run.push_owned(message, ticket);
        self.effects.node_queue_full = plane.queue().is_full(&self.effects.tally);
    }

    /// One message to one member on this node, the readiest first; false when no member can take it.
    pub(crate) fn deliver_here(&mut self, group: &Arc<Group>, index: usize, now: Moment) -> bool {
        [Willing::Ready, Willing::Connected, Willing::Persistent].into_iter().any(|willing| {
            let first = group.next_turn();
            self.deliver_to_member(group, first, index, willing, now)
        })
    }

    fn deliver_to_member(
        &mut self,
        group: &Arc<Group>,
        first: usize,
        index: usize,
        willing: Willing,
        now: Moment,
    ) -> bool {
        for member in group.members_from(first) {
            let SubscribeOptions { partly_allowed, .. } = member.options;
            let session = &member.session;
            if partly_allowed && !session.may_receive(&self.run.message(index).topic) {
                continue;
            }
            let SubscribeOptions { qos, retain_as_published, id, .. } = member.options;
            let ids = id.map_or(SubscriptionIds::None, SubscriptionIds::One);
            let options = self.run.options_for(qos, retain_as_published, ids);
            let part = Part { run: &mut self.run, index, now };
            if let Some(delivered) =
                session.deliver_shared(group.key(), &options, part, willing, &mut self.effects)
            {
                self.note(session, delivered);
                return true;
            }
        }
        false
    }
}
