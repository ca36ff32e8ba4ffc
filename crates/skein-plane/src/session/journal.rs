//! The durable changes of one batch, as they are recorded. What hands them to the store is `durable/commit.rs`.

use std::sync::Arc;

use parking_lot::MutexGuard;
use skein_store::{ClassId, Key, Row, Store, WriteBatch};
use skein_types::{Message, QoS, SessionKey, SubscriptionFilter, Topic};

use super::{Session, State};
use crate::{
    delivery::Waiting,
    retained::Retained,
    rows::{
        self, QueueEntry, RowContext, SessionRow,
        schema::{INBOUND, MESSAGE, QUEUE, RETAINED, SESSION, SUBSCRIPTION},
    },
    run::Run,
    stored::{CommitFlag, Freed, OnDisk, Rest, SharedRow},
    subscription::GroupKey,
    turn::{Turn, TurnGuard},
    wire::DeliveryOptions,
};

/// What a batch changes of what must be remembered. Empty, and without memory of its own, where nothing is durable.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    rows: Changes,
    /// Of the present run; turned into rows when it ends.
    deliveries: Vec<KeptDelivery>,
    /// Queue rows in `rows`.
    queued: Vec<QueuedRow>,
    dirty: Vec<Dirty>,
    /// How much of what the clients will be told depends on it.
    promises: usize,
    /// The id whose row is the last change.
    last_received: Option<(SessionKey, u64)>,
    /// Its place among the batches of a session's connections.
    turn: Option<TurnGuard>,
    /// The batch that comes before it.
    after: Option<Arc<Turn>>,
}

/// Changes of rows in the order in which they were made.
#[derive(Debug, Default)]
struct Changes(Vec<(ClassId, Change)>);

#[derive(Debug)]
enum Change {
    Put(Row),
    /// Under a key that has no row.
    PutFresh(Row),
    Delete(Key),
}

/// One message of the present run for one session that is kept.
#[derive(Debug)]
pub(crate) struct KeptDelivery {
    /// The message's place in the run.
    pub(crate) index: usize,
    pub(crate) session: Arc<Session>,
    pub(crate) seq: u64,
    pub(crate) options: DeliveryOptions,
    /// It was sent at once and not queued.
    pub(crate) sent: bool,
    pub(crate) group: Option<Arc<GroupKey>>,
}

#[derive(Debug)]
struct QueuedRow {
    session: Arc<Session>,
    seq: u64,
    shared: Option<Arc<SharedRow>>,
    /// QoS 2: it is sent when it is on disk.
    waits: bool,
}

/// A row that is read from memory when the batch is handed over.
#[derive(Debug)]
enum Dirty {
    Session(Arc<Session>),
    Subscription(Arc<Session>, SubscriptionFilter),
    Retained(Topic),
}

impl Journal {
    /// Whether answers of this batch have to wait for the disk.
    pub(crate) fn is_promised(&self) -> bool {
        self.promises > 0
    }

    /// Somebody is told of what was recorded.
    pub(crate) fn promise(&mut self) {
        self.promises += 1;
    }

    /// Something is recorded that a later connection's batch must not overtake.
    pub(crate) fn take_turn(&mut self, state: &mut State) {
        let own = self.turn.get_or_insert_default().turn();
        if !state.last_batch.as_ref().is_some_and(|last| Arc::ptr_eq(last, own)) {
            state.last_batch = Some(own.clone());
        }
    }

    /// The same for the batch of a connection that takes the session over: it follows the one before it.
    pub(crate) fn take_turn_after(&mut self, state: &mut State) {
        let own = self.turn.get_or_insert_default().turn();
        let before = state.last_batch.replace(own.clone());
        self.after = before.filter(|before| !Arc::ptr_eq(before, own));
    }

    /// A message of the present run is in the queue or window of a session that is kept.
    pub(crate) fn deliver(&mut self, delivery: KeptDelivery) {
        self.promise();
        self.deliveries.push(delivery);
    }

    pub(crate) fn session_changed(&mut self, session: &Arc<Session>) {
        self.dirty.push(Dirty::Session(session.clone()));
    }

    pub(crate) fn subscription_changed(&mut self, session: &Arc<Session>, filter: &SubscriptionFilter) {
        self.dirty.push(Dirty::Subscription(session.clone(), filter.clone()));
    }

    pub(crate) fn retained_changed(&mut self, topic: &Topic) {
        self.dirty.push(Dirty::Retained(topic.detached()));
    }

    /// A QoS 2 message of the client arrived; its id is remembered until it is released.
    pub(crate) fn received(&mut self, session: SessionKey, id: u64) {
        self.promise();
        self.rows.put_fresh(INBOUND, rows::inbound_row(session, id));
        self.last_received = Some((session, id));
    }

    pub(crate) fn released(&mut self, session: SessionKey, id: u64) {
        if self.last_received.take() == Some((session, id)) && self.rows.is_last_put_to(INBOUND) {
            // Its message was refused, for which nobody has to wait: there may be no room on the disk.
            self.rows.0.pop();
            self.promises -= 1;
            return;
        }
        self.promise();
        self.rows.delete(INBOUND, rows::inbound_key(session, id));
    }

    /// Removes everything that is remembered of an ended session beside its row and its queue.
    pub(crate) fn forget(
        &mut self,
        session: SessionKey,
        filters: impl Iterator<Item = SubscriptionFilter>,
        ids: impl Iterator<Item = u64>,
    ) {
        for filter in filters {
            self.rows.delete(SUBSCRIPTION, rows::subscription_key(session, &filter));
        }
        for id in ids {
            self.rows.delete(INBOUND, rows::inbound_key(session, id));
        }
    }

    /// Queue rows whose messages went on.
    pub(crate) fn free(&mut self, session: SessionKey, freed: impl Iterator<Item = Freed>) {
        for Freed { seq, rest, shared } in freed {
            match rest {
                Rest::Nothing => self.rows.delete(QUEUE, rows::queue_key(session, seq)),
                Rest::Released => {
                    // The release must not be sent before it is remembered: a client that has completed the
                    // hand-over would take the message for a new one if it came again.
                    self.promise();
                    self.rows.put(QUEUE, rows::queue_row_released(session, seq));
                }
            }
            self.release(shared);
        }
    }

    /// Removes a row that belongs to nothing.
    pub(crate) fn remove(&mut self, class: ClassId, key: Key) {
        self.rows.delete(class, key);
    }

    fn release(&mut self, shared: Option<Arc<SharedRow>>) {
        if let Some(shared) = shared
            && shared.release()
        {
            self.rows.delete(MESSAGE, rows::message_key(shared.id));
        }
    }

    /// Writes the rows of the deliveries of `run`: a message with one recipient into its queue entry, one with
    /// several once.
    pub(crate) fn record_run(&mut self, run: &Run, context: &RowContext) {
        let mut deliveries = std::mem::take(&mut self.deliveries);
        if deliveries.is_empty() {
            return;
        }
        deliveries.sort_by_key(|delivery| delivery.index);
        for recipients in deliveries.chunk_by(|one, next| one.index == next.index) {
            let message = run.message(recipients[0].index);
            let shared = (recipients.len() > 1).then(|| {
                let shared = context.new_shared_row(recipients.len());
                self.rows.put_fresh(MESSAGE, rows::message_row(shared.id, message, context.clock));
                shared
            });
            for delivery in recipients {
                self.record(delivery, message, shared.clone(), context);
            }
        }
        deliveries.clear();
        self.deliveries = deliveries;
    }

    /// Writes the row of one delivery outside of a run.
    pub(crate) fn record_one(&mut self, delivery: &KeptDelivery, message: &Message, context: &RowContext) {
        self.record(delivery, message, None, context);
    }

    fn record(
        &mut self,
        delivery: &KeptDelivery,
        message: &Message,
        shared: Option<Arc<SharedRow>>,
        context: &RowContext,
    ) {
        let KeptDelivery { session, seq, options, sent, group, .. } = delivery;
        let entry =
            QueueEntry { session: session.key(), seq: *seq, options, sent: *sent, group: group.as_deref() };
        let row = match &shared {
            Some(shared) => rows::queue_row_with_reference(&entry, shared.id),
            None => rows::queue_row_with_body(&entry, message, context.clock),
        };
        self.rows.put_fresh(QUEUE, row);
        let waits = options.qos == QoS::ExactlyOnce;
        self.queued.push(QueuedRow { session: session.clone(), seq: *seq, shared, waits });
    }

    /// Writes the row of what a session already had when it began to be kept.
    pub(crate) fn keep(
        &mut self,
        session: &Arc<Session>,
        seq: u64,
        waiting: Option<&Waiting>,
        sent: bool,
        context: &RowContext,
    ) {
        match waiting {
            None => self.rows.put(QUEUE, rows::queue_row_released(session.key(), seq)),
            Some(Waiting { message, options, group, .. }) => {
                let (session, options, group) = (session.clone(), options.clone(), group.clone());
                let delivery = KeptDelivery { index: 0, session, seq, options, sent, group };
                self.record_one(&delivery, message, context);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.dirty.is_empty() && self.promises == 0
    }

    /// The batch's place among those of a session's connections: its own turn, over when that is dropped, and the one
    /// before it.
    pub(crate) fn take_turns(&mut self) -> (Option<TurnGuard>, Option<Arc<Turn>>) {
        (self.turn.take(), self.after.take())
    }

    /// Whether somebody waits for what was recorded; from now on nobody does.
    pub(crate) fn take_promises(&mut self) -> bool {
        std::mem::take(&mut self.promises) > 0 || self.queued.iter().any(|row| row.waits)
    }

    /// Whether rows are read from memory when the batch is handed over.
    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether something is to be written.
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Everything recorded as one batch of `store`.
    pub(crate) fn take_rows(
        &mut self,
        store: &Store,
        retained: &Retained,
        context: &RowContext,
    ) -> WriteBatch {
        for dirty in self.dirty.drain(..) {
            dirty.write(retained, context, &mut self.rows);
        }
        self.rows.take(store)
    }
}

impl Journal {
    /// The rows are with the store now: notes it with their messages, and removes those of messages that are gone
    /// already. Returns the sessions with messages that wait for the disk.
    pub(crate) fn mark_stored(&mut self, flag: Option<&Arc<CommitFlag>>) -> Vec<Arc<Session>> {
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        let mut queued = std::mem::take(&mut self.queued);
        // Each session is locked once.
        queued.sort_unstable_by_key(|row| (row.session.key(), row.seq));
        let mut gone = Vec::new();
        for rows in queued.chunk_by(|one, next| Arc::ptr_eq(&one.session, &next.session)) {
            let session = &rows[0].session;
            let mut state: MutexGuard<'_, State> = session.lock();
            for QueuedRow { seq, shared, waits, .. } in rows {
                let commit = if *waits { flag.cloned() } else { None };
                if !state.durable
                    || !state.delivery.stored(*seq, OnDisk::Stored { commit, shared: shared.clone() })
                {
                    gone.push(Freed { seq: *seq, rest: Rest::Nothing, shared: shared.clone() });
                }
            }
            drop(state);
            if rows.iter().any(|row| row.waits) {
                sessions.push(session.clone());
            }
            self.free(session.key(), gone.drain(..));
        }
        queued.clear();
        self.queued = queued;
        sessions
    }
}

impl Changes {
    fn put(&mut self, class: ClassId, row: Row) {
        self.0.push((class, Change::Put(row)));
    }

    fn put_fresh(&mut self, class: ClassId, row: Row) {
        self.0.push((class, Change::PutFresh(row)));
    }

    fn delete(&mut self, class: ClassId, key: Key) {
        self.0.push((class, Change::Delete(key)));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_last_put_to(&self, class: ClassId) -> bool {
        matches!(self.0.last(), Some((last, Change::PutFresh(_))) if *last == class)
    }

    /// Everything as one batch of `store`.
    fn take(&mut self, store: &Store) -> WriteBatch {
        let mut batch = store.batch();
        for (class, change) in self.0.drain(..) {
            let taken = match change {
                Change::Put(row) => batch.put(class, row),
                Change::PutFresh(row) => batch.put_fresh(class, row),
                Change::Delete(key) => batch.delete(class, key),
            };
            taken.expect("the plane writes the rows of its own classes");
        }
        batch
    }
}

impl Dirty {
    fn write(self, retained: &Retained, context: &RowContext, rows: &mut Changes) {
        match self {
            Self::Session(session) => match SessionRow::of(&session, context) {
                Some(row) => rows.put(SESSION, rows::session_row(&row, context.clock)),
                None => rows.delete(SESSION, rows::session_key(session.key())),
            },
            Self::Subscription(session, filter) => {
                let key = session.key();
                let state = session.lock();
                match state.subscriptions.get(&filter).filter(|_| state.durable && !state.ended) {
                    Some(options) => rows.put(SUBSCRIPTION, rows::subscription_row(key, &filter, options)),
                    None => rows.delete(SUBSCRIPTION, rows::subscription_key(key, &filter)),
                }
            }
            Self::Retained(topic) => match retained.last(&topic) {
                Some(stored) => rows.put(RETAINED, rows::retained_row(&stored, context.clock)),
                None => rows.delete(RETAINED, rows::retained_key(&topic)),
            },
        }
    }
}

impl SessionRow {
    /// The row of a session; none when it is not kept.
    fn of(session: &Session, context: &RowContext) -> Option<Self> {
        let access = session.access();
        let state = session.lock();
        if state.ended || !state.durable {
            return None;
        }
        let identity = access?.identity().clone();
        let time = |moment| context.clock.time_of(moment);
        Some(Self {
            key: session.key(),
            identity,
            expiry_secs: state.expiry_secs,
            expires_at: state.expires_at.map(time),
            will: state.will.as_deref().cloned(),
            will_at: state.will_at.map(time),
            claimed: state.claimed,
            owned_since: state.owned_since,
        })
    }
}
