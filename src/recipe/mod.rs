//! An exchange as data: how it signs, its addresses, and what each of its endpoints may do.
//!
//! A recipe is parsed once, from TOML, into compiled templates and a sorted table. From then on it answers two
//! questions about an ask, both without I/O and without a clock: what is it for and what would it do ([`Recipe::read`]),
//! and what are the signed headers or the login message ([`Recipe::sign`]).
//!
//! Architecture invariant: no exchange is named here. What an exchange does otherwise than the others is a line in its
//! TOML file, or it cannot be done.

pub mod binding;
pub mod endpoint;
pub mod errors;
pub mod facts;
pub mod instruments;
pub mod json;
pub mod parse;
pub mod place;
pub mod query;
mod raw;
pub mod read;
pub mod sign;
pub mod template;
pub mod vectors;

use crate::crypto::signature::DigestAlgorithm;
use crate::crypto::signature::MacAlgorithm;
use crate::types::ask::Method;
use crate::types::credential::Environment;
use crate::types::endpoint::Endpoint;
use crate::types::facts::Market;
use binding::Binding;
use endpoint::{Listed, Table};
use instruments::Instruments;
use place::{Header, Message};
use sign::{ClockFormat, Encoding, KeyDecoding};
use template::Template;

/// The recipes that come with the program: name and TOML text.
const BUILT_IN: [(&str, &str); 1] = [("okx", include_str!("../../config/exchanges/okx.toml"))];

/// The TOML text of a recipe that comes with the program. The caller parses it, once.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
}

/// The names of the recipes that come with the program.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// A recipe, ready to read and sign asks.
#[derive(Debug)]
pub struct Recipe {
    name: Box<str>,
    title: Box<str>,
    aliases: Vec<Box<str>>,
    credential: CredentialShape,
    signature: SignatureScheme,
    request: RequestScheme,
    session: Option<SessionScheme>,
    regions: Vec<Region>,
    default_region: Box<str>,
    table: Table,
    /// How instruments are named, where facts of orders are read.
    instruments: Option<Instruments>,
    digest: String,
}

/// What a credential of an exchange consists of, and what holds for it at the exchange.
#[derive(Clone, Debug)]
pub struct CredentialShape {
    /// The parts that a person types in, in this order. Exactly one is secret.
    pub parts: Vec<Part>,
    /// The permissions that the exchange can give to a key.
    pub permissions: Vec<Box<str>>,
    /// How many addresses or ranges a key may be bound to, where there is a limit.
    pub max_ips: Option<u32>,
    /// How many keys an account may have, where there is a limit.
    pub max_keys: Option<u32>,
    /// After how many days without use the exchange drops a live key that may trade or withdraw and is bound to no
    /// address, where it does.
    pub unbound_idle_days: Option<u32>,
}

/// A part of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which part.
    pub name: PartName,
    /// Whether it never leaves the vault. The other parts travel with every request.
    pub secret: bool,
}

/// The parts that a credential can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    /// The public name of the key.
    ApiKey,
    /// The key of the MAC.
    Secret,
    /// A second thing to know, sent as it is.
    Passphrase,
}

impl PartName {
    /// The name as it stands in a recipe and in a credential.
    pub fn as_str(self) -> &'static str {
        match self {
            PartName::ApiKey => "api_key",
            PartName::Secret => "secret",
            PartName::Passphrase => "passphrase",
        }
    }
}

/// How a text becomes a signature.
#[derive(Clone, Copy, Debug)]
struct SignatureScheme {
    /// How the typed secret becomes the key of the MAC.
    decode: KeyDecoding,
    mac: MacAlgorithm,
    encoding: Encoding,
    /// What `{body_digest}` is.
    body_digest: Option<DigestAlgorithm>,
}

/// How a REST request is signed.
#[derive(Debug)]
struct RequestScheme {
    time: ClockFormat,
    prehash: Template,
    expires_after_ms: i64,
    /// The methods whose target may have a query.
    query_methods: Vec<Method>,
    /// The methods that may have a body.
    body_methods: Vec<Method>,
    headers: Vec<Header>,
    binding: Binding,
}

/// How a WebSocket login is signed.
#[derive(Debug)]
struct SessionScheme {
    time: ClockFormat,
    prehash: Template,
    expires_after_ms: i64,
    message: Message,
    /// What the login counts as. It is not in the table: a REST ask never reaches it.
    endpoint: Endpoint,
}

/// A part of the world with addresses of its own.
#[derive(Clone, Debug)]
pub struct Region {
    /// The name as a credential has it.
    pub name: Box<str>,
    /// Where real money is.
    pub live: Option<Addresses>,
    /// Where simulated trading is.
    pub demo: Option<Addresses>,
}

/// The addresses of an exchange in one region and environment.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// What a path is appended to: `https://host`.
    pub rest: Box<str>,
    /// The WebSocket of orders and balances.
    pub private: Option<Box<str>>,
    /// The WebSocket of algo orders and the like.
    pub business: Option<Box<str>>,
}

impl Region {
    /// The addresses of an environment.
    pub fn addresses(&self, environment: Environment) -> Option<&Addresses> {
        match environment {
            Environment::Live => self.live.as_ref(),
            Environment::Demo => self.demo.as_ref(),
        }
    }
}

impl Recipe {
    /// The name that credentials refer to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the exchange for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether this is the recipe's name or another name of the exchange.
    pub fn is_called(&self, name: &str) -> bool {
        *self.name == *name || self.aliases.iter().any(|alias| **alias == *name)
    }

    /// What a credential consists of.
    pub fn credential(&self) -> &CredentialShape {
        &self.credential
    }

    /// What the signature of a request binds.
    pub fn binding(&self) -> Binding {
        self.request.binding
    }

    /// The text that is signed, with its fields: for people.
    pub fn prehash(&self) -> &Template {
        &self.request.prehash
    }

    /// The endpoint that a WebSocket login counts as, where the exchange has one.
    pub fn session_endpoint(&self) -> Option<&Endpoint> {
        self.session.as_ref().map(|session| &session.endpoint)
    }

    /// Every region, sorted by name.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// A region by its name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| *region.name == *name)
    }

    /// The region of a credential that names none.
    pub fn default_region(&self) -> &str {
        &self.default_region
    }

    /// Every endpoint, by grant from the mildest, then by path.
    pub fn endpoints(&self) -> Vec<&Listed> {
        self.table.by_grant()
    }

    /// The listed endpoint with a method and an exact path.
    pub fn endpoint(&self, method: Method, path: &str) -> Option<&Listed> {
        self.table.find(method, path)
    }

    /// Whether an instrument could be called this. True of any name where the recipe does not say how they look.
    pub fn is_instrument(&self, name: &str) -> bool {
        self.instruments.as_ref().is_none_or(|instruments| instruments.market(name) != Market::Unknown)
    }

    /// SHA-256 of the TOML text, in lower-case hex: which recipe this is, to the byte.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
