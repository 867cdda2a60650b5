//! Time: the only place that reads a clock. Everything else is given `now`.

use serde::{Deserialize, Serialize};
use std::fmt;

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
}

/// The kernel's clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Now { wall: UnixMs(ms(wall)), boot_ms: ms(boot).unsigned_abs() }
    }
}

fn ms(time: rustix::time::Timespec) -> i64 {
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

impl UnixMs {
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
    fn reads_what_it_prints() {
        let moment = UnixMs(1_709_251_199_999);
        assert_eq!(UnixMs::parse_rfc3339(&moment.to_string()), Some(moment));
        assert_eq!(UnixMs::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn seconds_round_down() {
        assert_eq!(UnixMs(1_538_054_050_999).seconds(), 1_538_054_050);
    }
}
