//! Back to locked: what can open a record is wiped first, then the row is written with what is left of the keys. If the
//! disk does not take it the vault is locked all the same, and the ledger stays open until it has.

use crate::audit::event::{Event, to_body};
use crate::secret::heap::give_back_memory;
use crate::store::StoreError;
use crate::store::ledger::{Entry, Ledger};
use crate::vault::head::log_head;
use crate::vault::state::State;
use crate::vault::{AdminError, Vault};
use std::sync::Arc;

/// What the row of a lock says that no person asked for.
pub(super) const BROKEN: &str = "audit_broken";

/// Why the vault is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person said so.
    Asked,
    /// The daemon ends.
    Shutdown,
    /// A row of the ledger is not what was written.
    Broken,
}

impl Vault {
    /// Locks and closes the database. From the moment the lock is taken no secret opens, whatever the disk does; the
    /// vault key and the keys of records are wiped before the ledger row is written, the ledger's own keys after it.
    /// A rotation of the vault key that is under way drops what it holds of both keys when it notices, at its next page of
    /// records at the latest. Locking a locked vault does nothing; while another lock is under way it waits for the end of that.
    ///
    /// # Errors
    /// [`AdminError::AppliedInMemory`] when the row could not be written: the vault is locked all the same, and
    /// [`Vault::tend`] goes on trying.
    pub fn lock(&self, why: Why) -> Result<(), AdminError> {
        self.begin_to_lock(why).map_or(Ok(()), |ledger| self.finish_lock(&ledger))
    }

    /// The part of [`Vault::lock`] that waits for nobody. Gives the ledger that is to be closed; `None` when the vault
    /// was locked and closed already.
    pub fn begin_to_lock(&self, why: Why) -> Option<Arc<Ledger>> {
        let now = self.setup.clock.now();
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return closing(&state) };
        let why = match why {
            Why::Asked => "asked",
            Why::Shutdown => "shutdown",
            Why::Broken => BROKEN,
        };
        let entry = Entry { body: to_body(now, Event::Lock { why }), opens: None };
        let (ledger, wall) = (unlocked.ledger.clone(), unlocked.clock_guard.seen_wall(now));
        // Nobody waits for its ticket: the ledger is closed only when it owes nothing.
        drop(ledger.owe("the row about the lock is not written yet", wall, vec![entry], Vec::new()));
        let unlocked = std::mem::replace(&mut *state, State::Closing(Arc::clone(&ledger)));
        drop(state);
        drop(unlocked);
        tracing::info!("locked");
        Some(ledger)
    }

    /// Writes what a locked vault's ledger owes, closes the database and wipes the last keys.
    ///
    /// # Errors
    /// [`AdminError::AppliedInMemory`] when the row could not be written.
    pub fn finish_lock(&self, ledger: &Arc<Ledger>) -> Result<(), AdminError> {
        let closed = ledger.close();
        if !matches!(closed, Err(StoreError::Late)) {
            let mut state = self.state();
            if matches!(&*state, State::Closing(other) if Arc::ptr_eq(other, ledger)) {
                *state = State::Locked;
                log_head(&ledger.standing());
                drop(state);
                give_back_memory();
            }
        }
        closed.map_err(|_| AdminError::AppliedInMemory)
    }

    /// The ledger of a lock that is not finished.
    pub(crate) fn closing(&self) -> Option<Arc<Ledger>> {
        closing(&self.state())
    }
}

fn closing(state: &State) -> Option<Arc<Ledger>> {
    match state {
        State::Closing(ledger) => Some(Arc::clone(ledger)),
        State::Locked | State::Unlocked(_) => None,
    }
}
