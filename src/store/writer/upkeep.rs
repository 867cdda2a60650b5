//! What a writer does besides writing: its log is folded in when it is long, and the files are looked after.

use crate::store::writer::anchoring::{Marked, ROWS_AHEAD};
use crate::store::writer::{Writer, not_open};
use crate::store::{Durability, StoreError, connection, file};
use rusqlite::hooks::Wal;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A write-ahead log with so many rows in it is folded in. SQLite begins it anew then, in the same file. Commits wait for
/// that, one and a half milliseconds for each thousand rows: at one connection fewer than one in a thousand does.
const LONG_LOG_ROWS: u64 = 3072;
/// The same for a log with so much in it, whatever it is.
const LONG_LOG_BYTES: u64 = 16 * 1024 * 1024;
/// A file of it that is larger than this all the same, after a backup perhaps, is cut.
const LARGEST_LOG_BYTES: u64 = 32 * 1024 * 1024;
/// The log is laid out in pieces of so many bytes. Smaller ones cost more for each frame, and so do much larger ones.
const PIECE_BYTES: u64 = 64 * 1024;
/// A frame of the log is a page and so much about it (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
const FRAME_BYTES: u64 = 4096 + 24;

impl Writer {
    /// Whether there is something to do that the next commits would otherwise have to, or wait for.
    pub(crate) fn is_due(&self) -> bool {
        let anchored = self.anchoring.known().mark.audit.seq;
        self.is_sound() && (self.tail.link.seq >= anchored + ROWS_AHEAD || self.is_long())
    }

    fn is_long(&self) -> bool {
        let rows = self.tail.link.seq - self.folded;
        (rows >= LONG_LOG_ROWS || self.log_bytes.load(Ordering::Relaxed) >= LONG_LOG_BYTES) && !self.is_still()
    }

    /// Has the connection tell after each commit how much is in its log.
    pub(super) fn hear_of_log(&mut self) -> Result<(), StoreError> {
        if !self.hears_of_log {
            let log_bytes = Arc::clone(&self.log_bytes);
            let hear = move |_: &mut Wal, frames: i32| {
                log_bytes.store(u64::try_from(frames).unwrap_or(0) * FRAME_BYTES, Ordering::Relaxed);
                Ok(())
            };
            self.connection.as_mut().ok_or_else(not_open)?.wal_hook(Some(hear))?;
            self.hears_of_log = true;
        }
        Ok(())
    }

    /// Makes sound what can be: a file that has lost its name for good is taken in.
    ///
    /// # Errors
    /// The disk's refusal.
    pub(crate) fn heal(&mut self) -> Result<(), StoreError> {
        self.take_in_moved_files()?;
        self.recover()
    }

    /// Brings the anchor up to date and folds a long log in, with the writer held all the time.
    ///
    /// # Errors
    /// The disk's refusal.
    pub fn tend(&mut self) -> Result<(), StoreError> {
        self.heal()?;
        let ready = match self.mark_ahead()? {
            None => None,
            Some(Marked::Synced(ready)) => Some(ready),
            Some(Marked::Unsynced(unsynced)) => self.after_sync(unsynced.sync())?,
        };
        if let Some(ready) = ready {
            ready.write()?;
        }
        self.fold_if_long()
    }

    /// Folds the log in if it is long, or cuts it. It is quick when most of it is synced.
    ///
    /// # Errors
    /// The disk's refusal.
    pub(crate) fn fold_if_long(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        let file_bytes = || std::fs::metadata(self.paths.log()).map_or(0, |log| log.len());
        match () {
            () if self.is_still() => Ok(()),
            () if file_bytes() > LARGEST_LOG_BYTES => self.fold_log("TRUNCATE"),
            () if self.is_long() => self.fold_log("PASSIVE"),
            () => Ok(()),
        }
    }

    /// Folds the log into the database. With FULL the log is synced before anything is folded in: a synced row precedes
    /// every anchor. A failure closes the connection, like that of a commit.
    pub(super) fn fold_log(&mut self, mode: &str) -> Result<(), StoreError> {
        let connection = self.connection.take().ok_or_else(not_open)?;
        self.sync_as(&connection, Durability::Full)?;
        connection::fold(&connection, mode)?;
        self.connection = Some(connection);
        self.log_bytes.store(0, Ordering::Relaxed);
        self.folded = self.tail.link.seq;
        Ok(())
    }

    /// Writes zeros where the log is going to be. The kernel keeps a file in memory in pieces as large as those in which it
    /// was first written, where it can, and SQLite writes its log in small ones: laid out before, a frame takes a third less
    /// time, and so does a sync. SQLite takes what is no frame of its own for the end of the log, as it does with what an
    /// earlier round has left there.
    ///
    /// # Errors
    /// The disk's refusal; the log is as long as before then.
    pub(crate) fn lay_out_log(&mut self) -> Result<(), StoreError> {
        let log = self.log()?;
        let end = log.metadata().map_err(file::failed("the write-ahead log"))?.len();
        let zeros = [0; PIECE_BYTES as usize];
        let next = |at: u64| (at + 1).next_multiple_of(PIECE_BYTES);
        let mut places = std::iter::successors(Some(end), |at| Some(next(*at))).take_while(|at| *at < LONG_LOG_BYTES);
        let laid_out = places.try_for_each(|at| log.write_all_at(&zeros[..(next(at) - at) as usize], at));
        laid_out.map_err(|error| {
            // Zeros that stay behind do no harm.
            let _ = log.set_len(end);
            file::failed("the write-ahead log could not be laid out")(error)
        })
    }

    /// Folds the whole write-ahead log in and cuts it, so that no old page stays behind; free pages are overwritten as
    /// they are freed (`secure_delete`).
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn scrub(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        self.fold_log("TRUNCATE")
    }
}
