//! Authenticated encryption that commits to its key: AES-256-GCM (NIST SP 800-38D) behind a derived commitment.
//!
//! AES-GCM alone does not say which key made a ciphertext: one can be built that opens under thousands of chosen keys,
//! and with it a password can be searched for thousands at a time. So key, nonce and a commitment come out of one
//! derivation, the commitment is stored, and it is compared before the ciphertext is looked at.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use crate::crypto::{kdf, mac};

/// Bytes that GCM adds to a plaintext: its tag.
pub const TAG_BYTES: usize = 16;

/// The ciphertext was not made with this key, for this purpose. Carries nothing: every kind of failure looks the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub struct Refused;

/// What one envelope stores.
pub struct Sealed {
    /// The commitment to the key and all that it was derived from.
    pub commitment: [u8; 32],
    /// The ciphertext with its tag at the end.
    pub ciphertext: Vec<u8>,
}

/// A key, nonce and commitment for one plaintext: K (32 bytes) ‖ N (12) ‖ C (32).
pub struct Envelope(Zeroizing<[u8; 76]>);

impl Envelope {
    /// Derives all three with HKDF-SHA-256 (RFC 5869).
    ///
    /// `salt` and `info` together must never come twice with different plaintexts: the nonce is part of what they give.
    pub fn derive(key: &[u8], salt: &[u8], info: &[u8]) -> Envelope {
        Envelope(kdf::hkdf_sha256(key, salt, info))
    }

    /// Seals the one plaintext that this envelope is for.
    pub fn seal(self, plaintext: &[u8], aad: &[u8]) -> Sealed {
        let (key, nonce, commitment) = self.parts();
        Sealed { commitment: *commitment, ciphertext: seal(key, nonce, plaintext, aad) }
    }

    /// Compares the commitment in constant time, and only then opens the ciphertext.
    pub fn open(self, commitment: &[u8], ciphertext: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let (key, nonce, expected) = self.parts();
        if !mac::equal(commitment, expected) {
            return Err(Refused);
        }
        open(key, nonce, ciphertext, aad)
    }

    fn parts(&self) -> (&[u8; 32], &[u8; 12], &[u8; 32]) {
        let (key, rest) = self.0.split_first_chunk().expect("76 bytes begin with 32");
        let (nonce, rest) = rest.split_first_chunk().expect("44 bytes begin with 12");
        (key, nonce, rest.first_chunk().expect("32 bytes are left"))
    }
}

/// GCM alone: only where nobody can choose the key.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; 12], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad };
    Aes256Gcm::new(key.into()).encrypt(nonce.into(), payload).expect("GCM takes up to 64 GiB, records are far below")
}

/// The allocating interface only: it hands nothing out unless the tag is right.
pub(super) fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    ciphertext: &[u8],
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let payload = Payload { msg: ciphertext, aad };
    Aes256Gcm::new(key.into()).decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crypto::known_answers::{MultiKey, hex};

    fn envelope() -> Envelope {
        Envelope::derive(&[1; 32], b"salt", b"info")
    }

    #[test]
    fn gcm_is_that_of_the_specification() {
        // Test case 16 of the GCM specification (McGrew and Viega), which SP 800-38D refers to.
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().unwrap();
        let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let plaintext = hex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let ciphertext = hex(concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b"
        ));
        assert_eq!(seal(&key, &nonce, &plaintext, &aad), ciphertext);
        assert_eq!(open(&key, &nonce, &ciphertext, &aad).unwrap()[..], plaintext[..]);
    }

    #[test]
    fn what_is_sealed_opens_again_and_is_one_tag_longer() {
        let sealed = envelope().seal(b"secret", b"aad");
        assert_eq!(sealed.ciphertext.len(), 6 + TAG_BYTES);
        assert_eq!(envelope().open(&sealed.commitment, &sealed.ciphertext, b"aad").unwrap()[..], *b"secret");
    }

    #[test]
    fn each_part_must_be_the_one_that_was_made() {
        let Sealed { commitment, ciphertext } = envelope().seal(b"secret", b"aad");
        let refused = |result: Result<_, _>| assert_eq!(result.unwrap_err(), Refused);
        refused(envelope().open(&[0; 32], &ciphertext, b"aad"));
        refused(envelope().open(&commitment[..31], &ciphertext, b"aad"));
        refused(envelope().open(&commitment, &ciphertext[1..], b"aad"));
        refused(envelope().open(&commitment, &[], b"aad"));
        refused(envelope().open(&commitment, &ciphertext, b"other"));
        refused(Envelope::derive(&[2; 32], b"salt", b"info").open(&commitment, &ciphertext, b"aad"));
    }

    #[test]
    fn t17_gcm_alone_opens_one_ciphertext_under_many_keys() {
        for MultiKey { keys, nonce, aad, ct_tag } in MultiKey::load_both() {
            let nonce = hex(&nonce).try_into().unwrap();
            for key in &keys {
                let key = hex(key).try_into().unwrap();
                assert!(open(&key, &nonce, &hex(&ct_tag), &hex(&aad)).is_ok());
            }
        }
    }

    #[test]
    fn t17_the_commitment_refuses_a_ciphertext_that_gcm_would_open() {
        for MultiKey { keys, nonce, aad, ct_tag } in MultiKey::load_both() {
            let with_key = |key: &str, commitment: u8| {
                let parts = [hex(key), hex(&nonce), vec![commitment; 32]].concat();
                Envelope(Zeroizing::new(parts.try_into().unwrap()))
            };
            assert!(with_key(&keys[0], 0).open(&[0; 32], &hex(&ct_tag), &hex(&aad)).is_ok());
            assert!(with_key(&keys[1], 1).open(&[0; 32], &hex(&ct_tag), &hex(&aad)).is_err());
        }
    }
}
