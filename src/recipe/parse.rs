//! TOML → [`Recipe`]. Whatever is wrong with a recipe is found here, with its line; a recipe that exists can sign.

mod facts;

use crate::crypto::signature::MacAlgorithm;
use crate::crypto::signature::{self, DigestAlgorithm};
use crate::recipe::binding::{Binding, Split};
use crate::recipe::endpoint::{Listed, Table};
use crate::recipe::facts::Form;
use crate::recipe::facts::sheet::MAX_NAMES;
use crate::recipe::place::{Header, Message};
use crate::recipe::query;
use crate::recipe::raw::{
    RawAddresses, RawCredential, RawDigest, RawEndpoint, RawGroup, RawHeader, RawMac, RawRecipe, RawRegion, RawRequest,
    RawSession, RawSignature,
};
use crate::recipe::sign::KeyDecoding;
use crate::recipe::template::{Field, Template, TemplateError};
use crate::recipe::{
    Addresses, CredentialShape, Part, PartName, Recipe, Region, RequestScheme, SessionScheme, SignatureScheme,
};
use crate::types::ask::Method;
use crate::types::endpoint::{Effect, Endpoint, Grant};
use facts::Shapes;
use std::ops::Range;
use toml::Spanned;

/// Why a text is no recipe, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {flaw}")]
pub struct RecipeError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub flaw: RecipeFlaw,
}

/// What is wrong with a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeFlaw {
    /// Not TOML, an unknown key, a missing key, or a value of another type.
    #[error("{0}")]
    Toml(String),
    /// A template that cannot be compiled.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A field where it has no value, or a part that the credential lacks.
    #[error("{0} has no value here")]
    Field(Field),
    /// The parts of the credential.
    #[error("a credential has each part once, an `api_key`, and a `secret` that alone is secret")]
    Parts,
    /// A scheme whose signature fits other requests too.
    #[error("the signature does not cover the {0}, so it would fit requests that nobody judged")]
    Unbound(&'static str),
    /// A scheme whose signed text can be cut in other ways.
    #[error("the signed text of one request can be the text of another; put a mark between its parts")]
    Ambiguous,
    /// A header name with other characters than a token (RFC 9110), or a value that is not printable.
    #[error("not a header")]
    Header,
    /// The signature is computed and put nowhere.
    #[error("the signature is placed nowhere")]
    Unplaced,
    /// Not `METHOD /path`.
    #[error("not a method and a path, like `GET /api/time`")]
    Ask,
    /// The same endpoint twice, or the session's path among the endpoints.
    #[error("`{0}` stands here twice")]
    Repeated(String),
    /// A name of an endpoint that the table lacks.
    #[error("the table has no such endpoint")]
    Unlisted,
    /// A permission that the exchange does not know.
    #[error("not one of the credential's permissions")]
    Permission,
    /// An address without the scheme, or with a `/` at the end.
    #[error("not an address: `https://…` or `wss://…`, without `/` at the end")]
    Address,
    /// The default region.
    #[error("no such region")]
    Region,
    /// A signature that never expires, or a day from now.
    #[error("not a number of seconds from 1 to 3600")]
    Expiry,
    /// A member's name or a word that can't stand in a body.
    #[error("not a name or a word here: printable ASCII, and no number where a number is meant")]
    Word,
    /// More members than are looked for in one object.
    #[error("more than {MAX_NAMES} members")]
    Crowded,
    /// Facts that are not there for endpoints of this effect.
    #[error("there are no facts of this name for this effect")]
    Facts,
    /// Facts of bodies where there are none.
    #[error("facts are read from bodies, and this method takes none")]
    Bodiless,
    /// Items without facts, of something else than orders, or none.
    #[error("only orders with facts come in a batch, of 1 to 100")]
    Batch,
    /// Facts that nothing reads.
    #[error("no endpoint of this effect names these facts")]
    Unused,
    /// Kinds of transfers for other destinations than there are.
    #[error("one list of kinds for each destination, in their order")]
    Kinds,
    /// A rule about names that tells nothing apart.
    #[error("not a separator, characters without it, and more words for a contract than for a pair")]
    Instruments,
    /// Facts of orders without a rule about names.
    #[error("facts of orders need `[instruments]`")]
    Uninstrumented,
}

/// A flaw and the bytes that show it.
type Placed = (Range<usize>, RecipeFlaw);

impl Recipe {
    /// Parses a recipe from its TOML text. Refuses a scheme whose signature does not hold a request fast.
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        let raw = toml::from_str::<RawRecipe>(text)
            .map_err(|error| (error.span().unwrap_or_default(), RecipeFlaw::Toml(error.message().to_owned())));
        raw.and_then(|raw| recipe(raw, text)).map_err(|(span, flaw)| {
            let (line, column) = position(text, span.start);
            RecipeError { line, column, flaw }
        })
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn recipe(raw: RawRecipe, text: &str) -> Result<Recipe, Placed> {
    let (credential, decode) = credential(raw.credential)?;
    let signature = signature(raw.signature, decode);
    let fields = Fields { parts: &credential.parts, digest: signature.body_digest.is_some() };
    let session = raw.session.map(|raw| session(raw, &fields)).transpose()?;
    let instruments = raw.instruments.map(facts::instruments).transpose()?;
    let mut shapes = Shapes::parse(raw.facts)?;
    let table = table(raw.endpoints, &raw.request, &mut shapes, &credential.permissions, session.as_ref())?;
    shapes.finish(instruments.as_ref())?;
    let request = request(raw.request, &fields)?;
    let regions = raw.regions.into_iter().map(region).collect::<Result<Vec<_>, Placed>>()?;
    if !regions.iter().any(|region| region.name == *raw.default_region.get_ref()) {
        return Err((raw.default_region.span(), RecipeFlaw::Region));
    }
    Ok(Recipe {
        name: raw.name,
        title: raw.title,
        aliases: raw.aliases,
        credential,
        signature,
        request,
        session,
        regions,
        default_region: raw.default_region.into_inner(),
        table,
        instruments,
        digest: data_encoding::HEXLOWER
            .encode(signature::digest(DigestAlgorithm::Sha256, &[text.as_bytes()]).as_bytes()),
    })
}

fn credential(raw: RawCredential) -> Result<(CredentialShape, KeyDecoding), Placed> {
    let span = raw.parts.span();
    let parts: Vec<_> = raw.parts.get_ref().iter().map(|part| Part { name: part.name, secret: part.secret }).collect();
    let count = |name| parts.iter().filter(|part| part.name == name).count();
    let once = count(PartName::ApiKey) == 1 && count(PartName::Secret) == 1 && count(PartName::Passphrase) <= 1;
    let hidden = parts.iter().all(|part| part.secret == (part.name == PartName::Secret));
    let decoded = raw.parts.get_ref().iter().all(|part| part.secret || part.decode.is_none());
    if !(once && hidden && decoded) {
        return Err((span, RecipeFlaw::Parts));
    }
    let decode = raw.parts.get_ref().iter().find_map(|part| part.decode).unwrap_or_default();
    let shape = CredentialShape {
        parts,
        permissions: raw.permissions,
        max_ips: raw.max_ips,
        max_keys: raw.max_keys,
        unbound_idle_days: raw.unbound_idle_days,
    };
    Ok((shape, decode))
}

fn signature(raw: RawSignature, decode: KeyDecoding) -> SignatureScheme {
    let mac = match raw.mac {
        RawMac::HmacSha256 => MacAlgorithm::HmacSha256,
        RawMac::HmacSha384 => MacAlgorithm::HmacSha384,
        RawMac::HmacSha512 => MacAlgorithm::HmacSha512,
    };
    let body_digest = raw.body_digest.map(|digest| match digest {
        RawDigest::Sha256 => DigestAlgorithm::Sha256,
        RawDigest::Sha512 => DigestAlgorithm::Sha512,
    });
    SignatureScheme { decode, mac, encoding: raw.encoding, body_digest }
}

/// Which fields have a value in this recipe.
struct Fields<'a> {
    parts: &'a [Part],
    digest: bool,
}

impl Fields<'_> {
    /// Compiles a template that may use these fields, as far as the recipe has values for them.
    fn template(&self, text: &str, span: Range<usize>, allowed: &[Field]) -> Result<Template, Placed> {
        let template = Template::parse(text).map_err(|error| (span.clone(), error.into()))?;
        self.check(&template, span, allowed)?;
        Ok(template)
    }

    fn check(&self, template: &Template, span: Range<usize>, allowed: &[Field]) -> Result<(), Placed> {
        let valued = |field: &Field| match field {
            Field::Passphrase => self.parts.iter().any(|part| part.name == PartName::Passphrase),
            Field::BodyDigest => self.digest,
            _ => true,
        };
        match template.fields().find(|field| !allowed.contains(field) || !valued(field)) {
            Some(field) => Err((span, RecipeFlaw::Field(field))),
            None => Ok(()),
        }
    }
}

/// What a signed text may be made of: everything but the signature.
const SIGNABLE: [Field; 9] = [
    Field::Time,
    Field::Method,
    Field::Target,
    Field::Path,
    Field::Query,
    Field::Body,
    Field::BodyDigest,
    Field::ApiKey,
    Field::Passphrase,
];

/// What a header or a login message may say.
const PLACEABLE: [Field; 4] = [Field::Time, Field::ApiKey, Field::Passphrase, Field::Signature];

fn request(raw: RawRequest, fields: &Fields<'_>) -> Result<RequestScheme, Placed> {
    let prehash = fields.template(raw.prehash.get_ref(), raw.prehash.span(), &SIGNABLE)?;
    let binding = Binding::derive(&prehash);
    if let Some(part) = binding.unbound() {
        return Err((raw.prehash.span(), RecipeFlaw::Unbound(part)));
    }
    if binding.split == Split::Ambiguous {
        return Err((raw.prehash.span(), RecipeFlaw::Ambiguous));
    }
    let span = raw.headers.span();
    let headers =
        raw.headers.into_inner().into_iter().map(|raw| header(raw, fields)).collect::<Result<Vec<_>, Placed>>()?;
    let always = |header: &&Header| header.method.is_none() && header.environment.is_none();
    if !headers.iter().filter(always).any(|header| header.value.uses(Field::Signature)) {
        return Err((span, RecipeFlaw::Unplaced));
    }
    Ok(RequestScheme {
        time: raw.time,
        prehash,
        expires_after_ms: expiry(&raw.expires_after_s)?,
        query_methods: raw.query_methods,
        body_methods: raw.body_methods,
        headers,
        binding,
    })
}

fn header(raw: Spanned<RawHeader>, fields: &Fields<'_>) -> Result<Header, Placed> {
    let span = raw.span();
    let raw = raw.into_inner();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let printable = raw.value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if raw.name.is_empty() || !raw.name.bytes().all(token) || !printable {
        return Err((span, RecipeFlaw::Header));
    }
    let value = fields.template(&raw.value, span, &PLACEABLE)?;
    Ok(Header { name: raw.name.into(), value, method: raw.method, environment: raw.environment })
}

fn session(raw: RawSession, fields: &Fields<'_>) -> Result<SessionScheme, Placed> {
    let prehash = fields.template(raw.prehash.get_ref(), raw.prehash.span(), &SIGNABLE)?;
    if !Binding::derive(&prehash).time {
        return Err((raw.prehash.span(), RecipeFlaw::Unbound("time")));
    }
    let span = raw.message.span();
    let message = Message::parse(raw.message.into_inner()).map_err(|error| (span.clone(), error.into()))?;
    let templates = message.templates();
    templates.iter().try_for_each(|template| fields.check(template, span.clone(), &PLACEABLE))?;
    if !templates.iter().any(|template| template.uses(Field::Signature)) {
        return Err((span, RecipeFlaw::Unplaced));
    }
    query::check_path(raw.path.get_ref()).map_err(|_| (raw.path.span(), RecipeFlaw::Ask))?;
    let path = raw.path.into_inner().into();
    Ok(SessionScheme {
        time: raw.time,
        prehash,
        expires_after_ms: expiry(&raw.expires_after_s)?,
        message,
        endpoint: Endpoint { method: raw.method, path, grant: Grant::Session, effect: Effect::None },
    })
}

fn expiry(seconds: &Spanned<i64>) -> Result<i64, Placed> {
    match seconds.get_ref() {
        1..=3600 => Ok(seconds.get_ref() * 1000),
        _ => Err((seconds.span(), RecipeFlaw::Expiry)),
    }
}

fn region((name, raw): (Box<str>, RawRegion)) -> Result<Region, Placed> {
    let live = raw.live.map(addresses).transpose()?;
    let demo = raw.demo.map(addresses).transpose()?;
    Ok(Region { name, live, demo })
}

fn addresses(raw: RawAddresses) -> Result<Addresses, Placed> {
    Ok(Addresses {
        rest: address(raw.rest, "https://")?,
        private: raw.private.map(|raw| address(raw, "wss://")).transpose()?,
        business: raw.business.map(|raw| address(raw, "wss://")).transpose()?,
    })
}

fn address(raw: Spanned<Box<str>>, scheme: &str) -> Result<Box<str>, Placed> {
    let text = raw.get_ref();
    let fits = text.starts_with(scheme) && !text.ends_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(raw.into_inner()) } else { Err((raw.span(), RecipeFlaw::Address)) }
}

fn table(
    groups: Vec<RawGroup>,
    request: &RawRequest,
    shapes: &mut Shapes,
    permissions: &[Box<str>],
    session: Option<&SessionScheme>,
) -> Result<Table, Placed> {
    let mut rows = Vec::new();
    for group in groups {
        let permission = group.permission.as_ref().map(|permission| permission.get_ref());
        if permission.is_some_and(|permission| !permissions.contains(permission)) {
            return Err((group.permission.map_or(0..0, |permission| permission.span()), RecipeFlaw::Permission));
        }
        for raw in group.list {
            let (method, _) = ask(&raw.ask)?;
            let form = shapes.form(&raw, request.body_methods.contains(&method))?;
            rows.push((raw.ask.span(), listed(raw, group.grant, permission.map(|name| &**name), form)?));
        }
    }
    let mut table = Table::default();
    for (span, row) in rows {
        let endpoint = row.endpoint.clone();
        let logs_in = session.is_some_and(|session| session.endpoint.path == endpoint.path);
        if logs_in || !table.insert(row) {
            return Err((span, RecipeFlaw::Repeated(endpoint.to_string())));
        }
    }
    mark_bare(table, &request.bare_string_body)
}

fn mark_bare(mut table: Table, bare: &[Spanned<String>]) -> Result<Table, Placed> {
    for name in bare {
        let (method, path) = ask(name)?;
        let row = table.find_mut(method, path).ok_or_else(|| (name.span(), RecipeFlaw::Unlisted))?;
        row.bare_string_body = true;
    }
    Ok(table)
}

fn listed(raw: RawEndpoint, grant: Grant, permission: Option<&str>, form: Option<Form>) -> Result<Listed, Placed> {
    let (method, path) = ask(&raw.ask)?;
    Ok(Listed {
        endpoint: Endpoint { method, path: path.into(), grant, effect: raw.effect },
        permission: permission.map(Box::from),
        title: raw.title,
        danger: raw.danger,
        note: raw.note,
        bare_string_body: false,
        form,
    })
}

fn ask(text: &Spanned<String>) -> Result<(Method, &str), Placed> {
    let parsed = text.get_ref().split_once(' ').and_then(|(method, path)| Some((Method::parse(method)?, path)));
    parsed.filter(|(_, path)| query::check_path(path).is_ok()).ok_or_else(|| (text.span(), RecipeFlaw::Ask))
}

#[cfg(test)]
mod tests;
