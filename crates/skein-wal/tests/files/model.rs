//! Any sequence of steps, faults and losses of power against the promise that the log makes.

use std::sync::Arc;

use proptest::prelude::*;
use skein_wal::{SnapshotReader, disk::FaultyDisk, verify};

use crate::{
    crash::{Promise, Step, check, draw, options, run},
    fixture::{assert_entries, dir, directory, open},
};

/// What happens to the disk at the end of a life of the process.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The process ends, the page cache stays.
    Killed,
    /// The power goes before an operation; a seed chooses what survives.
    PowerCut { at: u64, seed: u64 },
    /// Operations fail at random until the process gives up, then the power goes.
    Failing { seed: u64, one_in: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64).prop_map(Step::Append),
        1 => (20..60_u64).prop_map(Step::Append),
        4 => Just(Step::Sync),
        1 => Just(Step::Prepare),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Killed),
        (0..60_u64, any::<u64>()).prop_map(|(at, seed)| End::PowerCut { at, seed }),
        (any::<u64>(), 3..40_u64).prop_map(|(seed, one_in)| End::Failing { seed, one_in }),
    ]
}

/// One life of the process. The promise afterwards says what the next one must find.
fn live(disk: &FaultyDisk, segment_bytes: u64, steps: &[Step], end: End, promise: &mut Promise) {
    match end {
        End::Killed => {}
        End::PowerCut { at, .. } => disk.cut_power_at(disk.operations() + at),
        End::Failing { seed, one_in } => disk.fail_at_random(seed, one_in),
    }
    // A life that ends early is one of the cases.
    drop(run(disk, segment_bytes, steps, promise));
    match end {
        End::Killed => {}
        End::PowerCut { mut seed, .. } | End::Failing { mut seed, .. } => disk.crash(|_| draw(&mut seed)),
    }
    disk.heal();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_lives_keep_every_promise(
        segment_bytes in prop_oneof![Just(1024_u64), Just(2048), Just(8192)],
        lives in prop::collection::vec((prop::collection::vec(step(), 0..25), end()), 1..6),
    ) {
        let disk = FaultyDisk::new();
        let mut promise = Promise::new();
        for (steps, end) in lives {
            live(&disk, segment_bytes, &steps, end, &mut promise);
            // What one opening showed, the next one must show.
            let next = check(&disk, segment_bytes, &promise);
            promise.synced_below = next;
            promise.given_below = next;
        }
        disk.crash(|_| false);
        check(&disk, segment_bytes, &promise);
    }
}

/// A log of several segments and a snapshot, with some of its bytes exchanged, cut off or replaced.
fn damaged(changes: &[(usize, usize, Vec<u8>)], cut: Option<(usize, usize)>) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let script = [3, 1, 4, 1, 5, 9, 2, 6].map(Step::Append);
    let script = [&script[..4], &[Step::Snapshot], &script[4..], &[Step::Sync]].concat();
    run(&disk, 1024, &script, &mut Promise::new()).expect("no faults");
    let paths = disk.paths();
    for (file, at, bytes) in changes {
        let path = &paths[file % paths.len()];
        let mut content = disk.content(path);
        let at = at % content.len();
        let end = (at + bytes.len()).min(content.len());
        content[at..end].copy_from_slice(&bytes[..end - at]);
        disk.put(path, &content);
    }
    if let Some((file, length)) = cut {
        let path = &paths[file % paths.len()];
        let mut content = disk.content(path);
        content.truncate(length % content.len());
        disk.put(path, &content);
    }
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic_or_invent_an_entry(
        changes in prop::collection::vec(
            (0..8_usize, prop_oneof![0..64_usize, 512..600_usize, 0..2048_usize], prop::collection::vec(any::<u8>(), 1..48)),
            0..4,
        ),
        cut in prop::option::of((0..8_usize, 0..2048_usize)),
    ) {
        let disk = damaged(&changes, cut);
        drop(verify(Arc::new(disk.clone()), dir()).expect("the directory can be read"));
        let home = directory(&disk);
        let Ok(newest) = SnapshotReader::newest(&home) else { return Ok(()) };
        let first_needed = newest.reader.map_or(1, |reader| reader.index() + 1);
        if let Ok((log, _, entries)) = open(&home, options(1024), first_needed) {
            assert_entries(&entries, first_needed, log.next_index());
        }
    }
}
