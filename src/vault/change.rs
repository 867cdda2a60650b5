//! How every admin action runs: one at a time, prepared under the lock, durable before it is believed.

use crate::audit::event::{Event, to_body};
use crate::store::ledger::{Change, Entry};
use crate::types::clock::Now;
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};
use parking_lot::MutexGuard;

/// What an action wants to write.
pub struct Prepared<T> {
    /// The row's text.
    pub body: String,
    /// What changes in the tables.
    pub changes: Vec<Change>,
    /// What the action answers.
    pub answer: T,
}

impl<T> Prepared<T> {
    /// An action with its event.
    pub fn new(now: Now, event: Event<'_>, changes: Vec<Change>, answer: T) -> Prepared<T> {
        Prepared { body: to_body(now, event), changes, answer }
    }
}

/// Proof that no other action is under way. What an action read from the disk before it prepared stays true while it
/// holds this.
pub(crate) struct Turn<'a> {
    _only: MutexGuard<'a, ()>,
}

impl Vault {
    /// Waits for one's turn to act.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn { _only: self.admin.lock() }
    }

    /// Runs an action: `prepare` looks at the vault and says what to write; once that is durable, `publish` makes it
    /// true in memory.
    ///
    /// # Errors
    /// `prepare`'s refusal; [`AdminError::Locked`]; [`AdminError::Unavailable`] when it could not be made durable, and
    /// then nothing has changed.
    pub(crate) fn change<T>(
        &self,
        prepare: impl FnOnce(&Unlocked, Now) -> Result<Prepared<T>, AdminError>,
        publish: impl FnOnce(&mut Unlocked, &T),
    ) -> Result<T, AdminError> {
        self.change_in_turn(&self.turn(), prepare, publish)
    }

    /// [`Vault::change`] for an action that has its turn already, because it looked at the disk or hashed before.
    ///
    /// # Errors
    /// As [`Vault::change`].
    pub(crate) fn change_in_turn<T>(
        &self,
        turn: &Turn<'_>,
        prepare: impl FnOnce(&Unlocked, Now) -> Result<Prepared<T>, AdminError>,
        publish: impl FnOnce(&mut Unlocked, &T),
    ) -> Result<T, AdminError> {
        self.change_or_take_back(turn, |unlocked, now| prepare(unlocked, now), publish, |_, _| ())
    }

    /// [`Vault::change_in_turn`] for an action part of which holds while the disk works: `prepare` makes that true, and
    /// `take_back` undoes it when nothing became durable.
    ///
    /// # Errors
    /// As [`Vault::change`].
    pub(crate) fn change_or_take_back<T>(
        &self,
        _turn: &Turn<'_>,
        prepare: impl FnOnce(&mut Unlocked, Now) -> Result<Prepared<T>, AdminError>,
        publish: impl FnOnce(&mut Unlocked, &T),
        take_back: impl FnOnce(&mut Unlocked, &T),
    ) -> Result<T, AdminError> {
        let now = self.setup.clock.now();
        let (ledger, ticket, answer) = {
            let mut state = self.state();
            let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
            let prepared = prepare(unlocked, now)?;
            let entry = Entry { body: prepared.body, opens: None };
            let ticket = unlocked.ledger.enqueue(unlocked.clock_guard.seen_wall(now), vec![entry], prepared.changes);
            (unlocked.ledger.clone(), ticket, prepared.answer)
        };
        let settled = ledger.settle(ticket);
        if let State::Unlocked(unlocked) = &mut *self.state() {
            match settled {
                Ok(_) => publish(unlocked, &answer),
                Err(_) => take_back(unlocked, &answer),
            }
        }
        settled.map(|_| answer).map_err(|_| AdminError::Unavailable)
    }

    /// Runs an action that must not wait for the disk to be true: `apply` changes memory at once, under the lock, and
    /// says what to write. It takes no turn: it waits for no other action.
    ///
    /// # Errors
    /// `apply`'s refusal; [`AdminError::AppliedInMemory`] when the row could not be written: the ledger owes it then.
    pub(crate) fn change_at_once<T>(
        &self,
        apply: impl FnOnce(&mut Unlocked, Now) -> Result<Prepared<T>, AdminError>,
    ) -> Result<T, AdminError> {
        let now = self.setup.clock.now();
        let (ledger, ticket, answer) = {
            let mut state = self.state();
            let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
            let prepared = apply(unlocked, now)?;
            let entry = Entry { body: prepared.body, opens: None };
            let ticket = unlocked.ledger.owe(unlocked.clock_guard.seen_wall(now), vec![entry], prepared.changes);
            (unlocked.ledger.clone(), ticket, prepared.answer)
        };
        ledger.settle(ticket).map_err(|_| AdminError::AppliedInMemory)?;
        Ok(answer)
    }

    /// Writes a ledger row that changes nothing else.
    ///
    /// # Errors
    /// [`AdminError::Locked`], [`AdminError::Unavailable`].
    pub(crate) fn note(&self, event: Event<'_>) -> Result<(), AdminError> {
        self.change(|_, now| Ok(Prepared::new(now, event, Vec::new(), ())), |_, ()| ())
    }
}
