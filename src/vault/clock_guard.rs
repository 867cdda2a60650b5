//! Watches the wall clock against the boot clock, which nobody can set: a wall clock that jumps makes signatures with
//! a wrong time, so signing stops until it is back.

use crate::types::clock::{Now, UnixMs};

/// A difference larger than this is a jump.
const TOLERANCE_MS: i64 = 5000;
/// How long the clock must be back before signing goes on.
const SETTLED_MS: u64 = 10_000;

/// Two clocks, read together once, and what they should both say now.
#[derive(Clone, Copy, Debug)]
pub struct ClockGuard {
    start: Now,
    floor: UnixMs,
    back_since: Option<u64>,
    jumped: bool,
}

impl ClockGuard {
    /// Trusts the clock as it is now, unless it is behind the highest wall time that the vault has seen.
    pub fn new(now: Now, highest_seen: UnixMs) -> ClockGuard {
        let jumped = now.wall.0 < highest_seen.0 - TOLERANCE_MS;
        ClockGuard { start: now, floor: highest_seen, back_since: None, jumped }
    }

    /// Whether signatures may carry this time. A jump is remembered until the clock has been back for ten seconds.
    pub fn is_sane(&mut self, now: Now) -> bool {
        let fits = self.fits(now);
        match (fits, self.jumped) {
            (true, false) => return true,
            (false, _) => {
                self.jumped = true;
                self.back_since = None;
            }
            (true, true) => {
                let since = *self.back_since.get_or_insert(now.boot_ms);
                self.jumped = now.boot_ms.saturating_sub(since) < SETTLED_MS;
            }
        }
        !self.jumped
    }

    /// The wall time that the vault may remember as seen: none while the clock is not believed, or one jump would be the
    /// floor that every later unlock compares with.
    pub fn seen_wall(&mut self, now: Now) -> UnixMs {
        if self.is_sane(now) { now.wall } else { UnixMs(i64::MIN) }
    }

    fn fits(&self, now: Now) -> bool {
        let passed = i64::try_from(now.boot_ms.saturating_sub(self.start.boot_ms)).unwrap_or(i64::MAX);
        let expected = self.start.wall.0.saturating_add(passed);
        let near = now.wall.0.abs_diff(expected) <= TOLERANCE_MS.unsigned_abs();
        near && now.wall.0 >= self.floor.0 - TOLERANCE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, boot_ms: u64) -> Now {
        Now { wall: UnixMs(wall), boot_ms }
    }

    #[test]
    fn a_jump_stops_and_ten_seconds_back_heal() {
        let mut guard = ClockGuard::new(at(100_000, 0), UnixMs(0));
        assert!(guard.is_sane(at(101_000, 1000)));
        assert!(guard.is_sane(at(106_900, 2000)), "drift inside the tolerance");
        assert!(!guard.is_sane(at(3_703_000, 3000)));
        assert!(!guard.is_sane(at(104_000, 4000)), "back, but not long enough");
        assert!(!guard.is_sane(at(113_000, 13_000)));
        assert!(guard.is_sane(at(114_000, 14_000)));
    }

    #[test]
    fn a_clock_behind_what_the_vault_has_seen_does_not_sign() {
        let mut guard = ClockGuard::new(at(100_000, 0), UnixMs(200_000));
        assert!(!guard.is_sane(at(101_000, 1000)));
        let mut accepted = ClockGuard::new(at(100_000, 0), UnixMs(100_000));
        assert!(accepted.is_sane(at(101_000, 1000)));
    }
}
