//! A bot's bearer token: `svb_<id>_<secret>_<checksum>`, 26, 52 and 7 characters of lower-case base32.
//!
//! The checksum lets secret scanners and people see that a string is one of ours and whole; it protects nothing. The
//! vault keeps only a hash of id and secret, inside the sealed record: the secret has 256 bits, so no slow hash is
//! needed.

use crate::crypto::mac;
use crate::crypto::random::{RandomError, generate_random};
use crate::secret::SecretText;
use crate::types::base32;
use crate::types::id::Id;
use zeroize::Zeroizing;

const PREFIX: &str = "svb_";
/// How long a whole token is, and its parts but for the prefix.
const LENGTH: usize = PREFIX.len() + ID + 1 + SECRET + 1 + CHECKSUM;
const ID: usize = base32::text_len(16);
const SECRET: usize = base32::text_len(32);
const CHECKSUM: usize = base32::text_len(4);

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
    base32::push(&mut text, id.as_bytes());
    text.push('_');
    base32::push(&mut text, &secret[..]);
    let checksum = mac::sha256(&[text.as_bytes()]);
    text.push('_');
    base32::push(&mut text, &checksum[..4]);
    Ok((SecretText::new(text), derive_hash(id, &secret)))
}

/// Reads a token: the bot it names, and the hash to compare. `None` for anything [`generate_token`] would not write.
pub fn parse_token(text: &str) -> Option<(Id, TokenHash)> {
    let (head, checksum) = text.as_bytes().split_at_checked(LENGTH - CHECKSUM - 1)?;
    let (id, secret) = head.strip_prefix(PREFIX.as_bytes())?.split_at_checked(ID)?;
    let id = Id(base32::decode(id)?);
    let secret = Zeroizing::new(base32::decode(secret.strip_prefix(b"_")?)?);
    let hash = derive_hash(&id, &secret);
    let expected = mac::sha256(&[head]);
    let given = base32::decode::<4>(checksum.strip_prefix(b"_")?);
    given.is_some_and(|given| mac::equal(&given, &expected[..4])).then_some((id, hash))
}

fn derive_hash(id: &Id, secret: &[u8; 32]) -> TokenHash {
    mac::sha256_of_enc(&[b"signvault/1/token", id.as_bytes(), secret])
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
