//! The shapes of a recipe's TOML, one to one. What they mean is worked out in `parse`; nothing else sees them.

use crate::recipe::PartName;
use crate::recipe::sign::{ClockFormat, Encoding, KeyDecoding};
use crate::types::ask::Method;
use crate::types::credential::Environment;
use crate::types::endpoint::{Effect, Grant};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The name of a member or a word of the exchange's, with its place.
pub type Word = Spanned<Box<str>>;

/// The shapes of one effect, by name.
pub type RawShapes<T> = BTreeMap<Box<str>, Spanned<T>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRecipe {
    pub name: Box<str>,
    pub title: Box<str>,
    #[serde(default)]
    pub aliases: Vec<Box<str>>,
    pub default_region: Spanned<Box<str>>,
    pub credential: RawCredential,
    pub signature: RawSignature,
    pub request: RawRequest,
    pub session: Option<RawSession>,
    pub regions: BTreeMap<Box<str>, RawRegion>,
    pub instruments: Option<Spanned<RawInstruments>>,
    #[serde(default)]
    pub facts: RawFacts,
    pub endpoints: Vec<RawGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCredential {
    pub parts: Spanned<Vec<RawPart>>,
    pub permissions: Vec<Box<str>>,
    pub max_ips: Option<u32>,
    pub max_keys: Option<u32>,
    pub unbound_idle_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPart {
    pub name: PartName,
    pub secret: bool,
    pub decode: Option<KeyDecoding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSignature {
    pub mac: RawMac,
    pub encoding: Encoding,
    pub body_digest: Option<RawDigest>,
}

#[derive(Clone, Copy, Deserialize)]
pub enum RawMac {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawDigest {
    Sha256,
    Sha512,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRequest {
    pub time: ClockFormat,
    pub prehash: Spanned<String>,
    pub expires_after_s: Spanned<i64>,
    pub query_methods: Vec<Method>,
    pub body_methods: Vec<Method>,
    pub headers: Spanned<Vec<Spanned<RawHeader>>>,
    #[serde(default)]
    pub bare_string_body: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHeader {
    pub name: String,
    pub value: String,
    pub method: Option<Method>,
    pub environment: Option<Environment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSession {
    pub time: ClockFormat,
    pub method: Method,
    pub path: Spanned<String>,
    pub prehash: Spanned<String>,
    pub expires_after_s: Spanned<i64>,
    pub message: Spanned<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRegion {
    pub live: Option<RawAddresses>,
    pub demo: Option<RawAddresses>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAddresses {
    pub rest: Spanned<Box<str>>,
    pub private: Option<Spanned<Box<str>>>,
    pub business: Option<Spanned<Box<str>>>,
}

/// Endpoints that share a grant and the exchange's permission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    pub grant: Grant,
    pub permission: Option<Spanned<Box<str>>>,
    pub list: Vec<RawEndpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEndpoint {
    pub ask: Spanned<String>,
    #[serde(default)]
    pub effect: Effect,
    pub facts: Option<Word>,
    pub batch: Option<Spanned<i64>>,
    pub title: Option<Box<str>>,
    pub danger: Option<Box<str>>,
    pub note: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawInstruments {
    pub separator: char,
    pub characters: String,
    pub pair_words: usize,
    pub contract_words: usize,
}

/// What bodies say, by the effect of the endpoints that take them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFacts {
    #[serde(default)]
    pub place: RawShapes<RawPlace>,
    #[serde(default)]
    pub amend: RawShapes<RawAmend>,
    #[serde(default)]
    pub close: RawShapes<RawClose>,
    #[serde(default)]
    pub cancel: RawShapes<RawSwitch>,
    #[serde(default)]
    pub transfer: RawShapes<RawTransfer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlace {
    pub instrument: Word,
    #[serde(default)]
    pub instrument_codes: Vec<Word>,
    pub side: RawSide,
    #[serde(rename = "type")]
    pub order_type: RawType,
    pub size: Word,
    #[serde(default)]
    pub other_sizes: Vec<Word>,
    pub unit: RawUnit,
    #[serde(default)]
    pub prices: Vec<Word>,
    pub open_prices: Option<RawOpenPrices>,
    #[serde(default)]
    pub triggers: Vec<Word>,
    pub client_id: Word,
    pub reduce_only: RawReduceOnly,
    #[serde(default)]
    pub uncounted: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSide {
    pub member: Word,
    pub buy: Word,
    pub sell: Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawType {
    pub member: Word,
    #[serde(default)]
    pub limit: Vec<Word>,
    #[serde(default)]
    pub market: Vec<Word>,
    #[serde(default)]
    pub worked: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUnit {
    pub member: Word,
    pub base: Word,
    pub quote: Word,
    pub mode: Word,
    pub modes: Vec<Word>,
    pub buy: RawUnitWord,
    pub sell: RawUnitWord,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawUnitWord {
    Base,
    Quote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOpenPrices {
    pub members: Vec<Word>,
    pub market: Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawReduceOnly {
    pub member: Word,
    pub position: Word,
    pub net: Word,
    pub long: Word,
    pub short: Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAmend {
    pub instrument: Word,
    #[serde(default)]
    pub instrument_codes: Vec<Word>,
    pub size: Word,
    #[serde(default)]
    pub prices: Vec<Word>,
    pub open_prices: Option<RawOpenPrices>,
    #[serde(default)]
    pub triggers: Vec<Word>,
    #[serde(default)]
    pub uncounted: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClose {
    pub instrument: Word,
    #[serde(default)]
    pub instrument_codes: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSwitch {
    pub member: Word,
    pub at_least: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTransfer {
    pub currency: Word,
    pub amount: Word,
    pub destination: Vec<Word>,
    pub kind: Option<RawKind>,
    pub client_id: Option<Word>,
    #[serde(default)]
    pub uncounted: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKind {
    pub member: Word,
    pub meant: Spanned<Vec<Vec<Word>>>,
    pub default: Word,
}
