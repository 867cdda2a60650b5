//! A bot's bearer token: `svb_<id>_<secret>_<checksum>`, 26, 52 and 7 characters of lower-case base32.
//!
//! The checksum lets secret scanners and people see that a string is one of ours and whole; it protects nothing. The
//! vault keeps only a hash of id and secret, inside the sealed record: the secret has 256 bits, so no slow hash is
//! needed.

use crate::crypto::mac;
use crate::crypto::random::{RandomError, generate_random};
use crate::secret::SecretText;
use crate::types::id::Id;
use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use zeroize::Zeroizing;

const PREFIX: &str = "svb_";
const LENGTH: usize = 4 + 26 + 1 + 52 + 1 + 7;

/// What the vault keeps of a token: SHA-256 of enc("signvault/1/token", id, secret).
pub type TokenHash = [u8; 32];

/// Makes a token for a bot: its text, to be shown once, and the hash to keep.
///
/// # Errors
/// The kernel gave no random bytes.
pub fn generate_token(id: &Id) -> Result<(SecretText, TokenHash), RandomError> {
    let secret = Zeroizing::new(generate_random::<32>()?);
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    push_base32(&mut text, id.as_bytes());
    text.push('_');
    push_base32(&mut text, &*secret);
    let checksum = mac::sha256(&[text.as_bytes()]);
    text.push('_');
    push_base32(&mut text, &checksum[..4]);
    Ok((SecretText::new(text), derive_hash(id, &secret)))
}

/// Reads a token: the bot it names, and the hash to compare. `None` for anything [`generate_token`] would not write.
pub fn parse_token(text: &str) -> Option<(Id, TokenHash)> {
    if text.len() != LENGTH || !text.is_ascii() {
        return None;
    }
    let (head, checksum) = text.rsplit_once('_')?;
    let (id, secret) = head.strip_prefix(PREFIX)?.split_once('_')?;
    let id = Id::parse(id)?;
    let secret = Zeroizing::new(decode_base32::<32>(secret)?);
    let hash = derive_hash(&id, &secret);
    let expected = mac::sha256(&[head.as_bytes()]);
    let is_whole = decode_base32::<4>(checksum).is_some_and(|given| mac::equal(&given, &expected[..4]));
    is_whole.then_some((id, hash))
}

fn derive_hash(id: &Id, secret: &[u8; 32]) -> TokenHash {
    mac::sha256_of_enc(&[b"signvault/1/token", id.as_bytes(), secret])
}

fn push_base32(text: &mut String, bytes: &[u8]) {
    let encoded = Zeroizing::new(BASE32_NOPAD.encode(bytes));
    text.extend(encoded.chars().map(|character| character.to_ascii_lowercase()));
}

fn decode_base32<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let fits = BASE32_NOPAD_NOCASE.decode_len(text.len()) == Ok(BYTES);
    if !fits || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; BYTES];
    BASE32_NOPAD_NOCASE.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_any_changed_character_does_not() {
        let id = Id([7; 16]);
        let (token, hash) = generate_token(&id).unwrap();
        let token = token.expose();
        assert_eq!(token.len(), LENGTH);
        assert_eq!(parse_token(token), Some((id, hash)));
        for at in 0..token.len() {
            let mut changed: Vec<u8> = token.bytes().collect();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(parse_token(&changed), Some((id, hash)), "changed at {at}");
        }
        assert_eq!(parse_token(&token.to_uppercase()), None);
        assert_eq!(parse_token(&format!("{token} ")), None);
        assert_eq!(parse_token(""), None);
    }
}
