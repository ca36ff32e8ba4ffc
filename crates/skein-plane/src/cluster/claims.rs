//! One connection per client id in the whole cluster (guarantee G4): claims, and what yields to a higher one.
//!
//! Who lets a client in claims its id under a stamp above all it has heard of, and greets the client when every node has
//! confirmed the claim, which they do after closing an older connection. When two claims meet, the higher one wins on both
//! nodes.

use std::sync::Arc;

use skein_cluster::{Key, Value};
use skein_types::{ClientId, Code, Moment, Stamp};

use super::{
    Clustered,
    telling::{CLEAN_START, Writer},
};
use crate::{
    plane::Plane,
    publish::Batch,
    session::{Epoch, Session},
    sessions::Ending,
};

impl Plane {
    /// Claims the id of a client that is let in; true when it may not be greeted before the batch's commit is done. Called
    /// under the locks of its session.
    pub(crate) fn claim(&self, client: &ClientId, clean_start: bool, batch: &mut Batch) -> bool {
        let Some(clustered) = self.clustered() else { return false };
        let Clustered { cluster, wills, .. } = clustered;
        let stamp = cluster.stamp();
        cluster.own().set(Key::Client(client.clone()), Some(Value::Claim(stamp)));
        batch.said = true;
        wills.lock().cancel(client);
        if cluster.peers().is_empty() {
            return false;
        }
        if clean_start {
            let body = Writer::default().text(client).stamp(stamp).finish();
            clustered.tell_all(CLEAN_START, &body, batch);
        }
        cluster.wait_for_all(&mut batch.waits);
        !batch.waits.is_empty()
    }

    /// Takes the claim of a client back whose connection ends. Called under the lock of its session, so that it is that
    /// connection's claim.
    pub(crate) fn unclaim(&self, client: &ClientId, batch: &mut Batch) {
        if let Some(Clustered { cluster, .. }) = self.clustered() {
            cluster.own().set(Key::Client(client.clone()), None);
            batch.said = true;
        }
    }

    /// Another node claims a client: an older connection here ends now, and its will is not due later.
    pub(super) fn claimed_elsewhere(&self, client: &ClientId, stamp: Stamp, batch: &mut Batch, now: Moment) {
        let Some(session) = self.sessions().get(client) else { return };
        let epoch = {
            let mut state = session.lock();
            if self.has_newer_claim(client, stamp) {
                return;
            }
            let overdue = state.will_at.is_some_and(|deadline| deadline <= now);
            let waits = |secs: u32| secs > 0 && state.expiry_secs > 0 && !overdue;
            if state.will.as_deref().is_some_and(|will| waits(will.delay_secs)) {
                self.forget_will(&session, &mut state, batch);
            }
            state.connection.as_ref().map(|_| state.epoch)
        };
        if let Some(epoch) = epoch {
            self.take_over_from(&session, epoch, batch, now);
        }
    }

    /// The client began anew on another node: what is kept of it here ends.
    pub(super) fn clean_started(&self, client: &ClientId, stamp: Stamp, batch: &mut Batch, now: Moment) {
        let Some(session) = self.sessions().get(client) else { return };
        let epoch = {
            let mut state = session.lock();
            if self.has_newer_claim(client, stamp) {
                return;
            }
            state.expiry_secs = 0;
            state.connection.as_ref().map(|_| state.epoch)
        };
        match epoch {
            Some(epoch) => self.take_over_from(&session, epoch, batch, now),
            None => self.expire_session(&session, Moment::NEVER, batch, now),
        }
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
        matches!(own, Some(Value::Claim(own)) if own > stamp)
    }
}
