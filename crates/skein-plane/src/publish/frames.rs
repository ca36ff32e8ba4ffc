//! The encoded frames of a run: made once per form, appended to many outboxes.

use std::num::NonZeroU16;

use bytes::Bytes;
use skein_types::{Message, Moment, QoS};

use crate::{
    outbox::{Outbox, SHARE_PAYLOAD_BYTES_MIN},
    wire::{DeliveryOptions, Encoded, Form, Frame, Wire},
};

/// Frames of one form.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frames: Vec<OneFrame>,
    /// Bytes including payloads that are shared instead of copied.
    total_bytes: usize,
}

#[derive(Debug)]
struct OneFrame {
    end: usize,
    /// Where the id stands in `bytes`.
    id_at: Option<usize>,
    /// The payload, when it is shared and follows the frame's head.
    payload: Option<Bytes>,
    sendable: bool,
}

/// The frames of a run in all forms asked for so far; their memory is used again for the next run.
#[derive(Debug, Default)]
pub(crate) struct FramesPool {
    present: Vec<(Form, Frames)>,
    spare: Vec<Frames>,
}

/// Spare memory above this is given back.
const SPARE_BYTES_MAX: usize = 1 << 20;

impl FramesPool {
    pub(crate) fn of<'a>(
        &mut self,
        form: Form,
        messages: impl Iterator<Item = &'a Message>,
        options: &DeliveryOptions,
        wire: &mut dyn Wire,
        now: Moment,
    ) -> &Frames {
        let known = self.present.iter().position(|(present, _)| *present == form);
        let index = known.unwrap_or_else(|| {
            let mut frames = self.spare.pop().unwrap_or_default();
            for message in messages {
                frames.encode(message, options, wire, now);
            }
            self.present.push((form, frames));
            self.present.len() - 1
        });
        &self.present[index].1
    }

    pub(crate) fn clear(&mut self) {
        for (_, mut frames) in self.present.drain(..) {
            if frames.bytes.capacity() <= SPARE_BYTES_MAX {
                frames.bytes.clear();
                frames.frames.clear();
                frames.total_bytes = 0;
                self.spare.push(frames);
            }
        }
    }
}

impl Frames {
    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    fn encode(&mut self, message: &Message, options: &DeliveryOptions, wire: &mut dyn Wire, now: Moment) {
        let start = self.bytes.len();
        // The id is a placeholder that every recipient overwrites with its own.
        let id = (options.qos != QoS::AtMostOnce).then_some(NonZeroU16::MAX);
        let encoded = wire.publish(&Frame { message, options, id, again: false, now }, &mut self.bytes);
        let share = message.payload.len() >= SHARE_PAYLOAD_BYTES_MIN;
        let (id_at, sendable) = match encoded {
            Encoded::Head { id_at } => (id_at.map(|at| start + at), true),
            Encoded::TooLarge => (None, false),
        };
        if sendable && !share {
            self.bytes.extend_from_slice(&message.payload);
        }
        let payload = (sendable && share).then(|| message.payload.clone());
        self.total_bytes += self.bytes.len() - start + payload.as_ref().map_or(0, Bytes::len);
        self.frames.push(OneFrame { end: self.bytes.len(), id_at, payload, sendable });
    }

    /// Calls `piece` with contiguous bytes, the shared payload that follows them, and how many messages they are.
    pub(crate) fn each_piece(&self, mut piece: impl FnMut(&[u8], Option<&Bytes>, u32)) {
        let (mut start, mut messages) = (0, 0);
        for frame in &self.frames {
            messages += u32::from(frame.sendable);
            if frame.payload.is_some() {
                piece(&self.bytes[start..frame.end], frame.payload.as_ref(), messages);
                (start, messages) = (frame.end, 0);
            }
        }
        if start < self.bytes.len() {
            piece(&self.bytes[start..], None, messages);
        }
    }

    /// Appends one frame with its recipient's id; false when it may not be sent.
    pub(crate) fn push_as(&self, outbox: &mut Outbox, index: usize, id: NonZeroU16) -> bool {
        let frame = &self.frames[index];
        let start = index.checked_sub(1).map_or(0, |before| self.frames[before].end);
        if !frame.sendable {
            return false;
        }
        let Some(id_at) = frame.id_at else { return false };
        outbox.push_patched(&self.bytes[start..frame.end], id_at - start, id.get().to_be_bytes());
        if let Some(payload) = &frame.payload {
            outbox.push_shared(payload.clone(), 0);
        }
        true
    }
}

#[cfg(test)]
mod tests;
