// SPDX-License-Identifier: GPL-2.0

//! Distributions of times, in the buckets of `bpf/events.h`.

/// How many buckets there are: four for each power of two.
pub const BUCKETS: usize = 160;

/// How many times fell into each bucket.
#[derive(Clone)]
pub struct Histogram([u32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

/// Returns the shortest time in nanoseconds of a bucket.
fn lower_bound(bucket: usize) -> u64 {
    match bucket {
        0..4 => bucket as u64,
        _ => (4 + bucket as u64 % 4) << (bucket / 4 - 1),
    }
}

impl Histogram {
    pub fn add(&mut self, bucket: usize, count: u32) {
        self.0[bucket] = self.0[bucket].saturating_add(count);
    }

    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.0.iter().enumerate() {
            self.add(bucket, *count);
        }
    }

    /// Returns what came since `before`, on one CPU: its counts begin at zero again after the last.
    pub fn since(&self, before: &Self) -> Self {
        let mut since = Self::default();
        for bucket in 0..BUCKETS {
            since.0[bucket] = self.0[bucket].wrapping_sub(before.0[bucket]);
        }
        since
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// Returns the time in nanoseconds that a share of all times does not exceed, as the upper end
    /// of a bucket; `None` if there is no time.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = (self.total() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(lower_bound(bucket + 1))
    }

    /// Returns counts by powers of four in nanoseconds, from 1 us up, with what is shorter in the
    /// first: a picture of a few columns.
    pub fn columns(&self) -> [u64; COLUMNS] {
        let mut columns = [0; COLUMNS];
        for (bucket, count) in self.0.iter().enumerate() {
            let powers = (bucket / 4 + 1) / 2;
            columns[powers.saturating_sub(5).min(COLUMNS - 1)] += u64::from(*count);
        }
        columns
    }
}

/// The columns of [`Histogram::columns`]: up to 4 us, 16 us, and so on.
pub const COLUMNS: usize = 12;

/// The upper ends of the columns.
pub const COLUMN_NAMES: [&str; COLUMNS] = [
    "4us", "16us", "65us", "262us", "1ms", "4ms", "17ms", "67ms", "268ms", "1s", "4s", "more",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As `bucket_of()` in `bpf/events.bpf.c`.
    fn bucket_of(ns: u64) -> usize {
        if ns < 4 {
            return ns as usize;
        }
        let high = 63 - ns.leading_zeros() as usize;
        (high - 1) * 4 + (ns >> (high - 2) & 3) as usize
    }

    #[test]
    fn buckets_begin_where_the_programs_put_times() {
        for bucket in 0..BUCKETS - 4 {
            assert_eq!(bucket_of(lower_bound(bucket)), bucket);
            assert_eq!(bucket_of(lower_bound(bucket + 1) - 1), bucket);
        }
    }

    #[test]
    fn quantiles_are_the_ends_of_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.add(bucket_of(1000), 99);
        histogram.add(bucket_of(1_000_000), 1);
        assert_eq!(histogram.quantile(0.5), Some(1024));
        assert_eq!(histogram.quantile(0.99), Some(1024));
        assert_eq!(histogram.quantile(1.0), Some(1 << 20));
    }

    #[test]
    fn columns_are_powers_of_four() {
        for (ns, column) in [
            (0, 0),
            (4095, 0),
            (4096, 1),
            (16_383, 1),
            (16_384, 2),
            (1_000_000, 4),
            (u64::MAX >> 24, COLUMNS - 1),
        ] {
            let mut histogram = Histogram::default();
            histogram.add(bucket_of(ns).min(BUCKETS - 1), 1);
            assert_eq!(histogram.columns()[column], 1, "{ns}");
        }
    }
}
