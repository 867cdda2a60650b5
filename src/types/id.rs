//! Ids of records: 16 random bytes, printed as 26 characters of lower-case base32.

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use std::fmt;

/// How long the text form is.
const TEXT_BYTES: usize = 26;

/// The id of a record (credential, bot, policy, setting) or of a vault: 16 random bytes.
///
/// The text form is 26 characters of lower-case base32 without padding (RFC 4648), the same that stands in a bot's
/// token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Reads the text form; `None` for anything that [`Id`] would not print.
    pub fn parse(text: &str) -> Option<Id> {
        if text.len() != TEXT_BYTES || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; 16];
        BASE32_NOPAD_NOCASE.decode_mut(text.as_bytes(), &mut bytes).ok()?;
        Some(Id(bytes))
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; TEXT_BYTES];
        BASE32_NOPAD.encode_mut(&self.0, &mut text);
        text.make_ascii_lowercase();
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::parse(&text).ok_or_else(|| serde::de::Error::custom("not an id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_the_only_one() {
        let id = Id(*b"0123456789abcdef");
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert_eq!(Id::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(Id::parse("short"), None);
        // 26 base32 characters carry 130 bits: the last two must be zero.
        assert_eq!(Id::parse(&"z".repeat(26)), None);
    }
}
