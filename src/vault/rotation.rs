//! A new vault key: everything is sealed again, under another key and a new password, while bots go on signing.
//!
//! ```text
//! old password ─▶ a new key, wrapped for the new password ─▶ every record sealed again, page by page
//!   ─▶ under the lock: what changed meanwhile, then into the queue ─▶ one transaction
//!   ─▶ under the lock: the new keys and credentials take the place of the old ─▶ old pages overwritten
//! ```
//! It holds the admin turn, so only what waits for no turn may change a record meanwhile: a revocation, a removed bot, a
//! mode. Those that come before the queue are sealed from memory; those that come behind it are sealed under the old key
//! still, and the ledger seals them again when it writes them. A lock in between ends it, before or after the commit.
//!
//! Of the ways to unlock only the one whose secret was given can be kept: to wrap another key, a slot's secret is needed.

use crate::audit::event::{Event, to_body};
use crate::crypto::keys::{self, LedgerKeys, RetiredKey, VaultKey};
use crate::crypto::slot::{Slot, SlotKind};
use crate::secret::SecretText;
use crate::store::ledger::{Entry, Ledger};
use crate::store::queue::Ticket;
use crate::store::record::{RecordRow, Table};
use crate::store::rekey::{Rekey, Sealer};
use crate::store::{IntegrityError, StoreError, connection};
use crate::types::id::Id;
use crate::vault::change::Turn;
use crate::vault::keyring::{Keyring, SealedCredential};
use crate::vault::setting::{MODE, SIGNING_KEY, Setting, audit_key_id};
use crate::vault::slot::{SlotChangeError, method_for};
use crate::vault::state::{State, Unlocked};
use crate::vault::unlock::SlotKey;
use crate::vault::{AdminError, Vault};
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// Records sealed again between two looks at whether the vault is still unlocked.
const PAGE: u32 = 500;

/// A vault key that is not in use yet.
struct Next {
    slot: Slot,
    ledger_keys: LedgerKeys,
    keyring: Arc<Keyring>,
}

/// A rotation that waits for the disk.
pub(super) struct Queued {
    ledger: Arc<Ledger>,
    ticket: Ticket,
    keyring: Arc<Keyring>,
    again: SealedAgain,
    removed: Vec<Slot>,
}

/// What memory keeps sealed, under the new key.
struct SealedAgain {
    credentials: Vec<(Id, SealedCredential)>,
    /// The key that signs checkpoints.
    signing_key: Option<RecordRow>,
}

/// Every record under the new key.
#[derive(Default)]
struct Sealed {
    records: Vec<(Table, RecordRow)>,
    /// Audit keys of rows that are gone.
    dropped: Vec<(Table, Id)>,
}

/// Seals under the new key what the old one opens.
struct Both {
    old: Arc<Keyring>,
    new: Arc<Keyring>,
}

impl Vault {
    /// Replaces the vault key, for good: what the old one opened, wherever an old copy of it is, does not open the vault
    /// any more. Returns what there is to know, in words.
    ///
    /// # Errors
    /// [`SlotChangeError::Unlock`] for a wrong old secret, counted like a failed unlock; otherwise the old key stays.
    pub(crate) fn rotate_key(&self, old: &SlotKey, new: &SlotKey) -> Result<Vec<String>, SlotChangeError> {
        let turn = self.turn();
        let queued = self.queue_rotation(&turn, old, new)?;
        Ok(self.finish_rotation(queued)?)
    }

    /// Everything up to the place in the queue.
    pub(super) fn queue_rotation(
        &self,
        _turn: &Turn<'_>,
        old: &SlotKey,
        new: &SlotKey,
    ) -> Result<Queued, SlotChangeError> {
        let slot_id = self.check_secret(&self.slot_rows()?, old)?;
        let (of_secret, removed): (Vec<Slot>, Vec<Slot>) =
            self.parsed_slots()?.into_iter().partition(|slot| slot.header.slot_id == slot_id);
        let next = self.next_key(of_secret.first(), slot_id, new)?;
        let (ledger, old) = self.look(|unlocked| (unlocked.ledger.clone(), unlocked.keyring.clone()))?;
        let both = Both { old, new: Arc::clone(&next.keyring) };
        let sealed = self.seal_everything_again(&ledger, &both)?;
        Ok(self.enqueue_rotation(ledger, next, sealed, both, removed)?)
    }

    /// Everything after it.
    pub(super) fn finish_rotation(&self, queued: Queued) -> Result<Vec<String>, AdminError> {
        let Queued { ledger, ticket, keyring, again, removed } = queued;
        ledger.settle_to_the_end(ticket).map_err(|_| AdminError::Unavailable)?;
        self.take_new_key(&ledger, keyring, again);
        if let Err(error) = ledger.forget_old_key() {
            tracing::warn!(%error, "the old vault key stays in memory until the next lock");
        }
        self.scrub();
        tracing::info!("the vault key was replaced");
        let copies = (1..connection::newest()).map(|version| self.setup.paths.older_database(version));
        let kept = copies.filter(|copy| copy.exists()).map(|copy| {
            format!("{} is from before an upgrade and opens with what opened the vault then; remove it", copy.display())
        });
        Ok(warnings(&removed).into_iter().chain(kept).collect())
    }

    /// Makes a key, wraps it for the new secret, and derives what comes from it.
    fn next_key(&self, stored: Option<&Slot>, slot_id: u32, secret: &SlotKey) -> Result<Next, SlotChangeError> {
        let (vault_id, epoch) = self.look(|unlocked| (unlocked.keyring.vault_id(), unlocked.keyring.epoch()))?;
        let key = VaultKey::generate().map_err(|_| AdminError::Machine("random numbers"))?;
        let method = method_for(secret.kind, stored.map(|slot| slot.header.method));
        let slot = self.wrap_key(vault_id, &key, slot_id, method, secret)?;
        let epoch = epoch.checked_add(1).ok_or(AdminError::Unavailable)?;
        let derived = keys::derive(self.arena(), vault_id, key, epoch);
        let (ledger_keys, record_keys) = derived.map_err(|_| AdminError::Machine("locked memory for the keys"))?;
        Ok(Next { slot, ledger_keys, keyring: Arc::new(Keyring::new(record_keys, vault_id, epoch)) })
    }

    fn seal_everything_again(&self, ledger: &Ledger, both: &Both) -> Result<Sealed, AdminError> {
        let first_kept = ledger.standing().state.first_kept.link.seq + 1;
        let mut sealed = Sealed::default();
        for table in Table::ALL {
            let mut after = None;
            loop {
                let page = ledger.records(table, after, PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                for row in &page {
                    match is_over(table, row, first_kept, both)? {
                        true => sealed.dropped.push((table, row.id)),
                        false => sealed.records.push((table, both.seal_again(table, row)?)),
                    }
                }
                if !self.is_unlocked() {
                    return Err(AdminError::Locked);
                }
            }
        }
        Ok(sealed)
    }

    /// From here on what is sealed under the old key stands behind the new one in the queue.
    fn enqueue_rotation(
        &self,
        ledger: Arc<Ledger>,
        next: Next,
        mut sealed: Sealed,
        both: Both,
        removed: Vec<Slot>,
    ) -> Result<Queued, AdminError> {
        let credentials = sealed.records.iter().filter(|(table, _)| *table == Table::Credential);
        let credentials = credentials.map(|(_, row)| (row.id, SealedCredential::of(row))).collect();
        let mut settings = sealed.records.iter().filter(|(table, _)| *table == Table::Setting);
        let signing_key = settings.find(|(_, row)| row.id == SIGNING_KEY).map(|(_, row)| row.clone());
        let again = SealedAgain { credentials, signing_key };
        let Next { slot, ledger_keys, keyring } = next;
        let (epoch, now) = (keyring.epoch(), self.setup.clock.now());
        let removed_slots: Vec<u32> = removed.iter().map(|slot| slot.header.slot_id).collect();
        let event = Event::KeyRotation { epoch, slot: slot.header.slot_id, removed_slots: &removed_slots };
        let entry = Entry { body: to_body(now, event), opens: None };
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
        catch_up(&mut sealed.records, unlocked, &keyring)?;
        let rekey = Rekey {
            keys: ledger_keys,
            epoch,
            records: sealed.records,
            dropped: sealed.dropped,
            slots: vec![slot],
            sealer: Arc::new(both),
        };
        let ticket = ledger.rekey(unlocked.clock_guard.seen_wall(now), entry, rekey);
        Ok(Queued { ledger, ticket, keyring, again, removed })
    }

    /// The new key holds in memory too, unless the vault was locked. What it replaces is wiped after the lock is let go.
    fn take_new_key(&self, ledger: &Arc<Ledger>, keyring: Arc<Keyring>, mut again: SealedAgain) {
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return };
        if !Arc::ptr_eq(&unlocked.ledger, ledger) {
            return;
        }
        unlocked.annals.changed = unlocked.annals.changed.max(Some(self.setup.clock.now().wall));
        let old = std::mem::replace(&mut unlocked.keyring, keyring);
        for (id, sealed) in &mut again.credentials {
            if let Some(known) = unlocked.credentials.get_mut(id) {
                std::mem::swap(&mut known.sealed, sealed);
            }
        }
        if let Some(row) = again.signing_key.take() {
            unlocked.signing_key.take_seal(row);
        }
        drop(state);
        drop((old, again));
    }
}

/// Seals from memory what changed since its row was read, and leaves out what is gone.
fn catch_up(records: &mut Vec<(Table, RecordRow)>, unlocked: &Unlocked, new: &Keyring) -> Result<(), AdminError> {
    records.retain(|(table, row)| *table != Table::Bot || unlocked.bots.get(&row.id).is_some());
    for (table, row) in records.iter_mut().filter(|(table, _)| *table == Table::Bot) {
        let Some(entry) = unlocked.bots.get(&row.id).filter(|entry| entry.version != row.version) else { continue };
        let json = serde_json::to_vec(&entry.bot).map_err(|_| AdminError::Unavailable)?;
        *row = new.seal(*table, row.id, entry.version, &json)?;
    }
    let mode = records.iter().position(|(table, row)| *table == Table::Setting && row.id == MODE);
    if mode.map_or(0, |at| records[at].1.version) != unlocked.mode_version {
        let json = serde_json::to_vec(&Setting::Mode { mode: unlocked.mode }).map_err(|_| AdminError::Unavailable)?;
        let row = new.seal(Table::Setting, MODE, unlocked.mode_version, &json)?;
        match mode {
            Some(at) => records[at].1 = row,
            None => records.push((Table::Setting, row)),
        }
    }
    Ok(())
}

/// Whether a record is the audit key of rows that are all gone.
fn is_over(table: Table, row: &RecordRow, first_kept: u64, both: &Both) -> Result<bool, AdminError> {
    if table != Table::Setting {
        return Ok(false);
    }
    let json = both.old.open_row(table, row)?;
    // EXPOSE: to the reader of settings, for the range of rows.
    let setting = serde_json::from_slice(json.expose());
    Ok(matches!(setting, Ok(Setting::AuditKey { last_seq, .. }) if last_seq < first_kept))
}

impl Sealer for Both {
    fn retire(&self, key: &RetiredKey) -> Result<RecordRow, StoreError> {
        // EXPOSE: into the record that keeps it.
        let text = SecretText::new(HEXLOWER.encode(key.key.expose()));
        let setting = Setting::AuditKey { first_seq: key.first, last_seq: key.last, key: text };
        let json = serde_json::to_vec(&setting).map_err(|error| not_sealed(error.into()))?;
        self.seal_new(Table::Setting, audit_key_id(self.old.epoch()), 1, &zeroize::Zeroizing::new(json))
    }

    fn seal_again(&self, table: Table, row: &RecordRow) -> Result<RecordRow, StoreError> {
        let json = self.old.open_row(table, row)?;
        // EXPOSE: from one seal to the other.
        self.seal_new(table, row.id, row.version, json.expose())
    }
}

impl Both {
    fn seal_new(&self, table: Table, id: Id, version: u64, json: &[u8]) -> Result<RecordRow, StoreError> {
        self.new.seal(table, id, version, json).map_err(|error| not_sealed(std::io::Error::other(error)))
    }
}

fn not_sealed(source: std::io::Error) -> StoreError {
    StoreError::File { what: "a record could not be sealed under the new key".to_owned(), source }
}

/// The keys that chained older rows, the oldest first, from the records that keep them.
///
/// # Errors
/// [`IntegrityError::Tampered`] names a record that says what none says; [`AdminError::Machine`] when protected memory
/// is full.
pub(crate) fn retired_keys(
    arena: &Arc<crate::secret::Arena>,
    keyring: &Keyring,
    records: &[(Table, RecordRow)],
) -> Result<Vec<RetiredKey>, AdminError> {
    let mut retired = Vec::new();
    for (table, row) in records.iter().filter(|(table, _)| *table == Table::Setting) {
        let tampered = || IntegrityError::Tampered { table: table.name(), id: row.id };
        let json = keyring.open_row(*table, row)?;
        // EXPOSE: to the reader of settings.
        let Setting::AuditKey { first_seq, last_seq, key } =
            serde_json::from_slice(json.expose()).map_err(|_| tampered())?
        else {
            continue;
        };
        // EXPOSE: from the record into protected memory.
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        match HEXLOWER.decode_mut(key.expose().as_bytes(), &mut bytes[..]) {
            Ok(32) if key.len() == 64 => (),
            _ => return Err(tampered().into()),
        }
        let key = arena.keep(&mut bytes).map_err(|_| AdminError::Machine("locked memory for the keys"))?;
        retired.push(RetiredKey { first: first_seq, last: last_seq, key: Arc::new(key) });
    }
    retired.sort_by_key(|retired| retired.last);
    Ok(retired)
}

fn warnings(removed: &[Slot]) -> Vec<String> {
    let old_copies = "an old copy of the vault's files (a backup, a snapshot) still opens with what opened it then, and \
                      holds the API keys of then: if it may be in other hands, replace them at the exchange";
    let of_slot = |slot: &Slot| {
        let (kind, again) = match slot.header.method.kind() {
            SlotKind::Password => ("password", "signvault slot add password"),
            SlotKind::KeyFile => ("key file", "signvault slot add key-file PATH"),
            SlotKind::Recovery => ("recovery key", "signvault slot add recovery"),
        };
        format!("slot {} ({kind}) was removed: it wrapped the old key; to have one again: {again}", slot.header.slot_id)
    };
    removed.iter().map(of_slot).chain([old_copies.to_owned()]).collect()
}
