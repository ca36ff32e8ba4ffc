//! Certification: whether a commit may be carried out on a state. A pure function.
//!
//! First committer wins: a write whose expectation does not hold is a conflict. A range that was read is unchanged when
//! every object in it has a version not above the commit's snapshot and their number is the one that was counted; so no
//! tombstones are kept, and certifying a range costs as much as scanning it. Unique indexes are checked against
//! the state as the whole commit would leave it, so that two objects may exchange their values in one commit.

use super::class::{ClassState, index_key};
use super::root::Root;
use crate::commit::{Commit, Expect, RangeRead};
use crate::key::Key;
use crate::schema::ClassId;
use std::collections::BTreeMap;

/// What certification says of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be, or was, carried out.
    Committed,
    /// An object it relies on was written by another since.
    Conflict {
        /// The object's class.
        class: ClassId,
        /// The object's primary key; for a range, where the range begins.
        key: Key,
    },
    /// An object with this key is there already.
    Duplicate {
        /// The class.
        class: ClassId,
        /// The number of the unique index; none: the primary key.
        index: Option<u16>,
    },
}

/// Judges a commit on a state, without changing either.
#[must_use]
pub fn certify(root: &Root, commit: &Commit) -> Verdict {
    for read in &commit.reads {
        if !holds(root, read.class, &read.key, read.expect) {
            return conflict(root, read.class, &read.key);
        }
    }
    for range in &commit.ranges {
        if !unchanged(root, range, commit.snapshot.unwrap_or(0)) {
            return conflict(root, range.class, &range.range.low);
        }
    }
    for write in &commit.writes {
        if write.expect == Expect::Any || holds(root, write.class, &write.key, write.expect) {
            continue;
        }
        return match write.expect {
            Expect::Absent if there_before(root, write.class, &write.key, commit.snapshot) => {
                Verdict::Duplicate { class: class_id(root, write.class), index: None }
            }
            _ => conflict(root, write.class, &write.key),
        };
    }
    unique_keys_free(root, commit)
}

fn holds(root: &Root, class: u16, key: &Key, expect: Expect) -> bool {
    let stored = root.stored(usize::from(class), key);
    match expect {
        Expect::Any => true,
        Expect::Absent => stored.is_none(),
        Expect::Version(version) => stored.is_some_and(|stored| stored.version == version),
    }
}

/// An insert that finds an object which no other transaction can have added in between is the caller's own mistake, a
/// duplicate; one that finds an object added since its snapshot is a conflict, and trying again tells.
fn there_before(root: &Root, class: u16, key: &Key, snapshot: Option<u64>) -> bool {
    let Some(snapshot) = snapshot else { return true };
    root.stored(usize::from(class), key).is_some_and(|stored| stored.version <= snapshot)
}

fn unchanged(root: &Root, read: &RangeRead, snapshot: u64) -> bool {
    let Some(class) = root.class(usize::from(read.class)) else { return false };
    if read.range.is_empty() {
        return read.count == 0;
    }
    let mut count = 0;
    match read.index {
        None => {
            for (_, stored) in class.rows.range::<_, Key>(read.range.bounds()) {
                if stored.version > snapshot || count == read.count {
                    return false;
                }
                count += 1;
            }
        }
        Some(number) => {
            let Some(index) = class.indexes.get(usize::from(number)) else { return false };
            for (_, primary) in index.range(&read.range) {
                let old = class.rows.get(&primary).is_some_and(|stored| stored.version <= snapshot);
                if !old || count == read.count {
                    return false;
                }
                count += 1;
            }
        }
    }
    count == read.count
}

/// A unique key that a write takes must be free, or be given up by the object itself or by another write of the commit.
fn unique_keys_free(root: &Root, commit: &Commit) -> Verdict {
    let mut taken: BTreeMap<(u16, u16, Key), &Key> = BTreeMap::new();
    for write in &commit.writes {
        let (Some(class), Some(row)) = (root.class(usize::from(write.class)), &write.row) else { continue };
        for (number, index) in class.class.indexes.iter().enumerate() {
            if !index.unique {
                continue;
            }
            let Some(key) = index_key(&class.class, number, row) else { continue };
            let number = u16::try_from(number).expect("a class has fewer than 65536 indexes");
            let duplicate = Verdict::Duplicate { class: class.class.id, index: Some(number) };
            if held_by_another(class, number, &key, &write.key, commit, write.class) {
                return duplicate;
            }
            if taken.insert((write.class, number, key), &write.key).is_some() {
                return duplicate;
            }
        }
    }
    Verdict::Committed
}

fn held_by_another(
    class: &ClassState,
    number: u16,
    key: &Key,
    own: &Key,
    commit: &Commit,
    position: u16,
) -> bool {
    let Some(holder) = class.indexes.get(usize::from(number)).and_then(|index| index.holder(key)) else {
        return false;
    };
    if holder == own {
        return false;
    }
    // The holder may give the key up in the same commit: by being deleted or by taking another value.
    let given_up = commit.writes.iter().any(|write| {
        write.class == position
            && write.key == *holder
            && write
                .row
                .as_ref()
                .is_none_or(|row| index_key(&class.class, usize::from(number), row).as_ref() != Some(key))
    });
    !given_up
}

fn class_id(root: &Root, position: u16) -> ClassId {
    root.class(usize::from(position)).map_or(ClassId(0), |class| class.class.id)
}

fn conflict(root: &Root, class: u16, key: &Key) -> Verdict {
    Verdict::Conflict { class: class_id(root, class), key: key.clone() }
}
