//! Watches the wall clock against the boot clock, which nobody can set: a wall clock that jumps makes signatures with
//! a wrong time, so signing stops until it is back, until the kernel says that a time server keeps it, or until a person
//! accepts it as it is.
//!
//! The vault also remembers the highest wall time that it is sure of, and an unlock does not believe a clock that is
//! behind it. Only a clock that the kernel calls synchronised moves that time to where it stands. On a machine whose
//! kernel never says so, it moves by what the boot clock counts while the vault is unlocked: a clock that ran ahead once
//! leaves no mark, and one that is set back to before the vault was last changed is still noticed, less what it was
//! locked for.

use crate::audit::event::Event;
use crate::store::ledger::Change;
use crate::types::clock::{Now, UnixMs};
use crate::vault::change::Prepared;
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};

/// A difference larger than this is a jump.
const TOLERANCE_MS: i64 = 5000;
/// How long the clock must be back before signing goes on.
const SETTLED_MS: u64 = 10_000;

/// Two clocks, read together once, and what they should both say now.
#[derive(Clone, Copy, Debug)]
pub struct ClockGuard {
    /// Both clocks when the wall clock was last taken for right.
    start: Now,
    /// The highest wall time that is sure to have passed, and what the boot clock said then.
    floor: Now,
    back_since: Option<u64>,
    jumped: bool,
}

impl ClockGuard {
    /// Trusts the clock as it is now, unless it is behind the highest wall time that the vault has seen.
    pub fn new(now: Now, highest_seen: UnixMs) -> ClockGuard {
        let jumped = now.wall.0 < highest_seen.0.saturating_sub(TOLERANCE_MS);
        ClockGuard { start: now, floor: Now { wall: highest_seen, ..now }, back_since: None, jumped }
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
    /// floor that every later unlock compares with; and no more than what is sure.
    pub fn seen_wall(&mut self, now: Now) -> UnixMs {
        let sure = after(self.floor, now);
        if self.is_sane(now) { now.wall.min(sure) } else { UnixMs(i64::MIN) }
    }

    /// By how many milliseconds the wall clock is ahead of what it would say if nobody had set it since it was last taken
    /// for right.
    pub fn offset_ms(&self, now: Now) -> i64 {
        now.wall.0.saturating_sub(after(self.start, now).0)
    }

    /// Goes on from here, because the kernel says that the clock is right, and it has not jumped: small corrections do
    /// not add up to a jump.
    fn go_on_from(&mut self, now: Now) {
        let wall = self.floor.wall.max(now.wall);
        (self.start, self.floor) = (now, Now { wall, ..now });
    }

    fn fits(&self, now: Now) -> bool {
        let near = now.wall.0.abs_diff(after(self.start, now).0) <= TOLERANCE_MS.unsigned_abs();
        near && now.wall.0 >= self.floor.wall.0.saturating_sub(TOLERANCE_MS)
    }
}

/// What the wall clock would say now if nobody had set it since.
fn after(earlier: Now, now: Now) -> UnixMs {
    let passed = i64::try_from(now.boot_ms.saturating_sub(earlier.boot_ms)).unwrap_or(i64::MAX);
    earlier.wall.plus_ms(passed)
}

impl Vault {
    /// Looks at the clock when nobody asks for a signature, and asks the kernel about it: the one place that does, once a
    /// second, because it takes a system call.
    ///
    /// # Errors
    /// The ledger could not take the row about a clock that is right again; the next call tries again.
    pub(crate) fn watch_clock(&self) -> Result<(), AdminError> {
        let now = self.setup.clock.now();
        // Asked after the reading: whoever sets the clock in between makes the kernel say no.
        let is_synchronised = self.setup.clock.is_synchronised();
        let expected = match &mut *self.state() {
            State::Unlocked(unlocked) if is_synchronised => match unlocked.clock_guard.is_sane(now) {
                true => {
                    unlocked.clock_guard.go_on_from(now);
                    return Ok(());
                }
                false => after(unlocked.clock_guard.start, now),
            },
            State::Unlocked(unlocked) => {
                unlocked.clock_guard.is_sane(now);
                return Ok(());
            }
            State::Locked | State::Closing(_) => return Ok(()),
        };
        self.believe_clock(expected, now)
    }

    /// Takes the clock for right although it jumped. When another action is under way this waits for the next look.
    fn believe_clock(&self, expected: UnixMs, now: Now) -> Result<(), AdminError> {
        let Some(turn) = self.try_turn() else { return Ok(()) };
        let prepare = |_: &Unlocked, _: Now| {
            let event = Event::Clock { from: expected.to_string(), to: now.wall.to_string(), why: "synchronised" };
            Ok(Prepared::new(now, event, vec![Change::AcceptClock(now.wall)], ()))
        };
        // From the reading that the kernel vouched for: a jump since then is noticed by the next.
        self.change_in_turn(&turn, prepare, |unlocked, ()| {
            unlocked.clock_guard = ClockGuard::new(now, now.wall);
            unlocked.book.not_after(now.wall);
        })?;
        tracing::warn!(from = %expected, to = %now.wall, "the wall clock jumped; the kernel says that it is right now");
        Ok(())
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
        assert_eq!((guard.offset_ms(at(106_900, 2000)), guard.offset_ms(at(101_500, 2000))), (4900, -500));
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
