//! Records: credentials, bots, policies and settings, each sealed under its own identity and version.
//!
//! A record that was moved to another row, table, vault or version does not open. Its key, nonce and commitment are
//! derived from a salt that depends on the plaintext as well as on random bytes, so a machine that repeats its random
//! numbers repeats a nonce only for the very same plaintext in the very same place.

use zeroize::Zeroizing;

use crate::crypto::aead::Envelope;
use crate::crypto::keys::RecordKeys;
use crate::crypto::mac;
use crate::crypto::random::{RandomError, generate_random};
use crate::secret::{SecretBytes, scrub_stack};
use crate::types::id::Id;

/// Plaintexts are padded to a multiple of this many bytes, so that their sizes tell little.
const BLOCK_BYTES: usize = 256;

/// Which record this is. All of it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordIdentity {
    /// The vault.
    pub vault_id: Id,
    /// The table that the row stands in.
    pub table: &'static str,
    /// The id of the row.
    pub id: Id,
    /// The version of the row, from 1. Sealing a row again needs the next one.
    pub version: u64,
    /// Which of the vault's keys sealed it, from 1.
    pub epoch: u32,
    /// What the JSON inside describes.
    pub kind: u8,
}

/// A record as it is stored. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRecord {
    /// What key, nonce and commitment are derived from, together with the identity.
    pub salt: [u8; 32],
    /// The commitment to key and identity.
    pub commitment: [u8; 32],
    /// The padded plaintext under AES-256-GCM, with its tag.
    pub ciphertext: Vec<u8>,
}

/// Why a record cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The record is not the one that was sealed under this identity.
    #[error("record does not verify")]
    Tampered,
    /// The identity names another vault or epoch than the keys belong to: the row could never be opened again.
    #[error("record belongs to other keys")]
    OtherKeys,
    /// The kernel gave no random numbers.
    #[error("record cannot be sealed")]
    Random(#[from] RandomError),
}

/// Seals a record's JSON.
pub fn seal(keys: &RecordKeys, identity: &RecordIdentity, json: &[u8]) -> Result<SealedRecord, RecordError> {
    seal_with(keys, identity, json, &generate_random()?)
}

/// Seals a record's JSON, with random numbers only if the kernel has some: for what takes away, and must not fail for want
/// of them. Without any the salt still depends on the identity, its version and the plaintext, so a nonce is repeated for
/// the very same record alone.
pub fn seal_hedged(keys: &RecordKeys, identity: &RecordIdentity, json: &[u8]) -> Result<SealedRecord, RecordError> {
    seal_with(keys, identity, json, &generate_random().unwrap_or_default())
}

fn seal_with(
    keys: &RecordKeys,
    identity: &RecordIdentity,
    json: &[u8],
    random: &[u8; 32],
) -> Result<SealedRecord, RecordError> {
    if (&identity.vault_id, identity.epoch) != (keys.vault_id(), keys.epoch()) {
        return Err(RecordError::OtherKeys);
    }
    let sealed = seal_plaintext(keys, identity, &pad(identity, json), random);
    scrub_stack();
    Ok(sealed)
}

/// Opens a record and gives its JSON: commitment, then ciphertext, then the identity inside, then the padding.
pub fn open(keys: &RecordKeys, identity: &RecordIdentity, sealed: &SealedRecord) -> Result<SecretBytes, RecordError> {
    let opened = open_plaintext(keys, identity, sealed);
    scrub_stack();
    let plaintext = opened?;
    let json = unpad(identity, &plaintext).ok_or(RecordError::Tampered)?;
    Ok(SecretBytes::new(json.to_vec()))
}

/// Seals a plaintext of the right layout under a given random value, which makes the result predictable for tests.
///
/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn seal_plaintext(keys: &RecordKeys, identity: &RecordIdentity, plaintext: &[u8], random: &[u8; 32]) -> SealedRecord {
    let aad = identity.aad();
    // EXPOSE: the hedge key makes the salt, the record key the envelope; neither is copied.
    let content = Zeroizing::new(mac::enc(&[&aad, plaintext]));
    let salt = mac::hmac_sha256(keys.hedge.expose(), &[random, &content]);
    let sealed = Envelope::derive(keys.record.expose(), &salt, &aad).seal(plaintext, &aad);
    SealedRecord { salt, commitment: sealed.commitment, ciphertext: sealed.ciphertext }
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn open_plaintext(
    keys: &RecordKeys,
    identity: &RecordIdentity,
    sealed: &SealedRecord,
) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let aad = identity.aad();
    // EXPOSE: derives the record's own key; not copied.
    let envelope = Envelope::derive(keys.record.expose(), &sealed.salt, &aad);
    envelope.open(&sealed.commitment, &sealed.ciphertext, &aad).map_err(|_| RecordError::Tampered)
}

impl RecordIdentity {
    fn aad(&self) -> Vec<u8> {
        mac::enc(&[
            b"signvault/1/record",
            self.vault_id.as_bytes(),
            self.table.as_bytes(),
            self.id.as_bytes(),
            &self.version.to_be_bytes(),
            &self.epoch.to_be_bytes(),
            &[self.kind],
        ])
    }

    /// The part of the identity that the plaintext repeats.
    fn inner(&self) -> Vec<u8> {
        mac::enc(&[self.table.as_bytes(), self.id.as_bytes(), &self.version.to_be_bytes(), &[self.kind]])
    }
}

/// enc(table, id, version, kind, JSON) ‖ 0x80 ‖ zeros, up to a whole number of blocks.
fn pad(identity: &RecordIdentity, json: &[u8]) -> Zeroizing<Vec<u8>> {
    let inner = identity.inner();
    let content = Zeroizing::new(mac::enc(&[json]));
    let padded_bytes = (inner.len() + content.len() + 1).next_multiple_of(BLOCK_BYTES);
    // Reserved in full: a plaintext that grew would leave copies behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded_bytes));
    plaintext.extend_from_slice(&inner);
    plaintext.extend_from_slice(&content);
    plaintext.push(0x80);
    plaintext.resize(padded_bytes, 0);
    plaintext
}

/// The JSON inside, if everything around it is exactly what [`pad`] would have put there.
fn unpad<'a>(identity: &RecordIdentity, plaintext: &'a [u8]) -> Option<&'a [u8]> {
    let rest = plaintext.strip_prefix(identity.inner().as_slice())?;
    let (length, rest) = rest.split_first_chunk()?;
    let (json, padding) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let zeros = padding.strip_prefix(&[0x80])?;
    let whole = plaintext.len().is_multiple_of(BLOCK_BYTES) && zeros.len() < BLOCK_BYTES;
    (whole && zeros.iter().all(|byte| *byte == 0)).then_some(json)
}

#[cfg(test)]
mod tests;
