//! From a password to an unlocked vault.
//!
//! ```text
//! back-off?  ─▶ slots: bounds, before memory is taken ─▶ count the attempt (synced) ─▶ Argon2id, one at a time
//!   ─▶ commitment, then the wrapped key ─▶ subkeys into locked memory
//!   ─▶ schema, state row, manifest, anchor, ledger ─▶ every record opened ─▶ the index in memory
//!   ─▶ a ledger row about it ─▶ unlocked
//! ```
//! Until the last step nothing can sign, and any doubt leaves the vault locked and the files as they were.

use crate::audit::event::{Event, to_body};
use crate::crypto::keys::{self, VaultKey};
use crate::crypto::recovery::RecoveryKey;
use crate::crypto::slot::{Slot, SlotError, SlotKind};
use crate::policy::usage::IDS_KEPT_MS;
use crate::secret::SecretBytes;
use crate::store::attempts::{Attempts, MAX_BACKOFF_MS};
use crate::store::ledger::{Change, Entry, Ledger};
use crate::store::opening::{Database, Depth};
use crate::store::record::{SlotRow, Table, read_slots};
use crate::store::writer::{Rollback, Writer};
use crate::store::{IntegrityError, StoreError, connection};
use crate::types::clock::{Now, UnixMs};
use crate::vault::backlog::{Backlog, Trust};
use crate::vault::card::{first_of, lasting_warnings};
use crate::vault::change::{Prepared, Turn};
use crate::vault::checkpoint;
use crate::vault::clock_guard::ClockGuard;
use crate::vault::deadline;
use crate::vault::keyring::Keyring;
use crate::vault::load::{Loading, Past};
use crate::vault::rotation::retired_keys;
use crate::vault::state::{Credential, State, Unlocked};
use crate::vault::{AdminError, Vault};
use crate::wire;
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// The longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// What opens a vault.
pub struct SlotKey {
    /// Which kind of slot it opens.
    pub kind: SlotKind,
    /// A password's bytes as typed, a key file's 32 bytes, or a recovery key's 32 bytes.
    pub secret: SecretBytes,
}

/// Why the vault stays locked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// There is no vault.
    #[error("there is no vault here yet")]
    Uninitialized,
    /// The request can't be: an empty password, a malformed recovery key.
    #[error("{0}")]
    Invalid(&'static str),
    /// Wrong secret, or a slot that was changed: nobody can tell which.
    #[error("the vault did not open")]
    Failed,
    /// A slot's header is malformed or asks for more than the bounds allow; nothing was hashed.
    #[error("a slot of the vault is malformed or out of bounds")]
    OutOfBounds,
    /// Too soon after a failure, or another attempt is under way.
    #[error("too soon after a failed attempt")]
    Backoff {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The row about the last lock is not written yet, and the database still open for it.
    #[error("the vault is still closing: the disk has not taken the row about the lock")]
    Closing,
    /// The files are not what they must be.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The files could not be read or written just now.
    #[error("the vault's files could not be read or written")]
    Storage(#[source] StoreError),
    /// Not enough memory for the password hash or for the keys.
    #[error("the machine has not enough {0}")]
    Machine(&'static str),
}

/// What reading the keys of older rows may meet.
impl From<AdminError> for UnlockError {
    fn from(error: AdminError) -> UnlockError {
        match error {
            AdminError::Integrity(inner) => UnlockError::Integrity(inner),
            _ => UnlockError::Machine("locked memory for the keys"),
        }
    }
}

impl From<StoreError> for UnlockError {
    fn from(error: StoreError) -> UnlockError {
        match error {
            StoreError::Integrity(inner) => UnlockError::Integrity(inner),
            other if other.is_for_want_of_memory() => UnlockError::Machine("memory to read the vault's files"),
            other => UnlockError::Storage(other),
        }
    }
}

/// What an unlock may accept because a person said so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept {
    /// An older database than the anchor remembers.
    pub rollback: bool,
    /// A wall clock that is behind what the vault has seen, or that jumped.
    pub clock: bool,
}

impl Accept {
    /// What the state row must forget for it.
    fn changes(self, now: Now) -> Vec<Change> {
        if self.clock { vec![Change::AcceptClock(now.wall)] } else { Vec::new() }
    }
}

impl SlotKey {
    /// Reads what came over the wire.
    ///
    /// # Errors
    /// [`UnlockError::Invalid`] for what can't be: nothing is hashed and nothing counted then.
    pub fn parse(given: wire::SlotSecret) -> Result<SlotKey, UnlockError> {
        // EXPOSE: to the slot's key derivation.
        match given {
            wire::SlotSecret::Password(text) if (1..=MAX_PASSWORD_BYTES).contains(&text.len()) => {
                Ok(SlotKey { kind: SlotKind::Password, secret: SecretBytes::new(text.expose().as_bytes().to_vec()) })
            }
            wire::SlotSecret::Password(_) => Err(UnlockError::Invalid("a password has 1 to 1024 bytes")),
            wire::SlotSecret::Recovery(text) => {
                let key = RecoveryKey::parse(text.expose());
                let key = key.map_err(|_| UnlockError::Invalid("a recovery key has 52 letters and digits"))?;
                Ok(SlotKey { kind: SlotKind::Recovery, secret: SecretBytes::new(key.expose().to_vec()) })
            }
            wire::SlotSecret::KeyFile(text) => {
                let bytes = data_encoding::BASE64.decode(text.expose().as_bytes()).map(SecretBytes::new);
                let bytes = bytes.ok().filter(|bytes| bytes.len() == 32);
                let secret = bytes.ok_or(UnlockError::Invalid("a key file has exactly 32 bytes"))?;
                Ok(SlotKey { kind: SlotKind::KeyFile, secret })
            }
        }
    }
}

impl Vault {
    /// Unlocks. On an unlocked vault the secret is checked all the same, and what `accept` says is applied.
    ///
    /// # Errors
    /// [`UnlockError`]; the vault is as locked or unlocked as before.
    pub fn unlock(&self, key: &SlotKey, accept: Accept) -> Result<wire::Unlocked, UnlockError> {
        if !self.is_initialized() {
            return Err(UnlockError::Uninitialized);
        }
        // First, so that of many attempts one waits for the other admin actions and the rest is turned away.
        let Some(_hashing) = self.hashing.try_lock() else {
            return Err(UnlockError::Backoff { retry_after_ms: 1000 });
        };
        // A lock that is under way holds the database until its row is written. Seen to before the turn, which another
        // action may not give up as long as the disk hangs; and again, because from here on nobody else can unlock.
        self.finish_closing()?;
        let turn = self.turn_in_time().ok_or(StoreError::Late)?;
        self.finish_closing()?;
        let slots = self.read_slots()?;
        let (slot, vault_key, failed) = self.open_a_slot(&slots, key)?;
        if self.is_unlocked() {
            // That a recovery key was tried is worth a row: doctor looks for it.
            if accept.clock || failed > 0 || key.kind == SlotKind::Recovery {
                self.accept_on_unlocked(&turn, slot, failed, accept)?;
            }
        } else {
            self.load(slot, vault_key, failed, accept)?;
        }
        if let Err(error) = Attempts::default().write(&self.setup.paths.attempts()) {
            tracing::warn!(%error, "the count of failed unlocks could not be cleared; the next unlock may have to wait");
        }
        self.told(slot, failed)
    }

    /// Whether a secret opens a slot of its kind, counted and backed off like an unlock.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub(crate) fn check_secret(&self, slots: &[SlotRow], key: &SlotKey) -> Result<u32, UnlockError> {
        let Some(_hashing) = self.hashing.try_lock() else {
            return Err(UnlockError::Backoff { retry_after_ms: 1000 });
        };
        self.open_a_slot(slots, key).map(|(slot, ..)| slot)
    }

    fn finish_closing(&self) -> Result<(), UnlockError> {
        let finished = self.closing().map(|ledger| self.finish_lock(&ledger));
        finished.unwrap_or(Ok(())).map_err(|_| UnlockError::Closing)
    }

    /// The slots, from the ledger's own connection while unlocked and from the file while locked.
    fn read_slots(&self) -> Result<Vec<SlotRow>, UnlockError> {
        match self.look(|unlocked| unlocked.ledger.clone()) {
            Ok(ledger) => Ok(ledger.slots()?),
            Err(_) => {
                let connection = connection::open_for_slots(&self.setup.paths.database())?;
                Ok(read_slots(&connection)?)
            }
        }
    }

    /// Tries every slot of the key's kind. The attempt is counted, durably, before the first hash; a secret that opens
    /// takes its own attempt back, so that nobody waits who has to say `--accept-rollback` next, and so does one that there
    /// was no memory to try. Those before it stay counted until an unlock has put them into the ledger.
    fn open_a_slot(&self, rows: &[SlotRow], key: &SlotKey) -> Result<(u32, VaultKey, u32), UnlockError> {
        let path = self.setup.paths.attempts();
        let now = self.setup.clock.now().wall;
        let before = Attempts::read(&path).not_after(now, &path).map_err(attempts_failed)?;
        if let Some(retry_after_ms) = before.wait_ms(now) {
            return Err(UnlockError::Backoff { retry_after_ms: retry_after_ms.min(MAX_BACKOFF_MS) });
        }
        let slots = parse_slots(rows)?;
        before.count(&path, now).map_err(attempts_failed)?;
        let mut has_guessed = false;
        for slot in slots.iter().filter(|slot| slot.header.method.kind() == key.kind) {
            // EXPOSE: to the slot's key derivation.
            match slot.unwrap_key(key.secret.expose()) {
                Ok(vault_key) => {
                    Attempts { last_ms: 0, ..before }.write(&path).map_err(attempts_failed)?;
                    return Ok((slot.header.slot_id, vault_key, before.failed));
                }
                Err(SlotError::OutOfMemory) if !has_guessed => {
                    before.write(&path).map_err(attempts_failed)?;
                    return Err(no_memory());
                }
                Err(SlotError::OutOfMemory) => return Err(no_memory()),
                Err(SlotError::OutOfBounds | SlotError::Refused) => has_guessed = true,
            }
        }
        tracing::warn!(failed_attempts = before.failed + 1, "an unlock failed");
        Err(UnlockError::Failed)
    }

    /// Verifies everything under the key and puts it into memory.
    fn load(&self, slot: u32, vault_key: VaultKey, failed: u32, accept: Accept) -> Result<(), UnlockError> {
        let vault_id = self.vault_id_of_slots()?;
        let database = Database::open(&self.setup.paths)?;
        let epoch = database.told_epoch()?;
        let (ledger_keys, record_keys) = keys::derive(&self.setup.arena, vault_id, vault_key, epoch)
            .map_err(|_| UnlockError::Machine("locked memory for the keys"))?;
        let mut sealed = database.read(ledger_keys, vault_id)?;
        let mut loading = Loading::new(Keyring::new(record_keys, vault_id, epoch), &sealed.state().counts);
        let recipes = self.setup.recipes.all();
        for (table, row) in sealed.records() {
            loading.add(&recipes, *table, row)?;
        }
        sealed.retire(retired_keys(&self.setup.arena, loading.keyring(), sealed.records())?);
        let rollback = if accept.rollback { Rollback::Accept } else { Rollback::Refuse };
        let mut past = Past::default();
        let depth = self.depth(sealed.state().wall_high);
        let mut opened = sealed.verify(self.setup.durability, rollback, depth, &mut |_, body| past.note(body))?;
        if !past.is_whole() {
            return Err(IntegrityError::Corrupt("a ledger row counts for something that can't be read").into());
        }
        let now = self.setup.clock.now();
        self.migrate(&mut opened.writer, now)?;
        if accept.clock {
            past.accept_clock(now.wall);
        }
        let seen = if accept.clock { now.wall } else { opened.writer.state().wall_high };
        let mut clock_guard = ClockGuard::new(now, seen);
        let first_kept = opened.writer.state().first_kept;
        let mut backlog = Some(Backlog { at: first_kept, until: opened.verified_after });
        backlog = backlog.filter(|backlog| backlog.at != backlog.until);
        let ledger = Arc::new(Ledger::new(opened.writer).waiting_at_most(self.care().max_wait));
        while past.distrusts()
            && let Some(left) = backlog
        {
            backlog = left.page(&ledger, &mut |body| past.annals.note(body))?;
        }
        let (signing_key, new_key) = loading.signing_key().map_err(|_| UnlockError::Machine("random numbers"))?;
        let event = Event::Unlock {
            slot,
            failed_attempts: failed,
            accepted_rollback: opened.accepted.is_some(),
            refusal: opened.accepted.as_ref().map(ToString::to_string),
            accepted_clock: accept.clock,
        };
        let wall = clock_guard.seen_wall(now);
        let (mut bodies, mut changes) = (vec![to_body(now, event)], accept.changes(now));
        past.annals.note(&bodies[0]);
        if let Some(row) = new_key {
            let key = HEXLOWER.encode(&signing_key.public);
            bodies.push(to_body(now, Event::SigningKey { key: &key }));
            changes.push(Change::Put(Table::Setting, row));
        }
        let entries = bodies.into_iter().map(|body| Entry { body, opens: None }).collect();
        let ticket = ledger.enqueue(wall, entries, changes);
        let settled = ledger.settle(ticket);
        settled.map_err(|_| cannot_write())?;
        let checkpointed = checkpoint::last_signed(&ledger).unwrap_or(now.wall);
        *self.trust.lock() = if backlog.is_some() { Trust::Awaited } else { Trust::Given };
        let unlocked = loading.with(past, ledger, clock_guard, signing_key, checkpointed, backlog);
        *self.state() = State::Unlocked(Box::new(unlocked));
        tracing::info!(slot, failed_attempts = failed, "unlocked");
        self.look_after_unlock();
        Ok(())
    }

    /// Brings a database of an older version to this one's, once all of it is verified.
    fn migrate(&self, writer: &mut Writer, now: Now) -> Result<(), UnlockError> {
        let Some((from, to)) = writer.migration_due()? else { return Ok(()) };
        // Nothing is known of this clock yet, so it leaves no mark.
        writer.migrate(from, &to_body(now, Event::Migrate { from, to }), UnixMs(i64::MIN))?;
        let kept = self.setup.paths.older_database(from);
        tracing::warn!(from, to, kept = %kept.display(), "the database has a new layout; the copy of before is yours to remove");
        Ok(())
    }

    /// How much of the ledger is verified before the vault is unlocked: what is not signed yet, and what limits and client
    /// ids need; all of it when there is a doubt. A clock that is ahead of what the vault has seen must not make rows old.
    fn depth(&self, wall_high: UnixMs) -> Depth {
        let now = self.setup.clock.now().wall.min(wall_high);
        match &*self.trust.lock() {
            Trust::Given => Depth::Since(now.plus_ms(-IDS_KEPT_MS)),
            Trust::Awaited | Trust::Lost { .. } => Depth::Whole,
        }
    }

    fn vault_id_of_slots(&self) -> Result<crate::types::id::Id, UnlockError> {
        let slots = parse_slots(&self.read_slots()?)?;
        slots.first().map(|slot| slot.header.vault_id).ok_or(UnlockError::OutOfBounds)
    }

    /// Applies what an unlock of an unlocked vault accepts: of the clock only, and with a row about it.
    fn accept_on_unlocked(
        &self,
        turn: &Turn<'_>,
        slot: u32,
        failed_attempts: u32,
        accept: Accept,
    ) -> Result<(), UnlockError> {
        let prepare = |_: &Unlocked, now: Now| {
            let event = Event::Unlock {
                slot,
                failed_attempts,
                accepted_rollback: false,
                refusal: None,
                accepted_clock: accept.clock,
            };
            Ok(Prepared::new(now, event, accept.changes(now), now))
        };
        let accepted = self.change_in_turn(turn, prepare, |unlocked, now| {
            if accept.clock {
                unlocked.clock_guard = ClockGuard::new(*now, now.wall);
                unlocked.book.not_after(now.wall);
            }
        });
        accepted.map(|_| ()).map_err(|_| cannot_write())
    }

    fn told(&self, slot: u32, failed_attempts: u32) -> Result<wire::Unlocked, UnlockError> {
        let warnings = self.warnings();
        let ledger = self.look(|unlocked| unlocked.ledger.clone()).map_err(|_| UnlockError::Failed)?;
        let standing = ledger.standing();
        let (state_version, audit_sequence) = (standing.state.state_version, standing.tail.seq);
        Ok(wire::Unlocked { state_version, audit_sequence, failed_attempts, slot, warnings })
    }

    /// What there is to warn about, over all credentials, bots and policies; nothing while locked.
    pub fn warnings(&self) -> Vec<String> {
        let now = self.setup.clock.now().wall;
        let of_all: Result<Vec<String>, _> = self.look(|unlocked| {
            let policies = unlocked.policies.values();
            let flaws = policies.filter_map(|entry| entry.flaw.as_ref().map(|flaw| entry.warning(flaw)));
            let credentials = unlocked.credentials_by_name().into_values();
            let lasting = credentials.flat_map(|found: &Credential| lasting_warnings(&found.card));
            first_of(flaws.chain(deadline::lines(unlocked, now)).chain(lasting))
        });
        of_all.into_iter().flatten().chain(self.disk_warning()).collect()
    }
}

/// Parses every slot before anything is hashed: one that is out of bounds means someone wrote to the file.
fn parse_slots(rows: &[SlotRow]) -> Result<Vec<Slot>, UnlockError> {
    (rows.len() <= super::slot::MAX_SLOTS).then_some(()).ok_or(UnlockError::OutOfBounds)?;
    let parsed = rows.iter().map(|(header, commitment, wrapped)| Slot::parse(header, commitment, wrapped));
    parsed.collect::<Result<Vec<Slot>, SlotError>>().map_err(|_| UnlockError::OutOfBounds)
}

fn no_memory() -> UnlockError {
    UnlockError::Machine("memory for the password hash")
}

fn cannot_write() -> UnlockError {
    UnlockError::Storage(IntegrityError::Corrupt("its ledger can't be written").into())
}

fn attempts_failed(source: std::io::Error) -> UnlockError {
    UnlockError::Storage(StoreError::File { what: "the attempts file could not be written".into(), source })
}
