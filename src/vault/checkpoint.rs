//! Checkpoints: every row so far signed by the vault's own key, now and then, and before an export.
//!
//! The key is a sealed record like an exchange's secret. It is opened for one signature at a time and wiped right after.

use crate::audit::attested::{Covers, Kind};
use crate::audit::event::{Event, Used, to_body};
use crate::crypto::ed25519;
use crate::secret::{SecretBytes, SecretText};
use crate::store::checkpoint::INTERVAL_ROWS;
use crate::store::ledger::Ledger;
use crate::store::record::{RecordRow, Table};
use crate::types::clock::{Now, UnixMs};
use crate::vault::keyring::Keyring;
use crate::vault::setting::{SIGNING_KEY, Setting};
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};
use crate::wire::audit::{AuditCheckpoint, AuditKey};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// A day, in milliseconds: no row waits longer for its signature.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The key that signs, as memory keeps it: its seed is sealed.
#[derive(Clone, Debug)]
pub struct SigningKey {
    row: RecordRow,
    /// The public half.
    pub public: [u8; ed25519::KEY_BYTES],
}

/// Makes a vault's key: the record to write, and the key as memory keeps it.
///
/// # Errors
/// The kernel gave no random numbers.
pub fn generate(keyring: &Keyring) -> Result<(RecordRow, SigningKey), AdminError> {
    let seed = ed25519::generate_seed().map_err(|_| AdminError::Machine("random numbers"))?;
    // EXPOSE: to the record that seals it.
    let setting = Setting::SigningKey { seed: SecretText::new(HEXLOWER.encode(seed.expose())) };
    let json = Zeroizing::new(serde_json::to_vec(&setting).map_err(|_| AdminError::Unavailable)?);
    let row = keyring.seal(Table::Setting, SIGNING_KEY, 1, &json)?;
    let key = SigningKey::of(&row, &setting).ok_or(AdminError::Unavailable)?;
    Ok((row, key))
}

impl SigningKey {
    /// The key that a record holds.
    pub fn of(row: &RecordRow, setting: &Setting) -> Option<SigningKey> {
        let seed = seed_of(setting)?;
        // EXPOSE: to the derivation of the public half.
        let public = ed25519::public_key(seed.expose().try_into().ok()?);
        Some(SigningKey { row: row.clone(), public })
    }

    /// The same key sealed under another vault key.
    pub(super) fn take_seal(&mut self, row: RecordRow) {
        self.row = row;
    }

    /// The seed, for one signature.
    fn open(&self, keyring: &Keyring) -> Option<SecretBytes> {
        let json = keyring.open_row(Table::Setting, &self.row).ok()?;
        // EXPOSE: to the reader of the record; what it reads wipes itself.
        seed_of(&serde_json::from_slice(json.expose()).ok()?)
    }
}

fn seed_of(setting: &Setting) -> Option<SecretBytes> {
    let Setting::SigningKey { seed } = setting else { return None };
    // EXPOSE: from text to bytes, both of which are wiped.
    let seed = SecretBytes::new(HEXLOWER.decode(seed.expose().as_bytes()).ok()?);
    (seed.len() == ed25519::KEY_BYTES).then_some(seed)
}

/// What it takes to sign one row.
pub(super) struct Pen {
    /// What the vault may remember as seen.
    pub wall: UnixMs,
    now: Now,
    seed: SecretBytes,
}

impl Pen {
    /// The text of a row that attests something. The pen is used up, and the seed wiped.
    pub fn attest(self, kind: Kind, covers: Covers) -> String {
        // EXPOSE: for this signature; it was opened for nothing else.
        let seed = self.seed.expose().try_into().expect("a seed has 32 bytes, which was checked when it was opened");
        let attested = Box::new(covers.sign(kind, seed));
        to_body(self.now, if kind == Kind::Prune { Event::Prune(attested) } else { Event::Checkpoint(attested) })
    }
}

impl Vault {
    /// Opens the key for one signature. An unlock goes by the times of such rows, so none is written while the clock is
    /// not believed.
    ///
    /// # Errors
    /// [`AdminError::Locked`], [`AdminError::ClockJumped`].
    pub(super) fn pen(&self) -> Result<Pen, AdminError> {
        let now = self.setup.clock.now();
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return Err(AdminError::Locked) };
        if !unlocked.clock_guard.is_sane(now) {
            return Err(AdminError::ClockJumped);
        }
        let seed = unlocked.signing_key.open(&unlocked.keyring).ok_or(AdminError::Unavailable)?;
        Ok(Pen { wall: unlocked.clock_guard.seen_wall(now), now, seed })
    }

    /// Signs every row that there is; nothing when the last row is a checkpoint.
    ///
    /// # Errors
    /// As `Vault::change`, and [`AdminError::ClockJumped`].
    pub fn checkpoint(&self) -> Result<AuditCheckpoint, AdminError> {
        let ledger = self.ledger()?;
        if ledger.unsigned_rows() == 0 {
            return Ok(AuditCheckpoint { row: ledger.standing().tail.seq, is_new: false });
        }
        let pen = self.pen()?;
        let (wall, now) = (pen.wall, pen.now.wall);
        let row = ledger.checkpoint(wall, |covers| pen.attest(Kind::Checkpoint, covers))?;
        if let State::Unlocked(unlocked) = &mut *self.state() {
            unlocked.checkpointed = now;
        }
        Ok(AuditCheckpoint { row, is_new: true })
    }

    /// The duty between requests: a checkpoint when there are enough rows for one, or some from the day before.
    pub(super) fn checkpoint_when_due(&self) -> Result<(), AdminError> {
        let Ok((ledger, last)) = self.look(|unlocked| (unlocked.ledger.clone(), unlocked.checkpointed)) else {
            return Ok(());
        };
        let unsigned = ledger.unsigned_rows();
        // Either way: the last may be by a clock that ran ahead.
        let over_a_day = self.setup.clock.now().wall.0.abs_diff(last.0) >= DAY_MS.unsigned_abs();
        // What a full disk has left is for cancels.
        if ledger.space().was_scarce() {
            return Ok(());
        }
        if unsigned < INTERVAL_ROWS && (unsigned == 0 || !over_a_day) {
            return Ok(());
        }
        match self.checkpoint() {
            // The clock heals, or a person accepts it; until then the rows wait.
            Ok(_) | Err(AdminError::ClockJumped | AdminError::Locked) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The key that signs checkpoints.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn audit_key(&self) -> Result<AuditKey, AdminError> {
        let told = |unlocked: &Unlocked| (unlocked.keyring.vault_id(), unlocked.signing_key.public);
        let (vault, key) = self.look(told)?;
        Ok(AuditKey { vault: vault.to_string(), algorithm: "ed25519".to_owned(), key: HEXLOWER.encode(&key) })
    }
}

/// When the last checkpoint was made, or else the first row that is kept was written; `None` when neither tells.
pub(super) fn last_signed(ledger: &Ledger) -> Option<UnixMs> {
    let state = ledger.standing().state;
    let before = match state.checkpoint.link.seq {
        0 => state.first_kept.link.seq,
        seq => seq,
    };
    let row = ledger.rows(before, 1).ok()?.pop()?;
    UnixMs::parse_rfc3339(&Used::parse(&row.body)?.time)
}
