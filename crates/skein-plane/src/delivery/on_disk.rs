//! The stored rows of a session's messages (`stored.rs`): which there are, when they are not needed any more, and what a
//! restart makes of them.

use std::sync::Arc;

use super::{Delivery, InFlight, Phase, Waiting};
use crate::stored::{Freed, OnDisk, SharedRow, free};

/// A message found in the store.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Its number.
    pub seq: u64,
    /// None once the client has it and its release is under way.
    pub waiting: Option<Waiting>,
    /// The row of the message itself where several sessions refer to it.
    pub shared: Option<Arc<SharedRow>>,
    /// It was sent before the restart, for sure.
    pub sent: bool,
}

impl Delivery {
    /// What the store remembers of a session, in the order of its numbers.
    pub(crate) fn restored(entries: Vec<Restored>) -> Self {
        let mut delivery = Self::default();
        // Messages are sent in order, so everything before one that was sent had been sent too.
        let sent_before = entries
            .iter()
            .rposition(|entry| entry.sent || entry.waiting.is_none())
            .map_or(0, |last| last + 1);
        for (index, Restored { seq, waiting, shared, .. }) in entries.into_iter().enumerate() {
            let on_disk = OnDisk::Stored { commit: None, shared };
            match waiting {
                Some(waiting) if index >= sent_before => {
                    delivery.push_back(Waiting { on_disk, seq, again: true, ..waiting });
                }
                waiting => {
                    delivery.reach(seq);
                    let phase = match &waiting {
                        None => Phase::Released,
                        Some(waiting) => Phase::of(waiting.options.qos),
                    };
                    delivery.window.push_back(InFlight { phase, waiting, on_disk });
                }
            }
            delivery.next_seq = seq + 1;
        }
        delivery
    }

    /// The batch that recorded message `seq` handed its row to the store; false when the message is gone by now.
    pub(crate) fn stored(&mut self, seq: u64, on_disk: OnDisk) -> bool {
        if let Some(index) = seq.checked_sub(self.front)
            && let Some(entry) = usize::try_from(index).ok().and_then(|index| self.window.get_mut(index))
        {
            let present = entry.phase != Phase::Done;
            if present {
                entry.on_disk = on_disk;
            }
            return present;
        }
        let before = |waiting: &Waiting| waiting.seq < seq || (waiting.seq == seq && !waiting.is_numbered());
        let after = self.queue.partition_point(before);
        match self.queue.get_mut(after) {
            Some(waiting) if waiting.seq == seq && waiting.is_numbered() => {
                waiting.on_disk = on_disk;
                true
            }
            _ => false,
        }
    }

    /// The session is to be kept on disk from now on: hands every message that has no row to `keep`, with its number and
    /// whether it was sent; none for one that the client has and whose release is under way.
    pub(crate) fn keep(&mut self, mut keep: impl FnMut(u64, Option<&Waiting>, bool)) {
        for (entry, seq) in self.window.iter_mut().zip(self.front..) {
            match entry.phase {
                Phase::Done => continue,
                Phase::Released => entry.on_disk = OnDisk::Stored { commit: None, shared: None },
                Phase::Published | Phase::PublishedTwice => entry.on_disk = OnDisk::Recorded,
            }
            keep(seq, entry.waiting.as_ref(), true);
        }
        for waiting in self.queue.iter_mut().filter(|waiting| waiting.is_numbered()) {
            waiting.on_disk = OnDisk::Recorded;
            keep(waiting.seq, Some(waiting), waiting.again);
        }
    }

    /// Whether a batch that is not handed over yet has recorded a message that is still here.
    pub(crate) fn has_recorded(&self) -> bool {
        let on_disk = self.window.iter().map(|entry| &entry.on_disk);
        on_disk
            .chain(self.queue.iter().map(|waiting| &waiting.on_disk))
            .any(|on_disk| matches!(on_disk, OnDisk::Recorded))
    }

    /// The session is not kept on disk any more: frees every row. Not while it [has](Self::has_recorded) any to come.
    pub(crate) fn unkeep(&mut self) {
        for (entry, seq) in self.window.iter_mut().zip(self.front..) {
            free(&mut self.freed, seq, std::mem::take(&mut entry.on_disk));
        }
        for waiting in &mut self.queue {
            free(&mut self.freed, waiting.seq, std::mem::take(&mut waiting.on_disk));
        }
    }

    /// Stored rows that changed since the last call.
    pub(crate) fn take_freed(&mut self) -> impl Iterator<Item = Freed> {
        std::mem::take(&mut self.freed).into_iter()
    }
}
