//! The life of sessions: opening, taking over, closing, expiring; and the wills that go with it.
//!
//! One session exists per client id, and one connection per session (MQTT-3.1.4-3). Locks are taken in the order
//! shard, session, matcher; messages are published only when none of them is held.

mod teardown;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use skein_access::{BoundAccess, Verdict};
use skein_types::{ClientId, Code, Moment, SessionKey, Stamp, UserName};

use self::teardown::Aftermath;
use crate::{
    batch::Batch,
    delivery::WindowLimits,
    outbox::Outbox,
    plane::Plane,
    session::{Connection, EXPIRY_NEVER_SECS, Epoch, Session, SessionLimits, State, journal::Journal},
    will::Will,
};

/// What a client asks for when it connects.
#[derive(Debug)]
pub struct Open {
    /// Its name.
    pub client_id: ClientId,
    /// Whether an earlier session is thrown away (MQTT-3.1.2-4).
    pub clean_start: bool,
    /// Seconds the session outlives the connection; [`EXPIRY_NEVER_SECS`] for ever.
    pub expiry_secs: u32,
    /// How much it takes before it acknowledges.
    pub window: WindowLimits,
    /// Its will.
    pub will: Option<Will>,
    /// Who it is and what it may do.
    pub access: Option<Arc<BoundAccess>>,
    /// Its bounds.
    pub limits: Arc<SessionLimits>,
    /// Whether what outlives the connection also outlives the node.
    pub durability: Durability,
}

/// Where a session is kept while its client is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// In this node's memory.
    #[default]
    Memory,
    /// On this node's disk: what is acknowledged is there.
    Disk,
}

/// A session and the epoch of its new connection.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The session.
    pub(crate) session: Arc<Session>,
    /// What the connection proves itself with from now on.
    pub(crate) epoch: Epoch,
    /// Whether it was there before (MQTT-3.2.2-2).
    pub(crate) present: bool,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client said good-bye: no will.
    Graceful,
    /// Anything else: the will is due (MQTT-3.1.2-8).
    WithWill(Code),
}

impl Plane {
    /// Opens the session of a client that was let in: resumes the one it had or makes a new one, and takes it over
    /// from another connection of the same client (MQTT-3.1.4-3). From then on the session delivers to `connection`.
    /// What it resumes is checked against the rules of now.
    ///
    /// # Errors
    /// [`Code::NotAuthorized`] when the client id is another user's, here or on another node, or access rules do not let
    /// this user have it; nothing happened then.
    pub(crate) fn open(
        &self,
        open: Open,
        connection: Connection,
        batch: &mut Batch,
        now: Moment,
    ) -> Result<Opened, Code> {
        let sessions = self.sessions();
        let mut aftermath = Aftermath::default();
        let owner = open.access.as_ref().and_then(|access| access.identity().user.clone());
        let opened = {
            let mut shard = sessions.shard(&open.client_id);
            let present = shard.get(&open.client_id).cloned();
            // Under the lock of the shard: whoever puts other rules in force meets either this check or the session.
            let owned_since = self.check_owner(&open, owner.as_ref(), present.as_deref(), now)?;
            let (mut resumed, mut hold) = (None, false);
            if let Some(present) = present {
                let mut state = present.lock();
                // What is gone from the disk must not come back either once the client was told; nor what the connection
                // before was not told of yet.
                hold = state.durable || state.connection.as_ref().is_some_and(|connection| connection.held);
                self.unschedule(&present, &state);
                state.leave(self, open.clean_start, now, &mut aftermath, &mut batch.effects);
                // Without a session that outlives it, the connection before took its own along.
                if open.clean_start || state.is_over(now) {
                    state.end(&mut aftermath);
                    aftermath.ended.push(present.clone());
                } else {
                    resumed = Some(present.clone());
                }
            }
            let present = resumed.is_some();
            let session = resumed.unwrap_or_else(|| {
                let key = SessionKey(sessions.last_key.fetch_add(1, Relaxed) + 1);
                let session = Session::new(key, open.client_id.clone(), owner, open.limits.clone());
                shard.insert(open.client_id.clone(), session.clone());
                self.session_began(&open.client_id);
                session
            });
            let may_be_durable = open.access.is_some() && self.durable().is_some();
            let asked = open.durability == Durability::Disk && open.expiry_secs > 0;
            session.bind(open.access);
            let mut state = session.lock();
            state.owned_since = owned_since.unwrap_or_default();
            if present {
                aftermath.forbidden = self.recheck(&session, &mut state, batch);
            }
            // A row that another batch is about to hand over would come after its removal: such a session stays on
            // disk until its client connects once more.
            let durable = may_be_durable && (asked || (state.durable && state.delivery.has_recorded()));
            state.will = open.will.map(Box::new);
            state.will_at = None;
            state.limits = open.limits;
            state.expiry_secs = open.expiry_secs;
            self.keep(&session, &mut state, durable, &mut batch.effects.journal);
            let epoch = state.connected(connection, open.window);
            hold |= durable;
            if hold && self.durable().is_some() {
                batch.effects.journal.promise();
                batch.held = Some((session.clone(), epoch));
            }
            self.announce_will(&session, &state, batch);
            hold &= self.durable().is_some();
            if self.claim(&session, &mut state, open.clean_start, batch) {
                batch.held = Some((session.clone(), epoch));
                hold = true;
            }
            if let Some(Connection { outbox, wire, held, .. }) = &mut state.connection {
                outbox.push_with(|out| wire.greet(present, out));
                *held = hold;
                outbox.set_waits(hold);
                batch.effects.tally.traffic.sent_packets += 1;
            }
            state.pump(self.sources(), now, &mut batch.effects);
            if state.wants_flush() {
                batch.touch(&session);
            }
            drop(state);
            Opened { session, epoch, present }
        };
        sessions.counted_in();
        self.finish_teardown(aftermath, batch, now);
        Ok(opened)
    }

    /// Whether the user may have the client id now, and since when it has it if there is a session.
    fn check_owner(
        &self,
        open: &Open,
        owner: Option<&UserName>,
        present: Option<&Session>,
        now: Moment,
    ) -> Result<Option<Stamp>, Code> {
        if open.access.as_ref().is_some_and(|access| access.check_connect() == Verdict::Deny) {
            return Err(Code::NotAuthorized);
        }
        if let Some(present) = present {
            let state = present.lock();
            if !state.is_over(now) {
                // Whatever others claim meanwhile: this node refuses them, or learns that they had the id before.
                return if present.owner() == owner {
                    Ok(Some(state.owned_since))
                } else {
                    Err(Code::NotAuthorized)
                };
            }
        }
        if self.is_claimed_by_another(&open.client_id, owner) {
            return Err(Code::NotAuthorized);
        }
        Ok(None)
    }

    /// Ends the connection of `epoch`. The session stays as long as it was asked to; `expiry_secs` replaces what the
    /// client said when it connected. Returns what was still to be written, or nothing if the epoch was over already.
    #[expect(clippy::too_many_arguments, reason = "who, how and the work at hand; nothing to put together")]
    pub(crate) fn close(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        ending: Ending,
        expiry_secs: Option<u32>,
        batch: &mut Batch,
        now: Moment,
    ) -> Option<Outbox> {
        let mut aftermath = Aftermath::default();
        let mut outbox = None;
        {
            let mut state = session.lock_as(epoch)?;
            state.expiry_secs = expiry_secs.unwrap_or(state.expiry_secs);
            if let Some(mut connection) = state.connection.take() {
                self.sessions().connected.fetch_sub(1, Relaxed);
                outbox = Some(connection.last_outbox(&mut batch.effects));
                connection.release_publishers();
            }
            state.retained = None;
            state.delivery.shrink();
            state.inbound.shrink();
            if ending == Ending::Graceful {
                state.will = None;
            }
            let will_delay = state.will.as_ref().map_or(0, |will| will.delay_secs.min(state.expiry_secs));
            if will_delay == 0 {
                aftermath.add_will(&mut state);
            }
            if state.expiry_secs == 0 {
                state.end(&mut aftermath);
                aftermath.ended.push(session.clone());
            } else {
                state.will_at = state.will.is_some().then(|| now.after_secs(will_delay));
                let never = state.expiry_secs == EXPIRY_NEVER_SECS;
                state.expires_at =
                    Some(if never { Moment::NEVER } else { now.after_secs(state.expiry_secs) });
                self.schedule(session, &state);
            }
            if state.durable {
                batch.effects.journal.session_changed(session);
            }
            self.announce_will(session, &state, batch);
            self.unclaim(session.client_id(), batch);
        }
        for ended in &aftermath.ended {
            self.sessions().forget(ended);
        }
        self.finish_teardown(aftermath, batch, now);
        outbox
    }

    /// Tells the client of a session why and ends its connection; false when it is not connected. With `end` the
    /// session itself ends too.
    pub fn disconnect(
        &self,
        session: &Arc<Session>,
        code: Code,
        end: bool,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        let epoch = {
            let mut state = session.lock();
            if end {
                state.expiry_secs = 0;
            }
            let Some(connection) = &mut state.connection else {
                drop(state);
                if end {
                    self.expire_session(session, Moment::NEVER, batch, now);
                }
                return false;
            };
            connection.queue_farewell(code, &mut batch.effects);
            state.epoch
        };
        self.close(session, epoch, Ending::WithWill(code), None, batch, now).is_some()
    }

    /// Publishes wills that are due and ends sessions whose time is over. Called about ten times a second.
    pub fn expire(&self, batch: &mut Batch, now: Moment) {
        loop {
            let due = {
                let mut deadlines = self.sessions().deadlines.lock();
                match deadlines.first_key_value() {
                    Some(((deadline, _), _)) if *deadline <= now => deadlines.pop_first(),
                    _ => None,
                }
            };
            let Some((_, session)) = due else { break };
            if let Some(session) = session.upgrade() {
                self.expire_session(&session, now, batch, now);
            }
        }
        for topic in self.retained().expire(now) {
            if self.durable().is_some() && !topic.is_system() {
                batch.effects.journal.retained_changed(&topic);
            }
        }
        self.look_after_cluster(batch, now);
        self.attend(batch, now);
        self.finish_unattended(batch, now);
        if let Some(durable) = self.durable() {
            durable.look_at_memory();
        }
    }

    /// Ends a session whose client is away if it expires until `until`, and publishes its will if that is due.
    pub(crate) fn expire_session(
        &self,
        session: &Arc<Session>,
        until: Moment,
        batch: &mut Batch,
        now: Moment,
    ) {
        let mut aftermath = Aftermath::default();
        {
            let mut state = session.lock();
            if state.connection.is_some() || state.ended {
                return;
            }
            self.unschedule(session, &state);
            if state.will_at.is_some_and(|deadline| deadline <= until) {
                state.will_at = None;
                aftermath.add_will(&mut state);
            }
            if state.expires_at.is_some_and(|deadline| deadline <= until) {
                state.end(&mut aftermath);
                aftermath.ended.push(session.clone());
            } else {
                self.schedule(session, &state);
            }
            if state.durable {
                batch.effects.journal.session_changed(session);
            }
            self.announce_will(session, &state, batch);
        }
        for ended in &aftermath.ended {
            self.sessions().forget(ended);
        }
        self.finish_teardown(aftermath, batch, now);
    }

    /// Begins or ends to keep a session on disk, or notes that it changed.
    fn keep(&self, session: &Arc<Session>, state: &mut State, durable: bool, journal: &mut Journal) {
        let (was_durable, Some(store)) = (state.durable, self.durable()) else { return };
        if !was_durable && !durable {
            return;
        }
        session.set_durable(state, durable);
        journal.session_changed(session);
        journal.take_turn_after(state);
        let State { subscriptions, inbound, delivery, .. } = state;
        let filters = || subscriptions.to_vec().into_iter().map(|(filter, _)| filter);
        if was_durable && !durable {
            journal.forget(session.key(), filters(), inbound.ids());
            delivery.unkeep();
            journal.free(session.key(), delivery.take_freed());
        } else if durable && !was_durable {
            filters().for_each(|filter| journal.subscription_changed(session, &filter));
            inbound.ids().for_each(|id| journal.received(session.key(), id));
            delivery.keep(|seq, waiting, sent| journal.keep(session, seq, waiting, sent, store.rows()));
        }
    }

    pub(crate) fn schedule(&self, session: &Arc<Session>, state: &State) {
        if let Some(due) = state.due() {
            self.sessions().deadlines.lock().insert((due, session.key()), Arc::downgrade(session));
        }
    }

    /// Takes a session off the list, so that a client that comes and goes does not make it grow.
    pub(crate) fn unschedule(&self, session: &Arc<Session>, state: &State) {
        if let Some(due) = state.due() {
            self.sessions().deadlines.lock().remove(&(due, session.key()));
        }
    }
}
