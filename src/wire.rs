//! What crosses the admin socket and the bots' interface: the shapes of requests and answers, nothing more.
//!
//! Both faces speak through this file, so a field has one name from the command line to the daemon. Secrets have their
//! own types here ([`SecretText`]), whose `Debug` is redacted and which are written out only by a serializer that says
//! so. Every request is read through [`Object`], because a derived `Deserialize` would also take a positional array.

pub mod audit;
pub mod doctor;
pub mod policy;

use crate::secret::{SecretText, serialize_exposed};
use crate::types::ask::Channel;
use crate::types::credential::Environment;
use crate::types::endpoint::Grant;
use crate::types::mode::Mode;
use serde::de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use utoipa::ToSchema;

/// A value that must stand in the JSON as an object.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OnlyMaps<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMaps(PhantomData))
    }
}

// ---------------------------------------------------------------- bots: /v1/sign, /v1/sign/batch, /v1/session

/// `POST /v1/sign`: one request to sign.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// The credential's name.
    pub credential: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query, exactly as it will be sent.
    pub path: String,
    /// The body, exactly as it will be sent; absent, null and empty are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The answer to [`SignRequest`]: send exactly this.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SignAnswer {
    /// Where to send it.
    pub url: String,
    /// The method.
    pub method: String,
    /// The complete set of headers to add.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub headers: Headers,
    /// The body to send, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The ledger row that this signature stands in.
    pub audit_seq: u64,
    /// When the exchange will refuse it: RFC 3339, UTC, milliseconds.
    pub expires_at: String,
}

/// Header names and values in the order of the recipe; a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers(pub Vec<(Arc<str>, String)>);

impl Serialize for Headers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = serde_json::Map::<String, Value>::deserialize(deserializer)?;
        let text = |(name, value): (String, Value)| match value {
            Value::String(value) => Ok((name.into(), value)),
            _ => Err(serde::de::Error::custom("a header's value is a string")),
        };
        map.into_iter().map(text).collect::<Result<_, _>>().map(Headers)
    }
}

/// `POST /v1/sign/batch`: up to 20 requests, each judged by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// 1 to 20 requests.
    #[schema(value_type = Vec<SignRequest>, min_items = 1, max_items = 20)]
    pub requests: Vec<Object<SignRequest>>,
}

/// The answer to [`BatchRequest`], in the same order.
#[derive(Debug, ToSchema)]
pub struct BatchAnswer {
    /// Each an answer, or a problem with its `status`.
    #[schema(value_type = Vec<Value>)]
    pub results: Vec<Value>,
}

/// `POST /v1/session`: log a WebSocket in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The credential's name.
    pub credential: String,
    /// Which of the exchange's private addresses; `private` unless told.
    #[serde(default)]
    pub channel: Option<Channel>,
}

/// The answer to [`SessionRequest`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionAnswer {
    /// The WebSocket address to connect to.
    pub url: String,
    /// The frame to send first.
    #[schema(value_type = Object)]
    pub message: Value,
    /// The ledger row of this login.
    pub audit_seq: u64,
    /// When the exchange will refuse it: RFC 3339, UTC, milliseconds.
    pub expires_at: String,
}

/// `GET /v1/whoami`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The bot's name.
    pub bot: String,
    /// The public cards of the credentials it may use.
    pub credentials: Vec<CredentialCard>,
    /// The grants of its policy.
    pub grants: Vec<Grant>,
    /// The policy's name; `read-only` when none was given.
    pub policy: String,
    /// The policy in words.
    pub words: Vec<String>,
    /// How much an admin allows for now.
    pub mode: Mode,
    /// What is used of each limit.
    pub limits: BTreeMap<String, LimitUse>,
}

/// How much of a limit is used.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LimitUse {
    /// Used in the window.
    pub used: Quantity,
    /// The most that may be used in the window.
    pub max: Quantity,
    /// The window's length in seconds.
    pub window_s: u64,
}

/// Requests or orders as a number, money as the text of a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// Requests or orders.
    Number(u64),
    /// Quote currency.
    Money(String),
}

/// `GET /health`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `alive`.
    pub status: &'static str,
}

/// `GET /ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Whether every check holds.
    pub ready: bool,
    /// `unlocked`, `audit`, `clock`: true, or what is wrong in words.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub checks: BTreeMap<&'static str, Value>,
}

// ---------------------------------------------------------------- admin: status, unlock, lock, password, slots

/// `GET /v1/status` on the admin socket.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// `uninitialized`, `locked` or `unlocked`.
    pub state: String,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// The address bots may use: `ip:port`.
    pub listen: String,
    /// The bots' Unix socket.
    pub sign_socket: String,
    /// The admin socket.
    pub admin_socket: String,
    /// How often the vault has changed; null while locked.
    pub state_version: Option<u64>,
    /// The last durable ledger row; null while locked.
    pub audit_sequence: Option<u64>,
    /// That row's chain value, hexadecimal; null while locked.
    pub audit_head: Option<String>,
    /// The row from which on all are verified; null while locked.
    pub audit_verified_from: Option<u64>,
    /// Rows before it that are still being verified; null while locked.
    pub audit_backlog: Option<u64>,
    /// Why the vault was locked by itself; null when it was not.
    pub locked_because: Option<String>,
    /// Credentials kept; null while locked.
    pub credentials: Option<usize>,
    /// Bots that may sign; null while locked.
    pub bots: Option<usize>,
    /// How much an admin and the space on the disk allow for now; null while locked.
    pub mode: Option<Mode>,
    /// How secrets are kept out of reach, in words.
    pub memory: String,
    /// What is weaker on this machine than it should be, in words: the items below that do not hold.
    pub degraded: Vec<String>,
    /// What the daemon did to itself at its start, item by item.
    #[serde(default)]
    pub hardening: Vec<Hardening>,
    /// Warnings about credentials, in words; empty while locked.
    pub warnings: Vec<String>,
}

/// One item of how the daemon is hardened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hardening {
    /// `not_dumpable`, `no_core`, `no_new_privileges`, `environment`, `key_memory`, `memory_lock`, `landlock` or `seccomp`.
    pub item: String,
    /// Whether it holds.
    pub holds: bool,
    /// How, or why not.
    pub detail: String,
}

/// `POST /v1/unlock`: exactly one of the three secrets.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockRequest {
    /// The secret that opens a slot.
    pub secret: SlotSecret,
    /// Accept a database that is older than the anchor remembers.
    #[serde(default)]
    pub accept_rollback: bool,
    /// Accept a wall clock that jumped or went back.
    #[serde(default)]
    pub accept_clock: bool,
}

/// A secret that opens or makes a slot.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotSecret {
    /// A password, 1 to 1024 bytes of UTF-8.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    Password(SecretText),
    /// A recovery key in its text form.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    Recovery(SecretText),
    /// A key file's 32 bytes in base64.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    KeyFile(SecretText),
}

/// The answer to an unlock.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Unlocked {
    /// How often the vault has changed.
    pub state_version: u64,
    /// The last durable ledger row.
    pub audit_sequence: u64,
    /// Failed attempts since the last unlock.
    pub failed_attempts: u32,
    /// The slot that opened.
    pub slot: u32,
    /// Things to know, in words.
    pub warnings: Vec<String>,
}

/// `POST /v1/password`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub old: SecretText,
    /// The new one, 12 to 1024 bytes.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub new: SecretText,
    /// Whether to replace the vault key too. Then every other way to unlock is removed.
    #[serde(default)]
    pub rotate_key: bool,
}

/// `POST /v1/slots`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotAdd {
    /// The secret that will open the slot.
    pub secret: SlotSecret,
}

/// One slot, as listed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SlotCard {
    /// Its number.
    pub id: u32,
    /// `password`, `recovery` or `key-file`.
    pub kind: String,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// Argon2id's cost in words; absent for slots that need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf: Option<String>,
}

// ---------------------------------------------------------------- admin: credentials

/// The secrets of a credential, as typed or pasted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialSecrets {
    /// The API key. Not secret to its bots, but nobody else's business.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub api_key: SecretText,
    /// The secret key.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// The passphrase.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub passphrase: SecretText,
}

/// `POST /v1/credentials`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialAdd {
    /// The name bots will use: 1 to 64 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
    pub name: String,
    /// The exchange's recipe.
    pub exchange: String,
    /// The secrets.
    pub secrets: CredentialSecrets,
    /// What the exchange calls the key, or any other remark.
    #[serde(default)]
    pub label: Option<String>,
    /// `live` or `demo`.
    #[serde(default)]
    pub environment: Environment,
    /// The exchange's site; the recipe's first unless told.
    #[serde(default)]
    pub region: Option<String>,
    /// The key's permissions at the exchange.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The addresses that the key is bound to: IPv4, IPv6, CIDR or `first-last`.
    #[serde(default)]
    pub ips: Vec<String>,
    /// Another base URL than the recipe's.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Another number of idle days than the recipe's.
    #[serde(default)]
    pub idle_days: Option<u32>,
}

/// `PATCH /v1/credentials/{name}`: what is present changes.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialEdit {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new label; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `live` or `demo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The exchange's site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// All permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// All bound addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ips: Option<Vec<String>>,
    /// Another base URL; empty for the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Another number of idle days; 0 for the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_days: Option<u32>,
}

/// A credential without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialCard {
    /// Its name.
    pub name: String,
    /// The exchange's recipe.
    pub exchange: String,
    /// What the exchange calls the key, or any other remark.
    pub label: Option<String>,
    /// `live` or `demo`.
    pub environment: Environment,
    /// The exchange's site.
    pub region: String,
    /// The key's permissions at the exchange.
    pub permissions: Vec<String>,
    /// The addresses that the key is bound to.
    pub ips: Vec<String>,
    /// Where requests go.
    pub base_url: String,
    /// The API key, masked: its first and last four characters.
    pub api_key: String,
    /// When it was added: RFC 3339, UTC.
    pub created: String,
    /// When it last signed: RFC 3339, UTC.
    pub last_used: Option<String>,
    /// After how many idle days the exchange deletes it; null when it does not.
    pub idle_days: Option<u32>,
}

/// The answer to a change of a credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CredentialChanged {
    /// The credential as it is now; the last state for one removed.
    pub credential: CredentialCard,
    /// Things to know, in words.
    pub warnings: Vec<String>,
}

// ---------------------------------------------------------------- admin: bots and policies

/// `POST /v1/bots`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BotAdd {
    /// Its name, spelled like a credential's.
    pub name: String,
    /// The credentials it may use.
    pub credentials: Vec<String>,
    /// Its policy; reading only unless told.
    #[serde(default)]
    pub policy: Option<String>,
    /// The user ids it may run as; then it must use the Unix socket.
    #[serde(default)]
    pub uids: Vec<u32>,
    /// After how many seconds its token stops working.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// A token that was just made: the only time it is seen.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BotToken {
    /// The bot's id.
    pub id: String,
    /// The bot's name.
    pub name: String,
    /// The bearer token.
    #[serde(serialize_with = "serialize_exposed")]
    #[schema(value_type = String)]
    pub token: SecretText,
}

/// A bot without its token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BotCard {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The credentials it may use.
    pub credentials: Vec<String>,
    /// Its policy; `read-only` when none was given.
    pub policy: String,
    /// The policy's grants.
    pub grants: Vec<Grant>,
    /// The user ids it may run as; any when empty.
    pub uids: Vec<u32>,
    /// When it was added: RFC 3339, UTC.
    pub created: String,
    /// When its token stops working.
    pub expires: Option<String>,
    /// Whether its token was revoked.
    pub revoked: bool,
    /// How much it may do for now, whatever its policy allows.
    pub mode: Mode,
    /// When it last asked, since the daemon started.
    pub last_seen: Option<String>,
}

// ---------------------------------------------------------------- admin: ledger

// ---------------------------------------------------------------- problems

/// An error answer: `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable, dotted code.
    pub code: String,
    /// What happened. Never repeats a value from the body.
    pub detail: String,
    /// What to do.
    pub help: String,
    /// The policy's rule that denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The ledger row of the denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_seq: Option<u64>,
    /// `memory`: it holds, although its ledger row is not written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
}
