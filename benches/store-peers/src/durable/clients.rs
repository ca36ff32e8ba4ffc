//! So many clients that insert one record after the other, and what they see.

use super::Way;
use crate::measure::{Neighbours, processor_seconds, wait};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPING: u8 = 2;

const WARM_UP: Duration = Duration::from_millis(500);

/// What one turn gave.
#[derive(Debug)]
pub(super) struct Turn {
    /// Commits per second.
    pub(super) rate: f64,
    /// Microseconds.
    pub(super) p50: f64,
    /// Microseconds.
    pub(super) p99: f64,
    /// Milliseconds.
    pub(super) longest: f64,
    /// Seconds of processor time per million commits.
    pub(super) processor: f64,
    /// Cores that other programs took meanwhile.
    pub(super) others: f64,
    /// All records below this number were acknowledged.
    pub(super) taken: u64,
}

/// What the clients of a turn share.
#[derive(Debug)]
struct Course {
    next: AtomicU64,
    phase: AtomicU8,
    committed: AtomicU64,
    ready: Barrier,
}

/// Numbers for one client.
#[derive(Debug)]
pub(super) struct Ids<'a> {
    course: &'a Course,
    nanos: Vec<u64>,
}

impl Ids<'_> {
    /// Waits for the other clients, then calls `insert` with one number after the other until the turn ends. It must
    /// come back when the record is committed.
    pub(super) fn each(&mut self, mut insert: impl FnMut(u64)) {
        let course = self.course;
        course.ready.wait();
        while course.phase.load(Ordering::Relaxed) != STOPPING {
            let id = course.next.fetch_add(1, Ordering::Relaxed);
            let warming = course.phase.load(Ordering::Relaxed) == WARMING;
            let began = Instant::now();
            insert(id);
            let phase = course.phase.load(Ordering::Relaxed);
            // Also a commit that is not done when the turn ends was waited for.
            if phase == MEASURING || !warming {
                self.nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            if phase == MEASURING {
                course.committed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One turn of a way; numbers begin at `first`.
pub(super) fn turn(way: &dyn Way, clients: usize, first: u64, long: Duration) -> Turn {
    let course = Course {
        next: AtomicU64::new(first),
        phase: AtomicU8::new(WARMING),
        committed: AtomicU64::new(0),
        ready: Barrier::new(clients + 1),
    };
    std::thread::scope(|scope| {
        let one = || {
            let mut ids = Ids { course: &course, nanos: Vec::new() };
            way.client(&mut ids);
            ids.nanos
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        course.ready.wait();
        wait(WARM_UP);
        let (began, processor, neighbours) = (Instant::now(), processor_seconds(), Neighbours::watch());
        course.phase.store(MEASURING, Ordering::Relaxed);
        wait(long);
        let committed = course.committed.load(Ordering::Relaxed) as f64;
        let (seconds, processor) = (began.elapsed().as_secs_f64(), processor_seconds() - processor);
        let others = neighbours.cores();
        course.phase.store(STOPPING, Ordering::Relaxed);
        let mut nanos: Vec<u64> =
            threads.into_iter().flat_map(|thread| thread.join().expect("clients do not panic")).collect();
        nanos.sort_unstable();
        let micros = |share: f64| {
            let place = (nanos.len() as f64 * share) as usize;
            nanos.get(place.min(nanos.len().saturating_sub(1))).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
        };
        Turn {
            rate: committed / seconds,
            p50: micros(0.5),
            p99: micros(0.99),
            longest: micros(1.0) / 1e3,
            processor: processor / committed * 1e6,
            others,
            taken: course.next.load(Ordering::Relaxed),
        }
    })
}
