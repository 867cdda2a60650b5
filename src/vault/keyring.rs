//! What opens records, and the only place where an exchange's secret is in the clear: inside [`Keyring::open`]'s value,
//! for one signature.
//!
//! A record as it is stored takes a key derivation to open. So the first signature seals the secrets again, in memory,
//! under a key that is there already; every other one opens that.

use crate::crypto::held::Held;
use crate::crypto::keys::RecordKeys;
use crate::crypto::mac;
use crate::crypto::record::{self, RecordIdentity, SealedRecord};
use crate::recipe::sign::Parts;
use crate::secret::SecretBytes;
use crate::store::IntegrityError;
use crate::store::ledger::Permit;
use crate::store::record::{RecordRow, Table};
use crate::types::id::Id;
use crate::vault::AdminError;
use crate::vault::card::Secrets;
use zeroize::Zeroizing;

/// The keys of an unlocked vault that seal and open records.
pub struct Keyring {
    keys: RecordKeys,
    vault_id: Id,
    epoch: u32,
}

/// A credential's record as the keyring keeps it between signatures.
pub struct SealedCredential {
    version: u64,
    epoch: u32,
    sealed: SealedRecord,
    /// The secrets alone, once they have signed.
    held: Option<Held>,
}

/// The secrets of a credential, in the clear for one signature: enc(API key, secret, passphrase).
pub struct OpenSecrets(Zeroizing<Vec<u8>>);

impl OpenSecrets {
    fn of(secrets: &Secrets) -> OpenSecrets {
        let Parts { api_key, secret, passphrase } = secrets.parts();
        let items = [api_key.as_bytes(), secret, passphrase.unwrap_or_default().as_bytes()];
        OpenSecrets(Zeroizing::new(mac::enc(&items)))
    }

    /// The parts as a recipe takes them.
    ///
    /// # Errors
    /// [`DidNotOpen`] when these are not the bytes of parts.
    // EXPOSE: to the recipe, which puts the key and the passphrase where the exchange wants them and the secret nowhere.
    pub fn parts(&self) -> Result<Parts<'_>, DidNotOpen> {
        let items = mac::dec(&self.0).ok_or(DidNotOpen)?;
        let [api_key, secret, passphrase] = items[..] else { return Err(DidNotOpen) };
        let text = |part| str::from_utf8(part).map_err(|_| DidNotOpen);
        Ok(Parts { api_key: text(api_key)?, secret, passphrase: Some(text(passphrase)?) })
    }
}

impl SealedCredential {
    /// The sealed part of a row.
    pub fn of(row: &RecordRow) -> SealedCredential {
        SealedCredential { version: row.version, epoch: row.epoch, sealed: row.sealed.clone(), held: None }
    }
}

/// The record did not open under its own identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed record did not open")]
pub struct DidNotOpen;

impl Keyring {
    /// A keyring over the keys of an unlocked vault.
    pub fn new(keys: RecordKeys, vault_id: Id, epoch: u32) -> Keyring {
        Keyring { keys, vault_id, epoch }
    }

    /// The vault's keys for sealing and opening.
    pub fn keys(&self) -> &RecordKeys {
        &self.keys
    }

    /// The vault.
    pub fn vault_id(&self) -> Id {
        self.vault_id
    }

    /// The vault key's epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Opens a credential for the one signature that the permit stands for. The permit is used up. What was on the stack
    /// meanwhile is for the caller to scrub.
    ///
    /// # Errors
    /// [`DidNotOpen`] when the permit is another credential's, or memory was changed.
    // EXPOSE: the secrets leave their seal here, once per durable, allowed ledger row; they are wiped when the value
    // is dropped, right after the MAC is computed.
    pub fn open(&self, permit: Permit, id: Id, credential: &mut SealedCredential) -> Result<OpenSecrets, DidNotOpen> {
        if permit.credential() != id {
            return Err(DidNotOpen);
        }
        let name = [&id.as_bytes()[..], &credential.version.to_be_bytes()].concat();
        if let Some(held) = &credential.held {
            return held.open(&self.keys, &name).map(OpenSecrets).map_err(|_| DidNotOpen);
        }
        let secrets = OpenSecrets::of(&self.open_to_reseal(id, credential)?);
        credential.held = Some(Held::seal(&self.keys, &name, &secrets.0));
        Ok(secrets)
    }

    /// Opens a credential so that it can be sealed again with another card.
    ///
    /// # Errors
    /// [`DidNotOpen`].
    // EXPOSE: only for `credential edit`, which changes the card beside the secrets in one record.
    pub fn open_to_reseal(&self, id: Id, credential: &SealedCredential) -> Result<Secrets, DidNotOpen> {
        let identity = self.identity(Table::Credential, id, credential.version, credential.epoch);
        let json = record::open(&self.keys, &identity, &credential.sealed).map_err(|_| DidNotOpen)?;
        Secrets::parse(json.expose()).ok_or(DidNotOpen)
    }

    /// Opens a row that was read from the database.
    ///
    /// # Errors
    /// [`IntegrityError::Tampered`] names it.
    pub fn open_row(&self, table: Table, row: &RecordRow) -> Result<SecretBytes, IntegrityError> {
        let identity = self.identity(table, row.id, row.version, row.epoch);
        let tampered = IntegrityError::Tampered { table: table.name(), id: row.id };
        record::open(&self.keys, &identity, &row.sealed).map_err(|_| tampered)
    }

    /// Seals a record's JSON as the row to write.
    ///
    /// # Errors
    /// The kernel gave no random bytes.
    pub fn seal(&self, table: Table, id: Id, version: u64, json: &[u8]) -> Result<RecordRow, AdminError> {
        let identity = self.identity(table, id, version, self.epoch);
        let sealed = record::seal(&self.keys, &identity, json).map_err(|_| AdminError::Machine("random numbers"))?;
        Ok(RecordRow { id, version, epoch: self.epoch, sealed })
    }

    /// As [`Keyring::seal`], for what takes away and must hold even if the kernel has no random numbers.
    ///
    /// # Errors
    /// The keys are another vault's.
    pub fn seal_hedged(&self, table: Table, id: Id, version: u64, json: &[u8]) -> Result<RecordRow, AdminError> {
        let identity = self.identity(table, id, version, self.epoch);
        let sealed = record::seal_hedged(&self.keys, &identity, json).map_err(|_| AdminError::Unavailable)?;
        Ok(RecordRow { id, version, epoch: self.epoch, sealed })
    }

    fn identity(&self, table: Table, id: Id, version: u64, epoch: u32) -> RecordIdentity {
        RecordIdentity { vault_id: self.vault_id, table: table.name(), id, version, epoch, kind: table.kind() }
    }
}
