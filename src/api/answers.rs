//! What became of asks, and how long they took: counted when whoever asked is told, for monitors.

use crate::api::signer::Outcome;
use crate::types::histogram::{Counted, Histogram};
use crate::vault::sign::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an ask came to.
pub const ENDS: [&str; 7] = ["signed", "denied", "limited", "unavailable", "not_let_in", "locked", "broken"];

/// Counts of answers. Any thread may add to them.
#[derive(Debug, Default)]
pub struct Answers {
    ends: [AtomicU64; ENDS.len()],
    time: Histogram,
}

impl Answers {
    /// Counts the outcomes of one request, which was read so many nanoseconds ago.
    pub fn record(&self, outcomes: &[Outcome], ns: u64) {
        for outcome in outcomes {
            self.ends[end_of(outcome)].fetch_add(1, Ordering::Relaxed);
        }
        self.time.observe(ns);
    }

    /// How many asks came to each end so far, in the order of [`ENDS`].
    pub fn ends(&self) -> [u64; ENDS.len()] {
        self.ends.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// How long requests took, from the last byte read to the answer made. A batch counts once.
    pub fn times(&self) -> Counted {
        self.time.counted()
    }
}

/// The place in [`ENDS`].
fn end_of(outcome: &Outcome) -> usize {
    match outcome {
        Ok(_) => 0,
        Err(Refusal::Denied { .. }) => 1,
        Err(Refusal::Limited(_)) => 2,
        Err(Refusal::Unavailable) => 3,
        Err(Refusal::NotLetIn) => 4,
        Err(Refusal::Locked) => 5,
        Err(Refusal::Broken) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::decision::{Code, Denial};

    #[test]
    fn each_end_is_counted_in_its_place() {
        let (answers, denial) = (Answers::default(), || Denial::new(Code::Grant, "d", "h"));
        let denied = || Err(Refusal::Denied { denial: denial(), audit_seq: 1 });
        let batch = [denied(), denied(), Err(Refusal::Limited(denial())), Err(Refusal::Unavailable)];
        answers.record(&batch, 1000);
        answers.record(&[Err(Refusal::NotLetIn)], 2000);
        answers.record(&[Err(Refusal::Locked)], 3000);
        answers.record(&[Err(Refusal::Broken)], 4000);
        assert_eq!(answers.ends(), [0, 2, 1, 1, 1, 1, 1]);
        let times = answers.times();
        assert_eq!((times.counts.iter().sum::<u64>(), times.sum_ns), (4, 10_000), "a batch counts once");
    }
}
