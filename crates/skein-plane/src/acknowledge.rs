//! What clients say about messages: acknowledgements of those sent to them, and the two steps of QoS 2 towards us.

use std::{num::NonZeroU16, sync::Arc};

use skein_types::Moment;

use crate::{
    delivery::{Acked, Delivery},
    ledger::DropReason,
    plane::Plane,
    publish::Batch,
    session::{Epoch, Session},
};

/// An acknowledgement from a client.
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
    /// Takes an acknowledgement and sends what the window has room for now.
    #[expect(clippy::too_many_arguments, reason = "who, what and the work at hand; nothing to put together")]
    pub fn acknowledge(
        &self,
        session: &Arc<Session>,
        epoch: Epoch,
        id: NonZeroU16,
        what: Acknowledgement,
        batch: &mut Batch,
        now: Moment,
    ) -> Acked {
        let Some(mut state) = session.lock_as(epoch) else { return Acked::Unknown };
        let (acked, rejected) = apply(&mut state.delivery, id, what);
        if state.kept {
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
            state.pump(self, now, &mut batch.effects);
            if state.wants_flush() {
                batch.touch(session);
            }
        }
        acked
    }

    /// Notes the id of a QoS 2 message and says how many now wait for their release (for the receive maximum); none
    /// when it is a resend of one that is delivered already (MQTT-4.3.3-10).
    pub fn receive_once(
        &self,
        session: &Session,
        epoch: Epoch,
        id: NonZeroU16,
        batch: &mut Batch,
    ) -> Option<usize> {
        let mut state = session.lock_as(epoch)?;
        if !state.inbound.receive(id) {
            return None;
        }
        if state.kept {
            batch.effects.journal.take_turn(&mut state);
            batch.effects.journal.received(session.key(), id);
        }
        Some(state.inbound.len())
    }

    /// Forgets the id of a QoS 2 message; false when it was not known.
    pub fn release(&self, session: &Session, epoch: Epoch, id: NonZeroU16, batch: &mut Batch) -> bool {
        let Some(mut state) = session.lock_as(epoch) else { return false };
        let known = state.inbound.release(id);
        if known && state.kept {
            batch.effects.journal.take_turn(&mut state);
            batch.effects.journal.released(session.key(), id);
        }
        known
    }
}

fn apply(delivery: &mut Delivery, id: NonZeroU16, what: Acknowledgement) -> (Acked, bool) {
    match what {
        Acknowledgement::Published { rejected } => (delivery.published(id), rejected),
        Acknowledgement::Received { rejected } => (delivery.received(id, rejected), rejected),
        Acknowledgement::Completed => (delivery.completed(id), false),
    }
}
