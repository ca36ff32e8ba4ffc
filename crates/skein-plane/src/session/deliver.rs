//! Handing a run of messages to one session: the inner loop of every publish.

use std::sync::Arc;

use skein_types::{Moment, QoS};

use crate::{
    delivery::{Offer, QueueLimits, Waiting},
    ledger::DropReason,
    outbox::Outbox,
    run::{Run, frames::Frames},
    session::{
        Effects, Session, State,
        connection::Connection,
        journal::KeptDelivery,
        push::{Pushed, push_frame},
    },
    stored::OnDisk,
    subscription::GroupKey,
    wire::{DeliveryOptions, Frame, Recipient, Wire},
};

/// What a delivery left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The outbox was clean before: the caller flushes it at the end of its batch.
    pub(crate) touched: bool,
    /// The client does not keep up: the caller waits before it reads more from its publisher.
    pub(crate) congested: bool,
}

/// One message of a run at the moment of its delivery.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) run: &'a mut Run,
    pub(crate) index: usize,
    pub(crate) now: Moment,
}

/// How willing a group member has to be to take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Willing {
    /// Connected, and neither its outbox nor its queue is filling up.
    Ready,
    /// Connected.
    Connected,
    /// Kept for its client's return.
    Persistent,
}

impl Session {
    /// Delivers every message of `run` to this session, with `options`.
    pub(crate) fn deliver(
        &self,
        options: &DeliveryOptions,
        run: &mut Run,
        now: Moment,
        effects: &mut Effects,
    ) -> Delivered {
        let mut state = self.lock();
        effects.tally.routed += run.len() as u64;
        let state = &mut *state;
        match (&mut state.connection, options.qos) {
            (Some(connection), QoS::AtMostOnce) => {
                let bytes_max = state.limits.outbox_bytes_max;
                connection.deliver_unacknowledged(options, run, bytes_max, now, effects);
            }
            (None, QoS::AtMostOnce) => effects.tally.drop_messages(DropReason::ClientAway, run.len() as u64),
            (_, QoS::AtLeastOnce | QoS::ExactlyOnce) => {
                for index in 0..run.len() {
                    state.deliver_acknowledged(options, Part { run: &mut *run, index, now }, None, effects);
                }
            }
        }
        state.after_delivery()
    }

    /// Delivers one message of `run` to this member of a group if it is willing enough.
    pub(crate) fn deliver_shared(
        &self,
        group: &Arc<GroupKey>,
        options: &DeliveryOptions,
        mut part: Part<'_>,
        willing: Willing,
        effects: &mut Effects,
    ) -> Option<Delivered> {
        let mut state = self.lock();
        let state = &mut *state;
        let acceptable = match willing {
            Willing::Ready => state.connection.is_some() && !state.is_congested(),
            Willing::Connected => state.connection.is_some(),
            Willing::Persistent => state.is_persistent() && !state.ended && options.qos != QoS::AtMostOnce,
        };
        if !acceptable {
            return None;
        }
        effects.tally.routed += 1;
        match (&mut state.connection, options.qos) {
            (Some(connection), QoS::AtMostOnce) => {
                let bytes_max = state.limits.outbox_bytes_max;
                connection.deliver_one_unacknowledged(options, &mut part, bytes_max, effects);
            }
            _ => state.deliver_acknowledged(options, part, Some(group), effects),
        }
        Some(state.after_delivery())
    }
}

impl State {
    /// Whether the caller is the one to flush the outbox at the end of its batch; true once until then.
    pub(crate) fn wants_flush(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let free = !connection.dirty && !connection.blocked && !connection.held;
        let wanted = free && !connection.outbox.is_empty();
        connection.dirty |= wanted;
        wanted
    }

    fn after_delivery(&mut self) -> Delivered {
        Delivered { congested: self.is_congested(), touched: self.wants_flush() }
    }

    /// QoS 1 and 2: into the window or the queue.
    fn deliver_acknowledged(
        &mut self,
        options: &DeliveryOptions,
        part: Part<'_>,
        group: Option<&Arc<GroupKey>>,
        effects: &mut Effects,
    ) {
        let Part { run, index, now } = part;
        if self.ended || (self.connection.is_none() && !self.is_persistent()) {
            effects.tally.drop_messages(DropReason::SessionEnded, 1);
            return;
        }
        let room = self.connection.as_ref().is_some_and(|to| to.outbox.len() < self.limits.outbox_bytes_max);
        let on_disk = if self.durable { OnDisk::Recorded } else { OnDisk::No };
        let ticket = group.and_then(|_| run.take_ticket(index));
        let mut waiting = Waiting::new(run.shared(index), options.clone(), group.cloned(), on_disk);
        waiting.ticket = ticket;
        let limits = if effects.node_queue_full { QueueLimits::NOTHING } else { self.limits.queue };
        let offer = self.delivery.offer(waiting, room, limits, now, &mut effects.tally.expired);
        self.delivery.count_queue(&mut effects.tally);
        if self.durable {
            self.record(index, &offer, options, group, effects);
        }
        match offer {
            Offer::Queued { .. } => {}
            Offer::Full if effects.node_queue_full => {
                effects.tally.drop_messages(DropReason::NodeQueueFull, 1);
            }
            Offer::Full => effects.tally.drop_messages(DropReason::QueueFull, 1),
            Offer::Send { seq } => {
                let Some(connection) = &mut self.connection else { return };
                let sent = match run.frames(options, &mut *connection.wire, now) {
                    Some(frames) => {
                        frames.push_as(&mut connection.outbox, &mut *connection.wire, index, Some(seq), 0)
                    }
                    None => {
                        let recipient = Recipient::One { seq: Some(seq), again: false };
                        connection.push_owned(&run.shared(index), options, recipient, 0, now)
                    }
                };
                effects.tally.traffic.sent_packets += u64::from(sent);
                if !sent {
                    self.delivery.give_up(seq);
                    effects.tally.drop_messages(DropReason::TooLarge, 1);
                }
            }
        }
    }

    /// What was taken over is to be remembered with the batch.
    fn record(
        &mut self,
        index: usize,
        offer: &Offer,
        options: &DeliveryOptions,
        group: Option<&Arc<GroupKey>>,
        effects: &mut Effects,
    ) {
        let Some(session) = self.session() else { return };
        effects.journal.free(session.key(), self.delivery.take_freed());
        let (seq, sent) = match *offer {
            Offer::Full => return,
            Offer::Queued { seq } => (seq, false),
            Offer::Send { seq } => (seq, true),
        };
        let options = options.clone();
        effects.journal.deliver(KeptDelivery { index, session, seq, options, sent, group: group.cloned() });
    }
}

impl Connection {
    /// QoS 0: into the outbox or nowhere.
    fn deliver_unacknowledged(
        &mut self,
        options: &DeliveryOptions,
        run: &mut Run,
        bytes_max: usize,
        now: Moment,
        effects: &mut Effects,
    ) {
        if let Some(frames) = run.frames(options, &mut *self.wire, now)
            && self.outbox.len() + frames.total_bytes() <= bytes_max
        {
            match frames.has_own() {
                false => frames.push_all(&mut self.outbox),
                true => frames.push_all_as(&mut self.outbox, &mut *self.wire),
            }
            effects.tally.traffic.sent_packets += run.len() as u64;
            return;
        }
        for index in 0..run.len() {
            self.deliver_one_unacknowledged(
                options,
                &mut Part { run: &mut *run, index, now },
                bytes_max,
                effects,
            );
        }
    }

    fn deliver_one_unacknowledged(
        &mut self,
        options: &DeliveryOptions,
        part: &mut Part<'_>,
        bytes_max: usize,
        effects: &mut Effects,
    ) {
        let Part { run, index, now } = part;
        let message = run.message(*index);
        let bytes = message.topic.len() + message.payload.len();
        if self.outbox.len() + bytes > bytes_max && !self.outbox.is_empty() {
            effects.tally.drop_messages(DropReason::OutboxFull, 1);
            return;
        }
        let recipient = Recipient::One { seq: None, again: false };
        let frame = Frame { message, options, recipient, now: *now };
        match push_frame(&mut self.outbox, &mut *self.wire, &frame, run.memory(*index), 1) {
            Pushed::Done => {}
            Pushed::WantsMessage => self.push_message(run.shared(*index), options, recipient, 1),
            Pushed::TooLarge => {
                effects.tally.drop_messages(DropReason::TooLarge, 1);
                return;
            }
        }
        effects.tally.traffic.sent_packets += 1;
    }
}

impl Frames {
    pub(crate) fn push_all(&self, outbox: &mut Outbox) {
        self.each_piece(|bytes, payload, messages| {
            let shared = u32::from(payload.is_some());
            outbox.push(bytes, messages - shared);
            if let Some((payload, memory)) = payload {
                outbox.push_shared(payload.clone(), *memory, shared);
            }
        });
    }

    /// The same for frames that differ from recipient to recipient.
    fn push_all_as(&self, outbox: &mut Outbox, wire: &mut dyn Wire) {
        for index in 0..self.len() {
            self.push_as(outbox, wire, index, None, 1);
        }
    }
}
