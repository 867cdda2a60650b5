//! Ids of records: 16 random bytes, printed as 26 characters of lower-case base32.

use crate::types::base32;
use std::fmt;

/// The id of a record (credential, bot, policy, setting) or of a vault: 16 random bytes.
///
/// The text form is 26 characters of lower-case base32 without padding (RFC 4648), the same that stands in a bot's
/// token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

/// A map by ids. Nobody chooses an id, so a quick hash is enough.
pub type IdMap<V> = foldhash::HashMap<Id, V>;

impl Id {
    /// Reads the text form; `None` for anything that [`Id`] would not print.
    pub fn parse(text: &str) -> Option<Id> {
        base32::decode(text.as_bytes()).map(Id)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(base32::encode(&self.0, &mut [0; base32::LONGEST]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(base32::encode(&self.0, &mut [0; base32::LONGEST]))
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
