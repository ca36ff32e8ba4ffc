//! Loss of power before every operation of a script, with every bounded choice of what survived.
//!
//! After it the store must open, have everything that was synced, in order, and nothing that was not appended.

use std::sync::Arc;

use skein_wal::{
    AppendFault, Directory, Entries, Fault, LogOptions, OpenFault, Prepare, SnapshotReader, SnapshotWriter,
    SyncFault,
    disk::{Failure, FaultyDisk, Operation},
    verify,
};

use crate::fixture::{STORE, append, assert_entries, dir, directory, entry, open};

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Appends so many entries as one frame.
    Append(u64),
    Sync,
    /// Prepares the next segment.
    Prepare,
    /// Writes a snapshot of all that is synced, and purges.
    Snapshot,
    /// Closes and opens again.
    Reopen,
}
use Step::{Append, Prepare as PrepareNext, Reopen, Snapshot, Sync};

/// What must be there and what may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// Every entry below was synced.
    pub(crate) synced_below: u64,
    /// No entry from here on was ever given to the log.
    pub(crate) given_below: u64,
    /// The snapshot that was finished last.
    pub(crate) snapshot: Option<u64>,
}

impl Promise {
    pub(crate) fn new() -> Promise {
        Promise { synced_below: 1, given_below: 1, snapshot: None }
    }
}

pub(crate) fn options(segment_bytes: u64) -> LogOptions {
    LogOptions { segment_bytes, prepare: Prepare::Caller }
}

#[derive(Debug)]
pub(crate) struct Stopped;

impl From<Fault> for Stopped {
    fn from(_: Fault) -> Stopped {
        Stopped
    }
}

impl From<AppendFault> for Stopped {
    fn from(_: AppendFault) -> Stopped {
        Stopped
    }
}

impl From<SyncFault> for Stopped {
    fn from(_: SyncFault) -> Stopped {
        Stopped
    }
}

impl<E> From<OpenFault<E>> for Stopped {
    fn from(_: OpenFault<E>) -> Stopped {
        Stopped
    }
}

/// Runs a script until its end or until something fails, and keeps the promise up to date.
pub(crate) fn run(
    disk: &FaultyDisk,
    segment_bytes: u64,
    script: &[Step],
    promise: &mut Promise,
) -> Result<(), Stopped> {
    let home = directory_or_stop(disk)?;
    let first_needed = promise.snapshot.map_or(1, |index| index + 1);
    let (mut log, ..) = open(&home, options(segment_bytes), first_needed)?;
    for step in script {
        match *step {
            Append(count) => {
                promise.given_below = log.next_index() + count;
                append(&mut log, count)?;
            }
            Sync => {
                log.sync()?;
                promise.synced_below = log.next_index();
            }
            PrepareNext => log.prepare()?,
            Snapshot => {
                log.sync()?;
                promise.synced_below = log.next_index();
                let index = log.next_index() - 1;
                log.purge(snapshot(&home, index)?);
                promise.snapshot = Some(index);
            }
            Reopen => {
                log.close()?;
                let first_needed = promise.snapshot.map_or(1, |index| index + 1);
                log = open(&home, options(segment_bytes), first_needed)?.0;
                promise.synced_below = log.next_index();
            }
        }
    }
    Ok(())
}

fn directory_or_stop(disk: &FaultyDisk) -> Result<Directory, Stopped> {
    Ok(Directory::open(Arc::new(disk.clone()), dir(), STORE)?)
}

/// A snapshot's blocks are the entries up to it, as the store's would be its state.
fn snapshot(home: &Directory, index: u64) -> Result<u64, Fault> {
    let mut writer = SnapshotWriter::create(home, index)?;
    for index in 1..=index {
        writer.write_block(&entry(index))?;
    }
    Ok(writer.finish()?.purge_below)
}

/// Opens what is there and compares it with the promise. Returns the index of the next entry.
#[track_caller]
pub(crate) fn check(disk: &FaultyDisk, segment_bytes: u64, promise: &Promise) -> u64 {
    let report = verify(Arc::new(disk.clone()), dir()).expect("the directory can be read");
    assert!(report.is_sound(), "{report}");
    let home = directory(disk);
    let newest = SnapshotReader::newest(&home).expect("a crash is no damage");
    assert!(newest.set_aside.is_empty(), "no snapshot is damaged by a crash: {:?}", newest.set_aside);
    let index = newest.reader.map(|mut reader| {
        for index in 1..=reader.index() {
            assert_eq!(reader.next_block().expect("in order"), Some(&*entry(index)));
        }
        assert_eq!(reader.next_block().expect("in order"), None);
        reader.index()
    });
    assert!(index >= promise.snapshot, "{index:?} is older than {:?}", promise.snapshot);
    let first_needed = index.map_or(1, |index| index + 1);
    let opened = open(&home, options(segment_bytes), first_needed);
    let (log, _, entries) = opened.expect("a crash is no damage");
    assert_entries(&entries, first_needed, log.next_index());
    assert!(log.next_index() >= promise.synced_below, "{} synced, {promise:?}", log.next_index());
    assert!(log.next_index() <= promise.given_below, "{} given, {promise:?}", log.next_index());
    log.next_index()
}

/// Choices of what survives: all of them for a few unsynced pieces; else nothing, everything, every prefix, every
/// single one, all but every single one, and some at random.
fn choices(unsynced: usize, random: u64) -> Vec<Vec<bool>> {
    if unsynced <= 8 {
        return (0..1 << unsynced)
            .map(|mask: u32| (0..unsynced).map(|at| mask >> at & 1 == 1).collect())
            .collect();
    }
    let mut choices: Vec<Vec<bool>> =
        (0..=unsynced).map(|prefix| (0..unsynced).map(|at| at < prefix).collect()).collect();
    for single in 0..unsynced {
        choices.push((0..unsynced).map(|at| at == single).collect());
        choices.push((0..unsynced).map(|at| at != single).collect());
    }
    let mut state = unsynced as u64;
    for _ in 0..random {
        choices.push((0..unsynced).map(|_| draw(&mut state)).collect());
    }
    choices
}

pub(crate) fn draw(state: &mut u64) -> bool {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 63 == 1
}

fn crash(disk: &FaultyDisk, choice: &[bool]) {
    let mut choice = choice.iter();
    disk.crash(|_| *choice.next().expect("a choice for everything unsynced"));
}

/// What is behind a recovery: it is certain, it can be appended to, and that stays too. Frames of several lengths are
/// tried: the one of the length of a frame that was lost leads to where the next old one lay.
#[track_caller]
fn check_on(disk: &FaultyDisk, segment_bytes: u64, promise: &Promise) {
    let next = check(disk, segment_bytes, promise);
    disk.crash(|_| false);
    let certain = Promise { synced_below: next, given_below: next, ..*promise };
    assert_eq!(check(disk, segment_bytes, &certain), next);
    for count in 1..4 {
        let disk = disk.fork();
        let mut promise = certain;
        run(&disk, segment_bytes, &[Append(count), Sync, Append(4)], &mut promise).expect("no faults");
        disk.crash(|_| false);
        promise.given_below = promise.synced_below;
        check(&disk, segment_bytes, &promise);
    }
}

fn cut_everywhere(segment_bytes: u64, script: &[Step]) -> usize {
    let whole = FaultyDisk::new();
    run(&whole, segment_bytes, script, &mut Promise::new()).expect("no faults");
    let mut cases = 0;
    for cut in 0..=whole.operations() {
        let disk = FaultyDisk::new();
        disk.cut_power_at(cut);
        let mut promise = Promise::new();
        drop(run(&disk, segment_bytes, script, &mut promise));
        for choice in choices(disk.unsynced(), 8) {
            let disk = disk.fork();
            crash(&disk, &choice);
            check_on(&disk, segment_bytes, &promise);
            cases += 1;
        }
    }
    cases
}

#[test]
fn a_crash_anywhere_loses_nothing_synced_with_a_sync_for_each_append() {
    let script = [
        Append(1),
        Sync,
        Append(3),
        Sync,
        Append(2),
        Sync,
        Append(4),
        Sync,
        Append(1),
        Sync,
        Append(9),
        Sync,
    ];
    let cases = cut_everywhere(1024, &script) + cut_everywhere(2048, &script);
    assert!(cases > 200, "{cases}");
}

#[test]
fn a_crash_anywhere_loses_nothing_synced_with_many_appends_to_a_sync() {
    let script = [
        Append(1),
        Append(1),
        Append(2),
        Sync,
        Append(3),
        Append(1),
        Append(1),
        Append(1),
        Sync,
        Append(2),
        Sync,
        Append(5),
        Append(8),
    ];
    let cases = cut_everywhere(1024, &script) + cut_everywhere(4096, &script);
    assert!(cases > 400, "{cases}");
}

#[test]
fn a_crash_anywhere_loses_nothing_synced_around_snapshots_and_reopening() {
    let script = [
        Append(3),
        Snapshot,
        PrepareNext,
        Append(4),
        Append(2),
        Snapshot,
        Append(1),
        Reopen,
        Append(6),
        Snapshot,
        Append(2),
        Sync,
        Reopen,
        Append(1),
        Append(1),
    ];
    let cases = cut_everywhere(1024, &script) + cut_everywhere(2048, &script);
    assert!(cases > 500, "{cases}");
}

#[test]
fn a_crash_anywhere_in_the_recovery_from_a_crash_loses_nothing() {
    let script = [Append(1), Sync, Append(2), Append(1), Append(3), Append(4)];
    let whole = FaultyDisk::new();
    run(&whole, 4096, &script, &mut Promise::new()).expect("no faults");
    let mut cases = 0;
    for cut in 0..=whole.operations() {
        let disk = FaultyDisk::new();
        disk.cut_power_at(cut);
        let mut promise = Promise::new();
        drop(run(&disk, 4096, &script, &mut promise));
        for choice in choices(disk.unsynced(), 4) {
            let crashed = disk.fork();
            crash(&crashed, &choice);
            let trial = crashed.fork();
            drop(run(&trial, 4096, &[], &mut promise.clone()));
            for cut in 0..=trial.operations() {
                let again = crashed.fork();
                again.cut_power_at(cut);
                drop(run(&again, 4096, &[], &mut promise.clone()));
                for choice in choices(again.unsynced(), 2) {
                    let again = again.fork();
                    crash(&again, &choice);
                    check_on(&again, 4096, &promise);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
}

#[test]
fn frames_that_only_the_page_cache_has_after_a_failed_sync_are_written_again() {
    for appends in 1..4 {
        for skip in 0..3 {
            let disk = FaultyDisk::new();
            let mut promise = Promise::new();
            let mut script = vec![Append(1), Append(1), Sync];
            script.extend((0..appends).map(|_| Append(2)));
            script.push(Sync);
            // Two syncs make the first segment.
            disk.fail(Operation::Sync, 2 + skip, Failure::Io);
            drop(run(&disk, 4096, &script, &mut promise));
            // The process ends, the page cache stays: everything can be read.
            disk.heal();
            let next = check(&disk, 4096, &promise);
            // What was shown by then is promised.
            disk.crash(|_| false);
            let shown = Promise { synced_below: next, ..promise };
            check(&disk, 4096, &shown);
        }
    }
}

#[test]
fn a_mark_that_only_the_page_cache_has_is_written_again_too() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options(4096), 1).expect("a new log");
    // Frames of 104 and 368 bytes: the mark behind them is the last of its sector.
    log.append(1, Entries::Slices(&[&[1; 60]])).expect("room");
    log.append(2, Entries::Slices(&[&[2; 324]])).expect("room");
    log.sync().expect("a good disk");
    log.append(3, Entries::Slices(&[&[3; 10]])).expect("room");
    disk.fail(Operation::Sync, 0, Failure::Io);
    log.sync().expect_err("the sync fails");
    drop(log);
    // Shown after the restart, so it must stay.
    assert_eq!(open(&home, options(4096), 1).expect("a restart recovers").0.next_index(), 4);
    drop(home);
    disk.crash(|_| false);
    let home = directory(&disk);
    assert_eq!(open(&home, options(4096), 1).expect("the mark is there").0.next_index(), 4);
}

#[test]
fn a_crash_anywhere_while_the_log_begins_anew_behind_a_snapshot_does_no_harm() {
    let old = FaultyDisk::new();
    run(&old, 1024, &[Append(4), Append(4), Append(4), Sync], &mut Promise::new()).expect("no faults");
    snapshot(&directory(&old), 20).expect("no faults");
    let promise = Promise { synced_below: 21, given_below: 21, snapshot: Some(20) };
    let whole = old.fork();
    run(&whole, 1024, &[], &mut promise.clone()).expect("no faults");
    for cut in 0..=whole.operations() {
        let disk = old.fork();
        disk.cut_power_at(cut);
        drop(run(&disk, 1024, &[], &mut promise.clone()));
        for choice in choices(disk.unsynced(), 0) {
            let disk = disk.fork();
            crash(&disk, &choice);
            check_on(&disk, 1024, &promise);
        }
    }
}

#[test]
fn after_a_failed_sync_the_log_takes_nothing_more() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options(4096), 1).expect("a new log");
    append(&mut log, 1).expect("room");
    disk.fail(Operation::Sync, 0, Failure::Io);
    let fault = log.sync().expect_err("the sync fails");
    assert!(
        fault.to_string().starts_with("the log cannot be synced: cannot sync /store/log-0000"),
        "{fault}"
    );
    assert!(matches!(append(&mut log, 1), Err(AppendFault::Broken(_))));
    log.sync().expect_err("for good");
    drop(log.close());

    let (mut log, ..) = open(&home, options(4096), 1).expect("a restart recovers");
    append(&mut log, 1).expect("room");
    disk.fail(Operation::Write, 0, Failure::Io);
    assert!(matches!(append(&mut log, 1), Err(AppendFault::Broken(_))));
    assert!(matches!(append(&mut log, 1), Err(AppendFault::Broken(_))));
    log.sync().expect_err("for good");
}
