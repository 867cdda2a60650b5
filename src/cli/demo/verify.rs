//! A second opinion about signatures: HMAC written out from RFC 2104 over bare SHA-256.
//!
//! Deliberately not `crypto::signature`, which made what is checked here: a mistake in it would confirm itself. All
//! that is shared is the hash. Not for real keys: nothing here is wiped.

use crate::crypto::mac::sha256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The length of SHA-256's input block in bytes, RFC 2104's B.
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA-256: H(K xor opad, H(K xor ipad, text)), RFC 2104 section 2.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&sha256(&[key]));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36), text]);
    sha256(&[&block.map(|byte| byte ^ 0x5c), &inner])
}

/// `OK-ACCESS-SIGN` as OKX's documentation says under "Making Requests": base64 of HMAC-SHA-256 under the secret key,
/// over timestamp, method, path with query, and body, one after the other.
pub fn okx_signature(secret: &str, timestamp: &str, method: &str, path: &str, body: &str) -> String {
    let text = [timestamp, method, path, body].concat();
    BASE64_STANDARD.encode(hmac_sha256(secret.as_bytes(), text.as_bytes()))
}

/// A signature that another client made.
pub struct Known {
    /// Who made it.
    pub client: &'static str,
    /// The secret key, made up.
    pub secret: &'static str,
    /// When.
    pub timestamp: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub path: &'static str,
    /// What the client put into `OK-ACCESS-SIGN`.
    pub signature: &'static str,
}

/// The first of the vectors under `tests/vectors`.
pub const BY_ANOTHER_CLIENT: Known = Known {
    client: "ccxt 4.5.90",
    secret: "11983B894DEDFF850BD95EB315083A28",
    timestamp: "2020-12-08T09:08:57.715Z",
    method: "GET",
    path: "/api/v5/rfq/counterparties",
    signature: "Fzn3UH+BRBMaT+enZXsTcZMAfOM0OtYqGgRtTjoTHdI=",
};

/// RFC 4231, test case 2: key, text, and the HMAC in hexadecimal.
pub const RFC_4231_CASE_2: [&str; 3] =
    ["Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"];

#[cfg(test)]
mod tests {
    use super::*;

    use data_encoding::HEXLOWER;

    #[test]
    fn it_is_the_hmac_of_rfc_4231() {
        let [key, text, mac] = RFC_4231_CASE_2;
        assert_eq!(HEXLOWER.encode(&hmac_sha256(key.as_bytes(), text.as_bytes())), mac);
        // Test case 6: a key longer than a block.
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let mac = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(HEXLOWER.encode(&hmac_sha256(&[0xaa; 131], text)), mac);
    }

    #[test]
    fn the_known_signature_is_one_of_the_vectors() {
        let vectors = include_str!("../../../tests/vectors/okx.jsonl");
        let Known { client, secret, timestamp, method, path, signature } = BY_ANOTHER_CLIENT;
        let holds =
            |line: &str| [client, secret, timestamp, method, path, signature].iter().all(|part| line.contains(part));
        assert!(vectors.lines().any(holds));
        assert_eq!(okx_signature(secret, timestamp, method, path, ""), signature);
    }
}
