//! Failed unlocks, counted in a small file because no key exists yet that could chain them. The count is raised and
//! synced *before* a password is hashed, so killing the daemon in between wins nothing; the next unlock puts it into
//! the ledger and clears it.

use crate::store::file;
use crate::types::clock::UnixMs;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest wait after a failure, in milliseconds.
pub const MAX_BACKOFF_MS: u64 = 60_000;

/// How many unlocks failed since the last that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// How many.
    pub failed: u32,
    /// When the last began, by the wall clock.
    pub last_ms: i64,
}

impl Attempts {
    /// Reads the count. A file that is missing means none; one that can't be read counts as many.
    pub fn read(path: &Path) -> Attempts {
        match read_small_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Attempts::default(),
            Err(_) => Attempts { failed: 7, last_ms: 0 },
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Attempts { failed: 7, last_ms: 0 }),
        }
    }

    /// The same count when it says that the last try was in the future, which a clock that was ahead leaves behind: the
    /// try is taken to have been now, once, or the wait would last until that future.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn not_after(self, now: UnixMs, path: &Path) -> io::Result<Attempts> {
        if self.last_ms <= now.0 {
            return Ok(self);
        }
        let moved = Attempts { last_ms: now.0, ..self };
        moved.write(path)?;
        Ok(moved)
    }

    /// How long to wait before the next try: 1, 2, 4 … 60 s after the last. A wall clock that was set back does not
    /// lengthen the wait beyond that.
    pub fn wait_ms(self, now: UnixMs) -> Option<u64> {
        let exponent = self.failed.checked_sub(1)?;
        // 2^6 seconds are more than the longest wait; a larger shift would lose its bits.
        let backoff = (1000_u64 << exponent.min(6)).min(MAX_BACKOFF_MS);
        let since = now.0.saturating_sub(self.last_ms);
        let waited = u64::try_from(since).unwrap_or(0);
        backoff.checked_sub(waited).filter(|left| *left > 0)
    }

    /// Counts a try as failed, durably, before it is known to be.
    ///
    /// # Errors
    /// The file system's refusal: then nothing may be tried.
    pub fn count(self, path: &Path, now: UnixMs) -> io::Result<Attempts> {
        let next = Attempts { failed: self.failed.saturating_add(1), last_ms: now.0 };
        next.write(path)?;
        Ok(next)
    }

    /// Writes the count.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn write(self, path: &Path) -> io::Result<()> {
        file::replace(path, &serde_json::to_vec(&self).map_err(io::Error::other)?)
    }
}

/// A plain, short file, or an error: what someone planted in its place may neither be followed nor waited for.
fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_too_large_to_wait_for() {
        let waits = (6..200).map(|failed| Attempts { failed, last_ms: 0 }.wait_ms(UnixMs(0)).expect("a wait"));
        assert!(waits.skip(1).all(|wait| wait == MAX_BACKOFF_MS));
    }

    #[test]
    fn a_try_under_a_clock_that_was_ahead_is_waited_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempts");
        Attempts { failed: 1, last_ms: 9_000_000 }.write(&path).unwrap();
        let moved = Attempts::read(&path).not_after(UnixMs(5000), &path).unwrap();
        assert_eq!(moved.wait_ms(UnixMs(5000)), Some(1000));
        assert_eq!(Attempts::read(&path).not_after(UnixMs(6000), &path).unwrap().wait_ms(UnixMs(6000)), None);
    }

    #[test]
    fn what_was_planted_in_its_place_is_neither_followed_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempts");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(Attempts::read(&path).failed, 7);
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(Attempts::read(&path).failed, 7);
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits = [0, 1, 2, 3, 6, 7, 40].map(|failed| Attempts { failed, last_ms: 5000 }.wait_ms(UnixMs(5000)));
        assert_eq!(waits, [None, Some(1000), Some(2000), Some(4000), Some(32_000), Some(60_000), Some(60_000)]);
    }

    #[test]
    fn a_wait_ends_and_a_clock_set_back_does_not_stretch_it() {
        let twice = Attempts { failed: 2, last_ms: 10_000 };
        assert_eq!(twice.wait_ms(UnixMs(11_500)), Some(500));
        assert_eq!(twice.wait_ms(UnixMs(12_000)), None);
        assert_eq!(twice.wait_ms(UnixMs(1)), Some(2000));
    }

    #[test]
    fn the_count_survives_and_a_broken_file_counts_as_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempts");
        assert_eq!(Attempts::read(&path), Attempts::default());
        let once = Attempts::read(&path).count(&path, UnixMs(7)).unwrap();
        assert_eq!(Attempts::read(&path), once);
        std::fs::write(&path, "nonsense").unwrap();
        assert_eq!(Attempts::read(&path).failed, 7);
    }
}
