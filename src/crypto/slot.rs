//! Slots: each wraps the vault key for one way to unlock.
//!
//! A slot is three byte strings in a database row: the header (83 bytes, in clear), the commitment (32) and the wrapped
//! vault key (48). Everything about the header is checked before a hash is run; after that there is one answer,
//! [`SlotError::Refused`], whatever was wrong.

use zeroize::Zeroizing;

use crate::crypto::aead::{Envelope, TAG_BYTES};
use crate::crypto::kdf::{self, Argon2Params, KdfError};
use crate::crypto::keys::VaultKey;
use crate::crypto::mac;
use crate::secret::scrub_stack;
use crate::types::id::Id;

/// Length of a header in bytes.
pub const HEADER_BYTES: usize = 83;
/// Length of a wrapped vault key in bytes.
pub const WRAPPED_BYTES: usize = 32 + TAG_BYTES;

const MAGIC: [u8; 8] = *b"SGNVAULT";
const FORMAT_VERSION: u16 = 1;
const KDF_ARGON2ID: u8 = 1;
const KDF_HKDF: u8 = 2;

/// Why a slot does not give the vault key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot is malformed, of another version, or asks for a cost that is out of bounds. Nothing was hashed.
    #[error("slot out of bounds")]
    OutOfBounds,
    /// The secret is wrong or the slot was changed: nobody can tell which.
    #[error("slot refused")]
    Refused,
    /// The machine does not have the memory that the password hash needs.
    #[error("not enough memory for the password hash")]
    OutOfMemory,
}

impl From<KdfError> for SlotError {
    fn from(error: KdfError) -> SlotError {
        match error {
            KdfError::OutOfBounds => SlotError::OutOfBounds,
            KdfError::OutOfMemory => SlotError::OutOfMemory,
        }
    }
}

/// What opens a slot. The numbers are those in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// A password.
    Password = 1,
    /// A file of exactly 32 bytes.
    KeyFile = 2,
    /// A recovery key.
    Recovery = 3,
}

impl SlotKind {
    /// The word that people and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            SlotKind::Password => "password",
            SlotKind::KeyFile => "key-file",
            SlotKind::Recovery => "recovery",
        }
    }
}

/// What opens a slot, and at which cost. Only passwords are hashed: the other two are random already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotMethod {
    /// A password, through Argon2id.
    Password(Argon2Params),
    /// A key file, through HKDF.
    KeyFile,
    /// A recovery key, through HKDF.
    Recovery,
}

impl SlotMethod {
    /// The kind of secret, without the cost.
    pub fn kind(&self) -> SlotKind {
        match self {
            SlotMethod::Password(_) => SlotKind::Password,
            SlotMethod::KeyFile => SlotKind::KeyFile,
            SlotMethod::Recovery => SlotKind::Recovery,
        }
    }

    fn parse(kind: u8, kdf: u8, memory_kib: u32, passes: u32, lanes: u8) -> Result<SlotMethod, SlotError> {
        match (kind, kdf, memory_kib, passes, lanes) {
            (1, KDF_ARGON2ID, ..) => Ok(SlotMethod::Password(Argon2Params::parse(memory_kib, passes, lanes)?)),
            (2, KDF_HKDF, 0, 0, 0) => Ok(SlotMethod::KeyFile),
            (3, KDF_HKDF, 0, 0, 0) => Ok(SlotMethod::Recovery),
            _ => Err(SlotError::OutOfBounds),
        }
    }
}

/// The public part of a slot. Every bit of it goes into the derivation, so none can be changed unnoticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotHeader {
    /// The vault that the slot belongs to.
    pub vault_id: Id,
    /// What opens the slot.
    pub method: SlotMethod,
    /// Random, new each time that the vault key is wrapped: the nonce is derived from it.
    pub salt: [u8; 32],
    /// The number by which people name the slot; never used twice in a vault.
    pub slot_id: u32,
    /// When the slot was made: seconds since 1970-01-01T00:00:00Z.
    pub created_s: u64,
}

impl SlotHeader {
    /// Reads a header, refusing whatever this version would not write.
    pub fn parse(bytes: &[u8]) -> Result<SlotHeader, SlotError> {
        let mut rest = bytes;
        let magic_and_version = (take(&mut rest)?, u16::from_be_bytes(take(&mut rest)?));
        let vault_id = Id(take(&mut rest)?);
        let [kind, kdf] = take(&mut rest)?;
        let [memory_kib, passes] = [u32::from_be_bytes(take(&mut rest)?), u32::from_be_bytes(take(&mut rest)?)];
        let [lanes] = take(&mut rest)?;
        let salt = take(&mut rest)?;
        let flags = u16::from_be_bytes(take(&mut rest)?);
        let slot_id = u32::from_be_bytes(take(&mut rest)?);
        let created_s = u64::from_be_bytes(take(&mut rest)?);
        if magic_and_version != (MAGIC, FORMAT_VERSION) || flags != 0 || !rest.is_empty() {
            return Err(SlotError::OutOfBounds);
        }
        let method = SlotMethod::parse(kind, kdf, memory_kib, passes, lanes)?;
        Ok(SlotHeader { vault_id, method, salt, slot_id, created_s })
    }

    /// The header as it is stored. All numbers are big-endian.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let (kdf, memory_kib, passes, lanes) = match &self.method {
            SlotMethod::Password(cost) => (KDF_ARGON2ID, cost.memory_kib(), cost.passes(), cost.lanes()),
            SlotMethod::KeyFile | SlotMethod::Recovery => (KDF_HKDF, 0, 0, 0),
        };
        let fields: [&[u8]; 11] = [
            &MAGIC,
            &FORMAT_VERSION.to_be_bytes(),
            self.vault_id.as_bytes(),
            &[self.method.kind() as u8, kdf],
            &memory_kib.to_be_bytes(),
            &passes.to_be_bytes(),
            &[lanes],
            &self.salt,
            &[0, 0], // flags: none are defined in version 1
            &self.slot_id.to_be_bytes(),
            &self.created_s.to_be_bytes(),
        ];
        fields.concat().try_into().expect("the fields add up to 83 bytes")
    }
}

/// Splits a fixed number of bytes off the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SlotError> {
    let (field, after) = rest.split_first_chunk().ok_or(SlotError::OutOfBounds)?;
    *rest = after;
    Ok(*field)
}

/// One slot as it is stored. Holds nothing secret: without the secret of its kind it is noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The public part.
    pub header: SlotHeader,
    /// The commitment to the key that the vault key is wrapped under.
    pub commitment: [u8; 32],
    /// The vault key under AES-256-GCM, with its tag.
    pub wrapped: [u8; WRAPPED_BYTES],
}

impl Slot {
    /// Reads a stored slot: every length, bound and combination, and no cryptography.
    pub fn parse(header: &[u8], commitment: &[u8], wrapped: &[u8]) -> Result<Slot, SlotError> {
        let header = SlotHeader::parse(header)?;
        let commitment = commitment.try_into().map_err(|_| SlotError::OutOfBounds)?;
        let wrapped = wrapped.try_into().map_err(|_| SlotError::OutOfBounds)?;
        Ok(Slot { header, commitment, wrapped })
    }

    /// Wraps a vault key under a secret. The header's salt must be new: [`crate::crypto::random::generate_random`].
    ///
    /// `secret` is a password of any length, or the 32 bytes of a key file or recovery key; anything else is refused.
    /// With a password this takes as long and as much memory as the header's cost says.
    pub fn wrap(header: SlotHeader, secret: &[u8], vault_key: &[u8; 32]) -> Result<Slot, SlotError> {
        let slot = wrap(header, secret, vault_key);
        scrub_stack();
        slot
    }

    /// Gives the vault key to who knows the secret. With a password this takes as long as the header's cost says.
    pub fn unwrap_key(&self, secret: &[u8]) -> Result<VaultKey, SlotError> {
        let key = unwrap_key(self, secret);
        scrub_stack();
        key
    }
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn wrap(header: SlotHeader, secret: &[u8], vault_key: &[u8; 32]) -> Result<Slot, SlotError> {
    let bytes = header.to_bytes();
    let sealed = derive_envelope(&header, &bytes, secret)?.seal(vault_key, &bytes);
    let wrapped = sealed.ciphertext.try_into().expect("32 bytes and a tag are 48");
    Ok(Slot { header, commitment: sealed.commitment, wrapped })
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn unwrap_key(slot: &Slot, secret: &[u8]) -> Result<VaultKey, SlotError> {
    let bytes = slot.header.to_bytes();
    let envelope = derive_envelope(&slot.header, &bytes, secret)?;
    let opened = envelope.open(&slot.commitment, &slot.wrapped, &bytes).map_err(|_| SlotError::Refused)?;
    VaultKey::parse(&opened).ok_or(SlotError::Refused)
}

fn derive_envelope(header: &SlotHeader, bytes: &[u8; HEADER_BYTES], secret: &[u8]) -> Result<Envelope, SlotError> {
    let kek = derive_kek(header, bytes, secret)?;
    let info = mac::enc(&[b"signvault/1/wrap", bytes]);
    Ok(Envelope::derive(kek.as_ref(), header.vault_id.as_bytes(), &info))
}

fn derive_kek(
    header: &SlotHeader,
    bytes: &[u8; HEADER_BYTES],
    secret: &[u8],
) -> Result<Zeroizing<[u8; 64]>, SlotError> {
    match &header.method {
        SlotMethod::Password(cost) => Ok(kdf::derive_kek(secret, &header.salt, &mac::sha256(&[bytes]), cost)?),
        // HKDF does not slow a guess down, so nothing shorter than a key may go through it.
        SlotMethod::KeyFile | SlotMethod::Recovery if secret.len() != 32 => Err(SlotError::Refused),
        SlotMethod::KeyFile | SlotMethod::Recovery => {
            Ok(kdf::hkdf_sha256(secret, &header.salt, &mac::enc(&[b"signvault/1/slot", bytes])))
        }
    }
}

#[cfg(test)]
mod tests;
