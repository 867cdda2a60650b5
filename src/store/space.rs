//! The space that is left on the disk of the ledger, and a reserve for the end of it.
//!
//! A full disk must not keep anyone from making a risk smaller. So a file that says nothing holds some space; when the
//! disk is full it is removed, and until there is room again the ledger takes only what is urgent: cancels, locks,
//! revocations and modes. Denials are not written either, or a bot that is denied often would eat the rest.

use crate::store::StoreError;
use crate::store::file::{self, Paths};
use rustix::fs::FallocateFlags;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the reserve holds: thousands of rows of the largest kind.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// With less than this a disk is full, whatever the system says.
const FULL_BYTES: u64 = 1024 * 1024;
/// Somebody looks after so many rows: they find room in the log when nothing else does.
const ROWS_PER_LOOK: u64 = 64;

/// The space of a ledger.
#[derive(Debug)]
pub struct Space {
    reserve: PathBuf,
    state_dir: PathBuf,
    /// How many bytes must be free before the disk counts as no longer full; 0 when it is not.
    scarce_until: AtomicU64,
    /// Rows since somebody looked.
    rows: AtomicU64,
    /// What a test says is free.
    #[cfg(test)]
    pretended: crate::types::mutex::Mutex<Option<u64>>,
}

impl Space {
    /// The space where a vault's database is.
    pub fn of(paths: &Paths) -> Space {
        Space {
            reserve: paths.reserve(),
            state_dir: paths.state_dir.clone(),
            scarce_until: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            #[cfg(test)]
            pretended: crate::types::mutex::Mutex::new(None),
        }
    }

    /// Bytes that a user without privileges may still write.
    ///
    /// # Errors
    /// The system's refusal to say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        #[cfg(test)]
        if let Some(bytes) = *self.pretended.lock() {
            return Ok(bytes);
        }
        let about = rustix::fs::statvfs(&self.state_dir)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// Whether the disk was full and has no room again. Looks at the disk only then.
    pub fn is_scarce(&self) -> bool {
        let until = self.scarce_until.load(Ordering::Relaxed);
        if until == 0 {
            return false;
        }
        let is_scarce = self.free_bytes().is_ok_and(|free| free < until);
        if !is_scarce {
            self.scarce_until.store(0, Ordering::Relaxed);
            tracing::warn!("the disk that holds the ledger has room again");
        }
        is_scarce
    }

    /// Whether the disk was full when somebody last looked.
    pub fn was_scarce(&self) -> bool {
        self.scarce_until.load(Ordering::Relaxed) != 0
    }

    /// After a write that failed: if the disk is full, releases the reserve and notes that space is scarce. Says whether
    /// there was a reserve, so that what is urgent may be tried again.
    pub(crate) fn release_if_full(&self, error: &StoreError) -> bool {
        let may_be_full = says_full(error) || !self.free_bytes().is_ok_and(|free| free >= FULL_BYTES);
        may_be_full && self.release()
    }

    /// Notes that the ledger has taken so many rows, and now and then looks at the disk: [`Space::note_if_full`].
    pub(crate) fn note_taken(&self, rows: u64) {
        if self.rows.fetch_add(rows, Ordering::Relaxed) + rows >= ROWS_PER_LOOK {
            self.note_if_full();
        }
    }

    /// If the disk is full, releases the reserve and notes that space is scarce. A write that fails would say so too, but
    /// only when the log has no room left, and then there may be more to write than the reserve can hold.
    pub fn note_if_full(&self) {
        self.rows.store(0, Ordering::Relaxed);
        if self.free_bytes().is_ok_and(|free| free < FULL_BYTES) {
            self.release();
        }
    }

    fn release(&self) -> bool {
        let held = self.reserve.symlink_metadata().map_or(0, |about| about.len());
        let released = std::fs::remove_file(&self.reserve).is_ok();
        let until = FULL_BYTES + if released { held } else { 0 };
        // A quota can be full while the disk is not, and nobody could see when that ends.
        if self.free_bytes().is_ok_and(|free| free >= until) {
            return released;
        }
        // A reserve that was released before still counts: what is left of it is no room.
        if self.scarce_until.fetch_max(until, Ordering::Relaxed) == 0 {
            tracing::error!("the disk that holds the ledger is full; until there is room at most cancels are signed");
        }
        released
    }

    /// Makes the reserve if it is not there and there is plenty of room above `low_bytes`: a small disk is not filled by
    /// what is to keep it from being full.
    ///
    /// # Errors
    /// The system's refusal; half a reserve does not stay.
    pub fn keep_reserve(&self, low_bytes: u64) -> io::Result<()> {
        let whole = self.reserve.symlink_metadata().is_ok_and(|about| about.len() >= RESERVE_BYTES);
        if whole || !self.has_plenty(low_bytes)? || self.was_scarce() {
            return Ok(());
        }
        match std::fs::remove_file(&self.reserve) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let made = self.make_reserve();
        if made.is_err() {
            // Half of it is of no use; what can't be removed is found short the next time.
            let _ = std::fs::remove_file(&self.reserve);
        }
        made
    }

    /// Whether there is plenty of room above `low_bytes`.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn has_plenty(&self, low_bytes: u64) -> io::Result<bool> {
        Ok(self.free_bytes()? >= low_bytes.saturating_add(2 * RESERVE_BYTES))
    }

    fn make_reserve(&self) -> io::Result<()> {
        let mut made = file::create_new(&self.reserve)?;
        match rustix::fs::fallocate(&made, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; FULL_BYTES as usize];
                (0..RESERVE_BYTES / FULL_BYTES).try_for_each(|_| made.write_all(&zeros))?;
                made.sync_data()
            }
            allocated => Ok(allocated?),
        }
    }
}

/// Whether a failure is that of a full disk, or of a user who has no more room on it.
fn says_full(error: &StoreError) -> bool {
    match error {
        StoreError::Database(rusqlite::Error::SqliteFailure(inner, _)) => inner.code == rusqlite::ErrorCode::DiskFull,
        StoreError::File { source, .. } => {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        }
        _ => false,
    }
}

#[cfg(test)]
impl Space {
    /// Says that so much is free, whatever the disk says; `None` asks the disk again.
    pub(crate) fn pretend(&self, free: Option<u64>) {
        *self.pretended.lock() = free;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const FULL: StoreError = StoreError::Database(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error { code: rusqlite::ErrorCode::DiskFull, extended_code: 13 },
        None,
    ));

    fn space() -> (tempfile::TempDir, Space) {
        let dir = tempfile::tempdir().unwrap();
        let space = Space::of(&Paths { state_dir: dir.path().to_owned(), anchor_dir: dir.path().to_owned() });
        (dir, space)
    }

    #[test]
    fn a_reserve_takes_real_space_and_nobody_else_may_read_it() {
        let (_dir, space) = space();
        space.keep_reserve(0).unwrap();
        let about = std::fs::metadata(&space.reserve).unwrap();
        assert_eq!((about.len(), about.permissions().mode() & 0o777), (RESERVE_BYTES, 0o600));
        assert!(about.blocks() * 512 >= RESERVE_BYTES, "a hole holds nothing");
        let inode = about.ino();
        space.keep_reserve(0).unwrap();
        assert_eq!(std::fs::metadata(&space.reserve).unwrap().ino(), inode, "it is made once");
    }

    #[test]
    fn a_disk_with_little_room_is_not_filled_by_a_reserve() {
        let (_dir, space) = space();
        let low = 100 * FULL_BYTES;
        space.pretend(Some(low + 2 * RESERVE_BYTES - 1));
        space.keep_reserve(low).unwrap();
        assert!(!space.reserve.exists());
        space.pretend(Some(low + 2 * RESERVE_BYTES));
        space.keep_reserve(low).unwrap();
        assert!(space.reserve.exists());
    }

    #[test]
    fn half_a_reserve_is_made_whole_and_a_planted_link_is_not_followed() {
        let (dir, space) = space();
        std::fs::write(&space.reserve, "half").unwrap();
        space.keep_reserve(0).unwrap();
        assert_eq!(std::fs::metadata(&space.reserve).unwrap().len(), RESERVE_BYTES);
        std::fs::remove_file(&space.reserve).unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "whole").unwrap();
        std::os::unix::fs::symlink(&victim, &space.reserve).unwrap();
        space.keep_reserve(0).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"whole");
        assert!(space.reserve.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_full_disk_releases_the_reserve_once_and_is_scarce_until_there_is_more_than_it_held() {
        let (_dir, space) = space();
        space.keep_reserve(0).unwrap();
        assert!(!space.is_scarce());
        space.pretend(Some(RESERVE_BYTES));
        assert!(space.release_if_full(&FULL));
        assert!(!space.reserve.exists() && space.is_scarce());
        assert!(!space.release_if_full(&FULL), "there is no second reserve");
        space.keep_reserve(0).unwrap();
        assert!(!space.reserve.exists(), "a full disk gets no new one");
        space.pretend(Some(RESERVE_BYTES + FULL_BYTES));
        assert!(!space.is_scarce() && !space.was_scarce());
    }

    #[test]
    fn a_disk_that_fails_for_another_reason_keeps_its_reserve() {
        let (_dir, space) = space();
        space.keep_reserve(0).unwrap();
        let broken = StoreError::File { what: "broken".into(), source: io::ErrorKind::Other.into() };
        assert!(!space.release_if_full(&broken));
        assert!(space.reserve.exists() && !space.is_scarce());
        space.pretend(Some(FULL_BYTES - 1));
        assert!(space.release_if_full(&broken), "a sync that fails on a full disk does not say why");
    }
}
