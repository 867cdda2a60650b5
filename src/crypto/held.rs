//! Secrets between two signatures: sealed in memory, under a key that seals nothing else.
//!
//! AES-256-GCM alone, because nobody chose the key: what [`crate::crypto::record`] adds protects what others can write.

use crate::crypto::aead;
use crate::crypto::keys::RecordKeys;
use crate::crypto::mac::Keyed;
use zeroize::Zeroizing;

/// A plaintext that is not needed at the moment.
pub struct Held {
    nonce: [u8; 12],
    ciphertext: Vec<u8>,
}

/// The memory is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("held memory was changed")]
pub struct Changed;

impl Held {
    /// Seals a plaintext under its name. The nonce depends on both, so it comes again only with the very same.
    // EXPOSE: the hedge key makes the nonce, the other goes to the cipher; neither is copied.
    pub fn seal(keys: &RecordKeys, name: &[u8], plaintext: &[u8]) -> Held {
        let digest = Keyed::new(keys.hedge.expose()).of_enc(&[b"signvault/1/held", name, plaintext]);
        let nonce = *digest.first_chunk().expect("32 bytes begin with 12");
        Held { nonce, ciphertext: aead::seal(keys.held.expose(), &nonce, plaintext, name) }
    }

    /// Opens it. What the cipher leaves on the stack is for the caller to scrub.
    ///
    /// # Errors
    /// [`Changed`], also for another name or key.
    // EXPOSE: the key, to the cipher.
    pub fn open(&self, keys: &RecordKeys, name: &[u8]) -> Result<Zeroizing<Vec<u8>>, Changed> {
        aead::open(keys.held.expose(), &self.nonce, &self.ciphertext, name).map_err(|_| Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crypto::keys::{VaultKey, derive};
    use crate::secret::Arena;
    use crate::types::id::Id;

    #[test]
    fn what_is_held_opens_under_its_own_key_and_name_only() {
        let keys = || derive(&Arena::new().unwrap(), Id([0; 16]), VaultKey::generate().unwrap(), 1).unwrap().1;
        let (key, other) = (keys(), keys());
        let held = Held::seal(&key, b"name", b"secret");
        assert_eq!(held.open(&key, b"name").unwrap()[..], *b"secret");
        assert_ne!(held.nonce, Held::seal(&key, b"name", b"another").nonce);
        assert_eq!(held.open(&key, b"other"), Err(Changed));
        assert_eq!(held.open(&other, b"name"), Err(Changed));
        for at in 0..held.ciphertext.len() {
            let mut changed = Held { nonce: held.nonce, ciphertext: held.ciphertext.clone() };
            changed.ciphertext[at] ^= 1;
            assert_eq!(changed.open(&key, b"name"), Err(Changed));
        }
    }
}
