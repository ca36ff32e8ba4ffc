//! Clocks, cores, neighbours and series of figures. Everything that measures uses it; it knows no database.

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// One figure per round, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(crate) fn rounds(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len() / 2, sorted.len() % 2) {
            (0, 0) => f64::NAN,
            (middle, 0) => (sorted[middle - 1] + sorted[middle]) / 2.0,
            (middle, _) => sorted[middle],
        }
    }

    pub(crate) fn lowest(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn highest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Round by round, because the two of one round had the same neighbours.
    pub(crate) fn over(&self, other: &Series) -> Series {
        Series(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect())
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Series {
        Series(figures.into_iter().collect())
    }
}

/// What other programs take of the cores while something is measured.
#[derive(Debug)]
pub(crate) struct Neighbours {
    began: Instant,
    busy: f64,
    own: f64,
}

impl Neighbours {
    pub(crate) fn watch() -> Neighbours {
        Neighbours { began: Instant::now(), busy: busy_seconds(), own: processor_seconds() }
    }

    /// Cores that others kept busy since, on the average. The kernel counts in hundredths of a second.
    pub(crate) fn cores(&self) -> f64 {
        let others = busy_seconds() - self.busy - (processor_seconds() - self.own);
        (others / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// Seconds in which the cores of the machine were not idle.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
    // The fourth and the fifth are idle and waiting for disks; the ninth and tenth are in the first two.
    let busy = ticks.iter().enumerate().filter(|(place, _)| !matches!(place, 3 | 4 | 8 | 9));
    busy.map(|(_, ticks)| ticks).sum::<f64>() / 100.0
}

/// How long to wait for the machine to be quiet, in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) until: Instant,
}

impl Patience {
    /// Others may take so much of one core.
    const CORES_MAX: f64 = 0.15;
    const LOOK: Duration = Duration::from_millis(300);

    /// Calls `measure` when the machine is quiet, and again while what it gave was disturbed. It returns what it measured
    /// and how many cores others took. When patience is at its end the quietest counts.
    pub(crate) fn quietly<T>(&self, mut measure: impl FnMut() -> (T, f64)) -> T {
        let mut best: Option<(T, f64)> = None;
        loop {
            self.wait_for_quiet();
            let (measured, cores) = measure();
            let calmest = best.as_ref().is_none_or(|(_, calmest)| cores < *calmest);
            if calmest {
                best = Some((measured, cores));
            }
            if let Some((measured, cores)) =
                best.take_if(|(_, cores)| *cores <= Self::CORES_MAX || self.ended())
            {
                DISTURBED.lock().push(cores);
                return measured;
            }
        }
    }

    fn ended(&self) -> bool {
        Instant::now() >= self.until
    }

    fn wait_for_quiet(&self) {
        while !self.ended() {
            let neighbours = Neighbours::watch();
            wait(Self::LOOK);
            if neighbours.cores() <= Self::CORES_MAX {
                return;
            }
        }
    }
}

/// What others took of the cores in every turn that counts.
static DISTURBED: parking_lot::Mutex<Series> = parking_lot::const_mutex(Series(Vec::new()));

pub(crate) fn disturbed() -> Series {
    DISTURBED.lock().clone()
}

/// What all threads of this process have used.
pub(crate) fn processor_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Keeps the calling thread, and those it starts, on the last core, which interrupts load least.
pub(crate) fn on_one_core() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut last = CpuSet::new();
    last.set(cores - 1);
    // Where it is not allowed the scheduler decides, and the figures say so by their spread.
    let _ = sched_setaffinity(None, &last);
}

/// Calls of `work`, which is given counting numbers, in about one turn.
fn calls(turn: Duration, mut work: impl FnMut(u64)) -> u64 {
    const BETWEEN_LOOKS: u64 = 64;
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < turn {
        for _ in 0..BETWEEN_LOOKS {
            work(number);
            number += 1;
        }
    }
    number
}

/// Calls per second of the clock.
pub(crate) fn rate(turn: Duration, work: impl FnMut(u64)) -> f64 {
    let began = Instant::now();
    let calls = calls(turn, work);
    calls as f64 / began.elapsed().as_secs_f64()
}

/// Calls per second that this thread had a core: what it is kept waiting by others is not counted.
pub(crate) fn rate_on_core(turn: Duration, work: impl FnMut(u64)) -> f64 {
    let began = seconds(ClockId::ThreadCPUTime);
    let calls = calls(turn, work);
    calls as f64 / (seconds(ClockId::ThreadCPUTime) - began)
}

/// Lets others work for so long.
pub(crate) fn wait(long: Duration) {
    let end = Instant::now() + long;
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_both_kinds_of_rounds() {
        assert_eq!([3.0, 1.0, 2.0].into_iter().collect::<Series>().median(), 2.0);
        assert_eq!([4.0, 1.0, 2.0, 3.0].into_iter().collect::<Series>().median(), 2.5);
        assert!(Series::default().median().is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mine: Series = [2.0, 9.0].into_iter().collect();
        let theirs: Series = [1.0, 3.0].into_iter().collect();
        assert_eq!(mine.over(&theirs).rounds(), [2.0, 3.0]);
    }
}
