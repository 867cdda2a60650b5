//! What a checkpoint or a prune row attests: a point of the chain, signed so that anyone with the public key can check it.
//!
//! The signature covers `enc(kind, vault id, from u64, to u64, head, digest)`. The digest covers every row up to `to`, so
//! one signature does. The kind is part of it: a checkpoint is never taken for the leave to miss rows.

use crate::audit::chain::{Link, Point};
use crate::audit::event;
use crate::crypto::{ed25519, mac};
use crate::types::id::Id;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// These rows are in the ledger.
    Checkpoint,
    /// These rows were in the ledger and were taken out on purpose.
    Prune,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Checkpoint => "signvault/1/checkpoint",
            Kind::Prune => "signvault/1/prune",
        }
    }
}

/// The members of a checkpoint's or a prune's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The vault.
    pub vault: Id,
    /// Of a checkpoint: the row of the checkpoint before it, 0 when there is none. Of a prune: the first row taken out.
    pub from: u64,
    /// The last row that it is about. A checkpoint's own row comes right after it.
    pub to: u64,
    /// The head after that row.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub head: [u8; 32],
    /// The digest of every row up to it.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub digest: [u8; 32],
    /// Whether a row from `from` to `to` counts in rolling limits: an unlock needs those of the last days.
    pub counts: bool,
    /// The public key.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub key: [u8; ed25519::KEY_BYTES],
    /// The signature.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub signature: [u8; ed25519::SIGNATURE_BYTES],
}

/// What is to be attested.
#[derive(Clone, Copy, Debug)]
pub struct Covers {
    /// The vault.
    pub vault: Id,
    /// As [`Attested::from`].
    pub from: u64,
    /// The point after the last row.
    pub at: Point,
    /// As [`Attested::counts`].
    pub counts: bool,
}

impl Covers {
    /// Signs it.
    pub fn sign(&self, kind: Kind, seed: &[u8; ed25519::KEY_BYTES]) -> Attested {
        let Covers { vault, from, at: Point { link: Link { seq: to, head }, digest }, counts } = *self;
        let signature = ed25519::sign(seed, &self.message(kind));
        Attested { vault, from, to, head, digest, counts, key: ed25519::public_key(seed), signature }
    }

    fn message(&self, kind: Kind) -> Vec<u8> {
        let Covers { vault, from, at: Point { link, digest }, .. } = self;
        let (from, to) = (from.to_be_bytes(), link.seq.to_be_bytes());
        mac::enc(&[kind.as_str().as_bytes(), vault.as_bytes(), &from, &to, &link.head, digest])
    }
}

impl Attested {
    /// The point after the last row that it is about.
    pub fn point(&self) -> Point {
        Point { link: Link { seq: self.to, head: self.head }, digest: self.digest }
    }

    /// Whether this key signed it, and says so itself.
    pub fn is_signed_by(&self, kind: Kind, key: &[u8; ed25519::KEY_BYTES]) -> bool {
        let covers = Covers { vault: self.vault, from: self.from, at: self.point(), counts: self.counts };
        self.key == *key && ed25519::verify(key, &covers.message(kind), &self.signature)
    }

    /// The kind and content of a row that attests something; `None` for every other row.
    pub fn parse(body: &str) -> Option<(Kind, Told)> {
        // A quote inside a text is escaped, so these stand only where a row says what it is.
        let kind = match () {
            () if body.contains(r#""event":"checkpoint""#) => Kind::Checkpoint,
            () if body.contains(r#""event":"prune""#) => Kind::Prune,
            () => return None,
        };
        Some((kind, serde_json::from_str(body).ok()?))
    }
}

/// A row that attests something, and when it was written.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// RFC 3339.
    pub time: String,
    /// What it attests.
    #[serde(flatten)]
    pub attested: Attested,
}

/// Whether a row of this text counts for what an unlock must know of the last days: it was counted in rolling limits, or
/// it tells of a restore, from which on they count as spent.
pub fn counts(body: &str) -> bool {
    // Of a row's members only that one is an object, and the last: looked for from the end, because every signature is asked.
    let counted = body.rfind('{').is_some_and(|at| body[..at].ends_with(r#","counted":"#));
    counted || event::kind_of(body).is_some_and(|(kind, _)| kind == "restore")
}

fn to_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(bytes))
}

fn from_hex<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_hex(&text).ok_or_else(|| serde::de::Error::custom("not lower-case hex of the right length"))
}

/// Reads lower-case hexadecimal of exactly this many bytes.
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [5; 32];

    fn covers() -> Covers {
        let at = Point { link: Link { seq: 7, head: [1; 32] }, digest: [2; 32] };
        Covers { vault: Id([3; 16]), from: 4, at, counts: true }
    }

    #[test]
    fn every_signed_member_is_covered() {
        let key = ed25519::public_key(&SEED);
        let signed = covers().sign(Kind::Checkpoint, &SEED);
        assert!(signed.is_signed_by(Kind::Checkpoint, &key));
        assert!(!signed.is_signed_by(Kind::Prune, &key), "a checkpoint is not the leave to miss rows");
        assert!(!signed.is_signed_by(Kind::Checkpoint, &ed25519::public_key(&[6; 32])));
        let others = [
            Attested { vault: Id([4; 16]), ..signed.clone() },
            Attested { from: 3, ..signed.clone() },
            Attested { to: 8, ..signed.clone() },
            Attested { head: [9; 32], ..signed.clone() },
            Attested { digest: [9; 32], ..signed.clone() },
            Attested { key: [9; 32], ..signed.clone() },
            Attested { signature: [9; 64], ..signed.clone() },
        ];
        for other in others {
            assert!(!other.is_signed_by(Kind::Checkpoint, &key), "{other:?}");
        }
    }

    #[test]
    fn a_row_is_read_back_and_others_are_none() {
        let signed = covers().sign(Kind::Prune, &SEED);
        let json = serde_json::to_string(&signed).unwrap();
        let body = format!(r#"{{"time":"T","boot_ms":1,"event":"prune",{}"#, &json[1..]);
        let (kind, told) = Attested::parse(&body).unwrap();
        assert_eq!((kind, told.attested, told.time.as_str()), (Kind::Prune, signed, "T"));
        assert!(Attested::parse(r#"{"event":"lock","why":"\"event\":\"prune\""}"#).is_none());
        assert!(Attested::parse(r#"{"event":"prune","from":1}"#).is_none());
    }

    #[test]
    fn what_an_unlock_must_know_counts() {
        assert!(counts(r#"{"event":"sign","counted":{"bot":"b"}}"#));
        assert!(counts(r#"{"event":"restore","state_version":1}"#));
        assert!(!counts(r#"{"event":"sign","decision":"allow"}"#));
    }
}
