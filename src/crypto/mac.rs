//! Hashes, message authentication, and the one way in which items become bytes before either.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::scrub_stack;
use crate::types::id::Id;

/// The items one after the other, each behind its length in bytes as a big-endian `u32`.
///
/// Injective: two different lists never give the same bytes, which plain concatenation cannot say.
pub fn enc(items: &[&[u8]]) -> Vec<u8> {
    // Reserved in full: a buffer that grew would leave copies of secret items behind.
    let mut bytes = Vec::with_capacity(items.iter().map(|item| 4 + item.len()).sum());
    enc_into(&mut bytes, items);
    bytes
}

/// SHA-256 over [`enc`] of the items, which is not written down on the way.
pub fn sha256_of_enc(items: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    each_part(items, |part| hash.update(part));
    hash.finalize().into()
}

/// HMAC-SHA-256 (RFC 2104) under one key, made ready for many messages. As secret as the key. Dropped, it is wiped, and so is
/// the stack that it was made and used on: taking a key in leaves the key there under a mask, and moving it would leave
/// the state, so it stays in one place on the heap.
pub struct Keyed(Box<Hmac<Sha256>>);

impl Keyed {
    /// Takes in a key.
    ///
    /// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
    #[inline(never)]
    pub fn new(key: &[u8]) -> Keyed {
        Keyed(Box::new(Hmac::new_from_slice(key).expect("HMAC takes keys of any length")))
    }

    /// The MAC over [`enc`] of the items, which is not written down on the way.
    pub fn of_enc(&self, items: &[&[u8]]) -> [u8; 32] {
        self.over(|mac| each_part(items, |part| mac.update(part)))
    }

    /// Not inlined, as [`Keyed::new`].
    #[inline(never)]
    fn over(&self, feed: impl FnOnce(&mut Hmac<Sha256>)) -> [u8; 32] {
        let mut mac = Hmac::clone(&self.0);
        feed(&mut mac);
        mac.finalize().into_bytes().into()
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        scrub_stack();
    }
}

/// The bytes of [`enc`], piece by piece.
fn each_part(items: &[&[u8]], mut take: impl FnMut(&[u8])) {
    for item in items {
        take(&length_of(item));
        take(item);
    }
}

fn length_of(item: &[u8]) -> [u8; 4] {
    let length = u32::try_from(item.len()).expect("items are ids, headers, rows and bodies, all far below 4 GiB");
    length.to_be_bytes()
}

/// [`enc`] behind what is in the buffer already. For items that are no secret: the buffer may move.
pub fn enc_into(bytes: &mut Vec<u8>, items: &[&[u8]]) {
    each_part(items, |part| bytes.extend_from_slice(part));
}

/// The items of an encoding, or `None` for bytes that [`enc`] would not write.
pub fn dec(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (item, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        items.push(item);
        bytes = rest;
    }
    Some(items)
}

/// HMAC-SHA-256 (RFC 2104) over the parts as if they were one message.
///
/// Parts are not separated: give [`enc`] of them where their borders matter.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    Keyed::new(key).over(|mac| parts.iter().for_each(|part| mac.update(part)))
}

/// SHA-256 (FIPS 180-4) over the parts as if they were one message.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Whether two values are equal, in a time that depends on their lengths only. Different lengths are unequal.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The head of the ledger after one more row: HMAC under the audit key over enc(vault id, sequence, previous, body).
///
/// The head before the first row is 32 zero bytes; `body` is the row's JSON text exactly as stored.
pub fn chain_link(audit_key: &Keyed, vault_id: &Id, sequence: u64, previous: &[u8; 32], body: &[u8]) -> [u8; 32] {
    audit_key.of_enc(&[vault_id.as_bytes(), &sequence.to_be_bytes(), previous, body])
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crypto::known_answers::{KnownAnswers, hex};

    #[test]
    fn enc_puts_a_length_before_each_item() {
        assert_eq!(enc(&[b"ab", b"", b"c"]), b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c");
        assert_eq!(enc(&[]), b"");
        assert_ne!(enc(&[b"a", b"bc"]), enc(&[b"ab", b"c"]));
    }

    #[test]
    fn what_is_taken_over_an_encoding_is_as_if_it_had_been_written_down() {
        let items: [&[u8]; 4] = [b"ab", b"", &[7; 200], b"c"];
        assert_eq!(sha256_of_enc(&items), sha256(&[&enc(&items)]));
        let keyed = Keyed::new(b"key");
        for _ in 0..2 {
            assert_eq!(keyed.of_enc(&items), hmac_sha256(b"key", &[&enc(&items)]));
        }
    }

    #[test]
    fn enc_never_moves_while_it_grows() {
        let bytes = enc(&[&[1; 100], &[2; 1000]]);
        assert_eq!(bytes.capacity(), bytes.len());
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test case 2, in one part and in several.
        let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(hmac_sha256(b"Jefe", &[b"what do ya want for nothing?"]), expected[..]);
        assert_eq!(hmac_sha256(b"Jefe", &[b"what do ya want ", b"", b"for nothing?"]), expected[..]);
    }

    #[test]
    fn sha256_is_that_of_fips_180() {
        let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256(&[b"a", b"bc"]), expected[..]);
    }

    #[test]
    fn equal_means_all_bytes_and_the_length() {
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"ab"));
        assert!(equal(b"", b""));
    }

    #[test]
    fn the_chain_has_the_known_heads() {
        let known = KnownAnswers::load();
        let audit_key = Keyed::new(&hex(&known.subkeys["audit"]));
        let mut head = [0; 32];
        for row in &known.audit {
            head = chain_link(&audit_key, &known.vault_id(), row.sequence, &head, &hex(&row.body));
            assert_eq!(head, hex(&row.head)[..], "row {}", row.sequence);
        }
    }

    #[test]
    fn a_chain_link_depends_on_everything_it_covers() {
        let vault = Id([1; 16]);
        let [key, other] = [[0; 32], [1; 32]].map(|key| Keyed::new(&key));
        let link = chain_link(&key, &vault, 1, &[0; 32], b"body");
        assert_ne!(link, chain_link(&other, &vault, 1, &[0; 32], b"body"));
        assert_ne!(link, chain_link(&key, &Id([2; 16]), 1, &[0; 32], b"body"));
        assert_ne!(link, chain_link(&key, &vault, 2, &[0; 32], b"body"));
        assert_ne!(link, chain_link(&key, &vault, 1, &[1; 32], b"body"));
        assert_ne!(link, chain_link(&key, &vault, 1, &[0; 32], b"body "));
    }
}
