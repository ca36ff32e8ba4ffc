//! The window: messages under way, in order, and the circle of their ids.

use std::num::NonZeroU16;

use super::{Acked, Delivery, ID_COUNT, InFlight, Kept, Phase, Waiting, kept::free};

impl Delivery {
    pub(super) fn admit(&mut self, mut waiting: Waiting) -> NonZeroU16 {
        self.reach(waiting.seq);
        self.sent =
            u16::try_from(self.window.len()).expect("the window is not longer than the circle of ids");
        let id = self.id_at(self.sent);
        let (phase, kept) = (Phase::of(waiting.options.qos), std::mem::take(&mut waiting.kept));
        self.window.push_back(InFlight { phase, waiting: Some(waiting), kept });
        self.sent += 1;
        self.unacknowledged += 1;
        id
    }

    /// Makes `seq` the number behind the window. The numbers in between were given to messages that expired.
    pub(super) fn reach(&mut self, seq: u64) {
        if self.window.is_empty() {
            self.front = seq;
        }
        while self.front + (self.window.len() as u64) < seq {
            self.window.push_back(InFlight { phase: Phase::Done, waiting: None, kept: Kept::No });
        }
    }

    pub(super) fn id_at(&self, index: u16) -> NonZeroU16 {
        let position = (self.front + u64::from(index)) % u64::from(ID_COUNT);
        let id = u16::try_from(position).unwrap_or_default().saturating_add(1);
        NonZeroU16::new(id).unwrap_or(NonZeroU16::MIN)
    }

    pub(super) fn index_of(&self, id: NonZeroU16) -> usize {
        let (position, circle) = (u64::from(id.get() - 1), u64::from(ID_COUNT));
        ((position + circle - self.front % circle) % circle) as usize
    }

    pub(super) fn seq_of(&self, id: NonZeroU16) -> u64 {
        self.front + self.index_of(id) as u64
    }

    pub(super) fn entry(&mut self, id: NonZeroU16) -> Option<&mut InFlight> {
        let index = self.index_of(id);
        // An id the present connection was not sent cannot be acknowledged by it.
        if index < usize::from(self.sent) { self.window.get_mut(index) } else { None }
    }

    pub(super) fn finish(&mut self, id: NonZeroU16) -> Acked {
        let Some(entry) = self.entry(id) else { return Acked::Unknown };
        entry.phase = Phase::Done;
        entry.waiting = None;
        let kept = std::mem::take(&mut entry.kept);
        let seq = self.seq_of(id);
        free(&mut self.freed, seq, kept);
        self.unacknowledged -= 1;
        self.pop_done();
        Acked::Done
    }

    /// What the client acknowledged on an earlier connection is not sent again.
    pub(super) fn pass_done(&mut self) {
        while self.window.get(usize::from(self.sent)).is_some_and(|entry| entry.phase == Phase::Done) {
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
        // Everything left from earlier connections goes first, and the circle of ids is not to be closed.
        usize::from(self.sent) == self.window.len()
            && self.unacknowledged < self.receive_maximum
            && (self.window.is_empty() || seq - self.front < u64::from(ID_COUNT))
    }
}
