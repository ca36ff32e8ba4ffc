//! A hash that is the same on every machine and in every version, for digests. It meets accidents, not attackers: peers have
//! the cluster's secret.

/// Any odd number with its bits spread; this one is from the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hashes `bytes`.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = SPREAD ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
        state ^= state >> 29;
    }
    finish(state)
}

/// Lets every bit of the state touch every bit of the result (the finisher of splitmix64).
fn finish(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
