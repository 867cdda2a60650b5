//! The recovery key: 32 random bytes that a person writes down.
//!
//! Deliberately absent: a word list. 52 characters of base32 can be typed on any keyboard and read over a telephone.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::crypto::random::{RandomError, fill_random};
use crate::secret::SecretText;

/// Characters of the text form, hyphens not counted: 256 bits at 5 bits each, rounded up.
const TEXT_CHARACTERS: usize = 52;
/// Characters between two hyphens.
const GROUP_CHARACTERS: usize = 4;

/// A recovery key. As strong as the vault key itself, so no password hash stands between the two.
pub struct RecoveryKey(Box<Zeroizing<[u8; 32]>>);

/// A text is no recovery key. Says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recovery key")]
pub struct NotARecoveryKey;

impl RecoveryKey {
    /// Takes a new key from the kernel.
    pub fn generate() -> Result<RecoveryKey, RandomError> {
        let mut key = RecoveryKey::zero();
        fill_random(&mut key.0[..])?;
        Ok(key)
    }

    /// Reads the text form (base32, RFC 4648). Case, hyphens and white space at the ends do not matter.
    pub fn parse(text: &str) -> Result<RecoveryKey, NotARecoveryKey> {
        let text = text.trim();
        // Reserved in full: a text that grew would leave copies behind.
        let mut characters = Zeroizing::new(Vec::with_capacity(text.len()));
        characters.extend(text.bytes().filter(|byte| *byte != b'-').map(|byte| byte.to_ascii_uppercase()));
        if characters.len() != TEXT_CHARACTERS {
            return Err(NotARecoveryKey);
        }
        let mut key = RecoveryKey::zero();
        // Also refuses a last character whose unused bits are set: one key, one text.
        BASE32_NOPAD.decode_mut(&characters, &mut key.0[..]).map_err(|_| NotARecoveryKey)?;
        Ok(key)
    }

    fn zero() -> RecoveryKey {
        RecoveryKey(Box::new(Zeroizing::new([0; 32])))
    }

    /// The raw bytes, which are what a slot takes. Callers say in an `EXPOSE:` comment what they are used for.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text to write down: thirteen groups of four upper-case characters.
    pub fn to_text(&self) -> SecretText {
        let mut characters = Zeroizing::new([0; TEXT_CHARACTERS]);
        // EXPOSE: the text form exists to be shown to a person, once.
        BASE32_NOPAD.encode_mut(self.expose(), &mut characters[..]);
        let mut text = String::with_capacity(TEXT_CHARACTERS + TEXT_CHARACTERS / GROUP_CHARACTERS);
        for (at, character) in characters.iter().enumerate() {
            if at > 0 && at % GROUP_CHARACTERS == 0 {
                text.push('-');
            }
            text.push(char::from(*character));
        }
        SecretText::new(text)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "AAAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IB-CEQT-CQKR-MFYY-DENB-WHA5-DYPQ";

    #[test]
    fn the_text_is_thirteen_groups_of_four() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = RecoveryKey::parse(TEXT).unwrap();
        assert_eq!(key.expose()[..], bytes);
        assert_eq!(key.to_text().expose(), TEXT);
    }

    #[test]
    fn case_hyphens_and_outer_white_space_are_ignored() {
        for text in [TEXT.to_lowercase(), TEXT.replace('-', ""), format!("  {TEXT}\r\n"), TEXT.replace("AUDA", "aU-dA")]
        {
            assert_eq!(RecoveryKey::parse(&text).unwrap().to_text().expose(), TEXT);
        }
    }

    #[test]
    fn anything_else_is_no_recovery_key() {
        let one_short = &TEXT[..TEXT.len() - 1];
        let unused_bits_set = format!("{one_short}R");
        let inner_space = TEXT.replacen('-', " ", 1);
        let not_base32 = TEXT.replacen('A', "1", 1);
        for text in ["", one_short, &format!("{TEXT}A"), &unused_bits_set, &inner_space, &not_base32, "ſ"] {
            assert_eq!(RecoveryKey::parse(text).unwrap_err(), NotARecoveryKey, "{text}");
        }
    }

    #[test]
    fn a_generated_key_reads_back_from_its_text() {
        let key = RecoveryKey::generate().unwrap();
        assert_eq!(RecoveryKey::parse(key.to_text().expose()).unwrap().expose(), key.expose());
        assert_eq!(format!("{key:?}"), "RecoveryKey(…)");
    }
}
