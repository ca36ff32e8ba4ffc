//! What clients say about messages: acknowledgements of those sent to them, and the two steps of QoS 2 towards us.

use std::sync::Arc;

use skein_types::Moment;

use crate::{
    batch::Batch,
    delivery::{Acked, Delivery},
    ledger::DropReason,
    plane::Plane,
    session::{Epoch, Session},
};

/// How far a client says it has come with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// PUBACK; `rejected` when its reason is an error.
    Published {
        /// The client refused the message (MQTT-4.4.0-2): it is not sent again.
        rejected: bool,
    },
    /// PUBREC; `rejected` when its reason is an error, which ends the hand-over (MQTT-4.3.3-4).
    Received {
        /// The client refused the message.
        rejected: bool,
    },
    /// PUBCOMP.
    Completed,
}

impl Plane {
    /// Takes an acknowledgement and sends what the window has room for now. `seq_of` tells the message's number from that
    /// of the oldest one that is not acknowledged.
    #[expect(clippy::too_many_arguments, reason = "who, what and the work at hand; nothing to put together")]
    pub(crate) fn acknowledge(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        seq_of: impl FnOnce(u64) -> u64,
        what: Acknowledgement,
        batch: &mut Batch,
        now: Moment,
    ) -> Acked {
        let Some(mut state) = session.lock_as(epoch) else { return Acked::Unknown };
        let seq = seq_of(state.delivery.front());
        let (acked, rejected) = apply(&mut state.delivery, seq, what);
        if state.durable {
            if acked == Acked::Release {
                batch.effects.journal.take_turn(&mut state);
            }
            batch.effects.journal.free(session.key(), state.delivery.take_freed());
        }
        if acked == Acked::Done {
            match rejected {
                true => batch.effects.tally.drop_messages(DropReason::Rejected, 1),
                false => batch.effects.tally.delivered += 1,
            }
            state.pump(self.sources(), now, &mut batch.effects);
            if state.wants_flush() {
                batch.touch(session);
            }
        }
        acked
    }

    /// Takes the acknowledgement of every message up to `seq`, and sends what the window has room for now.
    pub(crate) fn acknowledge_up_to(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        seq: u64,
        batch: &mut Batch,
        now: Moment,
    ) -> u64 {
        let Some(mut state) = session.lock_as(epoch) else { return 0 };
        let acknowledged = state.delivery.completed_up_to(seq);
        if state.durable {
            batch.effects.journal.free(session.key(), state.delivery.take_freed());
        }
        if acknowledged > 0 {
            batch.effects.tally.delivered += acknowledged;
            state.pump(self.sources(), now, &mut batch.effects);
            if state.wants_flush() {
                batch.touch(session);
            }
        }
        acknowledged
    }

    /// Notes the id of a QoS 2 message and says how many now wait for their release (for the receive maximum); none
    /// when it is a resend of one that is delivered already (MQTT-4.3.3-10).
    pub(crate) fn receive_once(
        &self,
        session: &Session,
        epoch: Epoch,
        id: u64,
        batch: &mut Batch,
    ) -> Option<usize> {
        let mut state = session.lock_as(epoch)?;
        if !state.inbound.receive(id) {
            return None;
        }
        if state.durable {
            batch.effects.journal.take_turn(&mut state);
            batch.effects.journal.received(session.key(), id);
        }
        Some(state.inbound.len())
    }

    /// Forgets the id of a QoS 2 message; false when it was not known.
    pub(crate) fn release(&self, session: &Session, epoch: Epoch, id: u64, batch: &mut Batch) -> bool {
        let Some(mut state) = session.lock_as(epoch) else { return false };
        let known = state.inbound.release(id);
        if known && state.durable {
            batch.effects.journal.take_turn(&mut state);
            batch.effects.journal.released(session.key(), id);
        }
        known
    }
}

fn apply(delivery: &mut Delivery, seq: u64, what: Acknowledgement) -> (Acked, bool) {
    match what {
        Acknowledgement::Published { rejected } => (delivery.published(seq), rejected),
        Acknowledgement::Received { rejected } => (delivery.received(seq, rejected), rejected),
        Acknowledgement::Completed => (delivery.completed(seq), false),
    }
}
