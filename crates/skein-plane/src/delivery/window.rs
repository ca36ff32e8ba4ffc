//! The window: messages under way, in the order of their numbers.

use super::{Acked, Delivery, InFlight, Phase, Waiting};
use crate::stored::{OnDisk, free};

impl Delivery {
    pub(super) fn admit(&mut self, mut waiting: Waiting) {
        self.reach(waiting.seq);
        let (phase, on_disk) = (Phase::of(waiting.options.qos), std::mem::take(&mut waiting.on_disk));
        self.window.push_back(InFlight { phase, waiting: Some(waiting), on_disk });
        self.sent = self.window.len();
        self.unacknowledged += 1;
    }

    /// Makes `seq` the number behind the window. The numbers in between were given to messages that expired.
    pub(super) fn reach(&mut self, seq: u64) {
        if self.window.is_empty() {
            self.front = seq;
        }
        while self.front + (self.window.len() as u64) < seq {
            self.window.push_back(InFlight { phase: Phase::Done, waiting: None, on_disk: OnDisk::No });
        }
    }

    pub(super) fn entry(&mut self, seq: u64) -> Option<&mut InFlight> {
        let index = usize::try_from(seq.checked_sub(self.front)?).ok()?;
        // A message the present connection was not sent cannot be acknowledged by it.
        if index < self.sent { self.window.get_mut(index) } else { None }
    }

    /// The hand-over of message `seq` is over.
    pub(super) fn finish(&mut self, seq: u64) -> Acked {
        let Some(entry) = self.entry(seq).filter(|entry| entry.phase != Phase::Done) else {
            return Acked::Unknown;
        };
        entry.phase = Phase::Done;
        entry.waiting = None;
        let on_disk = std::mem::take(&mut entry.on_disk);
        free(&mut self.freed, seq, on_disk);
        self.unacknowledged -= 1;
        self.pop_done();
        Acked::Done
    }

    /// What the client acknowledged on an earlier connection is not sent again.
    pub(super) fn pass_done(&mut self) {
        while self.window.get(self.sent).is_some_and(|entry| entry.phase == Phase::Done) {
            self.sent += 1;
        }
    }

    pub(super) fn pop_done(&mut self) {
        while self.window.front().is_some_and(|entry| entry.phase == Phase::Done) {
            self.window.pop_front();
            self.front += 1;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// Whether the window takes a new message now.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(self.next_seq)
    }

    pub(super) fn has_room_for(&self, seq: u64) -> bool {
        // Everything left from earlier connections goes first, and a circle of numbers is not to be closed.
        self.sent == self.window.len()
            && self.unacknowledged < self.limits.unacknowledged_max
            && (self.window.is_empty() || seq - self.front < u64::from(self.limits.span_max))
    }
}
