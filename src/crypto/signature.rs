//! What exchanges ask for: message authentication codes and digests of several sizes, chosen by a recipe.
//!
//! Deliberately absent: MD5 and SHA-1, alone or in HMAC. No supported exchange needs them.

use std::fmt;

use hmac::{EagerHash, Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroize;

/// A keyed hash (HMAC, RFC 2104) over a member of the SHA-2 family (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacAlgorithm {
    /// `hmac-sha256`: 32 bytes.
    HmacSha256,
    /// `hmac-sha384`: 48 bytes.
    HmacSha384,
    /// `hmac-sha512`: 64 bytes.
    HmacSha512,
}

/// A hash without a key (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestAlgorithm {
    /// `sha256`: 32 bytes.
    Sha256,
    /// `sha512`: 64 bytes.
    Sha512,
}

/// What a MAC or digest gives: 32, 48 or 64 bytes, wiped when dropped.
///
/// Not a secret once it is sent, but until then it may be the digest of one.
pub struct Output {
    /// The bytes, at the front.
    bytes: [u8; 64],
    /// How many of them there are.
    length: usize,
}

impl Output {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn new(output: &mut [u8]) -> Output {
        let mut bytes = [0; 64];
        bytes[..output.len()].copy_from_slice(output);
        output.zeroize();
        Output { bytes, length: output.len() }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(…)")
    }
}

/// Signs a message, given in parts as if they were one, under a key of any length.
///
/// Callers whose message is not sent at once call [`crate::secret::scrub_stack`] when they are done with the key.
pub fn sign(algorithm: MacAlgorithm, key: &[u8], parts: &[&[u8]]) -> Output {
    match algorithm {
        MacAlgorithm::HmacSha256 => hmac::<Sha256>(key, parts),
        MacAlgorithm::HmacSha384 => hmac::<Sha384>(key, parts),
        MacAlgorithm::HmacSha512 => hmac::<Sha512>(key, parts),
    }
}

/// Hashes a message, given in parts as if they were one.
pub fn digest(algorithm: DigestAlgorithm, parts: &[&[u8]]) -> Output {
    match algorithm {
        DigestAlgorithm::Sha256 => hash::<Sha256>(parts),
        DigestAlgorithm::Sha512 => hash::<Sha512>(parts),
    }
}

fn hmac<D: EagerHash>(key: &[u8], parts: &[&[u8]]) -> Output
where
    Hmac<D>: KeyInit + Mac,
{
    let mut mac = <Hmac<D> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    Output::new(&mut mac.finalize().into_bytes())
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Output {
    let mut hash = D::new();
    parts.iter().for_each(|part| hash.update(part));
    Output::new(&mut hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    use data_encoding::HEXLOWER;

    struct Case {
        name: &'static str,
        key: Vec<u8>,
        message: Vec<u8>,
        sha256: &'static str,
        sha384: &'static str,
        sha512: &'static str,
    }

    /// Without test case 5, whose output is truncated.
    fn rfc_4231() -> [Case; 6] {
        [
            Case {
                name: "test case 1",
                key: vec![0x0b; 20],
                message: b"Hi There".to_vec(),
                sha256: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                sha384: concat!(
                    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c",
                    "faea9ea9076ede7f4af152e8b2fa9cb6"
                ),
                sha512: concat!(
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde",
                    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
                ),
            },
            Case {
                name: "test case 2",
                key: b"Jefe".to_vec(),
                message: b"what do ya want for nothing?".to_vec(),
                sha256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                sha384: concat!(
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e",
                    "8e2240ca5e69e2c78b3239ecfab21649"
                ),
                sha512: concat!(
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
                    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
                ),
            },
            Case {
                name: "test case 3",
                key: vec![0xaa; 20],
                message: vec![0xdd; 50],
                sha256: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                sha384: concat!(
                    "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b",
                    "2a5ab39dc13814b94e3ab6e101a34f27"
                ),
                sha512: concat!(
                    "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39",
                    "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"
                ),
            },
            Case {
                name: "test case 4",
                key: (1..=25).collect(),
                message: vec![0xcd; 50],
                sha256: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                sha384: concat!(
                    "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e",
                    "6801dd23c4a7d679ccf8a386c674cffb"
                ),
                sha512: concat!(
                    "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db",
                    "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"
                ),
            },
            Case {
                name: "test case 6",
                key: vec![0xaa; 131],
                message: b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                sha256: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                sha384: concat!(
                    "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6",
                    "0c2ef6ab4030fe8296248df163f44952"
                ),
                sha512: concat!(
                    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
                    "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"
                ),
            },
            Case {
                name: "test case 7",
                key: vec![0xaa; 131],
                message: concat!(
                    "This is a test using a larger than block-size key and a larger than block-size data. ",
                    "The key needs to be hashed before being used by the HMAC algorithm."
                )
                .into(),
                sha256: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
                sha384: concat!(
                    "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5",
                    "a678cc31e799176d3860e6110c46523e"
                ),
                sha512: concat!(
                    "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944",
                    "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"
                ),
            },
        ]
    }

    #[test]
    fn macs_are_those_of_rfc_4231() {
        for case in rfc_4231() {
            let signed = |algorithm| HEXLOWER.encode(sign(algorithm, &case.key, &[&case.message]).as_bytes());
            assert_eq!(signed(MacAlgorithm::HmacSha256), case.sha256, "{}", case.name);
            assert_eq!(signed(MacAlgorithm::HmacSha384), case.sha384, "{}", case.name);
            assert_eq!(signed(MacAlgorithm::HmacSha512), case.sha512, "{}", case.name);
        }
    }

    #[test]
    fn parts_are_signed_and_hashed_as_one_message() {
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::HmacSha384, MacAlgorithm::HmacSha512] {
            let whole = sign(algorithm, b"key", &[b"onetwo"]);
            assert_eq!(sign(algorithm, b"key", &[b"one", b"", b"two"]).as_bytes(), whole.as_bytes());
        }
        let whole = digest(DigestAlgorithm::Sha512, &[b"onetwo"]);
        assert_eq!(digest(DigestAlgorithm::Sha512, &[b"one", b"two"]).as_bytes(), whole.as_bytes());
    }

    #[test]
    fn digests_are_those_of_fips_180() {
        let hashed = |algorithm| HEXLOWER.encode(digest(algorithm, &[b"abc"]).as_bytes());
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hashed(DigestAlgorithm::Sha256), sha256);
        let sha512 = concat!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(hashed(DigestAlgorithm::Sha512), sha512);
    }

    #[test]
    fn algorithms_have_the_names_that_recipes_use() {
        assert_eq!(serde_json::to_string(&MacAlgorithm::HmacSha256).unwrap(), "\"hmac-sha256\"");
        assert_eq!(serde_json::from_str::<MacAlgorithm>("\"hmac-sha512\"").unwrap(), MacAlgorithm::HmacSha512);
        assert_eq!(serde_json::from_str::<DigestAlgorithm>("\"sha256\"").unwrap(), DigestAlgorithm::Sha256);
        assert!(serde_json::from_str::<DigestAlgorithm>("\"md5\"").is_err());
    }

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", sign(MacAlgorithm::HmacSha256, b"key", &[b"message"])), "Output(…)");
    }
}
