//! What a ledger row says. Never a secret, a header, a token, or text that a bot made up: a name stands in a row only
//! when the vault knows it, and a request stands there as the endpoint that the recipe lists and as hashes.

use crate::audit::attested::Attested;
use crate::audit::signature::{Counted, Signature};
use crate::types::clock::Now;
use crate::types::mode::Mode;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::Deref;

/// Most rows are not longer than this many bytes.
const USUAL_BYTES: usize = 1000;

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A decision on an ask, which writes itself.
    #[serde(skip)]
    Sign(&'a Signature<'a>),
    /// The vault was made.
    Init,
    /// The vault was unlocked.
    Unlock {
        /// The slot that opened.
        slot: u32,
        /// Attempts that failed since the last unlock.
        failed_attempts: u32,
        /// Whether an older database than the anchor remembers was accepted.
        accepted_rollback: bool,
        /// What would have been refused, in words: both versions, the database's and the anchor's.
        #[serde(skip_serializing_if = "Option::is_none")]
        refusal: Option<String>,
        /// Whether the wall clock was accepted as it is.
        accepted_clock: bool,
    },
    /// The vault was locked.
    Lock {
        /// Why: `asked`, `shutdown` or `audit_broken`.
        why: &'static str,
    },
    /// The password was changed.
    PasswordChange {
        /// The slot that carries it now.
        slot: u32,
    },
    /// The vault key was replaced. This row is the first that its audit key chained.
    KeyRotation {
        /// The new key's epoch.
        epoch: u32,
        /// The slot that wraps it.
        slot: u32,
        /// The slots that went with the old key.
        removed_slots: &'a [u32],
    },
    /// A way to unlock was added or removed.
    Slot {
        /// `add` or `remove`.
        action: Action,
        /// The slot.
        slot: u32,
        /// `password`, `recovery` or `key-file`.
        kind: &'static str,
    },
    /// A credential changed.
    Credential {
        /// What was done.
        action: Action,
        /// Its name.
        credential: &'a str,
    },
    /// A bot changed.
    Bot {
        /// What was done.
        action: Action,
        /// Its name.
        bot: &'a str,
    },
    /// A policy changed.
    Policy {
        /// What was done.
        action: Action,
        /// Its name.
        policy: &'a str,
        /// Its version after the change.
        version: u64,
    },
    /// A reference price was given.
    Reference {
        /// The policy.
        policy: &'a str,
        /// The instrument.
        instrument: &'a str,
        /// The price.
        price: &'a str,
    },
    /// An admin, or the disk, changed what may happen at all.
    Mode {
        /// The mode from now on.
        mode: Mode,
        /// For this bot only; for everyone when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        bot: Option<&'a str>,
        /// `disk` when no admin said so, but the disk has little space, or enough again. It is a mode of its own: the
        /// strictest holds.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
    },
    /// The wall clock was believed again although it is not where it was.
    Clock {
        /// Where the boot clock says that it should be, RFC 3339 with milliseconds.
        from: String,
        /// Where it is.
        to: String,
        /// Why it was believed: `synchronised`.
        why: &'static str,
    },
    /// A backup was made.
    Backup,
    /// The vault was restored from a backup.
    Restore {
        /// The state version that was restored.
        state_version: u64,
        /// Whether limits start with what the backup's own rows say. Otherwise they count as spent at first.
        reset_limits: bool,
    },
    /// The database was brought to another version of the schema.
    Migrate {
        /// The version it had.
        from: u32,
        /// The version it has.
        to: u32,
    },
    /// The key that signs checkpoints was made, for a vault that had none.
    SigningKey {
        /// The public key, hexadecimal.
        key: &'a str,
    },
    /// The rows before this one were signed.
    Checkpoint(Box<Attested>),
    /// Old rows were taken out.
    Prune(Box<Attested>),
    /// Requests that were refused before an ask was known, added up over a minute.
    Refused {
        /// Who: `tcp` or `uid N`.
        peer: &'a str,
        /// How many by code.
        counts: &'a BTreeMap<String, u64>,
    },
}

/// What an admin did to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Made it.
    Add,
    /// Changed it.
    Edit,
    /// Gave it new secrets or a new token.
    Rotate,
    /// Ended its token.
    Revoke,
    /// Took it out.
    Remove,
    /// Made or replaced it.
    Set,
}

/// The row's text: what the chain covers and the ledger keeps. Before what happened stand the wall time, RFC 3339 with
/// milliseconds, and the milliseconds since boot, which order rows even when the wall clock is set.
pub fn to_body(now: Now, event: Event<'_>) -> String {
    const PLAIN: &str = "rows are plain data: strings, numbers and maps with string keys";
    let mut text = Vec::with_capacity(USUAL_BYTES);
    write!(text, r#"{{"time":"{}","boot_ms":{}"#, now.wall, now.boot_ms).expect(PLAIN);
    match event {
        Event::Sign(signature) => {
            signature.write(&mut text);
            text.push(b'}');
        }
        event => {
            let times = text.len();
            serde_json::to_writer(&mut text, &event).expect(PLAIN);
            // The event's own brace: it is one flat object.
            text[times] = b',';
        }
    }
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// The kind of a row, without reading all of it, and what comes after it. Only for rows that were authenticated: it goes
/// by the order in which [`to_body`] writes, and a quote inside a text is escaped, so no text can pass for it.
pub fn kind_of(body: &str) -> Option<(&str, &str)> {
    behind_times(body).or_else(|| Some(body.split_once(r#""event":""#)?.1))?.split_once('"')
}

/// What comes after the name of the kind in a row as it is written: both times are passed over.
fn behind_times(body: &str) -> Option<&str> {
    let (_, rest) = body.strip_prefix(r#"{"time":""#)?.split_once('"')?;
    let rest = rest.strip_prefix(r#","boot_ms":"#)?;
    rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).strip_prefix(r#","event":""#)
}

/// A text of a row that is read back, where it stands in the row; copied only when something in it is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

/// Keeps a string where it stands if it can. What serde derives for an optional one copies it always.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// What the vault itself reads back from a row: who used which credential, and when.
#[derive(Debug, Deserialize)]
pub struct Used<'a> {
    /// RFC 3339.
    #[serde(borrow)]
    pub time: Text<'a>,
    /// The kind of row.
    #[serde(borrow)]
    pub event: Text<'a>,
    /// `allow` or `deny` on a decision.
    #[serde(default, borrow)]
    pub decision: Option<Text<'a>>,
    /// The bot.
    #[serde(default, borrow)]
    pub bot: Option<Text<'a>>,
    /// The credential.
    #[serde(default, borrow)]
    pub credential: Option<Text<'a>>,
    /// The endpoint.
    #[serde(default, borrow)]
    pub endpoint: Option<Text<'a>>,
    /// SHA-256 of the path with its query.
    #[serde(default, borrow)]
    pub path_sha256: Option<Text<'a>>,
    /// SHA-256 of the body.
    #[serde(default, borrow)]
    pub body_sha256: Option<Text<'a>>,
    /// What it counts for.
    #[serde(default)]
    pub counted: Option<Counted>,
    /// Of a restore: whether limits start with what is in the ledger.
    #[serde(default)]
    pub reset_limits: bool,
}

impl<'a> Used<'a> {
    /// Reads a row's text.
    pub fn parse(body: &'a str) -> Option<Used<'a>> {
        serde_json::from_str(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::UnixMs;

    #[test]
    fn a_row_reads_as_one_flat_object() {
        let now = Now { wall: UnixMs(1_700_000_000_123), boot_ms: 5 };
        let body = to_body(now, Event::Credential { action: Action::Add, credential: "main" });
        assert_eq!(
            body,
            r#"{"time":"2023-11-14T22:13:20.123Z","boot_ms":5,"event":"credential","action":"add","credential":"main"}"#
        );
        let used = Used::parse(&body).unwrap();
        assert_eq!((&*used.event, used.credential.as_deref()), ("credential", Some("main")));
        assert_eq!(kind_of(&body), Some(("credential", r#","action":"add","credential":"main"}"#)));
    }

    #[test]
    fn a_text_with_an_escape_is_read_all_the_same() {
        let body = r#"{"time":"T","event":"sign","bot":"a\"b\u00e9","credential":"main"}"#;
        let used = Used::parse(body).unwrap();
        assert_eq!((used.bot.as_deref(), used.credential.as_deref()), (Some("a\"bé"), Some("main")));
    }

    #[test]
    fn no_text_passes_for_the_kind_of_a_row() {
        let now = Now { wall: UnixMs(1_700_000_000_123), boot_ms: 5 };
        let name = r#"x","event":"restore"#;
        let body = to_body(now, Event::Credential { action: Action::Add, credential: name });
        let kind = |body| kind_of(body).map(|(kind, _)| kind);
        assert_eq!(kind(&body), Some("credential"));
        assert_eq!(kind(r#"{"bot":"\"event\":\"restore\"","event":"lock"}"#), Some("lock"));
        assert_eq!(
            kind(r#"{"time":"\",\"boot_ms\":1,\"event\":\"restore\"","boot_ms":1,"event":"lock"}"#),
            Some("lock")
        );
        assert_eq!((kind("{}"), kind(r#""event":"x"#), kind("")), (None, None, None));
    }
}
