//! Reading back, at the start of a node, what an earlier run kept.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use foldhash::fast::RandomState;
use skein_access::Subscribe as Verdict;
use skein_store::{Row, Snapshot};
use skein_types::{Message, Moment, QoS, SessionKey, Stamp, SubscriptionFilter};

use crate::{
    batch::Batch,
    clustered::RESTORED_WILL_SECS,
    delivery::{self, Delivery, Waiting},
    durable::Durable,
    plane::Plane,
    rows::{
        self, Body, QueueRow, RowError, SessionRow,
        schema::{INBOUND, MESSAGE, QUEUE, RETAINED, SESSION, SUBSCRIPTION},
    },
    session::{EXPIRY_NEVER_SECS, Session, SessionLimits},
    stored::{OnDisk, SharedRow},
};

/// What was read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Sessions.
    pub sessions: usize,
    /// Messages waiting for their clients.
    pub queued_messages: usize,
    /// Retained messages.
    pub retained: usize,
    /// Rows that belonged to nothing, and were removed: what late batches wrote for sessions that had ended.
    pub orphans: usize,
}

/// A row that cannot be read: the store's checksums are right, so another program wrote it.
#[derive(Debug, thiserror::Error)]
#[error(
    "store: a row of class {class} cannot be read. Was it written by a newer version? Start that one, or restore a dump"
)]
pub struct RestoreError {
    class: &'static str,
    source: RowError,
}

type Shared = (Arc<Message>, Arc<SharedRow>);
type BySession<T> = HashMap<SessionKey, T, RandomState>;

/// Messages in rows of their own, each built when the first session refers to it.
struct Messages<'a> {
    snapshot: &'a Snapshot,
    durable: &'a Durable,
    known: HashMap<u64, Shared, RandomState>,
}

impl Plane {
    /// Reads sessions, queues and retained messages from the store. Called once, before any door opens; sessions get
    /// `limits` until their clients come back.
    ///
    /// # Errors
    /// A row that is not what the plane writes.
    pub fn restore(
        &self,
        limits: &Arc<SessionLimits>,
        batch: &mut Batch,
        now: Moment,
    ) -> Result<Restored, RestoreError> {
        let Some(durable) = self.durable() else { return Ok(Restored::default()) };
        let snapshot = durable.store().snapshot();
        let mut restored = Restored::default();
        let mut sessions = BySession::default();
        each(&snapshot, SESSION, "session", |row| {
            let row = rows::read_session(row, durable.rows.clock)?;
            sessions.insert(row.key, self.restore_session(row, limits, batch, now));
            Ok(())
        })?;
        restored.sessions = sessions.len();
        each(&snapshot, SUBSCRIPTION, "subscription", |row| {
            let (key, filter, mut options) = rows::read_subscription(row)?;
            let Some(session) = sessions.get(&key) else {
                batch.effects.journal.remove(SUBSCRIPTION, rows::subscription_key(key, &filter));
                restored.orphans += 1;
                return Ok(());
            };
            let verdict = session.access().map(|access| access.check_subscribe(&filter.filter));
            options.partly_allowed = verdict == Some(Verdict::AllowPart);
            if verdict == Some(Verdict::Deny) {
                batch.effects.journal.subscription_changed(session, &filter);
            } else {
                self.matcher().restore(&filter, session, options);
                session.lock().subscriptions.insert(filter, options);
            }
            Ok(())
        })?;
        each(&snapshot, INBOUND, "inbound", |row| {
            let (key, id) = rows::read_inbound(row)?;
            match sessions.get(&key) {
                Some(session) => _ = session.lock().inbound.receive(id),
                None => {
                    batch.effects.journal.remove(INBOUND, rows::inbound_key(key, id));
                    restored.orphans += 1;
                }
            }
            Ok(())
        })?;
        self.restore_queues(&snapshot, &sessions, &mut restored, batch)?;
        each(&snapshot, RETAINED, "retained", |row| {
            let (message, version) = rows::read_retained(row, durable.rows.clock)?;
            self.use_up(message.origin);
            if let Some(cluster) = self.cluster() {
                cluster.heard(version);
            }
            self.retained().restore(message, version);
            restored.retained += 1;
            Ok(())
        })?;
        self.finish_unattended(batch, now);
        Ok(restored)
    }

    /// Puts a session in its place, without a client: the end of the last run ended its connection.
    fn restore_session(
        &self,
        row: SessionRow,
        limits: &Arc<SessionLimits>,
        batch: &mut Batch,
        now: Moment,
    ) -> Arc<Session> {
        let SessionRow { key, identity, expiry_secs, expires_at, will, will_at, claimed, owned_since } = row;
        let client_id = identity.client_id.clone();
        let session = Session::new(key, client_id.clone(), identity.user.clone(), limits.clone());
        session.bind(Some(Arc::new(self.access().bind(identity))));
        let clock = self.durable().map(|durable| durable.rows.clock);
        let moment = |time| clock.map_or(now, |clock| clock.moment_of(time));
        {
            let mut state = session.lock();
            session.set_durable(&mut state, true);
            (state.claimed, state.owned_since) = (claimed, owned_since);
            state.expiry_secs = expiry_secs;
            let will_delay = will.as_ref().map_or(0, |will| will.delay_secs.min(expiry_secs));
            if expires_at.is_none() {
                batch.effects.journal.session_changed(&session);
            }
            state.expires_at = Some(match expires_at {
                Some(time) => moment(time),
                None if expiry_secs == EXPIRY_NEVER_SECS => Moment::NEVER,
                None => now.after_secs(expiry_secs),
            });
            state.will_at = will.as_ref().map(|_| will_at.map_or(now.after_secs(will_delay), moment));
            if let Some(cluster) = self.cluster() {
                cluster.heard(claimed);
                if owned_since == Stamp::default() {
                    // From before there were claims: of two such sessions one has to be the first.
                    state.owned_since.node = cluster.id();
                }
                // Other nodes may have published it meanwhile, and say so when they are met.
                state.will_at = state.will_at.map(|at| at.max(now.after_secs(RESTORED_WILL_SECS)));
            }
            state.will = will.map(Box::new);
            self.announce_will(&session, &state, batch);
            self.schedule(&session, &state);
        }
        self.use_up(key);
        self.session_began(&client_id);
        self.sessions().shard(&client_id).insert(client_id, session.clone());
        session
    }

    /// No session gets this number any more. Numbers of publishers count too: a session that got one of them would
    /// be taken for the publisher of what is kept.
    fn use_up(&self, number: SessionKey) {
        self.sessions().last_key.fetch_max(number.0, Relaxed);
    }

    fn restore_queues(
        &self,
        snapshot: &Snapshot,
        sessions: &BySession<Arc<Session>>,
        restored: &mut Restored,
        batch: &mut Batch,
    ) -> Result<(), RestoreError> {
        let Some(durable) = self.durable() else { return Ok(()) };
        let mut messages = Messages { snapshot, durable, known: HashMap::default() };
        let mut queues: BySession<Vec<delivery::Restored>> = BySession::default();
        each(snapshot, QUEUE, "queue", |row| {
            let row = rows::read_queue(row, durable.rows.clock)?;
            let (key, seq) = (row.session, row.seq);
            // A row without a session must not be counted among those that refer to its message.
            let entry = match sessions.contains_key(&key) {
                true => self.restore_delivery(row, &mut messages)?,
                false => None,
            };
            match entry {
                Some(entry) => queues.entry(key).or_default().push(entry),
                None => {
                    batch.effects.journal.remove(QUEUE, rows::queue_key(key, seq));
                    restored.orphans += 1;
                }
            }
            Ok(())
        })?;
        for (key, entries) in queues {
            restored.queued_messages += entries.len();
            batch.effects.tally.routed += entries.len() as u64;
            if let Some(session) = sessions.get(&key) {
                let mut state = session.lock();
                state.delivery = Delivery::restored(entries);
                state.delivery.count_queue(&mut batch.effects.tally);
            }
        }
        each(snapshot, MESSAGE, "message", |row| {
            let (id, _) = rows::read_message(row, durable.rows.clock)?;
            durable.rows.last_message.fetch_max(id, Relaxed);
            if !messages.known.contains_key(&id) {
                batch.effects.journal.remove(MESSAGE, rows::message_key(id));
                restored.orphans += 1;
            }
            Ok(())
        })
    }

    /// The entry of a queue; none when its message is gone, because everybody had acknowledged it and what this client's
    /// acknowledgement changed was not on disk yet.
    fn restore_delivery(
        &self,
        row: QueueRow,
        messages: &mut Messages<'_>,
    ) -> Result<Option<delivery::Restored>, RowError> {
        let QueueRow { seq, options, sent, released, shared_filter, body, .. } = row;
        let group = shared_filter.and_then(|SubscriptionFilter { group, filter }| {
            Some(self.matcher().group(&filter, &group?)?.key().clone())
        });
        let (message, shared) = match body {
            Body::None if released => (None, None),
            Body::None => return Ok(None),
            Body::Own(message) => (Some(Arc::new(message)), None),
            Body::Shared(id) => match messages.get(id)? {
                Some((message, shared)) => (Some(message), Some(shared)),
                // The row of the message is removed with the last reference, and the batch that says so can come to
                // the disk before that of another session which took the message earlier. At QoS 2 that client waits
                // for the release.
                None if options.qos == QoS::ExactlyOnce => (None, None),
                None => return Ok(None),
            },
        };
        message.iter().for_each(|message| self.use_up(message.origin));
        let waiting = message.map(|message| Waiting::new(message, options, group, OnDisk::No));
        Ok(Some(delivery::Restored { seq, waiting, shared, sent }))
    }
}

impl Messages<'_> {
    fn get(&mut self, id: u64) -> Result<Option<Shared>, RowError> {
        if let Some((message, shared)) = self.known.get(&id) {
            shared.add_reference();
            return Ok(Some((message.clone(), shared.clone())));
        }
        let Some(row) = self.snapshot.get(MESSAGE, &rows::message_key(id)) else { return Ok(None) };
        let (_, message) = rows::read_message(&row, self.durable.rows.clock)?;
        let entry = (Arc::new(message), SharedRow::new(id, 1));
        self.known.insert(id, entry.clone());
        Ok(Some(entry))
    }
}

/// Every row of a class, in the order of its primary key.
fn each(
    snapshot: &Snapshot,
    class: skein_store::ClassId,
    name: &'static str,
    mut read: impl FnMut(&Row) -> Result<(), RowError>,
) -> Result<(), RestoreError> {
    for (_, row) in snapshot.rows(class) {
        read(row).map_err(|source| RestoreError { class: name, source })?;
    }
    Ok(())
}
