//! Handing what a batch changed to the store, and going on when it is there (docs/adr/0009).

use std::sync::Arc;

use skein_types::Moment;

use crate::{
    batch::Batch,
    durable::{Commit, Durable},
    plane::Plane,
    retained::Retained,
    session::journal::Journal,
    stored::CommitFlag,
};

impl Durable {
    fn submit(&self, retained: &Retained, journal: &mut Journal, flag: Option<Arc<CommitFlag>>) {
        let _order = journal.has_dirty().then(|| self.order.lock());
        let rows = journal.take_rows(&self.store, retained, &self.rows);
        self.store.submit(rows, move |result| match result {
            Ok(_index) => _ = flag.inspect(|flag| flag.set()),
            Err(error) => tracing::error!(%error, "store: changes of sessions were not kept"),
        });
    }
}

impl Plane {
    /// Hands the durable changes of a batch to the store, and says what is to be waited for, if anything. Called before
    /// anybody can be told of them.
    pub(crate) fn hand_over(&self, batch: &mut Batch) -> Option<Commit> {
        let rows = self.hand_over_rows(&mut batch.effects.journal);
        let nodes = (!batch.waits.is_empty()).then(|| Commit::of_nodes(std::mem::take(&mut batch.waits)));
        let mut commit = match (rows, nodes) {
            (Some(rows), Some(nodes)) => rows.and(nodes),
            (rows, nodes) => rows.or(nodes)?,
        };
        commit.held.extend(batch.held.take());
        Some(commit)
    }

    /// Hands the rows of a batch to the store; what is said because of them waits for the commit, if there is one.
    fn hand_over_rows(&self, journal: &mut Journal) -> Option<Commit> {
        let durable = self.durable()?;
        // The turn is over when everything is with the store.
        let (_turn, before) = journal.take_turns();
        if let Some(before) = before {
            before.wait();
        }
        if journal.is_empty() {
            return None;
        }
        let flag = journal.take_promises().then(Arc::<CommitFlag>::default);
        durable.submit(self.retained(), journal, flag.clone());
        let sessions = journal.mark_stored(flag.as_ref());
        if journal.has_rows() {
            durable.submit(self.retained(), journal, None);
        }
        flag.map(|flag| Commit::of_rows(flag, sessions))
    }

    /// Sends what waited for a commit, now that it is done, and greets the clients whose sessions it kept.
    pub fn committed(&self, commit: Commit, batch: &mut Batch, now: Moment) {
        let Commit { sessions, held, .. } = commit;
        for (session, epoch) in held {
            let Some(mut state) = session.lock_as(epoch) else { continue };
            state.connection.as_mut().into_iter().for_each(|connection| connection.held = false);
            if state.wants_flush() {
                batch.touch(&session);
            }
        }
        for session in sessions {
            let mut state = session.lock();
            state.pump(self.sources(), now, &mut batch.effects);
            if state.wants_flush() {
                batch.touch(&session);
            }
        }
    }

    /// Leaves a commit to the plane, for callers that promised nothing to anybody.
    pub fn leave(&self, commit: Commit) {
        self.unattended.lock().add(commit);
    }

    /// Sends what waited for commits that were left to the plane.
    pub(crate) fn attend(&self, batch: &mut Batch, now: Moment) {
        let done = self.unattended.lock().take_done();
        if let Some(commit) = done {
            self.committed(commit, batch, now);
        }
    }
}

#[cfg(test)]
mod tests;
