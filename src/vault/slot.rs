//! Slots: the ways to unlock, and changing the password. All of it wraps the same vault key again; no record is
//! touched, so bots go on signing meanwhile. Each holds its turn from the first look at the slots to the end: otherwise
//! two removals could each leave the other's slot as the last, and a removed slot could come back with a new password.

use crate::audit::event::{Action, Event};
use crate::crypto::kdf::Argon2Params;
use crate::crypto::keys::VaultKey;
use crate::crypto::slot::{Slot, SlotKind, SlotMethod};
use crate::store::ledger::Change;
use crate::types::clock::{Now, UnixMs};
use crate::types::id::Id;
use crate::vault::change::{Prepared, Turn};
use crate::vault::init::{InitError, MIN_PASSWORD_BYTES, make_slot};
use crate::vault::state::Unlocked;
use crate::vault::unlock::{SlotKey, UnlockError};
use crate::vault::{AdminError, Vault};
use crate::wire::{PasswordChange, SlotCard, SlotSecret};

/// The most slots that a vault has.
pub const MAX_SLOTS: usize = 8;

/// Why a slot was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SlotChangeError {
    /// The old password was not accepted.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// Anything else.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl Vault {
    /// The ways to unlock.
    ///
    /// # Errors
    /// [`AdminError::Locked`], or the store's refusal.
    pub fn slots(&self) -> Result<Vec<SlotCard>, AdminError> {
        Ok(self.parsed_slots()?.iter().map(shown).collect())
    }

    /// Wraps the vault key, or a new one, under a new password, in the slot that the old one opens. The cost becomes at
    /// least today's default.
    ///
    /// # Errors
    /// [`SlotChangeError::Unlock`] for a wrong old password, counted like a failed unlock.
    pub fn change_password(&self, change: PasswordChange) -> Result<Vec<String>, SlotChangeError> {
        let old = SlotKey::parse(SlotSecret::Password(change.old))?;
        check_new_password(change.new.len())?;
        let new = SlotKey::parse(SlotSecret::Password(change.new))?;
        if change.rotate_key {
            return self.rotate_key(&old, &new);
        }
        let turn = self.turn();
        let slots = self.slot_rows()?;
        let slot_id = self.check_secret(&slots, &old)?;
        let known = self.parsed_slots()?;
        let stored = known.iter().find(|slot| slot.header.slot_id == slot_id).map(|slot| slot.header.method);
        let slot = self.wrap(slot_id, method_for(new.kind, stored), &new)?;
        let prepare = |_: &Unlocked, now: Now| {
            let changes = vec![Change::PutSlot(slot)];
            Ok(Prepared::new(now, Event::PasswordChange { slot: slot_id }, changes, ()))
        };
        self.change_in_turn(&turn, prepare, |_, ()| ())?;
        self.scrub();
        Ok(vec![
            "the old password with an old copy of the vault's files (a backup, a snapshot) still opens that copy"
                .to_owned(),
        ])
    }

    /// Adds a way to unlock.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] when there are eight already, or the secret can't be.
    pub fn add_slot(&self, secret: SlotSecret) -> Result<SlotCard, SlotChangeError> {
        if let SlotSecret::Password(password) = &secret {
            check_new_password(password.len())?;
        }
        let key = SlotKey::parse(secret)?;
        let method = method_for(key.kind, None);
        let turn = self.turn();
        let known = self.parsed_slots()?;
        let slot_id = known.iter().map(|slot| slot.header.slot_id).max().unwrap_or(0) + 1;
        if known.len() >= MAX_SLOTS {
            return Err(AdminError::invalid("there are eight slots already", "remove one first").into());
        }
        let slot = self.wrap(slot_id, method, &key)?;
        let card = shown(&slot);
        self.write_slot(&turn, Action::Add, slot_id, key.kind, Change::PutSlot(slot))?;
        Ok(card)
    }

    /// Takes a way to unlock out, but never the last password.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Invalid`] for the last password.
    pub fn remove_slot(&self, slot_id: u32) -> Result<(), AdminError> {
        let turn = self.turn();
        let known = self.parsed_slots()?;
        let slot = known.iter().find(|slot| slot.header.slot_id == slot_id).ok_or(AdminError::NotFound("slot"))?;
        let kind = slot.header.method.kind();
        let of_kind = known.iter().filter(|other| other.header.method.kind() == kind).count();
        if kind == SlotKind::Password && of_kind == 1 {
            return Err(AdminError::invalid(
                "that is the last password",
                "add another password first, or change this one with `signvault password change`",
            ));
        }
        self.write_slot(&turn, Action::Remove, slot_id, kind, Change::DeleteSlot(slot_id))?;
        self.scrub();
        Ok(())
    }

    fn write_slot(
        &self,
        turn: &Turn<'_>,
        action: Action,
        slot: u32,
        kind: SlotKind,
        change: Change,
    ) -> Result<(), AdminError> {
        let event = Event::Slot { action, slot, kind: kind.as_str() };
        self.change_in_turn(turn, |_, now| Ok(Prepared::new(now, event, vec![change], ())), |_, ()| ())
    }

    /// Wraps a copy of the vault key.
    fn wrap(&self, slot_id: u32, method: SlotMethod, key: &SlotKey) -> Result<Slot, SlotChangeError> {
        let copied = self.look(|unlocked| (unlocked.keyring.vault_id(), unlocked.keyring.keys().copy_vault_key()))?;
        self.wrap_key(copied.0, &copied.1, slot_id, method, key)
    }

    /// Wraps a vault key: hashing takes a while, and nothing may wait for it.
    pub(super) fn wrap_key(
        &self,
        vault_id: Id,
        vault_key: &VaultKey,
        slot_id: u32,
        method: SlotMethod,
        key: &SlotKey,
    ) -> Result<Slot, SlotChangeError> {
        let Some(_hashing) = self.hashing.try_lock() else {
            return Err(UnlockError::Backoff { retry_after_ms: 1000 }.into());
        };
        let created_s = self.setup.clock.now().wall.seconds().unsigned_abs();
        // EXPOSE: to the new slot.
        let made = make_slot(vault_id, slot_id, method, created_s, key.secret.expose(), vault_key.expose());
        made.map_err(|error| match error {
            InitError::Machine(what) => SlotChangeError::Admin(AdminError::Machine(what)),
            _ => SlotChangeError::Admin(AdminError::Unavailable),
        })
    }

    pub(super) fn slot_rows(&self) -> Result<Vec<crate::store::record::SlotRow>, AdminError> {
        let ledger = self.look(|unlocked| unlocked.ledger.clone())?;
        Ok(ledger.slots()?)
    }

    pub(super) fn parsed_slots(&self) -> Result<Vec<Slot>, AdminError> {
        let rows = self.slot_rows()?;
        let slots = rows.iter().map(|(header, commitment, wrapped)| Slot::parse(header, commitment, wrapped));
        slots.collect::<Result<_, _>>().map_err(|_| AdminError::Unavailable)
    }

    /// Overwrites the old wrapped keys that a change left in the write-ahead log. The change holds without it, and a
    /// lock does the same when it closes the database.
    pub(super) fn scrub(&self) {
        let scrubbed = self.ledger().map(|ledger| ledger.scrub());
        if !matches!(scrubbed, Ok(Ok(()))) {
            tracing::warn!("an old wrapped key stays in the write-ahead log until the next lock");
        }
    }
}

fn check_new_password(bytes: usize) -> Result<(), AdminError> {
    match (MIN_PASSWORD_BYTES..=super::unlock::MAX_PASSWORD_BYTES).contains(&bytes) {
        true => Ok(()),
        false => Err(AdminError::invalid("the new password is too short or too long", "use 12 to 1024 bytes")),
    }
}

/// How a secret opens its slot. A password's cost is today's default, or what is stored where that is more.
pub(super) fn method_for(kind: SlotKind, stored: Option<SlotMethod>) -> SlotMethod {
    match kind {
        SlotKind::Password => SlotMethod::Password(raised(stored)),
        SlotKind::KeyFile => SlotMethod::KeyFile,
        SlotKind::Recovery => SlotMethod::Recovery,
    }
}

/// The stored cost, raised to today's default where it is below.
fn raised(stored: Option<SlotMethod>) -> Argon2Params {
    let default = Argon2Params::default();
    let Some(SlotMethod::Password(stored)) = stored else { return default };
    Argon2Params::parse(
        stored.memory_kib().max(default.memory_kib()),
        stored.passes().max(default.passes()),
        stored.lanes().max(default.lanes()),
    )
    .unwrap_or(default)
}

fn shown(slot: &Slot) -> SlotCard {
    let header = &slot.header;
    let kdf = match header.method {
        SlotMethod::Password(cost) => {
            Some(format!("Argon2id {} MiB, t={}, p={}", cost.memory_kib() / 1024, cost.passes(), cost.lanes()))
        }
        SlotMethod::KeyFile | SlotMethod::Recovery => None,
    };
    SlotCard {
        id: header.slot_id,
        kind: header.method.kind().as_str().to_owned(),
        created: UnixMs(i64::try_from(header.created_s).unwrap_or(0).saturating_mul(1000)).to_string(),
        kdf,
    }
}
