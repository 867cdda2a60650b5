//! The rows that an unlock did not wait for: those before the last checkpoint that no limit needs. They are verified page
//! by page between signatures, and what they say of the last use of credentials is taken in. A row that is not what was
//! written locks the vault again.
//!
//! What holds over the next unlock: after a failure, or while the rows were not all verified yet, the same daemon verifies
//! everything before it unlocks again. A new daemon knows nothing of that, but for the row of the lock, which says why and
//! is verified first of all: behind such a row everything is verified too.

use crate::audit::chain::Point;
use crate::store::ledger::Ledger;
use crate::store::{IntegrityError, StoreError};
use crate::types::clock::UnixMs;
use crate::vault::annals::Annals;
use crate::vault::load::last_use;
use crate::vault::lock::Why;
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};
use std::collections::HashMap;
use std::sync::Arc;

/// Pages that are verified before the other duties have their turn again.
const PAGES_IN_A_TURN: usize = 250;

/// Rows that are still to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// What was verified so far.
    pub at: Point,
    /// Where it must arrive.
    pub until: Point,
}

/// What a daemon knows of the rows that an unlock did not wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing is known against them.
    Given,
    /// They are being verified, or were when the vault was locked.
    Awaited,
    /// One of them is not what was written.
    Lost {
        /// Which, in words.
        because: String,
    },
}

impl Backlog {
    /// What is left after one more page; `None` when all was verified. `each` sees every row.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`] names the row that does not follow, or does not arrive where it must.
    pub fn page(self, ledger: &Ledger, each: &mut dyn FnMut(&str)) -> Result<Option<Backlog>, StoreError> {
        let last = self.until.link.seq;
        let mut each = |_: u64, body: &str| {
            each(body);
            true
        };
        let at = ledger.verify_page(self.at, last, &mut each)?;
        match at.link.seq {
            seq if seq < last => Ok(Some(Backlog { at, ..self })),
            seq if seq == last && at != self.until => Err(IntegrityError::Audit { seq }.into()),
            _ => Ok(None),
        }
    }
}

impl Vault {
    /// The duty between requests: verifies some of the rows that the unlock did not wait for.
    ///
    /// # Errors
    /// [`AdminError::Integrity`]: the vault is locked by then. The disk's refusal: the next call tries again.
    pub(super) fn verify_backlog(&self) -> Result<(), AdminError> {
        for _ in 0..PAGES_IN_A_TURN {
            let Ok((ledger, Some(backlog))) = self.look(|unlocked| (unlocked.ledger.clone(), unlocked.backlog)) else {
                return Ok(());
            };
            let (mut used, mut annals) = (HashMap::new(), Annals::default());
            let mut each = |body: &str| {
                used.extend(last_use(body));
                annals.note(body);
            };
            match backlog.page(&ledger, &mut each) {
                Ok(left) => self.take_in(&ledger, backlog, left, (used, annals)),
                Err(StoreError::Integrity(inner)) => return Err(self.distrust(inner)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes in what a page said, unless the vault was locked and unlocked meanwhile.
    fn take_in(
        &self,
        ledger: &Arc<Ledger>,
        before: Backlog,
        left: Option<Backlog>,
        (used, annals): (HashMap<String, UnixMs>, Annals),
    ) {
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return };
        if !Arc::ptr_eq(&unlocked.ledger, ledger) || unlocked.backlog != Some(before) {
            return;
        }
        unlocked.backlog = left;
        unlocked.used_before.extend(used);
        unlocked.annals.merge(annals);
        if left.is_none() {
            fill_in(unlocked);
            *self.trust.lock() = Trust::Given;
            tracing::info!("every row of the ledger is verified");
        }
    }

    /// Locks because of a row that is not what was written.
    fn distrust(&self, broken: IntegrityError) -> AdminError {
        tracing::error!(%broken, "an old row is not what was written: the vault is locked");
        *self.trust.lock() = Trust::Lost { because: broken.to_string() };
        if let Err(error) = self.lock(Why::Broken) {
            tracing::error!(%error, "the vault is locked, but the row about it could not be written");
        }
        broken.into()
    }

    /// Why the vault was locked by itself, in words.
    pub fn locked_because(&self) -> Option<String> {
        let trust = self.trust.lock().clone();
        match trust {
            Trust::Lost { because } if !self.is_unlocked() => Some(because),
            _ => None,
        }
    }
}

/// Older rows say when a credential was used that newer ones don't name. A row from before a credential was made is about
/// another one of its name.
fn fill_in(unlocked: &mut Unlocked) {
    let used = std::mem::take(&mut unlocked.used_before);
    for credential in unlocked.credentials.values_mut().filter(|credential| credential.last_used.is_none()) {
        let moment = used.get(&credential.card.name).copied();
        credential.last_used = moment.filter(|moment| *moment >= credential.card.created);
    }
}
