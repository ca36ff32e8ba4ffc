//! The receiver's side of one stream: which entries of a peer are in effect here, in short, and as of which number.
//!
//! It keeps a hash for each entry instead of the value, which the plane has: enough to say what a copy changes, and to prove
//! equality.

use std::{collections::BTreeMap, ops::Bound};

use super::{Digest, SoftFrame, fingerprint};
use crate::{Change, Key, Value};

#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Everything up to this number is in effect; none before the first copy is whole, and while another one comes.
    applied: Option<u64>,
    hashes: BTreeMap<Key, u64>,
    /// The sum of the hashes.
    sum: u64,
    copy: Option<Copy>,
    /// A copy was asked for over this link and has not begun; what comes before it begins is not applied.
    asked: bool,
    /// Frames that came over this link.
    frames: u64,
}

#[derive(Debug)]
struct Copy {
    /// The last key of the parts that came.
    after: Option<Key>,
}

/// What a frame means here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What has to be put into effect.
    pub(crate) changes: Vec<Change>,
    /// A full copy has to come: nothing fits together any more.
    pub(crate) needs_copy: bool,
    /// A digest showed that something was wrong.
    pub(crate) differs: bool,
}

impl Incoming {
    /// The number up to which everything is in effect.
    pub(crate) fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// Frames that came over this link.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// A new link: a copy that was under way is not continued.
    pub(crate) fn link_opened(&mut self) {
        self.frames = 0;
        self.copy = None;
        self.asked = false;
    }

    /// Takes a frame.
    pub(crate) fn take(&mut self, frame: SoftFrame) -> Applied {
        self.frames += 1;
        match frame {
            SoftFrame::Changes { first, changes, digest } => self.take_changes(first, changes, digest),
            SoftFrame::Copy { as_of, begins, ends, entries } => self.take_part(as_of, begins, ends, entries),
        }
    }

    fn take_changes(&mut self, first: u64, changes: Vec<Change>, digest: Option<Digest>) -> Applied {
        let Some(applied) = self.applied.filter(|applied| applied.saturating_add(1) >= first) else {
            return self.ask(Vec::new(), false);
        };
        // What is in effect already came over an earlier link.
        let known = usize::try_from((applied + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let new: Vec<_> = changes.into_iter().skip(known).collect();
        self.applied = Some(applied.saturating_add(new.len() as u64));
        let changes: Vec<_> = new.into_iter().filter(|change| self.note(change)).collect();
        if digest.is_some_and(|digest| digest != self.digest()) {
            return self.ask(changes, true);
        }
        Applied { changes, needs_copy: false, differs: false }
    }

    /// Nothing fits together any more until a copy has come.
    fn ask(&mut self, changes: Vec<Change>, differs: bool) -> Applied {
        self.applied = None;
        let needs_copy = !self.asked && self.copy.is_none();
        self.asked |= needs_copy;
        Applied { changes, needs_copy, differs }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest { number: self.applied.unwrap_or(0), count: self.hashes.len() as u64, sum: self.sum }
    }

    fn take_part(&mut self, as_of: u64, begins: bool, ends: bool, entries: Vec<(Key, Value)>) -> Applied {
        if begins {
            self.applied = None;
            self.asked = false;
            self.copy = Some(Copy { after: None });
        }
        let Some(Copy { after }) = self.copy.take() else {
            return self.ask(Vec::new(), false);
        };
        let last = entries.last().map(|(key, _)| key.clone());
        let mut changes = self.missing(after.as_ref(), last.as_ref().filter(|_| !ends), &entries);
        changes.extend(entries.into_iter().map(|(key, value)| Change { key, value: Some(value) }));
        changes.retain(|change| self.note(change));
        if ends {
            self.applied = Some(as_of);
        } else {
            self.copy = Some(Copy { after: last.or(after) });
        }
        Applied { changes, needs_copy: false, differs: false }
    }

    /// What is here between the last part and the end of this one, and not in this one.
    fn missing(&self, after: Option<&Key>, to: Option<&Key>, entries: &[(Key, Value)]) -> Vec<Change> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let to = to.map_or(Bound::Unbounded, Bound::Included);
        // A peer that sends its entries in another order must not make a range that has no meaning.
        if let (Bound::Excluded(from), Bound::Included(to)) = (from, to)
            && from >= to
        {
            return Vec::new();
        }
        let gone = self
            .hashes
            .range::<Key, _>((from, to))
            .map(|(key, _)| key)
            .filter(|key| entries.binary_search_by(|(present, _)| present.cmp(key)).is_err());
        gone.map(|key| Change { key: key.clone(), value: None }).collect()
    }

    /// Takes note of a change; false when it says nothing new.
    pub(super) fn note(&mut self, change: &Change) -> bool {
        let before = match &change.value {
            Some(value) => {
                let hash = fingerprint(&change.key, value).hash;
                self.sum = self.sum.wrapping_add(hash);
                let before = self.hashes.insert(change.key.clone(), hash);
                if before == Some(hash) {
                    self.sum = self.sum.wrapping_sub(hash);
                    return false;
                }
                before
            }
            None => match self.hashes.remove(&change.key) {
                None => return false,
                before => before,
            },
        };
        self.sum = self.sum.wrapping_sub(before.unwrap_or(0));
        true
    }
}
