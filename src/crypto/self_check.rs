//! Known answers that a process checks of itself before it serves anyone: a build or a processor that computes wrongly must
//! not seal a record that nothing will open again, nor sign what an exchange refuses. Argon2id is not among them: it takes
//! most of a second, and a wrong hash never opens a slot. Nor are random numbers: signing goes on without them.

use crate::crypto::kdf::hkdf_sha256;
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::crypto::{aead, ed25519};
use data_encoding::HEXLOWER_PERMISSIVE as HEX;

/// A known answer that did not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not compute what it should")]
pub struct Wrong(pub &'static str);

/// Whether every algorithm gives the answer that its standard lists.
///
/// # Errors
/// [`Wrong`] names the first that does not.
pub fn self_check() -> Result<(), Wrong> {
    let answers = [
        ("SHA-256", sha_256()),
        ("HMAC-SHA-256", hmac()),
        ("HKDF-SHA-256", hkdf()),
        ("AES-256-GCM", aes_gcm()),
        ("Ed25519", eddsa()),
    ];
    answers.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(name, _)| Err(Wrong(name)))
}

fn is(bytes: &[u8], hex: &str) -> bool {
    HEX.decode(hex.as_bytes()).is_ok_and(|known| known == bytes)
}

/// FIPS 180-4, the one-block example.
fn sha_256() -> bool {
    is(&sha256(&[b"abc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
}

/// RFC 4231, test case 2.
fn hmac() -> bool {
    let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    is(&mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
}

/// RFC 5869, test case 1.
fn hkdf() -> bool {
    let salt: Vec<u8> = (0..13).collect();
    let info: Vec<u8> = (0xf0..0xfa).collect();
    let derived = hkdf_sha256::<42>(&[0x0b; 22], &salt, &info);
    is(&derived[..], "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
}

/// The specification of GCM, test case 14; and that a changed tag is refused.
fn aes_gcm() -> bool {
    let sealed = aead::seal(&[0; 32], &[0; 12], &[0; 16], b"");
    let opens = aead::open(&[0; 32], &[0; 12], &sealed, b"").is_ok_and(|plaintext| plaintext[..] == [0; 16]);
    let mut changed = sealed.clone();
    changed[16] ^= 1;
    let refused = aead::open(&[0; 32], &[0; 12], &changed, b"").is_err();
    is(&sealed, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919") && opens && refused
}

/// RFC 8032, test 1.
fn eddsa() -> bool {
    let seed = HEX.decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let Some(seed) = seed.ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok()) else { return false };
    let (key, signature) = (ed25519::public_key(&seed), ed25519::sign(&seed, b""));
    is(&key, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        && is(
            &signature,
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        )
        && ed25519::verify(&key, b"", &signature)
        && !ed25519::verify(&key, b"other", &signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_computes_what_the_standards_list() {
        assert_eq!(self_check(), Ok(()));
        for check in [sha_256, hmac, hkdf, aes_gcm, eddsa] {
            assert!(check());
        }
        assert!(!is(b"abc", "616264"));
    }
}
