//! Applying: certifies a commit and, when it holds, carries out its writes. A pure function of (state, index, commit).
//!
//! Called under the lock of `newest.rs`, by recovery, and by tests that replay. Whoever calls it must treat a panic in it
//! as the end of the process: the state may then be half changed.

use super::certify::{Verdict, certify};
use super::root::Root;
use crate::commit::Commit;
use crate::key::Key;
use crate::row::Row;
use crate::schema::ClassId;

/// One object changed by a commit, as the change feed tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub index: u64,
    /// The object's class.
    pub class: ClassId,
    /// The object's primary key.
    pub key: Key,
    /// The row before; none: the object is new.
    pub before: Option<Row>,
    /// The row after; none: the object was deleted.
    pub after: Option<Row>,
}

/// Certifies and carries out the commit that has `index` in the log. Whatever the verdict is, the state is then the one
/// after `index`.
pub fn apply(root: &mut Root, index: u64, commit: Commit) -> Verdict {
    apply_recorded(root, index, commit, None)
}

/// Which classes, by position, are to be recorded, and what was.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) classes: Vec<bool>,
    pub(crate) changes: Vec<Change>,
}

/// The same, recording what changed.
pub(crate) fn apply_recorded(
    root: &mut Root,
    index: u64,
    commit: Commit,
    mut recorder: Option<&mut Recorder>,
) -> Verdict {
    assert!(index > root.index, "commit {index} applied to a state that is at {}", root.index);
    let verdict = certify(root, &commit);
    root.index = index;
    if verdict != Verdict::Committed {
        return verdict;
    }
    for write in commit.writes {
        let position = usize::from(write.class);
        let recorder =
            recorder.as_deref_mut().filter(|recorder| recorder.classes.get(position) == Some(&true));
        let told = recorder.map(|recorder| (recorder, write.key.clone(), write.row.clone()));
        let class = root.class_mut(position).expect("a write was made for a class of the schema");
        let (id, bytes) = (class.class.id, class.bytes);
        let before = match write.row {
            Some(row) => class.put(write.key, row, index),
            None => class.delete(&write.key),
        };
        let bytes_now = class.bytes;
        root.bytes = root.bytes.saturating_add(bytes_now).saturating_sub(bytes);
        if let Some((recorder, key, after)) = told
            && (before.is_some() || after.is_some())
        {
            let before = before.map(|before| before.row);
            recorder.changes.push(Change { index, class: id, key, before, after });
        }
    }
    Verdict::Committed
}
