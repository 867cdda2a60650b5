//! How long things took, counted in steps: what monitors draw curves from.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper ends of the steps, in nanoseconds: from a commit on a quick disk to a disk that hangs.
pub const BOUNDS_NS: [u64; 14] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// One more than the bounds: the last step has no end.
const STEPS: usize = BOUNDS_NS.len() + 1;

/// A histogram that any thread may add to, without a lock and without memory of its own.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; STEPS],
    sum_ns: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many fell into each step: those of [`BOUNDS_NS`], and what is beyond. None of them is counted in another.
    pub counts: [u64; STEPS],
    /// All of them together, in nanoseconds.
    pub sum_ns: u64,
}

impl Histogram {
    /// Counts something that took so long.
    pub fn observe(&self, ns: u64) {
        let step = BOUNDS_NS.partition_point(|bound| *bound < ns);
        self.counts[step].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What was counted so far. Whatever is counted meanwhile may be in the one number and not yet in the other.
    pub fn counted(&self) -> Counted {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counted { counts, sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_falls_into_its_step() {
        let histogram = Histogram::default();
        for ns in [0, 50_000, 50_001, 5_000_000_000, 5_000_000_001] {
            histogram.observe(ns);
        }
        let counted = histogram.counted();
        assert_eq!((counted.counts[0], counted.counts[1]), (2, 1));
        assert_eq!((counted.counts[13], counted.counts[14]), (1, 1));
        assert_eq!(counted.counts.iter().sum::<u64>(), 5);
        assert_eq!(counted.sum_ns, 10_000_100_002);
        assert!(BOUNDS_NS.is_sorted());
    }
}
