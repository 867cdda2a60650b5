//! What belongs to no request: how the ledger is, work once a second, and the end.

use crate::store::ledger::{Ledger, cause};
use crate::store::space::Space;
use crate::store::writer::Writer;
use crate::store::writer::anchoring::Marked;
use crate::store::{StoreError, file};
use crate::types::histogram::Counted;
use crate::types::mutex::MutexGuard;
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
            None if self.space.was_scarce() => {
                Some("the disk that holds the ledger is full: at most cancels are signed")
            }
            None => (!is_available).then_some("the ledger could not be written the last time"),
        }
    }

    /// How many batches of rows wait for the disk.
    pub fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// How long the transactions took so far, those that failed among them.
    pub fn commit_times(&self) -> Counted {
        self.commits.counted()
    }

    /// The number of the piece of work that the disk has now. The same number for long is a disk that hangs.
    pub fn work_under_way(&self) -> Option<u64> {
        self.work.under_way().or_else(|| self.beside.under_way())
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

    /// Work that belongs to no request: writes what is owed, takes in files that were moved, and then what
    /// [`Ledger::tend_ahead`] does.
    ///
    /// # Errors
    /// The disk's refusal; the next call tries again.
    pub fn tend(&self) -> Result<(), StoreError> {
        let tended = self.tending_in_time().and_then(|_alone| {
            let is_owing = self.with_writer(|writer| {
                let waits = self.queue.lock().len() > 0;
                let is_owing = waits && self.flush(writer);
                writer.heal().map(|()| is_owing)
            })?;
            self.look_ahead()?;
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

    /// Makes the log of the database quick to write, if there is plenty of room above `low_bytes` for all of it.
    ///
    /// # Errors
    /// The system's refusal; it is slower then.
    pub fn lay_out_log(&self, low_bytes: u64) -> Result<(), StoreError> {
        let has_plenty = self.space.has_plenty(low_bytes).map_err(file::failed("the space on the disk"))?;
        if has_plenty { self.with_writer(Writer::lay_out_log) } else { Ok(()) }
    }

    /// Whether [`Ledger::tend_ahead`] has something to do that the next commits would otherwise have to, or wait for.
    /// Never waits.
    pub fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// Writes the anchor before a commit has to, and folds a log that is long into the database. Commits go on meanwhile, but
    /// for the folding itself. Does nothing when another is at it.
    ///
    /// # Errors
    /// The disk's refusal; what is not done ahead the next commits do.
    pub fn tend_ahead(&self) -> Result<(), StoreError> {
        let Some(_alone) = self.tending.try_lock() else { return Ok(()) };
        self.look_ahead()
    }

    fn look_ahead(&self) -> Result<(), StoreError> {
        self.anchor_ahead()?;
        // It is synced up to the anchor, so this takes no longer than the pages need.
        match self.with_writer(Writer::fold_if_long) {
            // Once: there is nothing more to release.
            Err(error) if self.space.release_if_full(&error) => self.with_writer(Writer::fold_if_long),
            folded => folded,
        }
    }

    fn anchor_ahead(&self) -> Result<(), StoreError> {
        let ready = match self.with_writer(Writer::mark_ahead)? {
            None => return Ok(()),
            Some(Marked::Synced(ready)) => ready,
            Some(Marked::Unsynced(unsynced)) => {
                let tried = {
                    let _working = self.beside.begin();
                    unsynced.sync()
                };
                let Some(ready) = self.with_writer(|writer| writer.after_sync(tried))? else { return Ok(()) };
                ready
            }
        };
        let written = {
            let _working = self.beside.begin();
            ready.write()
        };
        written.map(drop).inspect_err(|_| {
            // Whether the ledger is sound is another now. Who is late learns it with the next commit.
            let _ = self.with_writer(|_| Ok(()));
        })
    }

    fn tending_in_time(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let tending = self.tending.try_lock_for(self.max_wait);
        tending.ok_or_else(|| {
            self.note_late();
            StoreError::Late
        })
    }

    /// Ends the ledger: what waits is written, a last [`Ledger::tend`], then the database is closed and the keys are
    /// wiped, whoever still holds this. Closing it again does nothing.
    ///
    /// # Errors
    /// [`StoreError::Late`] when what is owed could not be written: then it stays open, and the next call tries again.
    /// Any other refusal of the disk closes it all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        // Whoever anchors ahead has the keys and the anchor.
        let _alone = self.tending_in_time()?;
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
        self.note(writer);
        let closed = writer.close();
        // With the writer go the keys.
        *held = None;
        tended.and(closed)
    }
}
