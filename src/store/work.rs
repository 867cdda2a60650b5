//! Whether work goes on or hangs, for those who must not wait to find out.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts beginnings and ends of pieces of work: odd while one is under way. In one order with all that its users say to
/// each other, so that one of two who look for each other is seen.
#[derive(Debug, Default)]
pub(crate) struct Work(AtomicU64);

/// A piece of work under way, until it is dropped.
pub(crate) struct Working<'a>(&'a Work);

impl Work {
    /// Counts from elsewhere, so that no number is also one of another's.
    pub(crate) fn from(first: u64) -> Work {
        Work(AtomicU64::new(2 * first))
    }

    /// Begins a piece. Only one is under way at a time: whoever begins it holds the lock of such work.
    pub(crate) fn begin(&self) -> Working<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Working(self)
    }

    /// The number of the piece that is under way.
    pub(crate) fn under_way(&self) -> Option<u64> {
        let number = self.0.load(Ordering::SeqCst);
        (number % 2 == 1).then_some(number)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
