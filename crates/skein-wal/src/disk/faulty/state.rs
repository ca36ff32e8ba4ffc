//! What the disk in memory holds, as the process sees it and as a loss of power would leave it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Failure, Operation, SECTOR_BYTES, Unsynced};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) nodes: Vec<Inode>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    names_kept: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    pub(super) locks: Vec<PathBuf>,
    /// Counts the times the power came back.
    pub(super) boot: u64,
    pub(super) operations: u64,
    pub(super) power_cut_at: Option<u64>,
    pub(super) failures: Vec<(Operation, u64, Failure)>,
    pub(super) failures_lasting: Vec<(Operation, Failure)>,
    pub(super) random: Option<(u64, u64)>,
    pub(super) room: Option<u64>,
    pub(super) syncs_held: usize,
    pub(super) syncs_waiting: usize,
}

/// The content of a file, whatever its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What reading returns.
    pub(super) seen: Vec<u8>,
    /// What is on the disk for certain.
    kept: Vec<u8>,
    /// What lies between the two, in order.
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Sector { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// One step of names: what goes and what comes, both or neither.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) from: Option<PathBuf>,
    pub(super) to: Option<(PathBuf, usize)>,
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some((to, node)) = &self.to {
            names.insert(to.clone(), *node);
        }
    }

    fn path(&self) -> &Path {
        let to = self.to.as_ref().map(|(to, _)| to.as_path());
        to.or(self.from.as_deref()).unwrap_or(Path::new(""))
    }
}

impl State {
    pub(super) fn fork(&self) -> State {
        State {
            nodes: self.nodes.clone(),
            names: self.names.clone(),
            names_kept: self.names_kept.clone(),
            name_changes: self.name_changes.clone(),
            room: self.room,
            ..State::default()
        }
    }

    /// Counts an operation and lets it fail when that was ordered.
    pub(super) fn begin(&mut self, operation: Operation) -> io::Result<()> {
        match self.begin_failing(operation)? {
            Some(failure) => Err(failure.error()),
            None => Ok(()),
        }
    }

    /// As [`begin`](Self::begin), for an operation that has an effect also when it fails.
    pub(super) fn begin_failing(&mut self, operation: Operation) -> io::Result<Option<Failure>> {
        if self.power_is_cut() {
            return Err(io::Error::other("the power was cut"));
        }
        if operation.changes() {
            self.operations += 1;
        }
        let lasting = self.failures_lasting.iter().find(|(kind, _)| *kind == operation);
        if let Some((_, failure)) = lasting {
            return Ok(Some(*failure));
        }
        if operation.changes() && self.draw() {
            return Ok(Some(Failure::Io));
        }
        let mut due = None;
        for (at, (kind, skip, failure)) in self.failures.iter_mut().enumerate() {
            if *kind == operation {
                if *skip == 0 && due.is_none() {
                    due = Some((at, *failure));
                } else {
                    *skip = skip.saturating_sub(1);
                }
            }
        }
        Ok(due.map(|(at, failure)| {
            self.failures.remove(at);
            failure
        }))
    }

    /// Splitmix64: the same seed fails the same operations.
    fn draw(&mut self) -> bool {
        let Some((seed, one_in)) = &mut self.random else { return false };
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).is_multiple_of((*one_in).max(1))
    }

    pub(super) fn heal(&mut self) {
        self.power_cut_at = None;
        self.failures.clear();
        self.failures_lasting.clear();
        self.random = None;
    }

    pub(super) fn power_is_cut(&self) -> bool {
        self.power_cut_at.is_some_and(|at| self.operations >= at)
    }

    pub(super) fn crash(&mut self, keep: &mut dyn FnMut(Unsynced<'_>) -> bool) {
        let name_of: BTreeMap<usize, PathBuf> =
            self.names.iter().map(|(path, node)| (*node, path.clone())).collect();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let path = name_of.get(&number).map_or(Path::new(""), PathBuf::as_path);
            node.crash(path, keep);
        }
        for change in std::mem::take(&mut self.name_changes) {
            if keep(Unsynced::Name(change.path())) {
                change.apply(&mut self.names_kept);
            }
        }
        self.names = self.names_kept.clone();
        self.locks.clear();
        self.power_cut_at = None;
        self.boot += 1;
    }

    pub(super) fn unsynced(&self) -> usize {
        self.name_changes.len() + self.nodes.iter().map(|node| node.pending.len()).sum::<usize>()
    }

    pub(super) fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    pub(super) fn sync_names(&mut self, dir: &Path) {
        let names_kept = &mut self.names_kept;
        self.name_changes.retain(|change| {
            let here = change.path().parent() == Some(dir);
            if here {
                change.apply(names_kept);
            }
            !here
        });
    }

    pub(super) fn add_node(&mut self) -> usize {
        self.nodes.push(Inode::default());
        self.nodes.len() - 1
    }

    pub(super) fn node(&self, path: &Path) -> Option<&Inode> {
        self.names.get(path).map(|node| &self.nodes[*node])
    }

    pub(super) fn put(&mut self, path: &Path, content: &[u8]) {
        let node = match self.names.get(path) {
            Some(node) => *node,
            None => {
                let node = self.add_node();
                let change = NameChange { from: None, to: Some((path.to_owned(), node)) };
                change.apply(&mut self.names);
                change.apply(&mut self.names_kept);
                node
            }
        };
        self.nodes[node] = Inode { seen: content.to_vec(), kept: content.to_vec(), pending: Vec::new() };
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|node| self.nodes[*node].seen.len() as u64).sum()
    }

    pub(super) fn free(&self) -> u64 {
        self.room.map_or(u64::MAX, |room| room.saturating_sub(self.used()))
    }

    pub(super) fn has_room(&self, grown: u64) -> bool {
        grown <= self.free()
    }
}

impl Inode {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        let first = offset / SECTOR_BYTES * SECTOR_BYTES;
        for start in (first..end).step_by(SECTOR_BYTES) {
            let stop = (start + SECTOR_BYTES).min(self.seen.len());
            self.pending.push(Pending::Sector { offset: start, bytes: self.seen[start..stop].to_vec() });
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.seen.resize(len, 0);
        self.pending.push(Pending::Length(len));
    }

    pub(super) fn sync(&mut self) {
        // Replayed and not copied from `seen`: what a failed sync forgot stays forgotten.
        for pending in std::mem::take(&mut self.pending) {
            pending.apply(&mut self.kept);
        }
    }

    /// A failed sync: the bytes stay readable and are never written.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
    }

    fn crash(&mut self, path: &Path, keep: &mut dyn FnMut(Unsynced<'_>) -> bool) {
        for pending in std::mem::take(&mut self.pending) {
            let unsynced = match &pending {
                Pending::Sector { offset, .. } => Unsynced::Sector { path, offset: *offset as u64 },
                Pending::Length(_) => Unsynced::Length(path),
            };
            if keep(unsynced) {
                pending.apply(&mut self.kept);
            }
        }
        self.seen = self.kept.clone();
    }
}

impl Pending {
    fn apply(self, content: &mut Vec<u8>) {
        match self {
            Pending::Sector { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[offset..end].copy_from_slice(&bytes);
            }
            Pending::Length(len) => content.resize(len, 0),
        }
    }
}
