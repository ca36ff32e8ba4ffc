//! Numbers that look random and are the same for the same seed, for the choice of a node.
//!
//! The sequence is SplitMix64. It must never be used for anything that has to be secret.

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed % bound.max(1) as u64) as usize
    }

    /// A node other than `node`; the same when there is only one.
    pub(crate) fn other_node(&mut self, node: usize, nodes: usize) -> usize {
        if nodes < 2 { node } else { (node + 1 + self.below(nodes - 1)) % nodes }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_all_of_them() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| random.below(5)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((0..5).all(|number| draw(7).contains(&number)));
    }

    #[test]
    fn another_node_is_another_one() {
        let mut random = Random::new(3);
        assert_eq!(random.other_node(0, 1), 0);
        for at in 0..200 {
            let other = random.other_node(at % 3, 3);
            assert!(other != at % 3 && other < 3);
        }
    }
}
