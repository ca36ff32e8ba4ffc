//! The encoded frames of a run: made once per form, appended to many outboxes.

use bytes::Bytes;
use skein_types::{Message, Moment};

use crate::{
    outbox::{Memory, Outbox, SHARE_PAYLOAD_BYTES_MIN},
    wire::{DeliveryOptions, Encoded, Form, Frame, Recipient, Wire},
};

/// Frames of one form.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frames: Vec<OneFrame>,
    /// Bytes including payloads that are shared instead of copied.
    total_bytes: usize,
    /// Some have a part that is each recipient's own.
    has_own: bool,
}

#[derive(Debug)]
struct OneFrame {
    end: usize,
    /// Where in `bytes` the recipient's own part belongs.
    own_at: Option<usize>,
    /// What is shared and not copied behind the frame's bytes: the payload, or the rest of a large whole frame.
    shared: Option<(Bytes, Memory)>,
    sendable: bool,
}

/// The frames of a run in all forms asked for so far; their memory is used again for the next run.
#[derive(Debug, Default)]
pub(crate) struct FramesPool {
    present: Vec<(Form, Frames)>,
    spare: Vec<Frames>,
    /// Size of the buffer that the messages were read into, if it is known.
    pub(super) buffer_bytes: Option<usize>,
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
                frames.encode(message, self.buffer_bytes, options, wire, now);
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
                frames.has_own = false;
                self.spare.push(frames);
            }
        }
    }
}

impl Frames {
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    fn encode(
        &mut self,
        message: &Message,
        buffer_bytes: Option<usize>,
        options: &DeliveryOptions,
        wire: &mut dyn Wire,
        now: Moment,
    ) {
        let start = self.bytes.len();
        let frame = Frame { message, options, recipient: Recipient::Each, now };
        let (own_at, shared, sendable) = match wire.publish(&frame, &mut self.bytes) {
            Encoded::Head { own_at } if message.payload.len() >= SHARE_PAYLOAD_BYTES_MIN => {
                let memory = Memory::of(&message.payload, buffer_bytes);
                (own_at, Some((message.payload.clone(), memory)), true)
            }
            Encoded::Head { own_at } => {
                self.bytes.extend_from_slice(&message.payload);
                (own_at, None, true)
            }
            Encoded::Whole { own_at } => {
                let shared = self.split_large(start, own_at.unwrap_or(0));
                (own_at, shared.map(|shared| (shared, Memory::Own)), true)
            }
            // A client that takes messages has no form.
            Encoded::Message | Encoded::TooLarge => (None, None, false),
        };
        let own_at = own_at.map(|at| start + at);
        self.has_own |= own_at.is_some();
        self.total_bytes += self.bytes.len() - start + shared.as_ref().map_or(0, |(shared, _)| shared.len());
        self.frames.push(OneFrame { end: self.bytes.len(), own_at, shared, sendable });
    }

    /// Takes what stands behind `at` of a whole frame that begins at `start` out of the bytes that are copied for every
    /// recipient, where that is much.
    fn split_large(&mut self, start: usize, at: usize) -> Option<Bytes> {
        let rest = self.bytes.get(start + at..)?;
        if rest.len() < SHARE_PAYLOAD_BYTES_MIN {
            return None;
        }
        let shared = Bytes::copy_from_slice(rest);
        self.bytes.truncate(start + at);
        Some(shared)
    }

    /// Whether the frames differ from recipient to recipient.
    pub(crate) fn has_own(&self) -> bool {
        self.has_own
    }

    /// Calls `piece` with contiguous bytes, the shared ones that follow them, and how many messages they are.
    pub(crate) fn each_piece(&self, mut piece: impl FnMut(&[u8], Option<&(Bytes, Memory)>, u32)) {
        let (mut start, mut messages) = (0, 0);
        for frame in &self.frames {
            messages += u32::from(frame.sendable);
            if frame.shared.is_some() {
                piece(&self.bytes[start..frame.end], frame.shared.as_ref(), messages);
                (start, messages) = (frame.end, 0);
            }
        }
        if start < self.bytes.len() {
            piece(&self.bytes[start..], None, messages);
        }
    }

    /// Appends one frame with its recipient's own part; false when it may not be sent. `messages` is what the outbox
    /// counts it as.
    pub(crate) fn push_as(
        &self,
        outbox: &mut Outbox,
        wire: &mut dyn Wire,
        index: usize,
        seq: Option<u64>,
        messages: u32,
    ) -> bool {
        let frame = &self.frames[index];
        if !frame.sendable {
            return false;
        }
        let start = index.checked_sub(1).map_or(0, |before| self.frames[before].end);
        let own_at = frame.own_at.unwrap_or(frame.end);
        outbox.push_with(|out| {
            out.extend_from_slice(&self.bytes[start..own_at]);
            if frame.own_at.is_some() {
                wire.own(seq, out);
            }
            out.extend_from_slice(&self.bytes[own_at..frame.end]);
        });
        match &frame.shared {
            Some((shared, memory)) => outbox.push_shared(shared.clone(), *memory, messages),
            None => outbox.count(messages),
        }
        true
    }
}

#[cfg(test)]
mod tests;
