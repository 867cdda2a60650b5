//! Sealing a backup: a public header, then chunks, each under a key of its own that is bound to the whole header, to
//! the chunk's place, and to whether it is the last. A chunk that is changed, moved, left out or taken from another
//! backup does not open, and a backup that was cut short has no last chunk.
//!
//! ```text
//! K ‖ N ‖ C = HKDF(K_backup, salt, enc("signvault/1/backup", header, index u64, last u8))      RFC 5869
//! chunk     = C (32 bytes) ‖ AES-256-GCM(K, N, plaintext)                                      SP 800-38D
//! ```

use crate::crypto::aead::{Envelope, TAG_BYTES};
use crate::crypto::mac;
use zeroize::Zeroizing;

/// What sealing adds to a chunk, in bytes.
pub const OVERHEAD_BYTES: usize = 32 + TAG_BYTES;

/// A chunk's place in its backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub index: u64,
    /// Whether no chunk follows.
    pub last: bool,
}

/// The chunk does not belong here, or is not what was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chunk of the backup did not open")]
pub struct DidNotOpen;

/// Seals one chunk. `salt` must be new for each backup; it is part of the header.
pub fn seal_chunk(backup_key: &[u8; 32], salt: &[u8; 32], header: &[u8], place: Place, plaintext: &[u8]) -> Vec<u8> {
    let sealed = envelope(backup_key, salt, header, place).seal(plaintext, &[]);
    [&sealed.commitment[..], &sealed.ciphertext].concat()
}

/// Opens one chunk.
///
/// # Errors
/// [`DidNotOpen`].
pub fn open_chunk(
    backup_key: &[u8; 32],
    salt: &[u8; 32],
    header: &[u8],
    place: Place,
    chunk: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DidNotOpen> {
    let (commitment, ciphertext) = chunk.split_at_checked(32).ok_or(DidNotOpen)?;
    envelope(backup_key, salt, header, place).open(commitment, ciphertext, &[]).map_err(|_| DidNotOpen)
}

fn envelope(backup_key: &[u8; 32], salt: &[u8; 32], header: &[u8], place: Place) -> Envelope {
    let info = mac::enc(&[b"signvault/1/backup", header, &place.index.to_be_bytes(), &[u8::from(place.last)]]);
    Envelope::derive(backup_key, salt, &info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_opens_only_in_its_own_place() {
        let (key, salt) = ([1; 32], [2; 32]);
        let first = Place { index: 0, last: false };
        let chunk = seal_chunk(&key, &salt, b"header", first, b"content");
        let open = |key, salt, header: &[u8], place| open_chunk(key, salt, header, place, &chunk);
        assert_eq!(chunk.len(), b"content".len() + OVERHEAD_BYTES);
        assert_eq!(open(&key, &salt, b"header", first).unwrap()[..], *b"content");
        assert!(open(&[9; 32], &salt, b"header", first).is_err());
        assert!(open(&key, &[9; 32], b"header", first).is_err());
        assert!(open(&key, &salt, b"other", first).is_err());
        assert!(open(&key, &salt, b"header", Place { index: 1, last: false }).is_err());
        assert!(open(&key, &salt, b"header", Place { index: 0, last: true }).is_err());
        assert!(open_chunk(&key, &salt, b"header", first, &chunk[..31]).is_err());
    }
}
