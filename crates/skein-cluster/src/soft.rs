//! Soft state between two nodes: what one says of itself, and what the other has of it.
//!
//! The owner sends its changes as a numbered stream, or a full copy in parts when the other has nothing or is too far behind;
//! the receiver puts them into effect and confirms the number. Now and then a digest rides along, and a receiver whose own
//! differs asks for the copy again. Nothing here knows of links or peers: the core carries the frames.

mod incoming;
mod mixing;
mod outgoing;
mod own;
mod wire;

pub use self::own::OwnState;
pub(crate) use self::{
    incoming::{Applied, Incoming},
    outgoing::Outgoing,
    wire::{Fingerprint, fingerprint, get_change, get_entry, put_change, put_entry},
};
use crate::{Change, Key, Value};

/// A node's soft state in short: equal digests mean equal states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of the last change.
    pub number: u64,
    /// How many entries there are.
    pub count: u64,
    /// The sum of the hashes of all entries, so that order does not matter and a change costs one hash.
    pub sum: u64,
}

/// What the owner sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SoftFrame {
    /// Changes, the first of them with the number `first`; the digest is as of the last of them.
    Changes { first: u64, changes: Vec<Change>, digest: Option<Digest> },
    /// A part of a full copy, in the order of the keys. Once the last part is there, every change up to `as_of` is.
    Copy { as_of: u64, begins: bool, ends: bool, entries: Vec<(Key, Value)> },
}

#[cfg(test)]
mod tests;
