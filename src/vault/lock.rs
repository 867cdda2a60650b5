//! Back to locked: what can open a record is wiped first, then the row is written with what is left of the keys.

use crate::audit::event::{Event, to_body};
use crate::store::ledger::Entry;
use crate::vault::state::State;
use crate::vault::{AdminError, Vault};

/// Why the vault is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person said so.
    Asked,
    /// The daemon ends.
    Shutdown,
}

impl Vault {
    /// Locks and closes the database. From the moment the lock is taken no secret opens, whatever the disk does; the
    /// vault key and the keys of records are wiped before the ledger row is written, the ledger's own keys after it.
    /// Locking a locked vault does nothing; while another lock is under way it waits for the end of that.
    ///
    /// # Errors
    /// [`AdminError::AppliedInMemory`] when the row could not be written: the vault is locked all the same.
    pub fn lock(&self, why: Why) -> Result<(), AdminError> {
        let _closing = self.closing.lock();
        let now = self.setup.clock.now();
        let (ledger, ticket) = {
            let mut state = self.state();
            let State::Unlocked(mut unlocked) = std::mem::replace(&mut *state, State::Locked) else { return Ok(()) };
            let why = match why {
                Why::Asked => "asked",
                Why::Shutdown => "shutdown",
            };
            let entry = Entry { body: to_body(now, Event::Lock { why }), opens: None };
            let ticket = unlocked.ledger.enqueue(unlocked.clock_guard.seen_wall(now), vec![entry], Vec::new());
            (unlocked.ledger.clone(), ticket)
        };
        tracing::info!("locked");
        let settled = ledger.settle(ticket);
        let closed = ledger.close();
        match settled.is_ok() && closed.is_ok() {
            true => Ok(()),
            false => Err(AdminError::AppliedInMemory),
        }
    }
}
