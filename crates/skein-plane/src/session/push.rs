//! Putting one message into a connection's outbox, in whatever form its client takes messages.

use std::sync::Arc;

use skein_types::{Message, Moment};

use super::{Effects, connection::Connection};
use crate::{
    ledger::DropReason,
    outbox::{DeliveredMessage, Memory, Outbox, SHARE_PAYLOAD_BYTES_MIN},
    wire::{DeliveryOptions, Encoded, Frame, Recipient, Wire},
};

/// What became of a message that was to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in the outbox.
    Done,
    /// It is larger than the client accepts.
    TooLarge,
    /// The client takes the message itself, which has to own its memory.
    WantsMessage,
}

impl Connection {
    /// Puts a message into the outbox that owns its memory; false when it is larger than the client accepts. `messages`
    /// is what the outbox counts it as.
    pub(super) fn push_owned(
        &mut self,
        message: &Arc<Message>,
        options: &DeliveryOptions,
        recipient: Recipient,
        messages: u32,
        now: Moment,
    ) -> bool {
        let frame = Frame { message, options, recipient, now };
        match push_frame(&mut self.outbox, &mut *self.wire, &frame, Memory::Own, messages) {
            Pushed::Done => true,
            Pushed::TooLarge => false,
            Pushed::WantsMessage => {
                self.push_message(message.clone(), options, recipient, messages);
                true
            }
        }
    }

    /// Puts a message into the outbox of a client that takes messages.
    pub(super) fn push_message(
        &mut self,
        message: Arc<Message>,
        options: &DeliveryOptions,
        recipient: Recipient,
        messages: u32,
    ) {
        let (seq, again) = match recipient {
            Recipient::One { seq, again } => (seq, again),
            Recipient::Each => (None, false),
        };
        let options = options.clone();
        self.outbox.push_message(DeliveredMessage { message, options, seq, again }, messages);
    }

    /// Encodes one QoS 0 message for this connection alone.
    pub(super) fn send_unacknowledged(
        &mut self,
        message: &Arc<Message>,
        options: &DeliveryOptions,
        now: Moment,
        effects: &mut Effects,
    ) {
        let recipient = Recipient::One { seq: None, again: false };
        if self.push_owned(message, options, recipient, 1, now) {
            effects.tally.traffic.sent_packets += 1;
        } else {
            effects.tally.drop_messages(DropReason::TooLarge, 1);
        }
    }
}

/// Encodes one frame, whose payload keeps `memory`, into `outbox`. `messages` is what the outbox counts it as.
pub(super) fn push_frame(
    outbox: &mut Outbox,
    wire: &mut dyn Wire,
    frame: &Frame<'_>,
    memory: Memory,
    messages: u32,
) -> Pushed {
    let payload = &frame.message.payload;
    let mut encoded = Encoded::TooLarge;
    let share = payload.len() >= SHARE_PAYLOAD_BYTES_MIN;
    outbox.push_with(|out| {
        encoded = wire.publish(frame, out);
        if !share && matches!(encoded, Encoded::Head { .. }) {
            out.extend_from_slice(payload);
        }
    });
    match encoded {
        Encoded::Head { .. } if share => outbox.push_shared(payload.clone(), memory, messages),
        Encoded::Head { .. } | Encoded::Whole { .. } => outbox.count(messages),
        Encoded::Message => return Pushed::WantsMessage,
        Encoded::TooLarge => return Pushed::TooLarge,
    }
    Pushed::Done
}
