//! Time: the only place that reads a clock. Everything else is given `now`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the wall clock: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

/// One reading of both clocks, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which people and exchanges mean and which anyone with the right may set.
    pub wall: UnixMs,
    /// Milliseconds since boot, suspend included (`CLOCK_BOOTTIME`): nobody can set it.
    pub boot_ms: u64,
}

/// Where time comes from: the kernel in the daemon, a fixed value in tests.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// Whether the kernel says that something keeps the wall clock right: a time server, a radio clock. A clock that has
    /// nobody to ask says no.
    fn is_synchronised(&self) -> bool {
        false
    }
}

/// The kernel's clocks. The wall clock is the C library's, which a test may set for one process alone; the boot clock is
/// asked for directly.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: UnixMs::of(SystemTime::now()), boot_ms: boot_ns() / 1_000_000 }
    }
}

/// Nanoseconds since boot, suspend included: to tell how long something took. What is judged, signed or written goes by a
/// [`Clock`].
pub fn boot_ns() -> u64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (boot.tv_sec * 1_000_000_000 + boot.tv_nsec).unsigned_abs()
}

impl UnixMs {
    /// A moment as the standard library has it.
    fn of(time: SystemTime) -> UnixMs {
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        UnixMs(time.duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms))
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment plus a number of milliseconds.
    pub fn plus_ms(self, ms: i64) -> UnixMs {
        UnixMs(self.0.saturating_add(ms))
    }

    /// Reads an RFC 3339 date and time, with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<UnixMs> {
        text.parse::<jiff::Timestamp>().ok().map(|timestamp| UnixMs(timestamp.as_millisecond()))
    }
}

/// RFC 3339 in UTC with exactly three decimals: `2026-01-02T03:04:05.678Z`. A moment outside the years −9999 to 9999
/// prints as the nearest one inside.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let timestamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(edge);
        write!(f, "{timestamp:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_three_decimals_always() {
        assert_eq!(UnixMs(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMs(1_607_418_537_715).to_string(), "2020-12-08T09:08:57.715Z");
        assert_eq!(UnixMs(2_147_483_647_000).to_string(), "2038-01-19T03:14:07.000Z");
    }

    #[test]
    fn the_first_and_the_last_moments_print_too() {
        assert_eq!(UnixMs(253_402_207_200_999).to_string(), "9999-12-30T22:00:00.999Z");
        assert_eq!(UnixMs(i64::MAX).to_string(), format!("{:.3}", jiff::Timestamp::MAX));
        assert_eq!(UnixMs(i64::MIN).to_string(), format!("{:.3}", jiff::Timestamp::MIN));
        assert_eq!(UnixMs(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn reads_what_it_prints() {
        let moment = UnixMs(1_709_251_199_999);
        assert_eq!(UnixMs::parse_rfc3339(&moment.to_string()), Some(moment));
        assert_eq!(UnixMs::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_wall_clock_may_stand_before_1970() {
        let second = std::time::Duration::from_millis(1500);
        assert_eq!(UnixMs::of(UNIX_EPOCH + second), UnixMs(1500));
        assert_eq!(UnixMs::of(UNIX_EPOCH - second), UnixMs(-1500));
        assert!(SystemClock.now().wall > UnixMs(1_700_000_000_000) && SystemClock.now().boot_ms > 0);
        assert!(SystemClock.now().boot_ms.abs_diff(boot_ns() / 1_000_000) < 60_000);
    }

    #[test]
    fn seconds_round_down() {
        assert_eq!(UnixMs(1_538_054_050_999).seconds(), 1_538_054_050);
    }
}
