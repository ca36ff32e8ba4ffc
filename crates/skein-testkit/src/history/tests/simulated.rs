//! The checker on a simulated store, correct at each isolation level and with planted faults.
//!
//! The store runs clients in one thread, in an order drawn from a seed. A correct one must never be
//! flagged at its level; each fault must be flagged at the level that it breaks, and only from there on.

use std::collections::BTreeMap;

use crate::Numbers;
use crate::history::{History, Level, Outcome, Phenomenon, Recorder, Recording};

use Level::{ReadCommitted, Serializable, SnapshotIsolation, StrictSerializable, StrongSnapshotIsolation};

const KEYS: u64 = 4;
const CLIENTS: u64 = 6;
const STEPS: u64 = 4_000;
const SEEDS: u64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Each read is answered from the snapshot or from an older one.
    MixedSnapshots,
    /// A transaction begins on a snapshot that is not the newest.
    OldSnapshot,
    /// Writes are not certified.
    LostUpdate,
    /// Reads see what others have not committed.
    DirtyRead,
    /// Some of what an aborted transaction wrote stays.
    TornAbort,
}

/// One version of a list, and the index of the commit that wrote it.
type Version = (u64, Vec<u64>);

struct Store {
    level: Level,
    fault: Fault,
    index: u64,
    keys: Vec<Vec<Version>>,
    values: u64,
}

/// A transaction under way.
struct Client<'r> {
    recording: Recording<'r>,
    snapshot: u64,
    steps_left: u64,
    read: Vec<(u64, u64)>,
    /// What it wrote, on which version.
    written: BTreeMap<u64, Version>,
}

impl Store {
    fn run(level: Level, fault: Fault, seed: u64) -> History {
        let keys = (0..KEYS).map(|_| vec![(0, Vec::new())]).collect();
        let mut store = Self { level, fault, index: 0, keys, values: 0 };
        let recorder = Recorder::new();
        let mut numbers = Numbers::new(seed);
        let mut clients: Vec<Option<Client<'_>>> = (0..CLIENTS).map(|_| None).collect();
        for _ in 0..STEPS {
            let turn = usize::try_from(numbers.below(CLIENTS)).unwrap();
            match clients[turn].take() {
                None => clients[turn] = Some(store.begin(recorder.begin(turn as u64), &mut numbers)),
                Some(client) if client.steps_left == 0 => store.end(client, &mut numbers),
                Some(mut client) => {
                    client.steps_left -= 1;
                    let others: Vec<&Client<'_>> = clients.iter().flatten().collect();
                    store.step(&mut client, &others, &mut numbers);
                    clients[turn] = Some(client);
                }
            }
        }
        recorder.history()
    }

    fn begin<'r>(&self, recording: Recording<'r>, numbers: &mut Numbers) -> Client<'r> {
        let age = if self.fault == Fault::OldSnapshot { numbers.below(4) } else { 0 };
        let snapshot = self.index.saturating_sub(age);
        Client {
            recording,
            snapshot,
            steps_left: 1 + numbers.below(4),
            read: Vec::new(),
            written: BTreeMap::new(),
        }
    }

    fn step(&mut self, client: &mut Client<'_>, others: &[&Client<'_>], numbers: &mut Numbers) {
        let key = numbers.below(KEYS);
        let (version, list) = self.read(client, others, key, numbers);
        if numbers.below(2) == 0 {
            client.read.push((key, version));
            client.recording.read(key, list);
        } else {
            self.values += 1;
            client.recording.append(key, self.values);
            let (_, own) = client.written.entry(key).or_insert((version, list));
            own.push(self.values);
        }
    }

    fn read(&self, client: &Client<'_>, others: &[&Client<'_>], key: u64, numbers: &mut Numbers) -> Version {
        if let Some((version, list)) = client.written.get(&key) {
            return (*version, list.clone());
        }
        let dirty = others.iter().find_map(|other| other.written.get(&key));
        if let (Fault::DirtyRead, Some((version, list))) = (self.fault, dirty) {
            return (*version, list.clone());
        }
        let age = if self.fault == Fault::MixedSnapshots { numbers.below(4) } else { 0 };
        let snapshot =
            if self.level == ReadCommitted { self.index } else { client.snapshot.saturating_sub(age) };
        let versions = &self.keys[usize::try_from(key).unwrap()];
        versions.iter().rev().find(|(index, _)| *index <= snapshot).unwrap().clone()
    }

    fn end(&mut self, mut client: Client<'_>, numbers: &mut Numbers) {
        let newest = |key: u64| self.keys[usize::try_from(key).unwrap()].last().unwrap().0;
        let writes_hold = client.written.iter().all(|(key, (version, _))| newest(*key) == *version);
        let reads_hold = client.read.iter().all(|(key, version)| newest(*key) == *version);
        let certified = (writes_hold || self.fault == Fault::LostUpdate)
            && (reads_hold || self.level != Serializable)
            && numbers.below(10) > 0;
        if !certified {
            if self.fault == Fault::TornAbort && writes_hold {
                client.written.pop_first();
                self.write(client.written);
            }
            client.recording.end(Outcome::Aborted);
            return;
        }
        let answered = numbers.below(20) > 0;
        // An answer that is lost says nothing of whether the commit was.
        if answered || numbers.below(2) == 0 {
            self.write(client.written);
        }
        client.recording.end(if answered { Outcome::Committed } else { Outcome::Unknown });
    }

    fn write(&mut self, written: BTreeMap<u64, Version>) {
        self.index += 1;
        for (key, (_, list)) in written {
            self.keys[usize::try_from(key).unwrap()].push((self.index, list));
        }
    }
}

/// Histories of a store at `level` with `fault` are legal at `legal`, and not at `illegal`.
#[track_caller]
fn check(level: Level, fault: Fault, legal: &[Level], illegal: &[Level]) -> Vec<History> {
    let histories: Vec<History> = (0..SEEDS).map(|seed| Store::run(level, fault, seed)).collect();
    for (seed, history) in histories.iter().enumerate() {
        assert!(history.transactions.len() > 500, "{}", history.transactions.len());
        for level in legal {
            let report = history.check(*level);
            assert!(report.is_legal(), "seed {seed}: {report}");
        }
        for level in illegal {
            assert!(!history.check(*level).is_legal(), "seed {seed}: {fault:?} passed at {level:?}");
        }
    }
    histories
}

#[test]
fn a_serializable_store_is_legal_everywhere() {
    check(Serializable, Fault::None, &Level::ALL, &[]);
}

#[test]
fn a_store_with_snapshots_shows_write_skew_and_nothing_else() {
    let legal = [ReadCommitted, SnapshotIsolation, StrongSnapshotIsolation];
    for history in check(SnapshotIsolation, Fault::None, &legal, &[Serializable]) {
        let phenomena = history.check(StrictSerializable).phenomena();
        assert!(phenomena.into_iter().eq([Phenomenon::G2Item]));
    }
}

#[test]
fn a_store_that_reads_what_is_committed_is_legal_at_that_level_only() {
    check(ReadCommitted, Fault::None, &[ReadCommitted], &[SnapshotIsolation, Serializable]);
}

#[test]
fn mixed_snapshots_are_found() {
    check(SnapshotIsolation, Fault::MixedSnapshots, &[ReadCommitted], &[SnapshotIsolation, Serializable]);
    // Where reads are certified at commit, no transaction with a wrong one commits.
    check(Serializable, Fault::MixedSnapshots, &Level::ALL, &[]);
}

#[test]
fn old_snapshots_are_found_in_real_time() {
    let legal = [ReadCommitted, SnapshotIsolation];
    check(SnapshotIsolation, Fault::OldSnapshot, &legal, &[StrongSnapshotIsolation, StrictSerializable]);
}

#[test]
fn lost_updates_are_found() {
    check(SnapshotIsolation, Fault::LostUpdate, &[], &[SnapshotIsolation, Serializable]);
    check(Serializable, Fault::LostUpdate, &[], &[SnapshotIsolation, Serializable]);
}

#[test]
fn dirty_reads_are_found() {
    check(SnapshotIsolation, Fault::DirtyRead, &[], &[ReadCommitted, Serializable]);
}

#[test]
fn what_stays_of_aborted_transactions_is_found() {
    for history in check(Serializable, Fault::TornAbort, &[], &Level::ALL) {
        assert!(history.check(ReadCommitted).phenomena().contains(&Phenomenon::G1a));
    }
}
