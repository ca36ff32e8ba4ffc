//! Sending what waits: after a reconnect, an acknowledgement, or when the outbox has room again.

use std::sync::Arc;

use skein_types::{Message, Moment, QoS, SubscriptionFilter, Topic};

use crate::{
    delivery::{Next, Waiting},
    ledger::DropReason,
    retained::{Budget, Retained},
    rows::RowContext,
    session::{Effects, State, connection::Connection, journal::KeptDelivery},
    stored::OnDisk,
    subscription::SubscribeOptions,
    wire::{DeliveryOptions, Recipient, SubscriptionIds},
};

/// What of the plane a session needs to send what waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// Where retained messages for new subscriptions are found.
    pub(crate) retained: &'a Retained,
    /// How rows of sessions on disk are written, where there is a store.
    pub(crate) rows: Option<&'a RowContext>,
}

/// Topics that one batch may look at for retained messages: a thread's other connections wait a few hundred microseconds.
const WALK_STEPS_MAX: u32 = 4096;
/// Messages found at once.
const FOUND_MAX: usize = 64;

impl State {
    /// Encodes what may be sent now into the outbox: unacknowledged messages of an earlier connection, the queue, then
    /// retained messages of new subscriptions, until the window or the outbox is full.
    pub(crate) fn pump(&mut self, sources: Sources<'_>, now: Moment, effects: &mut Effects) {
        let Some(connection) = &mut self.connection else { return };
        let room = self.limits.outbox_bytes_low();
        while connection.outbox.len() < room {
            let mut expired = 0;
            let next = self.delivery.next(now, &mut expired);
            effects.tally.expired += expired;
            let Some(next) = next else { break };
            let (waiting, seq, again) = match next {
                Next::Publish { seq, waiting, again } => (waiting, seq, again),
                Next::Release(seq) => {
                    let Connection { outbox, wire, .. } = connection;
                    outbox.push_with(|out| wire.release(seq, out));
                    effects.tally.traffic.sent_packets += 1;
                    continue;
                }
                Next::Unacknowledged(waiting) => {
                    connection.send_unacknowledged(&waiting.message, &waiting.options, now, effects);
                    continue;
                }
            };
            if !again && let Some(renewed) = renewed(waiting, sources.retained, now) {
                self.delivery.give_up(seq);
                effects.tally.expired += 1;
                self.retained.get_or_insert_default().renewed.push_back(renewed);
                continue;
            }
            let Waiting { message, options, .. } = waiting;
            let recipient = Recipient::One { seq: Some(seq), again };
            let sent = connection.push_owned(message, options, recipient, 0, now);
            effects.tally.traffic.sent_packets += u64::from(sent);
            if !sent {
                // MQTT-3.1.2-25: as if it had been sent.
                self.delivery.give_up(seq);
                effects.tally.drop_messages(DropReason::TooLarge, 1);
            }
        }
        if self.retained.is_some() {
            self.pump_retained(sources, now, effects);
        }
        if self.durable
            && let Some(session) = self.session()
        {
            effects.journal.free(session.key(), self.delivery.take_freed());
        }
        self.delivery.count_queue(&mut effects.tally);
        self.delivery.shrink();
    }

    /// Sends retained messages of new subscriptions until there is no room or the batch has no steps left; then the
    /// connection's own task goes on with a batch of its own.
    fn pump_retained(&mut self, sources: Sources<'_>, now: Moment, effects: &mut Effects) {
        self.pump_renewed(sources, now, effects);
        let mut found = std::mem::take(&mut effects.found);
        // What is found and has no room is found again: at first little is looked for.
        let mut messages_max = 1;
        while self.has_room_for_retained()
            && let Some(pending) = &mut self.retained
            && let Some((filter, mut cursor)) = pending.filters.pop_first()
        {
            let mut steps = WALK_STEPS_MAX.saturating_sub(effects.walked);
            pending.out_of_steps = steps == 0;
            if steps == 0 {
                pending.begin_at(filter, cursor);
                self.connection.iter().for_each(|connection| connection.handle.wake());
                break;
            }
            let subscription = SubscriptionFilter { group: None, filter };
            let Some(options) = self.subscriptions.get(&subscription).copied() else { continue };
            let filter = subscription.filter;
            let budget = Budget { steps: &mut steps, messages_max };
            let at_end = sources.retained.walk(&filter, &mut cursor, budget, &mut found);
            effects.walked = WALK_STEPS_MAX - steps;
            let unsent = self.send_retained(&mut found, &options, sources, now, effects);
            unsent.iter().for_each(|first| cursor.back_to(&first.topic));
            if !at_end || unsent.is_some() {
                self.retained.get_or_insert_default().begin_at(filter, cursor);
            }
            messages_max = (messages_max * 2).min(FOUND_MAX);
        }
        effects.found = found;
        self.retained.take_if(|pending| pending.is_empty());
    }

    /// Sends the newest messages of topics of which an older one waited for the disk too long.
    fn pump_renewed(&mut self, sources: Sources<'_>, now: Moment, effects: &mut Effects) {
        while self.has_room_for_retained()
            && let Some(pending) = &mut self.retained
            && let Some((topic, options)) = pending.renewed.pop_front()
        {
            if let Some(message) = sources.retained.get(&topic, now) {
                self.send_one_retained(message, &options, sources, now, effects);
            }
        }
    }

    /// Sends what was found; returns the first message there was no room for.
    fn send_retained(
        &mut self,
        found: &mut Vec<Arc<Message>>,
        options: &SubscribeOptions,
        sources: Sources<'_>,
        now: Moment,
        effects: &mut Effects,
    ) -> Option<Arc<Message>> {
        let session = options.partly_allowed.then(|| self.session()).flatten();
        for message in found.drain(..) {
            if !self.has_room_for_retained() {
                return Some(message);
            }
            if message.is_expired(now) {
                continue;
            }
            if session.as_ref().is_none_or(|session| session.may_receive(&message.topic)) {
                self.send_one_retained(message, options, sources, now, effects);
            }
        }
        None
    }

    fn send_one_retained(
        &mut self,
        message: Arc<Message>,
        options: &SubscribeOptions,
        sources: Sources<'_>,
        now: Moment,
        effects: &mut Effects,
    ) {
        let options = retained_options(&message, options);
        effects.tally.routed += 1;
        if options.qos != QoS::AtMostOnce {
            // Through the queue, which is empty here.
            let on_disk = if self.durable { OnDisk::Recorded } else { OnDisk::No };
            let seq = self.delivery.enqueue(Waiting::of_retained(message.clone(), options.clone(), on_disk));
            if let Some(rows) = sources.rows
                && let Some(session) = self.session().filter(|_| self.durable)
            {
                let delivery = KeptDelivery { index: 0, session, seq, options, sent: true, group: None };
                effects.journal.record_one(&delivery, &message, rows);
            }
            self.pump_one(now, effects);
        } else if let Some(connection) = &mut self.connection {
            connection.send_unacknowledged(&message, &options, now, effects);
        }
    }

    /// Whether outbox and window have room and nothing waits before it. Taken from the store earlier, a message could be
    /// overtaken by a newer one that is delivered live at QoS 0.
    fn has_room_for_retained(&self) -> bool {
        let (queued_messages, _) = self.delivery.queued();
        let low = self.limits.outbox_bytes_low();
        self.connection.as_ref().is_some_and(|connection| connection.outbox.len() < low)
            && queued_messages == 0
            && self.delivery.has_room()
    }

    /// Sends the head of the queue if the window has room.
    fn pump_one(&mut self, now: Moment, effects: &mut Effects) {
        let Some(connection) = &mut self.connection else { return };
        let mut expired = 0;
        if let Some(Next::Publish { seq, waiting, again }) = self.delivery.next(now, &mut expired) {
            let Waiting { message, options, .. } = waiting;
            let recipient = Recipient::One { seq: Some(seq), again };
            let sent = connection.push_owned(message, options, recipient, 0, now);
            effects.tally.traffic.sent_packets += u64::from(sent);
            if !sent {
                self.delivery.give_up(seq);
                effects.tally.drop_messages(DropReason::TooLarge, 1);
            }
        }
        effects.tally.expired += expired;
    }
}

/// What a retained message that had to wait for the disk is to be replaced with: meanwhile a newer one of its topic may
/// have been delivered live at QoS 0, which waits for nothing (guarantee G7).
fn renewed(waiting: &Waiting, retained: &Retained, now: Moment) -> Option<(Topic, SubscribeOptions)> {
    let Waiting { message, options, .. } = waiting;
    let is_newest = || retained.get(&message.topic, now).is_some_and(|newest| Arc::ptr_eq(&newest, message));
    if !waiting.is_retained() || is_newest() {
        return None;
    }
    let options = SubscribeOptions {
        qos: options.qos,
        no_local: false,
        retain_as_published: false,
        id: options.ids.iter().next(),
        partly_allowed: false,
    };
    Some((message.topic.clone(), options))
}

/// MQTT-3.3.1-9 and following: sent because of a new subscription, so marked as retained.
fn retained_options(message: &Arc<Message>, options: &SubscribeOptions) -> DeliveryOptions {
    DeliveryOptions {
        qos: message.qos.min(options.qos),
        retain: true,
        ids: options.id.map_or(SubscriptionIds::None, SubscriptionIds::One),
    }
}
