//! The daemon's clock: the kernel's, and what the kernel says of it.
//!
//! `adjtimex(2)` is the one way to learn whether something keeps the wall clock right. No safe crate that is here already
//! wraps it, so it is called here, to ask and never to set.

#![allow(unsafe_code, reason = "adjtimex has no safe interface")]

use crate::types::clock::{Clock, Now, SystemClock};

/// How far the time that the kernel vouches for may be from the wall clock as it was read: more than two readings take.
const SAME_MS: i64 = 1000;

/// The kernel's clocks, with the kernel's opinion of them.
#[derive(Debug, Default)]
pub struct KernelClock;

impl Clock for KernelClock {
    fn now(&self) -> Now {
        SystemClock.now()
    }

    /// The kernel must also mean the clock that is read here: the C library may have been told to show another.
    fn is_synchronised(&self) -> bool {
        let Some(vouched_ms) = kernel_vouches_for() else { return false };
        vouched_ms.abs_diff(self.now().wall.0) <= SAME_MS.unsigned_abs()
    }
}

/// The time, in milliseconds since 1970, that the kernel calls synchronised, if it does.
fn kernel_vouches_for() -> Option<i64> {
    // SAFETY: every field is an integer, for which zero bytes are a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // With `modes` at zero this asks and sets nothing.
    // SAFETY: the kernel writes to this one struct, which is of the type that it expects and outlives the call.
    let state = unsafe { libc::adjtimex(&mut timex) };
    let is_synchronised = state != -1 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let per_ms = if timex.status & libc::STA_NANO == 0 { 1000 } else { 1_000_000 };
    is_synchronised.then_some(timex.time.tv_sec * 1000 + timex.time.tv_usec / per_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_vouches_for_is_now_or_nothing() {
        let now = KernelClock.now().wall.0;
        assert!(kernel_vouches_for().is_none_or(|vouched_ms| vouched_ms.abs_diff(now) < 60_000));
        assert_eq!(KernelClock.is_synchronised(), kernel_vouches_for().is_some());
    }
}
