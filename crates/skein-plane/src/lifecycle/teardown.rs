//! The end of connections and sessions: the last words, the wills, and what an ended session leaves behind.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use skein_access::BoundAccess;
use skein_types::{Code, Message, Moment};

use crate::{
    batch::Batch,
    delivery::Waiting,
    ledger::DropReason,
    outbox::{Outbox, Written},
    plane::Plane,
    publish::{Published, Publisher},
    session::{Connection, Effects, Session, State},
    will::Will,
};

/// Work that must wait until no lock is held.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    wills: Vec<(Will, Option<Arc<BoundAccess>>)>,
    pub(super) ended: Vec<Arc<Session>>,
    /// Messages whose session may not receive them any more.
    pub(super) forbidden: Vec<Waiting>,
}

impl Aftermath {
    /// The will of a session is due. Whether it may be published is asked of its user's rights of then.
    pub(super) fn add_will(&mut self, state: &mut State) {
        let access = state.session().and_then(|session| session.access());
        self.wills.extend(state.will.take().map(|will| (*will, access)));
    }
}

impl Plane {
    pub(super) fn finish_teardown(&self, aftermath: Aftermath, batch: &mut Batch, now: Moment) {
        for ended in aftermath.ended {
            self.tear_down(&ended, batch, now);
        }
        for (will, access) in aftermath.wills {
            let mut message = will.message;
            message.expires_at = will.expiry_secs.map(|secs| now.after_secs(secs));
            self.publish_will(access, message, batch, now);
        }
        self.give_up(aftermath.forbidden, DropReason::Forbidden, batch, now);
        self.settle(batch, now);
    }

    /// Publishes a will, if its user may do so now; a user who was removed may nothing.
    pub(crate) fn publish_will(
        &self,
        access: Option<Arc<BoundAccess>>,
        message: Message,
        batch: &mut Batch,
        now: Moment,
    ) {
        let client = access.as_ref().map(|access| access.identity().client_id.clone());
        let topic = message.topic.clone();
        let mut publisher = Publisher::new(message.origin, access);
        if self.take_over(&mut publisher, batch, message, now) == Published::Denied {
            batch.effects.tally.wills_forbidden += 1;
            let client = client.as_deref();
            tracing::info!(
                client,
                topic = topic.as_str(),
                "a will is not published: its user may not publish there any more"
            );
        }
    }

    /// Ends deliveries of a session; what came through a group goes to another member.
    fn give_up(&self, waiting: Vec<Waiting>, reason: DropReason, batch: &mut Batch, now: Moment) {
        for mut entry in waiting {
            if let Some(group) = &entry.group {
                // This delivery ends and, where somebody takes the message, a new one starts.
                self.redeliver(group, &entry.message, entry.ticket.take(), batch, now);
            }
            batch.effects.tally.drop_messages(reason, 1);
        }
    }

    /// Takes an ended session out of the matcher and accounts for what it still held.
    fn tear_down(&self, session: &Arc<Session>, batch: &mut Batch, now: Moment) {
        let (subscriptions, (waiting, held)) = {
            let mut state = session.lock();
            let State { durable, subscriptions, inbound, delivery, .. } = &mut *state;
            let (subscriptions, drained) = (std::mem::take(subscriptions), delivery.drain());
            delivery.count_queue(&mut batch.effects.tally);
            if *durable {
                let filters = subscriptions.to_vec().into_iter().map(|(filter, _)| filter);
                batch.effects.journal.forget(session.key(), filters, inbound.ids());
                batch.effects.journal.free(session.key(), delivery.take_freed());
                batch.effects.journal.session_changed(session);
            }
            (subscriptions, drained)
        };
        batch.announces |= subscriptions.len() > 0;
        for (filter, _) in subscriptions.to_vec() {
            self.matcher().unsubscribe(&filter, session.key());
        }
        batch.effects.tally.drop_messages(DropReason::SessionEnded, held);
        self.give_up(waiting, DropReason::SessionEnded, batch, now);
        session.bind(None);
        // Not when a new one has taken its place.
        if self.sessions().get(session.client_id()).is_none() {
            self.session_ended(session.client_id());
        }
    }
}

impl State {
    /// The present connection, if any, loses the session to another one. Its will is due unless the new connection
    /// resumes the session before the will's delay is over (MQTT 5.0 sections 3.1.2.5 and 3.1.3.2.2).
    pub(super) fn leave(
        &mut self,
        plane: &Plane,
        clean_start: bool,
        now: Moment,
        aftermath: &mut Aftermath,
        effects: &mut Effects,
    ) {
        let was_connected = self.connection.is_some();
        if let Some(mut connection) = self.connection.take() {
            connection.queue_farewell(Code::SessionTakenOver, effects);
            connection.release_publishers();
            plane.sessions().connected.fetch_sub(1, Relaxed);
            if self.expiry_secs == 0 {
                // The old connection's session ended with it; what follows is a new one.
                self.expires_at = Some(Moment::ZERO);
            }
        }
        // The delay may be over and the sweep that publishes the will still to come.
        let overdue = self.will_at.is_some_and(|deadline| deadline <= now);
        let due = |will: &Will| {
            clean_start || overdue || self.ends_with_connection() || (was_connected && will.delay_secs == 0)
        };
        if self.will.as_deref().is_some_and(due) {
            aftermath.add_will(self);
        }
        self.will = None;
        self.will_at = None;
        self.retained = None;
    }

    /// When something is to be done for a session whose client is away.
    pub(super) fn due(&self) -> Option<Moment> {
        let due = [self.will_at, self.expires_at].into_iter().flatten().min();
        due.filter(|due| *due != Moment::NEVER)
    }

    /// Whether nothing of the session is left for its client.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.ended || self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn ends_with_connection(&self) -> bool {
        self.expiry_secs == 0
    }

    pub(super) fn end(&mut self, aftermath: &mut Aftermath) {
        self.ended = true;
        self.will_at = None;
        aftermath.add_will(self);
    }
}

impl Connection {
    /// Writes the reason and everything before it as far as the socket takes it at once, so that the client is told
    /// before another connection proceeds (MQTT-3.1.4-3), and leaves the rest to the connection's own task.
    pub(crate) fn queue_farewell(&mut self, code: Code, effects: &mut Effects) {
        let mut outbox = self.last_outbox(effects);
        outbox.push_with(|out| self.wire.farewell(code, out));
        if let Some(socket) = &self.socket
            && matches!(outbox.write_to(&**socket), Written::All)
        {
            socket.shutdown();
        }
        self.handle.close(code, outbox);
    }

    /// What was still to be written, its messages accounted for as lost. Nothing when another thread is in the middle
    /// of writing: whatever follows would not start at the beginning of a frame.
    pub(super) fn last_outbox(&mut self, effects: &mut Effects) -> Outbox {
        let mut outbox = std::mem::take(&mut self.outbox);
        effects.tally.drop_messages(DropReason::ConnectionLost, outbox.messages());
        outbox.forget_messages();
        if self.is_being_written() { Outbox::default() } else { outbox }
    }
}
