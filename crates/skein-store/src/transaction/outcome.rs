//! How a commit ended: an enum a caller must match.

use crate::engine::Verdict;
use crate::key::Key;
use crate::schema::Schema;

/// How a commit ended.
#[must_use = "a commit that was not carried out left nothing behind: match the outcome"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it wrote is there, as of this index.
    Committed {
        /// The commit's place in the log.
        index: u64,
    },
    /// Another transaction changed an object this one relied on. Trying again from the beginning may succeed.
    Conflict {
        /// The object's class.
        class: String,
        /// The object's primary key; for a range that was read, where it begins.
        key: Key,
    },
    /// An object with the same unique key is there. Trying again with the same values will not help.
    DuplicateKey {
        /// The class.
        class: String,
        /// The unique index, or the primary key's name.
        index: String,
    },
    /// In a cluster: too few nodes are there to decide; nothing was sent.
    NoQuorum,
    /// In a cluster: the commit was sent and its verdict is unknown; it may still be carried out.
    Indeterminate {
        /// The number to ask for the verdict with.
        transaction: u64,
    },
}

impl Outcome {
    pub(super) fn refused(schema: &Schema, verdict: Verdict) -> Outcome {
        let name = |id| schema.class(id).map(|class| class.name.clone()).unwrap_or_default();
        match verdict {
            Verdict::Committed => unreachable!("called for refused commits"),
            Verdict::Conflict { class, key } => Outcome::Conflict { class: name(class), key },
            Verdict::Duplicate { class, index } => {
                let declared = schema.class(class);
                let index = match index {
                    None => declared.map(|class| class.primary.name.clone()),
                    Some(number) => {
                        let index = declared.and_then(|class| class.indexes.get(usize::from(number)));
                        index.map(|index| index.name.clone())
                    }
                };
                Outcome::DuplicateKey { class: name(class), index: index.unwrap_or_default() }
            }
        }
    }
}
