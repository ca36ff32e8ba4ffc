//! A log-linear histogram of times in nanoseconds, with a relative error below one percent.
//!
//! Recording never allocates and touches one counter, because it happens for every message. It keeps no
//! single value except the exact maximum.

/// Counters per power of two; the relative width of a bucket is 1/128.
const SUB_BITS: u32 = 7;
const SUB_COUNT: usize = 1 << SUB_BITS;
/// Times above 2^42 ns (73 minutes) share the last bucket.
const VALUE_BITS_MAX: u32 = 42;
const BUCKET_COUNT: usize = (VALUE_BITS_MAX - SUB_BITS + 1) as usize * SUB_COUNT;

/// Counts of times by size.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKET_COUNT], total: 0, max: 0 }
    }

    #[inline]
    pub(crate) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket_of(value)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.max = 0;
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The smallest recorded size that at least `quantile` of all values do not exceed, rounded up to the
    /// end of its bucket; 0 when nothing was recorded.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return bucket_end(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Values below 2 * `SUB_COUNT` have a bucket each; above, each power of two has `SUB_COUNT` buckets.
#[inline]
fn bucket_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS_MAX) - 1);
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(SUB_BITS + 1);
    shift as usize * SUB_COUNT + (value >> shift) as usize
}

fn bucket_end(bucket: usize) -> u64 {
    let shift = (bucket / SUB_COUNT).saturating_sub(1);
    let sub = (bucket - shift * SUB_COUNT) as u64;
    ((sub + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::{BUCKET_COUNT, Histogram, bucket_end, bucket_of};

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut last = 0;
        for exponent in 0..42 {
            for offset in [0_u64, 1, 3, 17, 1000, 123_456] {
                let value = (1_u64 << exponent) + (offset % (1 << exponent));
                let bucket = bucket_of(value);
                assert!(bucket < BUCKET_COUNT);
                assert!(bucket_end(bucket) >= value, "{value} lies past the end of its bucket");
                assert!(bucket_end(bucket) - value <= value / 128, "{value} has a bucket wider than 1/128");
                last = last.max(bucket);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKET_COUNT - 1);
        assert!(last < BUCKET_COUNT);
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=100_000_u64 {
            histogram.record(value * 1000);
        }
        for (quantile, exact) in [(0.5, 50_000_000.0), (0.99, 99_000_000.0), (0.999, 99_900_000.0)] {
            let got = histogram.quantile(quantile) as f64;
            assert!((got / exact - 1.0).abs() < 0.01, "p{quantile}: {got} for {exact}");
        }
        assert_eq!(histogram.quantile(1.0), 100_000_000);
        assert_eq!((histogram.max(), histogram.total), (100_000_000, 100_000));
        histogram.clear();
        assert_eq!((histogram.max(), histogram.total), (0, 0));
    }
}
