//! Work that belongs to no request: the ledger is tended, and the space on its disk is watched.
//!
//! With little space left everyone may only read and cancel, as if an admin had said so: an order that is open when the
//! disk is full could not be followed by another. It is a mode of its own beside the admin's and the bot's; the strictest
//! holds, and it goes when there is space again.

use crate::audit::event::{Event, to_body};
use crate::secret::heap::give_back_memory;
use crate::store::ledger::{Entry, Ledger};
use crate::types::mode::Mode;
use crate::vault::state::State;
use crate::vault::{AdminError, Vault};
use std::sync::Arc;

impl Vault {
    /// Work that belongs to no request. While locked that is what a lock has left to do, if anything.
    ///
    /// # Errors
    /// The disk's refusal; the next call tries again.
    pub fn tend(&self) -> Result<(), AdminError> {
        if let Some(ledger) = self.closing() {
            return self.finish_lock(&ledger);
        }
        let Ok(ledger) = self.ledger() else { return Ok(()) };
        self.watch_space(&ledger);
        let watched = self.watch_clock();
        let tended = ledger.tend();
        self.log_head_in_time();
        self.log_deadlines_once_a_day();
        self.verify_backlog()?;
        tended?;
        watched?;
        self.checkpoint_when_due()
    }

    /// Whether [`Vault::tend_ahead`] has something to do. Waits for nobody.
    pub fn is_due(&self) -> bool {
        self.look(|unlocked| unlocked.ledger.is_due()).unwrap_or(false)
    }

    /// Does what the next commits would otherwise have to, or wait for. Works with the disk; commits go on meanwhile.
    ///
    /// # Errors
    /// The disk's refusal; then the commits do it.
    pub fn tend_ahead(&self) -> Result<(), AdminError> {
        let Ok(ledger) = self.ledger() else { return Ok(()) };
        Ok(ledger.tend_ahead()?)
    }

    /// What is done once right after an unlock.
    pub(super) fn look_after_unlock(&self) {
        if let Ok(ledger) = self.ledger() {
            self.watch_space(&ledger);
        }
        self.log_head_in_time();
        give_back_memory();
    }

    /// Makes the ledger quick to write, right after an unlock: a matter of milliseconds. Without it, or where the disk has
    /// little room, signatures take longer, and nothing else is different.
    pub fn lay_out_log(&self) {
        let laid_out = self.ledger().map(|ledger| ledger.lay_out_log(self.care().low_space_bytes));
        if let Ok(Err(error)) = laid_out {
            tracing::debug!(%error, "the write-ahead log could not be laid out");
        }
    }

    /// The number of the piece of work that the disk has now; the same for long is a disk that hangs.
    pub fn disk_work(&self) -> Option<u64> {
        self.open_ledger()?.work_under_way()
    }

    /// Notes that somebody has waited for the disk in vain.
    pub fn note_late(&self) {
        if let Some(ledger) = self.open_ledger() {
            ledger.note_late();
        }
    }

    /// What a lock has left to do, in words, when the disk does not let it.
    pub fn trouble_closing(&self) -> Option<&'static str> {
        self.closing()?.trouble()
    }

    /// On a disk that was full, looks whether there is room again. Called with no lock held.
    pub(super) fn look_for_room(&self) {
        if let Some(ledger) = self.ledger().ok().filter(|ledger| ledger.space().was_scarce()) {
            ledger.space().is_scarce();
        }
    }

    fn open_ledger(&self) -> Option<Arc<Ledger>> {
        match &*self.state() {
            State::Locked => None,
            State::Closing(ledger) => Some(Arc::clone(ledger)),
            State::Unlocked(unlocked) => Some(Arc::clone(&unlocked.ledger)),
        }
    }

    /// Sets the disk's mode by the space that is left, and keeps a reserve while there is plenty.
    fn watch_space(&self, ledger: &Ledger) {
        let low = self.care().low_space_bytes;
        let space = ledger.space();
        match space.free_bytes() {
            Err(error) => tracing::warn!(%error, "the space on the disk of the ledger is not known"),
            Ok(free) => {
                space.note_if_full();
                let is_scarce = space.is_scarce();
                self.set_disk_mode(is_scarce || is_low(free, low, self.disk_is_low()), free);
            }
        }
        if let Err(error) = space.keep_reserve(low) {
            tracing::debug!(%error, "no space could be kept for a full disk");
        }
    }

    fn disk_is_low(&self) -> bool {
        self.look(|unlocked| unlocked.disk_mode != Mode::Normal).unwrap_or(false)
    }

    /// Whether the disk allows less than the usual, for `status`.
    pub fn disk_warning(&self) -> Option<String> {
        self.disk_is_low().then(|| {
            "the disk that holds the ledger has little space left (audit.low_space_mib): everyone may only read and cancel \
             until there is more"
                .to_owned()
        })
    }

    /// Changes the mode at once; the row about it is written if the disk allows.
    fn set_disk_mode(&self, is_low: bool, free_bytes: u64) {
        let mode = if is_low { Mode::CancelOnly } else { Mode::Normal };
        let now = self.setup.clock.now();
        let (ledger, ticket) = {
            let mut state = self.state();
            let State::Unlocked(unlocked) = &mut *state else { return };
            if unlocked.disk_mode == mode {
                return;
            }
            unlocked.disk_mode = mode;
            let entry = Entry { body: to_body(now, Event::Mode { mode, bot: None, why: Some("disk") }), opens: None };
            let wall = unlocked.clock_guard.seen_wall(now);
            (unlocked.ledger.clone(), unlocked.ledger.enqueue_urgent(wall, vec![entry], Vec::new()))
        };
        tracing::warn!(%mode, free_mib = free_bytes / (1024 * 1024), "the space on the disk of the ledger decides the mode");
        if ledger.settle(ticket).is_err() {
            tracing::warn!("the row about the space on the disk could not be written");
        }
    }
}

/// Whether so much is too little. Once it was it takes an eighth more to be enough, or the mode would flutter.
fn is_low(free: u64, low: u64, was_low: bool) -> bool {
    let enough = if was_low { low.saturating_add(low / 8) } else { low };
    free < enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_takes_an_eighth_more_to_be_enough_again() {
        let cases = [(799, false, true), (800, false, false), (800, true, true), (899, true, true), (900, true, false)];
        for (free, was_low, expected) in cases {
            assert_eq!(is_low(free, 800, was_low), expected, "{free} {was_low}");
        }
        assert!(!is_low(0, 0, false) && !is_low(0, 0, true), "0 switches it off");
    }
}
