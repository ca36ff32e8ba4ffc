//! What a door holds of a client that was let in: the connection's hold on its session.
//!
//! All of a door's dealings with the plane on behalf of one client go through its [`ConnectionHandle`], so that the order
//! of a batch is written once: settle what was published before anything that changes who gets it; hand over before
//! anything is written; answer what promises something only when its commit is done, and everything else at once, before
//! the messages it brings. A door reads what its socket holds, calls the handle for each request, puts its own answers
//! into one buffer, and ends the batch with [`ConnectionHandle::finish`].
//!
//! ```text
//! open ─▶ publish / subscribe / acknowledge … ─▶ finish ─▶ none: read on
//!              ▲                                  │
//!              │                                  └─▶ a commit: read nothing, wait for it, then `committed`
//!              └──────────────────────────────────────────────────────────────┘                    ─▶ close
//! ```

use std::{sync::Arc, task::Waker};

use skein_types::{ClientId, Code, Message, Moment, SubscriptionFilter};

use crate::{
    acknowledge::Acknowledgement,
    batch::Batch,
    delivery::Acked,
    durable::Commit,
    lifecycle::{Ending, Open},
    outbox::{DeliveredMessage, Outbox},
    plane::Plane,
    publish::{Published, Publisher},
    session::{Connection, Epoch, Flushed, Session},
    subscription::{RetainHandling, SubscribeOptions},
};

/// The batch at hand: on which plane, at which moment.
#[derive(Debug)]
pub struct Work<'a> {
    /// The plane.
    pub plane: &'a Plane,
    /// The batch; one per thread, lent to whichever connection is being handled.
    pub batch: &'a mut Batch,
    /// The moment at hand.
    pub now: Moment,
}

/// A connection's hold on its session, until it is closed or another connection takes the session over; from then on
/// everything asked through it changes nothing.
#[derive(Debug)]
pub struct ConnectionHandle {
    session: Arc<Session>,
    epoch: Epoch,
    publisher: Publisher,
    /// Answers that wait for the commit of their batch.
    withheld: Vec<u8>,
}

impl ConnectionHandle {
    /// Opens the session of a client that was let in: resumes the one it had, which the second value says
    /// (MQTT-3.2.2-2), or makes a new one, and takes it over from another connection of the client (MQTT-3.1.4-3). From then
    /// on the session delivers to `connection`, whose greeting is the first thing in its outbox. What it resumes is checked
    /// against the access rules of now.
    ///
    /// # Errors
    /// [`Code::NotAuthorized`] when the client id is another user's, on whichever node, or access rules do not let this
    /// user have it; nothing happened then. In a cluster it may turn out later, before the client is greeted: then the
    /// wire's [`refuse`](crate::wire::Wire::refuse) answers.
    pub fn open(open: Open, connection: Connection, work: &mut Work<'_>) -> Result<(Self, bool), Code> {
        let access = open.access.clone();
        let opened = work.plane.open(open, connection, work.batch, work.now)?;
        let publisher = Publisher::new(opened.session.key(), access);
        let handle = Self { session: opened.session, epoch: opened.epoch, publisher, withheld: Vec::new() };
        Ok((handle, opened.present))
    }

    /// The client's name.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        self.session.client_id()
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Takes over a message from the client.
    pub fn publish(&mut self, message: Message, work: &mut Work<'_>) -> Published {
        work.plane.publish(&mut self.publisher, work.batch, message, work.now)
    }

    /// Subscribes the client. Every message accepted from now on anywhere on the node matches, and in the cluster once the
    /// batch's commit is done. Retained messages follow the answer.
    ///
    /// # Errors
    /// [`Code::NotAuthorized`] by access rules, [`Code::QuotaExceeded`] above the session's bound,
    /// [`Code::SessionTakenOver`] when the connection is not the session's any more.
    pub fn subscribe(
        &self,
        filter: SubscriptionFilter,
        options: SubscribeOptions,
        retain: RetainHandling,
        work: &mut Work<'_>,
    ) -> Result<(), Code> {
        work.settle();
        work.plane.subscribe(&self.session, self.epoch, filter, options, retain, work.batch)
    }

    /// Ends a subscription; false when there was none.
    pub fn unsubscribe(&self, filter: &SubscriptionFilter, work: &mut Work<'_>) -> bool {
        work.settle();
        work.plane.unsubscribe(&self.session, self.epoch, filter, work.batch)
    }

    /// Takes the acknowledgement of one message and sends what the window has room for now. `seq_of` says which message
    /// it is; it is given the number of the oldest message that is not acknowledged, from which a door tells that of one
    /// whose number goes round on the wire.
    pub fn acknowledge(
        &self,
        seq_of: impl FnOnce(u64) -> u64,
        what: Acknowledgement,
        work: &mut Work<'_>,
    ) -> Acked {
        work.plane.acknowledge(&self.session, self.epoch, seq_of, what, work.batch, work.now)
    }

    /// Takes the acknowledgement of every message up to `seq`, as cumulative protocols say it, and sends what the window
    /// has room for now. Returns how many messages were acknowledged.
    pub fn acknowledge_up_to(&self, seq: u64, work: &mut Work<'_>) -> u64 {
        work.plane.acknowledge_up_to(&self.session, self.epoch, seq, work.batch, work.now)
    }

    /// Notes the client's number of a QoS 2 message and says how many wait for their release; none when it is a resend of
    /// one that was taken over already (MQTT-4.3.3-10).
    pub fn receive_once(&self, id: u64, work: &mut Work<'_>) -> Option<usize> {
        work.plane.receive_once(&self.session, self.epoch, id, work.batch)
    }

    /// Forgets the number of a QoS 2 message; false when it was not known.
    pub fn release(&self, id: u64, work: &mut Work<'_>) -> bool {
        work.plane.release(&self.session, self.epoch, id, work.batch)
    }

    /// Puts the door's answers so far before whatever is sent because of them, retained messages of new subscriptions
    /// first. Where they promise something they wait for [`ConnectionHandle::finish`].
    pub fn answer(&self, answers: &mut Vec<u8>, work: &mut Work<'_>) {
        if !work.batch.is_promise() {
            self.put_into_outbox(answers, work);
            work.plane.send_waiting(&self.session, self.epoch, work.now, &mut work.batch.effects);
        }
    }

    /// Ends the batch and puts the door's answers into the outbox; or, when they promise what is not kept yet, keeps them
    /// and returns the commit to wait for. Nothing may be read from the client before [`ConnectionHandle::committed`] then.
    pub fn finish(&mut self, answers: &mut Vec<u8>, work: &mut Work<'_>) -> Option<Commit> {
        if work.batch.may_promise() {
            // Whether it does is known when the messages have found their sessions. Otherwise the answers go first, so
            // that they stand before what the client is sent of its own messages.
            work.settle();
        }
        match work.batch.is_promise() {
            true => self.withheld.append(answers),
            false => self.put_into_outbox(answers, work),
        }
        work.finish()
    }

    /// The commit of the last batch is done: says what waited for it. What is sent next may have to be kept first, too:
    /// then there is another commit to wait for.
    #[must_use]
    pub fn committed(&mut self, commit: Commit, work: &mut Work<'_>) -> Option<Commit> {
        // An idle connection holds no buffers.
        let mut answers = std::mem::take(&mut self.withheld);
        self.put_into_outbox(&mut answers, work);
        work.plane.send_waiting(&self.session, self.epoch, work.now, &mut work.batch.effects);
        work.committed(commit)
    }

    /// Ends the connection. The session stays as long as it was asked to; `expiry_secs` replaces what the client said when
    /// it connected. Returns what was still to be written; nothing when the session belongs to another connection, which
    /// has told the client.
    pub fn close(&self, ending: Ending, expiry_secs: Option<u32>, work: &mut Work<'_>) -> Option<Outbox> {
        work.settle();
        work.plane.close(&self.session, self.epoch, ending, expiry_secs, work.batch, work.now)
    }

    fn put_into_outbox(&self, answers: &mut Vec<u8>, work: &mut Work<'_>) {
        if !answers.is_empty() {
            work.plane.reply(&self.session, self.epoch, answers, work.batch);
            answers.clear();
        }
    }
}

/// For the connection's own task.
impl ConnectionHandle {
    /// The socket is writable again: writes what waits.
    pub fn unblocked(&self, work: &mut Work<'_>) -> Flushed {
        self.session.unblock(self.epoch, work.plane.sources(), work.now, &mut work.batch.effects)
    }

    /// For connections that only their own task can write to: moves what waits into `out`. It counts as delivered once
    /// moved. Returns [`Flushed::Clear`] or [`Flushed::Unfinished`] when `out` got everything.
    pub fn take_output(&self, out: &mut Vec<u8>, work: &mut Work<'_>) -> Flushed {
        self.take(work, |outbox| outbox.drain_into(out))
    }

    /// The same for a client in this process, which takes messages ([`MessageWire`](crate::wire::MessageWire)).
    pub fn take_messages(&self, out: &mut Vec<DeliveredMessage>, work: &mut Work<'_>) -> Flushed {
        self.take(work, |outbox| outbox.take_messages(out))
    }

    fn take(&self, work: &mut Work<'_>, take: impl FnOnce(&mut Outbox) -> u64) -> Flushed {
        self.session.take_output(self.epoch, work.plane.sources(), work.now, &mut work.batch.effects, take)
    }

    /// Goes on looking for what the client is to be sent, after [`Flushed::Unfinished`].
    pub fn look_for_more(&self, work: &mut Work<'_>) {
        work.plane.send_waiting(&self.session, self.epoch, work.now, &mut work.batch.effects);
        work.plane.reply(&self.session, self.epoch, &[], work.batch);
    }

    /// How the connection stands.
    #[must_use]
    pub fn flushed(&self) -> Flushed {
        self.session.flushed(self.epoch)
    }

    /// Whether more waits for the client than fits into its outbox, so that it must not be read before it has taken some:
    /// what it is answered has no other bound.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.session.is_overfull(self.epoch)
    }

    /// Asks whether an overfull connection may be read again; if not, the waker is called once it may.
    pub fn readable(&self) -> impl Fn(&Waker) -> bool + use<> {
        let (session, epoch) = (self.session.clone(), self.epoch);
        move |waker| session.poll_readable(epoch, waker)
    }

    /// Whether the client has taken nothing for longer than allowed while its outbox was full.
    #[must_use]
    pub fn is_slow_consumer(&self, now: Moment) -> bool {
        self.session.is_slow_consumer(self.epoch, now)
    }
}

impl Plane {
    /// Appends a door's own packets to the outbox of the connection of `epoch`, to be flushed with the batch; false
    /// when the session belongs to another connection by now.
    pub(crate) fn reply(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        packets: &[u8],
        batch: &mut Batch,
    ) -> bool {
        let Some(mut state) = session.lock_as(epoch) else { return false };
        if let Some(connection) = &mut state.connection {
            connection.outbox.push(packets, 0);
        }
        if state.wants_flush() {
            batch.touch(session);
        }
        true
    }
}

impl Work<'_> {
    /// Delivers what was published so far. Called before anything that could change who gets it.
    fn settle(&mut self) {
        self.plane.settle(self.batch, self.now);
    }

    /// Ends the batch. What was promised in it is said when the commit is done; who promised nothing uses
    /// [`Work::finish_unattended`].
    #[must_use]
    pub fn finish(&mut self) -> Option<Commit> {
        self.plane.finish(self.batch, self.now)
    }

    /// Ends a batch in which nothing was promised to anybody who waits for it.
    pub fn finish_unattended(&mut self) {
        self.plane.finish_unattended(self.batch, self.now);
    }

    /// A commit is done: sends what waited for it, and ends the batch.
    #[must_use]
    pub fn committed(&mut self, commit: Commit) -> Option<Commit> {
        self.plane.committed(commit, self.batch, self.now);
        self.finish()
    }
}

#[cfg(test)]
mod tests;
