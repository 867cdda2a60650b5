//! The vault key, and the keys derived from it for each use.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::random::{RandomError, fill_random};
use crate::crypto::{kdf, mac};
use crate::secret::{Arena, ArenaError, Kept, scrub_stack};
use crate::types::id::Id;

/// The 32 random bytes that every slot wraps and every other key comes from.
///
/// Short-lived: from a slot to [`RecordKeys`], or from [`VaultKey::generate`] to the first slot. On the heap, so that
/// moving the value leaves no copy behind.
pub struct VaultKey(Box<Zeroizing<[u8; 32]>>);

impl VaultKey {
    /// Takes a new key from the kernel.
    pub fn generate() -> Result<VaultKey, RandomError> {
        let mut key = VaultKey::zero();
        fill_random(&mut key.0[..])?;
        Ok(key)
    }

    /// The key that a slot held; `None` for another length.
    pub(super) fn parse(bytes: &[u8]) -> Option<VaultKey> {
        let mut key = VaultKey::zero();
        (bytes.len() == key.0.len()).then(|| key.0.copy_from_slice(bytes))?;
        Some(key)
    }

    fn zero() -> VaultKey {
        VaultKey(Box::new(Zeroizing::new([0; 32])))
    }

    /// The key. Callers say in an `EXPOSE:` comment what it is used for.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Moves the key into protected memory.
    pub fn into_kept(mut self, arena: &Arc<Arena>) -> Result<Kept, ArenaError> {
        arena.keep(&mut self.0)
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(…)")
    }
}

/// What a subkey is for. Each use has a key of its own, so nothing made for one can pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subkey {
    /// Encrypts records.
    Record,
    /// Makes the salts of records, so that weak random numbers alone cannot repeat one.
    Hedge,
    /// Authenticates the state row.
    State,
    /// Chains the ledger.
    Audit,
    /// Authenticates the anchor file.
    Anchor,
    /// Authenticates backups.
    Backup,
    /// Encrypts credentials between two signatures, in memory.
    Held,
}

impl Subkey {
    /// Every subkey that is in use. The name `token` is reserved.
    pub const ALL: [Subkey; 7] =
        [Subkey::Record, Subkey::Hedge, Subkey::State, Subkey::Audit, Subkey::Anchor, Subkey::Backup, Subkey::Held];

    /// The name that goes into the derivation.
    pub fn as_str(self) -> &'static str {
        match self {
            Subkey::Record => "record",
            Subkey::Hedge => "hedge",
            Subkey::State => "state",
            Subkey::Audit => "audit",
            Subkey::Anchor => "anchor",
            Subkey::Backup => "backup",
            Subkey::Held => "held",
        }
    }
}

/// One subkey: HKDF-SHA-256 (RFC 5869) of the vault key, salted with the vault's id, for a name and an epoch.
///
/// `epoch` counts the vault keys that this vault has had, from 1.
pub fn derive_subkey(vault_id: &Id, vault_key: &[u8; 32], subkey: Subkey, epoch: u32) -> Zeroizing<[u8; 32]> {
    let info = mac::enc(&[b"signvault/1/sub", subkey.as_str().as_bytes(), &epoch.to_be_bytes()]);
    kdf::hkdf_sha256(vault_key, vault_id.as_bytes(), &info)
}

/// The keys that seal and open, each in protected memory for as long as the vault is unlocked.
#[derive(Debug)]
pub struct RecordKeys {
    /// The vault that these keys belong to.
    vault_id: Id,
    /// Which of the vault's keys this is, from 1.
    epoch: u32,
    /// Wrapped again when a slot is added or a password changed.
    vault_key: Kept,
    /// The key of [`Subkey::Record`].
    pub record: Kept,
    /// The key of [`Subkey::Hedge`].
    pub hedge: Kept,
    /// The key of [`Subkey::Backup`].
    pub backup: Kept,
    /// The key of [`Subkey::Held`].
    pub held: Kept,
}

/// The keys that only authenticate. They outlive [`RecordKeys`] by one ledger row, the one that tells of the lock.
#[derive(Debug)]
pub struct LedgerKeys {
    /// The key of [`Subkey::State`].
    pub state: Kept,
    /// The key of [`Subkey::Audit`]. It stays on as a [`RetiredKey`] when a new vault key takes its place.
    pub audit: Arc<Kept>,
    /// The key of [`Subkey::Anchor`].
    pub anchor: Kept,
    /// The keys that chained older rows, the oldest first.
    pub retired: Vec<RetiredKey>,
}

/// The audit key of an earlier epoch. It only verifies.
#[derive(Clone, Debug)]
pub struct RetiredKey {
    /// The first row that it chained.
    pub first: u64,
    /// The last row that it chained.
    pub last: u64,
    /// The key.
    pub key: Arc<Kept>,
}

impl LedgerKeys {
    /// The key that chains a row: the present one, or the one that was in use when the row was written.
    // EXPOSE: to the chain.
    pub fn audit_key(&self, seq: u64) -> &[u8; 32] {
        let retired = self.retired.iter().find(|retired| seq <= retired.last);
        retired.map_or(&self.audit, |retired| &retired.key).expose()
    }

    /// The present audit key as one that retires after the row `last`.
    pub fn retiring(&self, last: u64) -> RetiredKey {
        let first = self.retired.last().map_or(1, |before| before.last + 1);
        RetiredKey { first, last, key: Arc::clone(&self.audit) }
    }
}

impl RecordKeys {
    /// The vault that these keys belong to.
    pub fn vault_id(&self) -> &Id {
        &self.vault_id
    }

    /// Which of the vault's keys this is, from 1.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A copy of the vault key on the heap, to wrap it into another slot; wiped when it is dropped.
    pub fn copy_vault_key(&self) -> VaultKey {
        let mut copy = VaultKey::zero();
        // EXPOSE: into a value that wipes itself.
        copy.0.copy_from_slice(self.vault_key.expose());
        copy
    }
}

/// Derives every subkey into the arena and moves the vault key there too.
///
/// # Errors
/// [`ArenaError`] when the arena has no room for them.
pub fn derive(
    arena: &Arc<Arena>,
    vault_id: Id,
    key: VaultKey,
    epoch: u32,
) -> Result<(LedgerKeys, RecordKeys), ArenaError> {
    let keys = derive_all(arena, vault_id, key, epoch);
    scrub_stack();
    keys
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn derive_all(
    arena: &Arc<Arena>,
    vault_id: Id,
    key: VaultKey,
    epoch: u32,
) -> Result<(LedgerKeys, RecordKeys), ArenaError> {
    // EXPOSE: each subkey comes from the vault key, and goes from the derivation into protected memory.
    let keep = |subkey| arena.keep(&mut derive_subkey(&vault_id, key.expose(), subkey, epoch));
    let [record, hedge] = [keep(Subkey::Record)?, keep(Subkey::Hedge)?];
    let [backup, held] = [keep(Subkey::Backup)?, keep(Subkey::Held)?];
    let [state, audit, anchor] = [keep(Subkey::State)?, keep(Subkey::Audit)?, keep(Subkey::Anchor)?];
    let ledger = LedgerKeys { state, audit: Arc::new(audit), anchor, retired: Vec::new() };
    let vault_key = key.into_kept(arena)?;
    Ok((ledger, RecordKeys { vault_id, epoch, vault_key, record, hedge, backup, held }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every derived key with its name.
    pub fn every_subkey<'a>(ledger: &'a LedgerKeys, records: &'a RecordKeys) -> [(&'static str, &'a Kept); 7] {
        [
            (Subkey::Record.as_str(), &records.record),
            (Subkey::Hedge.as_str(), &records.hedge),
            (Subkey::Backup.as_str(), &records.backup),
            (Subkey::Held.as_str(), &records.held),
            (Subkey::State.as_str(), &ledger.state),
            (Subkey::Audit.as_str(), &ledger.audit),
            (Subkey::Anchor.as_str(), &ledger.anchor),
        ]
    }

    use crate::crypto::known_answers::{KnownAnswers, hex};

    #[test]
    fn subkeys_are_the_known_ones() {
        let known = KnownAnswers::load();
        let arena = Arena::new().unwrap();
        let vault_key = VaultKey::parse(&known.vault_key()).unwrap();
        let (ledger, records) = derive(&arena, known.vault_id(), vault_key, 1).unwrap();
        for (name, kept) in every_subkey(&ledger, &records) {
            match known.subkeys.get(name) {
                Some(subkey) => assert_eq!(kept.expose()[..], hex(subkey), "{name}"),
                None => assert_eq!(name, "held", "what seals on the disk is known to other readers"),
            }
        }
        assert_eq!(records.copy_vault_key().expose(), &known.vault_key());
        assert_eq!((records.vault_id(), records.epoch()), (&known.vault_id(), 1));
    }

    #[test]
    fn another_vault_epoch_or_use_has_another_key() {
        let subkey = |vault: u8, use_, epoch| derive_subkey(&Id([vault; 16]), &[7; 32], use_, epoch);
        let one = subkey(1, Subkey::State, 1);
        assert_ne!(one, subkey(2, Subkey::State, 1));
        assert_ne!(one, subkey(1, Subkey::Audit, 1));
        assert_ne!(one, subkey(1, Subkey::State, 2));
    }

    #[test]
    fn a_generated_vault_key_is_new_each_time() {
        let (one, two) = (VaultKey::generate().unwrap(), VaultKey::generate().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_ne!(one.expose(), &[0; 32]);
    }

    #[test]
    fn a_vault_key_is_exactly_32_bytes() {
        assert!(VaultKey::parse(&[0; 31]).is_none());
        assert!(VaultKey::parse(&[0; 33]).is_none());
    }

    #[test]
    fn an_arena_without_room_for_all_keys_is_an_error() {
        let arena = Arena::new().unwrap();
        let mut others = Vec::new();
        while let Ok(kept) = arena.keep(&mut [1; 32]) {
            others.push(kept);
        }
        others.truncate(others.len() - Subkey::ALL.len());
        let derive = || derive(&arena, Id([0; 16]), VaultKey::generate().unwrap(), 1);
        assert!(matches!(derive(), Err(ArenaError::Full)));
        others.pop();
        assert!(derive().is_ok());
    }

    #[test]
    fn debug_shows_no_key() {
        let arena = Arena::new().unwrap();
        assert_eq!(format!("{:?}", VaultKey::generate().unwrap()), "VaultKey(…)");
        let subkeys = derive(&arena, Id([0; 16]), VaultKey::generate().unwrap(), 1).unwrap();
        assert!(format!("{subkeys:?}").contains("vault_key: Kept(…)"));
    }
}
