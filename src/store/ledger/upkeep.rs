//! What belongs to no request: how the ledger is, work once a second, and the end.

use crate::store::StoreError;
use crate::store::ledger::{Ledger, Standing, cause};
use crate::store::space::Space;
use std::sync::atomic::Ordering;

impl Ledger {
    /// What is wrong, in words for whoever asks whether the vault is ready; `None` when nothing is. Never waits for the
    /// disk.
    pub fn trouble(&self) -> Option<&'static str> {
        let (is_late, is_available) = (self.is_late.load(Ordering::Relaxed), self.standing().is_available);
        let owed = self.queue.lock().owed().filter(|_| is_late || !is_available);
        match owed {
            Some(missing) => Some(missing),
            None if is_late => Some("the disk that holds the ledger does not answer"),
            None if self.space.was_scarce() => Some("the disk that holds the ledger is full: only cancels are signed"),
            None => (!is_available).then_some("the ledger could not be written the last time"),
        }
    }

    /// The number of the piece of work that the disk has now. The same number for long is a disk that hangs.
    pub fn work_under_way(&self) -> Option<u64> {
        self.work.under_way()
    }

    /// Notes that somebody has waited in vain.
    pub fn note_late(&self) {
        if !self.is_late.swap(true, Ordering::Relaxed) {
            tracing::error!("the disk that holds the ledger does not answer; nothing is signed until it does");
        }
    }

    /// Notes that the disk has taken something.
    pub(super) fn note_in_time(&self) {
        if self.is_late.swap(false, Ordering::Relaxed) {
            tracing::warn!("the disk that holds the ledger answers again");
        }
    }

    /// The space on the disk that holds the ledger.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Work that belongs to no request: writes what is owed, brings the anchor up to date and folds the write-ahead log
    /// in.
    ///
    /// # Errors
    /// The disk's refusal; the next call tries again.
    pub fn tend(&self) -> Result<(), StoreError> {
        let tended = self.with_writer(|writer| {
            let waits = self.queue.lock().len() > 0;
            let is_owing = waits && self.flush(writer);
            writer.tend()?;
            match is_owing {
                // The connection may be well again, but the row is not written.
                true => self.note_late(),
                false => self.note_in_time(),
            }
            Ok(())
        });
        tended
            .inspect_err(|error| tracing::error!(reason = %cause(error), "the ledger could not be brought up to date"))
    }

    /// Ends the ledger: what waits is written, a last [`Ledger::tend`], then the database is closed and the keys are
    /// wiped, whoever still holds this. Closing it again does nothing.
    ///
    /// # Errors
    /// [`StoreError::Late`] when what is owed could not be written: then it stays open, and the next call tries again.
    /// Any other refusal of the disk closes it all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        let mut held = self.writer_in_time()?;
        let Some(writer) = &mut *held else { return Ok(()) };
        let _working = self.work.begin();
        if self.queue.lock().len() > 0 {
            self.flush(writer);
        }
        if self.queue.lock().owed().is_some() {
            // For the next call: a file that has lost its name for good is taken in here. Its failure says nothing new.
            let _ = writer.tend();
            return Err(StoreError::Late);
        }
        let tended = writer.tend();
        *self.standing.lock() = Standing::of(writer);
        let closed = writer.close();
        // With the writer go the keys.
        *held = None;
        tended.and(closed)
    }
}
