//! What waits for a peer: runs in one order, kept or not, and announcements, by lane. The owner's lock is around it.
//!
//! Runs wait in `queue` until the link takes them. A kept one is then in `taken` until the peer has handled it, and goes back
//! to the front of the queue when there is a new link. So `taken` holds smaller numbers than `queue`, both in order.

use std::{collections::VecDeque, mem, task::Waker};

use super::{Announcement, OUTBOX_BYTES_MAX, Room, Taken};
use crate::EncodedRun;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Who writes to the link; none while there is no link.
    link: Option<Waker>,
    /// Whether it was woken, or knows that there is more, and has not taken everything since.
    awake: bool,
    queue: VecDeque<Numbered>,
    queued_bytes: usize,
    taken: VecDeque<Numbered>,
    taken_bytes: usize,
    /// The numbers of the last kept run that was sent, and of the last one a link ever took.
    last_number: u64,
    last_taken: u64,
    announcements: [VecDeque<Announcement>; 4],
    /// Bytes of memory, see [`weight`].
    announced_bytes: usize,
    /// Publishers that wait for room.
    waiting: Vec<Waker>,
}

/// A run and, if it is kept, its number.
#[derive(Clone, Debug)]
struct Numbered {
    number: Option<u64>,
    run: EncodedRun,
}

/// What takes memory until it is sent, of which the body may be nothing.
const fn weight(announcement: &Announcement) -> usize {
    announcement.body.len() + size_of::<Announcement>()
}

impl Outbox {
    pub(super) const fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    pub(super) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) const fn announced_bytes(&self) -> usize {
        self.announced_bytes
    }

    /// Bytes of all runs that are under way.
    pub(super) const fn bytes(&self) -> usize {
        self.queued_bytes + self.taken_bytes
    }

    /// How many runs are kept, and the bytes of those a link has taken.
    pub(super) fn unhandled(&self) -> (usize, usize) {
        let waiting = self.queue.iter().filter(|numbered| numbered.number.is_some()).count();
        (self.taken.len() + waiting, self.taken_bytes)
    }

    /// Adds a run and gives its number if it is kept.
    pub(super) fn push(&mut self, run: &EncodedRun) -> Option<u64> {
        let number = run.kept.then(|| {
            self.last_number += 1;
            self.last_number
        });
        self.queued_bytes += run.bytes.len();
        self.queue.push_back(Numbered { number, run: run.clone() });
        number
    }

    pub(super) fn announce(&mut self, announcement: Announcement) {
        self.announced_bytes += weight(&announcement);
        if let Some(lane) = self.announcements.get_mut(announcement.lane as usize) {
            lane.push_back(announcement);
        }
    }

    pub(super) fn wait_for_room(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.announcements.iter().any(|lane| !lane.is_empty())
    }

    /// The link, if it must be woken for what waits.
    pub(super) fn whom_to_wake(&mut self) -> Option<Waker> {
        if self.awake || !self.has_more() {
            return None;
        }
        let link = self.link.clone()?;
        self.awake = true;
        Some(link)
    }

    pub(super) fn link_opened(&mut self, writer: Waker) {
        while let Some(again) = self.taken.pop_back() {
            let bytes = again.run.bytes.len();
            self.taken_bytes -= bytes;
            self.queued_bytes += bytes;
            self.queue.push_front(again);
        }
        self.link = Some(writer);
        self.awake = false;
    }

    /// Returns how many messages are dropped.
    pub(super) fn link_closed(&mut self) -> u64 {
        self.link = None;
        self.awake = false;
        self.announcements.iter_mut().for_each(VecDeque::clear);
        self.announced_bytes = 0;
        let (mut dropped, mut bytes) = (0, 0);
        self.queue.retain(|numbered| {
            let keep = numbered.number.is_some();
            if !keep {
                dropped += u64::from(numbered.run.messages);
                bytes += numbered.run.bytes.len();
            }
            keep
        });
        self.queued_bytes -= bytes;
        dropped
    }

    /// Moves what there is room for to `into`; returns publishers that may go on.
    pub(super) fn take(&mut self, room: Room, into: &mut Taken) -> Vec<Waker> {
        let mut left = room.runs_bytes;
        while left > 0 {
            let Some(next) = self.queue.pop_front() else { break };
            let bytes = next.run.bytes.len();
            left = left.saturating_sub(bytes.max(1));
            self.queued_bytes -= bytes;
            if let Some(number) = next.number {
                self.last_taken = self.last_taken.max(number);
                self.taken_bytes += bytes;
                self.taken.push_back(next.clone());
            }
            into.runs.push((next.number, next.run));
        }
        for (lane, mut left) in self.announcements.iter_mut().zip(room.announced_bytes) {
            while left > 0 {
                let Some(announcement) = lane.pop_front() else { break };
                left = left.saturating_sub(announcement.body.len().max(1));
                self.announced_bytes -= weight(&announcement);
                into.announcements.push(announcement);
            }
        }
        self.awake = self.has_more();
        self.released()
    }

    /// Forgets what is handled; returns up to which number that may be, and publishers that may go on. What no link ever took
    /// cannot be handled, whatever a peer says.
    pub(super) fn handled(&mut self, number: u64) -> (u64, Vec<Waker>) {
        let number = number.min(self.last_taken);
        while let Some(first) = self.taken.front()
            && first.number.is_some_and(|taken| taken <= number)
        {
            self.taken_bytes -= first.run.bytes.len();
            self.taken.pop_front();
        }
        // What an earlier link took and this one would take again. It is at the front, and all of it is kept.
        while let Some(first) = self.queue.front()
            && first.number.is_some_and(|queued| queued <= number)
        {
            self.queued_bytes -= first.run.bytes.len();
            self.queue.pop_front();
        }
        (number, self.released())
    }

    pub(super) fn clear(&mut self) -> Vec<Waker> {
        *self = Self {
            last_number: self.last_number,
            last_taken: self.last_taken,
            waiting: mem::take(&mut self.waiting),
            ..Self::default()
        };
        self.released()
    }

    fn released(&mut self) -> Vec<Waker> {
        if self.waiting.is_empty() || self.bytes() > OUTBOX_BYTES_MAX / 2 {
            return Vec::new();
        }
        mem::take(&mut self.waiting)
    }
}
