//! Signatures that anyone can check: Ed25519 (RFC 8032). They stand in the ledger's checkpoints, so that an export can be
//! verified by whoever has the public key and nothing else.
//!
//! Deliberately absent: a key that is kept. Whoever signs brings the seed, which is open for this one signature.

use crate::crypto::random::{RandomError, fill_random};
use crate::secret::{SecretBytes, scrub_stack};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Bytes of a seed and of a public key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A new seed from the kernel.
///
/// # Errors
/// The kernel gave no random numbers.
pub fn generate_seed() -> Result<SecretBytes, RandomError> {
    let mut seed = vec![0; KEY_BYTES];
    fill_random(&mut seed)?;
    Ok(SecretBytes::new(seed))
}

/// The public half of a seed.
pub fn public_key(seed: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    let key = derive_public(seed);
    scrub_stack();
    key
}

/// Signs a message.
pub fn sign(seed: &[u8; KEY_BYTES], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let signature = sign_message(seed, message);
    scrub_stack();
    signature
}

/// Whether a signature is that of the key over the message. Keys and signatures with a part of small order, which more
/// than one message would fit, are refused.
pub fn verify(public_key: &[u8; KEY_BYTES], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    let key = VerifyingKey::from_bytes(public_key);
    key.is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn derive_public(seed: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Not inlined, as [`derive_public`].
#[inline(never)]
fn sign_message(seed: &[u8; KEY_BYTES], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // Section 7.1, tests 1 to 3.
        let cases = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (seed, public, message, signature) in cases {
            let (seed, message) = (bytes(seed), HEXLOWER.decode(message.as_bytes()).unwrap());
            assert_eq!(public_key(&seed), bytes(public));
            assert_eq!(sign(&seed, &message), bytes(signature));
            assert!(verify(&bytes(public), &message, &bytes(signature)));
        }
    }

    #[test]
    fn another_message_key_or_bit_does_not_verify() {
        let (seed, other) = ([7; 32], [8; 32]);
        let signature = sign(&seed, b"message");
        assert!(verify(&public_key(&seed), b"message", &signature));
        assert!(!verify(&public_key(&seed), b"massage", &signature));
        assert!(!verify(&public_key(&other), b"message", &signature));
        assert!(!verify(&[0; 32], b"message", &signature), "a point of small order");
        for at in 0..SIGNATURE_BYTES {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!verify(&public_key(&seed), b"message", &changed), "byte {at}");
        }
    }

    #[test]
    fn a_generated_seed_is_new_each_time() {
        let (one, two) = (generate_seed().unwrap(), generate_seed().unwrap());
        assert_eq!(one.len(), KEY_BYTES);
        assert_ne!(one.expose(), two.expose());
    }
}
