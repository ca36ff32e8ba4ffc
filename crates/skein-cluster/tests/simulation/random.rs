//! The simulation's dice: everything that looks like chance comes from the seed of the schedule.

/// Splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number from `from` up to and without `to`.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.range(0, count as u64)).expect("it is below a usize")
    }

    /// True `percent` times of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.range(0, 100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())]) }
    }
}

/// Lets every bit touch every bit.
pub(crate) fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// What happened, in one number: the same seed must give the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) steps: u64,
}

impl Trace {
    pub(crate) fn note(&mut self, what: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ what);
        self.steps += 1;
    }

    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        let folded =
            bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(0x100_0000_01B3) ^ u64::from(*byte));
        self.note(folded);
    }
}
