//! The owner's side of one stream: what was sent to one peer over one link, and what comes next.

use std::time::Duration;

use skein_types::Moment;

use super::{OwnState, SoftFrame};
use crate::Key;

/// Entries and bytes in one frame, so that no frame holds others up for long.
const FRAME_ENTRIES_MAX: usize = 1024;
const FRAME_BYTES_MAX: usize = 48 << 10;
/// Frames on their way that the peer has not answered; behind that it decides the pace.
const FRAMES_UNDER_WAY_MAX: u64 = 32;
/// How often equality is proved.
const DIGEST_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Outgoing {
    cursor: Cursor,
    /// What may be confirmed: all changes up to here are on their way or there.
    told: u64,
    sent_frames: u64,
    answered_frames: u64,
    digest_due: Moment,
}

#[derive(Debug)]
enum Cursor {
    /// Entries behind this key come next; `as_of` is set with the first part.
    Copy { after: Option<Key>, as_of: Option<u64> },
    /// Everything up to this number is sent.
    Changes(u64),
}

impl Outgoing {
    /// A stream over a new link to a peer that has the changes up to `applied`, or nothing.
    pub(crate) fn new(applied: Option<u64>, now: Moment) -> Self {
        let cursor = applied.map_or(Cursor::Copy { after: None, as_of: None }, Cursor::Changes);
        let told = applied.unwrap_or(0);
        Self { cursor, told, sent_frames: 0, answered_frames: 0, digest_due: now.after(DIGEST_INTERVAL) }
    }

    /// The next frame, if there is something to say and the peer keeps up.
    pub(crate) fn next_frame(&mut self, own: &OwnState, now: Moment) -> Option<SoftFrame> {
        if self.sent_frames.saturating_sub(self.answered_frames) >= FRAMES_UNDER_WAY_MAX {
            return None;
        }
        let frame = match &self.cursor {
            Cursor::Copy { .. } => self.next_part(own),
            Cursor::Changes(sent) => {
                let sent = *sent;
                match self.next_changes(own, sent, now) {
                    Some(frame) => frame?,
                    None => {
                        self.copy_again();
                        self.next_part(own)
                    }
                }
            }
        };
        self.sent_frames += 1;
        Some(frame)
    }

    /// The peer has dealt with so many frames of this link; returns the number of `confirmed` that can be true.
    pub(crate) fn answered(&mut self, frames: u64, confirmed: u64) -> u64 {
        self.answered_frames = frames.clamp(self.answered_frames, self.sent_frames);
        confirmed.min(self.told)
    }

    /// The peer needs a full copy.
    pub(crate) fn copy_again(&mut self) {
        self.cursor = Cursor::Copy { after: None, as_of: None };
    }

    /// When there is something to say even if nothing changes.
    pub(crate) fn due(&self) -> Moment {
        match self.cursor {
            Cursor::Changes(_) if self.sent_frames == self.answered_frames => self.digest_due,
            // The peer's answer comes first.
            Cursor::Changes(_) | Cursor::Copy { .. } => Moment::NEVER,
        }
    }

    /// None: what comes next is not kept any more. Some(None): nothing comes next.
    fn next_changes(&mut self, own: &OwnState, sent: u64, now: Moment) -> Option<Option<SoftFrame>> {
        let (changes, digest) = own.changes_after(sent, FRAME_ENTRIES_MAX, FRAME_BYTES_MAX)?;
        let digest = digest.filter(|_| now >= self.digest_due);
        if changes.is_empty() && digest.is_none() {
            return Some(None);
        }
        if digest.is_some() {
            self.digest_due = now.after(DIGEST_INTERVAL);
        }
        let last = sent + changes.len() as u64;
        self.cursor = Cursor::Changes(last);
        self.told = self.told.max(last);
        Some(Some(SoftFrame::Changes { first: sent + 1, changes, digest }))
    }

    fn next_part(&mut self, own: &OwnState) -> SoftFrame {
        let Cursor::Copy { after, as_of } = &mut self.cursor else {
            unreachable!("parts are asked for while there is a copy under way");
        };
        let begins = as_of.is_none();
        let (number, entries, ends) = own.entries_after(after.as_ref(), FRAME_ENTRIES_MAX, FRAME_BYTES_MAX);
        // What changes while the copy is under way is in the changes behind the number of its first part.
        let as_of = *as_of.get_or_insert(number);
        if ends {
            self.cursor = Cursor::Changes(as_of);
            self.told = self.told.max(as_of);
        } else {
            *after = entries.last().map(|(key, _)| key.clone());
        }
        SoftFrame::Copy { as_of, begins, ends, entries }
    }
}
