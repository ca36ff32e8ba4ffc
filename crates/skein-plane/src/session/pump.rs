//! Sending what waits: after a reconnect, an acknowledgement, or when the outbox has room again.

use std::sync::Arc;

use skein_types::{Message, Moment, QoS};

use crate::{
    delivery::{Next, Waiting},
    ledger::DropReason,
    retained::Retained,
    rows::RowContext,
    session::{Effects, RetainedToSend, State, connection::Connection, journal::KeptDelivery},
    stored::Kept,
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
                self.retained.get_or_insert_default().push_front(renewed);
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
        if self.kept
            && let Some(session) = self.session()
        {
            effects.journal.free(session.key(), self.delivery.take_freed());
        }
        self.delivery.count_queue(&mut effects.tally);
        self.delivery.shrink();
    }

    fn pump_retained(&mut self, sources: Sources<'_>, now: Moment, effects: &mut Effects) {
        while let Some((message, options)) = self.next_retained(sources.retained, now) {
            effects.tally.routed += 1;
            if options.qos != QoS::AtMostOnce {
                // Through the queue, which is empty here.
                let kept = if self.kept { Kept::Recorded } else { Kept::No };
                let seq = self.delivery.enqueue(Waiting::of_retained(message.clone(), options.clone(), kept));
                if let Some(rows) = sources.rows
                    && let Some(session) = self.session().filter(|_| self.kept)
                {
                    let delivery = KeptDelivery { index: 0, session, seq, options, sent: true, group: None };
                    effects.journal.record_one(&delivery, &message, rows);
                }
                self.pump_one(now, effects);
            } else if let Some(connection) = &mut self.connection {
                connection.send_unacknowledged(&message, &options, now, effects);
            }
        }
    }

    /// The next retained message to send, if outbox and window have room and nothing waits before it. Taken from
    /// the store earlier it could be overtaken by a newer one that is delivered live at QoS 0.
    fn next_retained(&mut self, retained: &Retained, now: Moment) -> Option<(Arc<Message>, DeliveryOptions)> {
        let (queued_messages, _) = self.delivery.queued();
        let outbox_bytes = self.connection.as_ref()?.outbox.len();
        if outbox_bytes >= self.limits.outbox_bytes_low() || queued_messages > 0 || !self.delivery.has_room()
        {
            return None;
        }
        let pending = self.retained.as_mut()?;
        while let Some(batch) = pending.front_mut() {
            match batch.topics.next() {
                None => _ = pending.pop_front(),
                Some(topic) => {
                    if let Some(message) = retained.get(&topic, now) {
                        let options = retained_options(&message, &batch.options);
                        return Some((message, options));
                    }
                }
            }
        }
        self.retained = None;
        None
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
fn renewed(waiting: &Waiting, retained: &Retained, now: Moment) -> Option<RetainedToSend> {
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
    Some(RetainedToSend { topics: vec![message.topic.clone()].into_iter(), options })
}

/// MQTT-3.3.1-9 and following: sent because of a new subscription, so marked as retained.
fn retained_options(message: &Arc<Message>, options: &SubscribeOptions) -> DeliveryOptions {
    DeliveryOptions {
        qos: message.qos.min(options.qos),
        retain: true,
        ids: options.id.map_or(SubscriptionIds::None, SubscriptionIds::One),
    }
}
