//! What the blind batches of one group come down to.
//!
//! None of them is answered yet and none expects anything, so only the last write of each object counts; an object
//! whose writer vouched that it was not there before, and which is deleted again in the same group, never was. The order of
//! different objects does not matter, because the group is one frame of the log and becomes visible at once.
//!
//! Called by the log thread for every group: it must cost well below carrying the writes out.

use crate::commit::Write;
use crate::key::Key;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

const EMPTY: u32 = u32::MAX;

/// Gathers the writes of a group. It keeps its table from group to group.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    slots: Vec<Slot>,
    /// Open addressing: places in `slots`; its length is a power of two.
    table: Vec<u32>,
    hasher: FixedState,
}

#[derive(Debug)]
struct Slot {
    write: Write,
    /// It was put fresh and deleted again: there is nothing to do, and nothing in the store.
    cancelled: bool,
}

impl Coalescer {
    /// What these batches, in this order, come down to.
    pub(crate) fn coalesce(
        &mut self,
        batches: impl Iterator<Item = Vec<Write>>,
        writes: usize,
    ) -> Vec<Write> {
        self.table.clear();
        self.table.resize((writes * 2).next_power_of_two(), EMPTY);
        self.slots.clear();
        self.slots.reserve(writes);
        for write in batches.flatten() {
            self.add(write);
        }
        self.slots.drain(..).filter(|slot| !slot.cancelled).map(|slot| slot.write).collect()
    }

    fn add(&mut self, write: Write) {
        let mask = self.table.len() - 1;
        let mut at = self.hash(write.class, &write.key) & mask;
        loop {
            let place = self.table[at];
            if place == EMPTY {
                self.table[at] =
                    u32::try_from(self.slots.len()).expect("groups are bounded far below 4 G writes");
                self.slots.push(Slot { write, cancelled: false });
                return;
            }
            let slot = &mut self.slots[place as usize];
            if slot.write.class == write.class && slot.write.key == write.key {
                slot.follow(write);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash serve")]
    fn hash(&self, class: u16, key: &Key) -> usize {
        self.hasher.hash_one((class, key)) as usize
    }
}

impl Slot {
    /// Another write of the same object comes after this one.
    fn follow(&mut self, write: Write) {
        let absent_before = self.cancelled || (self.write.row.is_some() && self.write.fresh);
        if write.row.is_some() {
            self.write.row = write.row;
            self.write.fresh = absent_before;
            self.cancelled = false;
        } else if absent_before {
            self.write.row = None;
            self.cancelled = true;
        } else {
            self.write.row = None;
            self.write.fresh = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Expect;
    use crate::row::Row;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn write(key: u8, row: Option<u8>, fresh: bool) -> Write {
        let row = row.map(|value| Row::from_slice(&[value]));
        Write { class: 0, key: Key::from_slice(&[key]), row, expect: Expect::Any, fresh }
    }

    fn carry_out(state: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: &Write) {
        let key = write.key.as_slice().to_vec();
        match &write.row {
            Some(row) => state.insert(key, row.as_slice().to_vec()),
            None => state.remove(&key),
        };
    }

    #[test]
    fn what_comes_and_goes_in_one_group_leaves_nothing() {
        let mut coalescer = Coalescer::default();
        let batches = [vec![write(1, Some(1), true), write(2, Some(1), false)], vec![write(1, None, false)]];
        let left = coalescer.coalesce(batches.into_iter(), 3);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].key.as_slice(), [2]);
        let put_again = vec![vec![write(1, Some(1), true), write(1, None, false), write(1, Some(3), false)]];
        let left = coalescer.coalesce(put_again.into_iter(), 3);
        assert_eq!(left.len(), 1);
        let delete_stays = vec![vec![write(1, Some(1), false), write(1, None, false)]];
        assert!(coalescer.coalesce(delete_stays.into_iter(), 2)[0].row.is_none());
    }

    proptest! {
        /// Netted writes leave the state that all of them in order leave, and name each object once.
        #[test]
        fn netting_changes_nothing_but_the_work(
            before in prop::collection::btree_map(0..6_u8, 0..9_u8, 0..6),
            steps in prop::collection::vec((0..6_u8, prop::option::of(0..9_u8), any::<bool>()), 0..40),
        ) {
            let mut state: BTreeMap<_, _> = before.iter().map(|(key, value)| (vec![*key], vec![*value])).collect();
            let mut expected = state.clone();
            let mut writes = Vec::new();
            for (key, row, claim) in steps {
                // Freshness may only be claimed where it is true.
                let fresh = claim && row.is_some() && !expected.contains_key(&vec![key]);
                let write = write(key, row, fresh);
                carry_out(&mut expected, &write);
                writes.push(write);
            }
            let count = writes.len();
            let left = Coalescer::default().coalesce(writes.chunks(3).map(<[Write]>::to_vec), count);
            let mut named: Vec<_> = left.iter().map(|write| write.key.clone()).collect();
            left.iter().for_each(|write| carry_out(&mut state, write));
            prop_assert_eq!(state, expected);
            named.sort();
            named.dedup();
            prop_assert_eq!(named.len(), left.len());
        }
    }
}
