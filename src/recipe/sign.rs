//! From an ask that was read to what the bot has to send.
//!
//! Nothing is judged here. Whoever calls has the proof that this ask may be signed.

use crate::crypto::signature;
use crate::recipe::template::{Field, Template, Values};
use crate::recipe::{Addresses, PartName, Recipe, SessionScheme};
use crate::types::ask::{Channel, Method, Request, Wanted};
use crate::types::bytes::is_printable;
use crate::types::clock::UnixMs;
use crate::types::credential::Environment;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The parts of a credential, open for one signature.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The public name of the key.
    pub api_key: &'a str,
    /// The secret as the person typed it.
    pub secret: &'a [u8],
    /// The passphrase, where the exchange has one.
    pub passphrase: Option<&'a str>,
}

/// Where a credential is good.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Live or demo.
    pub environment: Environment,
    /// The name of one of the recipe's regions.
    pub region: &'a str,
    /// What the credential has in place of the region's REST address. Without a `/` at the end.
    pub base_url: Option<&'a str>,
}

/// What the bot has to send.
#[derive(Debug)]
pub enum Signed {
    /// An HTTP request.
    Request(SignedRequest),
    /// The first message on a WebSocket.
    Session(SignedSession),
}

/// A signed HTTP request.
pub struct SignedRequest {
    /// The whole address.
    pub url: String,
    /// The method.
    pub method: Method,
    /// Every header to add.
    pub headers: Vec<(Arc<str>, String)>,
    /// The exact body, where there is one.
    pub body: Option<String>,
    /// From when on the exchange refuses it.
    pub expires_at: UnixMs,
}

/// A signed login.
pub struct SignedSession {
    /// The address to connect to.
    pub url: String,
    /// The message to send first.
    pub message: serde_json::Value,
    /// From when on the exchange refuses it.
    pub expires_at: UnixMs,
}

/// Shows neither headers nor body: the passphrase is among the headers.
impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Does not show the message: the passphrase is in it.
impl fmt::Debug for SignedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedSession").finish_non_exhaustive()
    }
}

/// Why a credential cannot sign. All but [`SignError::Session`] depend on the credential alone, so [`Recipe::check`]
/// finds them when it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No such region, or it has no such environment.
    #[error("the exchange has no address for this region and environment")]
    Address,
    /// No login, or none on this channel.
    #[error("the exchange has no session login on this channel")]
    Session,
    /// The exchange needs a passphrase.
    #[error("the exchange needs a passphrase and the credential has none")]
    Passphrase,
    /// A line break or the like in a part that travels as a header.
    #[error("the key or the passphrase has a character that cannot stand in a header")]
    Unprintable,
    /// The secret is empty or not in the encoding that the exchange uses.
    #[error("the secret is not in the form that the exchange gives out")]
    Secret,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockFormat {
    /// `2026-01-02T03:04:05.678Z`
    IsoMs,
    /// Milliseconds since 1970.
    Ms,
    /// Whole seconds since 1970, rounded down.
    S,
}

impl ClockFormat {
    /// The moment as text.
    pub fn write(self, moment: UnixMs) -> String {
        match self {
            ClockFormat::IsoMs => moment.to_string(),
            ClockFormat::Ms => moment.0.to_string(),
            ClockFormat::S => moment.seconds().to_string(),
        }
    }

    /// The moment that the text of a moment says: rounded down as the format does.
    pub fn round(self, moment: UnixMs) -> UnixMs {
        match self {
            ClockFormat::S => UnixMs(moment.seconds().saturating_mul(1000)),
            ClockFormat::IsoMs | ClockFormat::Ms => moment,
        }
    }
}

/// How the bytes of a MAC become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// RFC 4648 with padding.
    Base64,
    /// Lower case.
    Hex,
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Encoding::Base64 => data_encoding::BASE64.encode(bytes),
            Encoding::Hex => data_encoding::HEXLOWER.encode(bytes),
        }
    }
}

/// How a typed secret becomes the key of the MAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDecoding {
    /// The text is the key.
    #[default]
    Raw,
    /// The text is base64 of the key.
    Base64,
    /// The text is hex of the key.
    Hex,
}

impl KeyDecoding {
    /// The key, where it is another than the text.
    fn decode(self, secret: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, SignError> {
        let decoded = match self {
            KeyDecoding::Raw => return Ok(None),
            KeyDecoding::Base64 => data_encoding::BASE64.decode(secret),
            KeyDecoding::Hex => data_encoding::HEXLOWER_PERMISSIVE.decode(secret),
        };
        decoded.map(|key| Some(Zeroizing::new(key))).map_err(|_| SignError::Secret)
    }
}

impl Recipe {
    /// Signs what [`Recipe::read`] has read, in the name of these parts, as of `now`.
    pub fn sign(&self, wanted: &Wanted, parts: &Parts<'_>, site: &Site<'_>, now: UnixMs) -> Result<Signed, SignError> {
        let addresses = self.check_sendable(parts, site)?;
        match wanted {
            Wanted::Request(request) => {
                let base = site.base_url.unwrap_or(&addresses.rest);
                self.sign_request(request, parts, (base, site.environment), now).map(Signed::Request)
            }
            Wanted::Session(channel) => {
                let session = self.session.as_ref().ok_or(SignError::Session)?;
                let url = addresses.channel(*channel).ok_or(SignError::Session)?;
                self.sign_session(session, url, parts, now).map(Signed::Session)
            }
        }
    }

    /// Checks that a credential can sign, without signing.
    pub fn check(&self, parts: &Parts<'_>, site: &Site<'_>) -> Result<(), SignError> {
        self.check_sendable(parts, site)?;
        let key = self.signature.decode.decode(parts.secret)?;
        let empty = key.as_ref().map_or(parts.secret, |key| key.as_slice()).is_empty();
        if empty { Err(SignError::Secret) } else { Ok(()) }
    }

    fn check_sendable(&self, parts: &Parts<'_>, site: &Site<'_>) -> Result<&Addresses, SignError> {
        if !is_printable(parts.api_key) || !is_printable(parts.passphrase.unwrap_or("")) {
            return Err(SignError::Unprintable);
        }
        let needed = self.credential.parts.iter().any(|part| part.name == PartName::Passphrase);
        if needed && parts.passphrase.is_none_or(str::is_empty) {
            return Err(SignError::Passphrase);
        }
        self.region(site.region).and_then(|region| region.addresses(site.environment)).ok_or(SignError::Address)
    }

    fn sign_request(
        &self,
        request: &Request,
        parts: &Parts<'_>,
        (base, environment): (&str, Environment),
        now: UnixMs,
    ) -> Result<SignedRequest, SignError> {
        let scheme = &self.request;
        let time = scheme.time.write(now);
        let body = request.body.as_deref().filter(|body| !body.is_empty());
        let body_digest = self.body_digest(&scheme.prehash, body.unwrap_or(""));
        let values = Values {
            time: &time,
            method: request.method.as_str(),
            target: &request.path,
            body: body.unwrap_or(""),
            body_digest: &body_digest,
            ..values_of(parts)
        };
        let signature = self.signature_over(&scheme.prehash, &values, parts.secret)?;
        let values = Values { signature: &signature, ..values };
        let mut headers = Vec::with_capacity(scheme.headers.len());
        let apply = scheme.headers.iter().filter(|header| header.applies(request.method, environment));
        headers.extend(apply.map(|header| (Arc::clone(&header.name), header.value.render(&values))));
        Ok(SignedRequest {
            url: [base, &request.path].concat(),
            method: request.method,
            headers,
            body: body.map(str::to_owned),
            expires_at: scheme.time.round(now).plus_ms(scheme.expires_after_ms),
        })
    }

    fn sign_session(
        &self,
        session: &SessionScheme,
        url: &str,
        parts: &Parts<'_>,
        now: UnixMs,
    ) -> Result<SignedSession, SignError> {
        let time = session.time.write(now);
        let values = Values {
            time: &time,
            method: session.endpoint.method.as_str(),
            target: &session.endpoint.path,
            ..values_of(parts)
        };
        let signature = self.signature_over(&session.prehash, &values, parts.secret)?;
        Ok(SignedSession {
            url: url.to_owned(),
            message: session.message.render(&Values { signature: &signature, ..values }),
            expires_at: session.time.round(now).plus_ms(session.expires_after_ms),
        })
    }

    fn body_digest(&self, prehash: &Template, body: &str) -> String {
        match self.signature.body_digest.filter(|_| prehash.uses(Field::BodyDigest)) {
            Some(algorithm) => {
                data_encoding::HEXLOWER.encode(signature::digest(algorithm, &[body.as_bytes()]).as_bytes())
            }
            None => String::new(),
        }
    }

    fn signature_over(&self, prehash: &Template, values: &Values<'_>, secret: &[u8]) -> Result<String, SignError> {
        let scheme = self.signature;
        let decoded = scheme.decode.decode(secret)?;
        let key = decoded.as_ref().map_or(secret, |key| key.as_slice());
        let mac = signature::sign(scheme.mac, key, prehash.fill(values).parts());
        Ok(scheme.encoding.encode(mac.as_bytes()))
    }
}

impl Addresses {
    fn channel(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Private => self.private.as_deref(),
            Channel::Business => self.business.as_deref(),
        }
    }
}

fn values_of<'a>(parts: &Parts<'a>) -> Values<'a> {
    Values { api_key: parts.api_key, passphrase: parts.passphrase.unwrap_or(""), ..Values::default() }
}

#[cfg(test)]
mod tests;
