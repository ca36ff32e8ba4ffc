//! One connection per client id in the whole cluster (guarantee G4): claims, and what yields to a higher one.
//!
//! Who lets a client in claims its id under a stamp above all it has heard of, and greets the client when every node has
//! confirmed the claim, which they do after closing an older connection. When two claims of one user meet, the higher one
//! wins on both nodes. A claim carries the user, and since when it has the id: a node that has a session of another user who
//! has had it for longer refuses the claim, before it confirms it, and the client is told instead of greeted; one that has
//! had it for less gives way. So of two users who want one new client id at the same time the earlier gets it, and of two who
//! got it in a partition the first keeps it.

use std::sync::Arc;

use skein_cluster::{Claim, Key, Lane, Peer, Value};
use skein_types::{ClientId, Code, Moment, Stamp};

use crate::{
    announcement::{CLAIM_REFUSED, Reader, Writer},
    batch::Batch,
    ledger::DropReason,
    lifecycle::Ending,
    outbox::Outbox,
    plane::Plane,
    session::{Connection, Epoch, Session},
};

impl Plane {
    /// Another node claims a client: an older connection here ends now, and its will is not due later; with a clean start
    /// the session ends, too.
    pub(super) fn claimed_elsewhere(
        &self,
        from: &Arc<Peer>,
        client: &ClientId,
        claim: &Claim,
        batch: &mut Batch,
        now: Moment,
    ) {
        let Some(session) = self.sessions().get(client) else { return };
        if session.owner() != claim.user.as_ref() {
            self.contest(from, &session, claim, batch, now);
            return;
        }
        let (epoch, ends) = {
            let mut state = session.lock();
            if self.has_newer_claim(client, claim.stamp) {
                return;
            }
            // Only what is older: a claim is heard again when a node comes back.
            let ends = claim.clean && state.claimed < claim.stamp;
            if ends {
                state.expiry_secs = 0;
            } else {
                let overdue = state.will_at.is_some_and(|deadline| deadline <= now);
                let waits = |secs: u32| secs > 0 && state.expiry_secs > 0 && !overdue;
                if state.will.as_deref().is_some_and(|will| waits(will.delay_secs)) {
                    self.forget_will(&session, &mut state, batch);
                }
            }
            (state.connection.as_ref().map(|_| state.epoch), ends)
        };
        match epoch {
            Some(epoch) => self.take_over_from(&session, epoch, batch, now),
            None if ends => self.expire_session(&session, Moment::NEVER, batch, now),
            None => {}
        }
    }

    /// Another node claims the client id of another user's session: who has had it for longer keeps it.
    fn contest(
        &self,
        from: &Arc<Peer>,
        session: &Arc<Session>,
        claim: &Claim,
        batch: &mut Batch,
        now: Moment,
    ) {
        let owned_since = session.lock().owned_since;
        if claim.since < owned_since {
            self.give_way(session, batch, now);
            return;
        }
        let body = Writer::default().text(session.client_id()).stamp(claim.stamp).finish();
        from.announce(Lane::Control, CLAIM_REFUSED, body);
        batch.touch_peer(from);
    }

    /// Another node refuses a claim of this one.
    pub(super) fn claim_refused(&self, mut body: Reader, batch: &mut Batch, now: Moment) {
        let (Some(client), Some(stamp)) = (body.client(), body.stamp()) else { return };
        let Some(session) = self.sessions().get(&client) else { return };
        let is_meant = session.lock().claimed == stamp;
        if is_meant {
            self.give_way(&session, batch, now);
        }
    }

    /// Ends a session, because another user has had its client id for longer. If it stayed, the two would keep each other out.
    /// A client that was not greeted yet is told in the place of the greeting, and has never been there: it leaves no will.
    fn give_way(&self, session: &Arc<Session>, batch: &mut Batch, now: Moment) {
        let connected = {
            let mut state = session.lock();
            state.expiry_secs = 0;
            let epoch = state.epoch;
            state.connection.as_mut().map(|connection| {
                let held = connection.held;
                match held {
                    true => connection.refuse(Code::NotAuthorized, batch),
                    false => connection.queue_farewell(Code::NotAuthorized, &mut batch.effects),
                }
                (epoch, if held { Ending::Graceful } else { Ending::WithWill(Code::NotAuthorized) })
            })
        };
        let client = session.client_id().as_str();
        tracing::debug!(client, "a session ends: its client id is another user's on another node");
        match connected {
            Some((epoch, ending)) => _ = self.close(session, epoch, ending, None, batch, now),
            None => self.expire_session(session, Moment::NEVER, batch, now),
        }
    }

    fn take_over_from(&self, session: &Arc<Session>, epoch: Epoch, batch: &mut Batch, now: Moment) {
        if let Some(mut state) = session.lock_as(epoch)
            && let Some(connection) = &mut state.connection
        {
            connection.queue_farewell(Code::SessionTakenOver, &mut batch.effects);
        }
        self.close(session, epoch, Ending::WithWill(Code::SessionTakenOver), None, batch, now);
    }

    fn has_newer_claim(&self, client: &ClientId, stamp: Stamp) -> bool {
        let own = self.cluster().and_then(|cluster| cluster.own().get(&Key::Client(client.clone())));
        matches!(own, Some(Value::Claim(own)) if own.stamp > stamp)
    }
}

impl Connection {
    /// Tells a client that waits for its greeting that it is not let in, in the place of the greeting.
    fn refuse(&mut self, code: Code, batch: &mut Batch) {
        let greeted = std::mem::take(&mut self.outbox);
        batch.effects.tally.drop_messages(DropReason::ConnectionLost, greeted.messages());
        let mut outbox = Outbox::default();
        outbox.push_with(|out| self.wire.refuse(code, out));
        self.handle.close(code, outbox);
    }
}
