//! Any sequence of steps, faults and losses of power against the promise that the log makes.

use proptest::prelude::*;
use skein_wal::disk::FaultyDisk;

use crate::crash::{Promise, Step, check, draw, run};

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
