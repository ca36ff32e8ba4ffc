//! Numbers that look random and are the same for the same seed.
//!
//! The generator is SplitMix64: one word of state, equally spread, and nothing to keep secret.

/// The source of every decision of a run.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number of `range`, which is not empty.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        let width = range.end.checked_sub(range.start).filter(|width| *width > 0);
        range.start + self.number() % width.expect("a range to choose from is not empty")
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: u64) -> bool {
        self.within(0..count) == 0
    }

    /// One of `choices`, which is not empty.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u64::try_from(choices.len()).expect("a length is no more than 64 bits");
        let at = usize::try_from(self.within(0..count)).expect("the index of a slice");
        &choices[at]
    }

    /// Brings `items` into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last + 1).expect("a length is no more than 64 bits");
            let at = usize::try_from(self.within(0..bound)).expect("the index of a slice");
            items.swap(at, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut one, mut other, mut third) = (Random::new(7), Random::new(7), Random::new(8));
        let numbers: Vec<_> = (0..100).map(|_| one.number()).collect();
        assert_eq!(numbers, (0..100).map(|_| other.number()).collect::<Vec<_>>());
        assert_ne!(numbers, (0..100).map(|_| third.number()).collect::<Vec<_>>());
    }

    #[test]
    fn every_choice_comes_up_and_nothing_is_lost() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[usize::try_from(random.within(0..5)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        let mut items: Vec<u32> = (0..20).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
