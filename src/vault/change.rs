//! How every admin action runs: one at a time, prepared under the lock, durable before it is believed.

use crate::audit::event::{Event, to_body};
use crate::store::ledger::{Change, Entry, Ledger};
use crate::store::queue::Ticket;
use crate::types::clock::Now;
use crate::types::mutex::MutexGuard;
use crate::vault::annals::Annals;
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};
use std::sync::Arc;

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

/// Something that holds already, and whose row is on its way to the disk.
#[must_use = "nobody has waited for its row"]
pub struct Promised<T> {
    answer: T,
    ledger: Arc<Ledger>,
    ticket: Ticket,
}

impl<T> Promised<T> {
    /// Waits for the row, as long as the ledger's bound allows.
    ///
    /// # Errors
    /// [`AdminError::AppliedInMemory`]: the ledger owes it.
    pub fn settled(self) -> Result<T, AdminError> {
        self.ledger.settle(self.ticket).map_err(|_| AdminError::AppliedInMemory)?;
        Ok(self.answer)
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

    /// Waits for one's turn to act as long as anyone waits for the disk, which the other action may do.
    pub(crate) fn turn_in_time(&self) -> Option<Turn<'_>> {
        Some(Turn { _only: self.admin.try_lock_for(self.care().max_wait)? })
    }

    /// One's turn, if nobody else acts: for what can as well be done a second later.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_>> {
        self.admin.try_lock().map(|only| Turn { _only: only })
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
        let mut told = Annals::default();
        let (ledger, ticket, answer) = {
            let mut state = self.state();
            let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
            let prepared = prepare(unlocked, now)?;
            told.note(&prepared.body);
            let entry = Entry { body: prepared.body, opens: None };
            let ticket = unlocked.ledger.enqueue(unlocked.clock_guard.seen_wall(now), vec![entry], prepared.changes);
            (unlocked.ledger.clone(), ticket, prepared.answer)
        };
        // Memory follows what became of it, so a disk that has it already is waited for, however long it takes.
        let settled = ledger.settle_to_the_end(ticket);
        if let State::Unlocked(unlocked) = &mut *self.state() {
            match settled {
                Ok(_) => {
                    unlocked.annals.merge(told);
                    publish(unlocked, &answer);
                }
                Err(_) => take_back(unlocked, &answer),
            }
        }
        settled.map(|_| answer).map_err(|_| AdminError::Unavailable)
    }

    /// Runs an action that must not wait for the disk to be true: `apply` changes memory at once, under the lock, and
    /// says what to write. It takes no turn and does no I/O: it waits for nobody. `missing` says what is not written yet
    /// as long as the ledger owes the row.
    ///
    /// # Errors
    /// `apply`'s refusal; [`AdminError::Locked`].
    pub(crate) fn change_at_once<T>(
        &self,
        missing: &'static str,
        apply: impl FnOnce(&mut Unlocked, Now) -> Result<Prepared<T>, AdminError>,
    ) -> Result<Promised<T>, AdminError> {
        let now = self.setup.clock.now();
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
        let Prepared { body, changes, answer } = apply(unlocked, now)?;
        unlocked.annals.note(&body);
        let (wall, entry) = (unlocked.clock_guard.seen_wall(now), Entry { body, opens: None });
        let ticket = unlocked.ledger.owe(missing, wall, vec![entry], changes);
        Ok(Promised { answer, ledger: unlocked.ledger.clone(), ticket })
    }

    /// Writes a ledger row that changes nothing else.
    ///
    /// # Errors
    /// [`AdminError::Locked`], [`AdminError::Unavailable`].
    pub(crate) fn note(&self, event: Event<'_>) -> Result<(), AdminError> {
        self.change(|_, now| Ok(Prepared::new(now, event, Vec::new(), ())), |_, ()| ())
    }
}
