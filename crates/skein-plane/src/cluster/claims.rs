//! One connection per client id in the whole cluster (guarantee G4): claims, and what yields to a higher one.
//!
//! Who lets a client in claims its id under a stamp above all it has heard of, and greets the client when every node has
//! confirmed the claim, which they do after closing an older connection. When two claims of one user meet, the higher one
//! wins on both nodes. A claim carries the user: a node that has a session of another user refuses it, before it confirms,
//! and the client is told instead of greeted. Of two users who want one new client id at the same time the earlier wins.

use std::sync::Arc;

use skein_cluster::{Claim, Key, Lane, Peer, Value};
use skein_types::{ClientId, Code, Moment, Stamp};

use crate::{
    batch::Batch,
    ledger::DropReason,
    lifecycle::Ending,
    outbox::Outbox,
    plane::Plane,
    session::{Connection, Epoch, Session},
    telling::{CLAIM_REFUSED, Reader, Writer},
};

impl Plane {
    /// Another node claims a client: an older connection here ends now, and its will is not due later; with a clean start
    /// the session ends, too. A claim of another user's is refused.
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
            self.refuse_claim(from, &session, claim, batch);
            return;
        }
        let (epoch, ends) = {
            let mut state = session.lock();
            if self.has_newer_claim(client, claim.stamp) {
                return;
            }
            // Only what is known to be older: a claim is heard again after a link was cut.
            let ends = claim.clean && state.claimed.is_some_and(|own| own < claim.stamp);
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

    /// Tells a node that the client id it claims is another user's here; unless both are new and that one was earlier, in
    /// which case the other node says the same of the claim of this one.
    fn refuse_claim(&self, from: &Arc<Peer>, session: &Session, claim: &Claim, batch: &mut Batch) {
        let is_later = {
            let state = session.lock();
            let is_held = state.connection.as_ref().is_some_and(|connection| connection.held);
            is_held && state.is_new && self.has_newer_claim(session.client_id(), claim.stamp)
        };
        if !is_later {
            let body = Writer::default().text(session.client_id()).stamp(claim.stamp).finish();
            from.tell(Lane::Control, CLAIM_REFUSED, body);
            batch.touch_peer(from);
        }
    }

    /// Another node refuses a claim of this one: the client is told, and a session that was made for it ends as if it had
    /// never been.
    pub(super) fn claim_refused(&self, mut body: Reader, batch: &mut Batch, now: Moment) {
        let (Some(client), Some(stamp)) = (body.client(), body.stamp()) else { return };
        let Some(session) = self.sessions().get(&client) else { return };
        let (epoch, held, is_new) = {
            let mut state = session.lock();
            let (epoch, is_new) = (state.epoch, state.is_new);
            let is_meant = state.claimed == Some(stamp);
            let Some(connection) = state.connection.as_mut().filter(|_| is_meant) else { return };
            let held = connection.held;
            match held {
                true => connection.refuse(Code::NotAuthorized, batch),
                false => connection.say_farewell(Code::NotAuthorized, &mut batch.effects),
            }
            (epoch, held, is_new)
        };
        tracing::info!(
            client = client.as_str(),
            "a client was refused: its id is another user's on another node"
        );
        // Who was never let in leaves no will.
        let ending = if held { Ending::Graceful } else { Ending::WithWill(Code::NotAuthorized) };
        let expiry_secs = (held && is_new).then_some(0);
        self.close(&session, epoch, ending, expiry_secs, batch, now);
    }

    fn take_over_from(&self, session: &Arc<Session>, epoch: Epoch, batch: &mut Batch, now: Moment) {
        if let Some(mut state) = session.lock_as(epoch)
            && let Some(connection) = &mut state.connection
        {
            connection.say_farewell(Code::SessionTakenOver, &mut batch.effects);
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
        self.handle.part(code, outbox);
    }
}
