//! Subscribing and unsubscribing: access, bounds, matcher, retained messages.

use std::sync::Arc;

use skein_access::Subscribe as Verdict;
use skein_types::{Code, Moment, SubscriptionFilter};

use crate::{
    batch::Batch,
    delivery::Waiting,
    plane::Plane,
    session::{Effects, Epoch, Session, State},
    subscription::{RetainHandling, SubscribeOptions},
};

impl Plane {
    /// Subscribes the session. From the moment this returns every message accepted anywhere on the node matches, and in the
    /// cluster once the batch's commit is done;
    /// retained messages are sent by [`Plane::send_waiting`], so that the door can acknowledge first.
    ///
    /// # Errors
    /// [`Code::NotAuthorized`] by access rules, [`Code::QuotaExceeded`] above a bound of the session or the matcher,
    /// [`Code::SessionTakenOver`] when the connection is not the session's any more.
    #[expect(clippy::too_many_arguments, reason = "who, what and the work at hand; nothing to put together")]
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        filter: SubscriptionFilter,
        mut options: SubscribeOptions,
        retain: RetainHandling,
        batch: &mut Batch,
    ) -> Result<(), Code> {
        options.partly_allowed = match session.access().map(|access| access.check_subscribe(&filter.filter)) {
            None | Some(Verdict::Allow) => false,
            Some(Verdict::AllowPart) => true,
            Some(Verdict::Deny) => return Err(Code::NotAuthorized),
        };
        let mut state = session.lock_as(epoch).ok_or(Code::SessionTakenOver)?;
        let present = state.subscriptions.get(&filter).copied();
        let new = present.is_none();
        if new && !state.subscriptions.has_room_for(&filter, &state.limits) {
            return Err(Code::QuotaExceeded);
        }
        if state.durable && !self.has_room_for_more() {
            return Err(Code::QuotaExceeded);
        }
        // One that changes nothing leaves the routes of all publishers as they are.
        if present != Some(options) {
            // Under the session's lock, so that a session that ends meanwhile leaves nothing behind in the matcher.
            self.matcher().subscribe(&filter, session, options)?;
            state.subscriptions.insert(filter.clone(), options);
        }
        if state.durable {
            batch.effects.journal.subscription_changed(session, &filter);
            batch.effects.journal.promise();
        }
        self.wait_for_nodes(batch);
        let wanted = match retain {
            RetainHandling::Always => true,
            RetainHandling::IfNew => new,
            RetainHandling::Never => false,
        };
        // Shared subscriptions get no retained messages (MQTT 5.0 section 4.8.2).
        if wanted && filter.group.is_none() && self.retained().may_match(&filter.filter) {
            state.retained.get_or_insert_default().begin(filter.filter);
        }
        Ok(())
    }

    /// Ends a subscription; false when there was none (MQTT-3.10.4-1). What was sent already is finished
    /// (MQTT-3.10.4-3).
    pub(crate) fn unsubscribe(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        filter: &SubscriptionFilter,
        batch: &mut Batch,
    ) -> bool {
        let Some(mut state) = session.lock_as(epoch) else { return false };
        if state.durable {
            batch.effects.journal.subscription_changed(session, filter);
            batch.effects.journal.promise();
        }
        state.subscriptions.remove(filter);
        if let Some(pending) = &mut state.retained
            && filter.group.is_none()
        {
            pending.end(&filter.filter);
        }
        batch.announces = true;
        self.matcher().unsubscribe(filter, session.key())
    }

    /// Encodes whatever waits for the session into its outbox, as far as window and outbox allow.
    pub(crate) fn send_waiting(&self, session: &Session, epoch: Epoch, now: Moment, effects: &mut Effects) {
        if let Some(mut state) = session.lock_as(epoch) {
            state.pump(self.sources(), now, effects);
        }
    }

    /// Applies changed access rules to what is subscribed already: forbidden subscriptions end, and every cached
    /// decision is taken anew. What waits for clients is looked at when they come back.
    pub fn access_changed(&self, batch: &mut Batch) {
        for session in self.sessions().all() {
            let mut state = session.lock();
            self.recheck_subscriptions(&session, &mut state, batch);
        }
        batch.announces = true;
        self.matcher().invalidate();
    }

    /// Checks a session that is resumed against the rules of now: subscriptions that are forbidden end, and messages its
    /// client may not receive any more are taken out and returned.
    pub(crate) fn recheck(
        &self,
        session: &Arc<Session>,
        state: &mut State,
        batch: &mut Batch,
    ) -> Vec<Waiting> {
        self.recheck_subscriptions(session, state, batch);
        let Some(access) = session.access() else { return Vec::new() };
        state.delivery.take_forbidden(|topic| access.check_receive(topic) == skein_access::Verdict::Allow)
    }

    fn recheck_subscriptions(&self, session: &Arc<Session>, state: &mut State, batch: &mut Batch) {
        let Some(access) = session.access() else { return };
        for (filter, mut options) in state.subscriptions.to_vec() {
            let verdict = access.check_subscribe(&filter.filter);
            let partly_allowed = verdict == Verdict::AllowPart;
            if verdict == Verdict::Deny {
                self.matcher().unsubscribe(&filter, session.key());
                state.subscriptions.remove(&filter);
                batch.announces = true;
                if state.durable {
                    batch.effects.journal.subscription_changed(session, &filter);
                }
            } else if options.partly_allowed != partly_allowed {
                options.partly_allowed = partly_allowed;
                self.matcher().restore(&filter, session, options);
                state.subscriptions.insert(filter, options);
            }
        }
    }
}
