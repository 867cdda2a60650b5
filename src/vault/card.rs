//! What may be known of a credential: its card, the form of its secrets, what is refused, and what there is to warn about.
//!
//! Deliberately absent: the vault. Everything here is a plain function of what it is given.

use crate::recipe::Recipe;
use crate::recipe::sign::{Parts, Site};
use crate::secret::{SecretText, serialize_exposed};
use crate::types::clock::UnixMs;
use crate::types::credential::Environment;
use crate::vault::deadline::DAY_MS;
use crate::vault::state::Credential;
use crate::vault::{AdminError, check_name};
use crate::wire::{CredentialCard, CredentialEdit, CredentialSecrets};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The longest secret part, in bytes.
const MAX_PART_BYTES: usize = 4096;

/// More warnings than this are only counted.
const MOST_WARNINGS: usize = 100;

/// What may be shown of a credential. Sealed with the secrets in one record, and kept in memory beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The name bots use.
    pub name: String,
    /// The recipe.
    pub exchange: String,
    /// Any remark.
    pub label: Option<String>,
    /// Live or demo.
    pub environment: Environment,
    /// The exchange's site.
    pub region: String,
    /// The key's permissions at the exchange.
    pub permissions: Vec<String>,
    /// The addresses the key is bound to.
    pub ips: Vec<String>,
    /// Another base URL than the recipe's.
    pub base_url: Option<String>,
    /// Another number of idle days than the recipe's.
    pub idle_days: Option<u32>,
    /// When it was added.
    pub created: UnixMs,
    /// The API key, masked.
    pub masked_key: String,
}

/// The secrets of a credential, in the clear.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    /// The API key.
    #[serde(serialize_with = "serialize_exposed")]
    pub api_key: SecretText,
    /// The secret key.
    #[serde(serialize_with = "serialize_exposed")]
    pub secret: SecretText,
    /// The passphrase.
    #[serde(serialize_with = "serialize_exposed")]
    pub passphrase: SecretText,
}

impl Secrets {
    /// Reads the secrets out of a record's JSON; `None` when it is not one.
    pub fn parse(json: &[u8]) -> Option<Secrets> {
        #[derive(Deserialize)]
        struct OnlySecrets {
            secrets: Secrets,
        }
        serde_json::from_slice::<OnlySecrets>(json).ok().map(|stored| stored.secrets)
    }

    /// The parts as a recipe takes them.
    // EXPOSE: to the recipe, which puts the key and the passphrase where the exchange wants them and the secret nowhere.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            api_key: self.api_key.expose(),
            secret: self.secret.expose().as_bytes(),
            passphrase: Some(self.passphrase.expose()),
        }
    }

    /// Takes what a person gave, refusing what can't be a secret.
    ///
    /// # Errors
    /// [`AdminError::Invalid`], which repeats nothing of it.
    pub fn parse_given(given: CredentialSecrets) -> Result<Secrets, AdminError> {
        check_part("API key", &given.api_key)?;
        check_part("secret", &given.secret)?;
        check_part("passphrase", &given.passphrase)?;
        Ok(Secrets { api_key: given.api_key, secret: given.secret, passphrase: given.passphrase })
    }
}

impl Card {
    /// Where the credential is good.
    pub fn site(&self) -> Site<'_> {
        Site { environment: self.environment, region: &self.region, base_url: self.base_url.as_deref() }
    }

    /// Reads the card out of a record's JSON; `None` when it is not one.
    pub fn parse(json: &[u8]) -> Option<Card> {
        #[derive(Deserialize)]
        struct OnlyCard {
            card: Card,
        }
        serde_json::from_slice::<OnlyCard>(json).ok().map(|stored| stored.card)
    }
}

fn check_part(what: &str, part: &SecretText) -> Result<(), AdminError> {
    // EXPOSE: looked at for what can't be in a secret; never repeated.
    let text = part.expose();
    let refuse = |problem: &str, help: &str| Err(AdminError::invalid(format!("the {what} {problem}"), help));
    match () {
        () if text.is_empty() => refuse("is empty", "copy it from the exchange's API page"),
        () if text.len() > MAX_PART_BYTES => refuse("is longer than 4096 bytes", "check that it is the right text"),
        () if text.trim() != text => refuse(
            "begins or ends with white space",
            "copy it again without the space or line break around it; it is not trimmed for you, because it might be meant",
        ),
        () if text.chars().any(is_unprintable) => {
            refuse("has a control character in it", "copy it again as plain text")
        }
        () => Ok(()),
    }
}

/// Control characters, and the line breaks that Unicode adds.
fn is_unprintable(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// First and last four characters; of a short key nothing.
pub fn mask(api_key: &SecretText) -> String {
    // EXPOSE: eight characters of an API key (not of the secret) are its public name.
    let characters: Vec<char> = api_key.expose().chars().collect();
    match characters.len() {
        16.. => {
            let (head, tail) = (&characters[..4], &characters[characters.len() - 4..]);
            format!("{}…{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
        }
        _ => "…".to_owned(),
    }
}

/// Whether the exchange's recipe can sign with these parts at this site.
///
/// # Errors
/// [`AdminError::Invalid`] says what it can't use.
pub fn check_with_recipe(card: &Card, secrets: &Secrets, recipe: &Recipe) -> Result<(), AdminError> {
    let checked = recipe.check(&secrets.parts(), &card.site());
    checked.map_err(|error| AdminError::invalid(error.to_string(), "check each part against the exchange's API page"))
}

/// The card after an edit: what is present in the edit replaces what was.
pub fn edited(card: &Card, edit: CredentialEdit) -> Card {
    Card {
        name: edit.name.unwrap_or_else(|| card.name.clone()),
        label: edit.label.map_or(card.label.clone(), |label| Some(label).filter(|label| !label.is_empty())),
        environment: edit.environment.unwrap_or(card.environment),
        region: edit.region.unwrap_or_else(|| card.region.clone()),
        permissions: edit.permissions.unwrap_or_else(|| card.permissions.clone()),
        ips: edit.ips.unwrap_or_else(|| card.ips.clone()),
        base_url: edit.base_url.map_or(card.base_url.clone(), |url| Some(url).filter(|url| !url.is_empty())),
        idle_days: edit.idle_days.map_or(card.idle_days, |days| Some(days).filter(|days| *days > 0)),
        ..card.clone()
    }
}

/// Checks a card against its exchange's recipe.
///
/// # Errors
/// [`AdminError::Invalid`] says which part can't be.
pub fn check_card(card: &Card, recipe: &Recipe) -> Result<(), AdminError> {
    check_name("credential", &card.name)?;
    let label = card.label.as_deref().unwrap_or_default();
    if label.chars().count() > 128 || label.chars().any(is_unprintable) {
        return Err(AdminError::invalid(
            "the label is too long or has a control character",
            "use up to 128 characters",
        ));
    }
    if recipe.region(&card.region).is_none() {
        let known: Vec<&str> = recipe.regions().iter().map(|region| &*region.name).collect();
        return Err(AdminError::invalid("the exchange has no such region", format!("regions: {}", known.join(", "))));
    }
    let known = &recipe.credential().permissions;
    if card.permissions.iter().any(|permission| !known.iter().any(|other| **other == **permission)) {
        let help = format!("permissions: {}", known.join(", "));
        return Err(AdminError::invalid("the exchange has no such permission", help));
    }
    check_ips(&card.ips, recipe.credential().max_ips.map_or(usize::MAX, |most| most as usize))?;
    card.base_url.as_deref().map_or(Ok(()), check_base_url)
}

fn check_ips(ips: &[String], most: usize) -> Result<(), AdminError> {
    if ips.len() > most {
        return Err(AdminError::invalid(
            format!("{} addresses are too many", ips.len()),
            format!("the exchange binds a key to at most {most}"),
        ));
    }
    let wrong = ips.iter().position(|ip| !is_address_or_range(ip));
    wrong.map_or(Ok(()), |at| {
        let detail = format!("address number {} is no IP address or range", at + 1);
        Err(AdminError::invalid(detail, "write 203.0.113.7, 2001:db8::7, 203.0.113.0/24 or 203.0.113.7-203.0.113.9"))
    })
}

/// One address, a network in CIDR form, or `first-last` of one family in order.
fn is_address_or_range(text: &str) -> bool {
    if let Some((first, last)) = text.split_once('-') {
        return match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
            (Ok(first), Ok(last)) => first.is_ipv4() == last.is_ipv4() && first <= last,
            _ => false,
        };
    }
    text.parse::<IpAddr>().is_ok() || text.parse::<ipnet::IpNet>().is_ok()
}

/// `https://host[:port]`, or `http://` for an address of this machine; no path, query or user.
fn check_base_url(url: &str) -> Result<(), AdminError> {
    let host = match url.split_once("://") {
        Some(("https", host)) => Some(host),
        Some(("http", host)) if is_this_machine(host) => Some(host),
        _ => None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    match host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain)) {
        true => Ok(()),
        false => Err(AdminError::invalid(
            "that base URL can't be used",
            "write https://host or https://host:port without a path; http:// only for this machine",
        )),
    }
}

fn is_this_machine(host: &str) -> bool {
    let without_port =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    matches!(without_port, "127.0.0.1" | "localhost" | "[::1]")
}

/// What there is to know about a credential for whoever adds it or looks at it.
pub fn warnings(card: &Card, recipe: &Recipe, last_used: Option<UnixMs>, now: UnixMs) -> Vec<String> {
    let mut warnings = lasting_warnings(card);
    if let Some((days, left)) = idle_days_left(card, recipe, last_used, now) {
        warnings.push(format!(
            "{}: {} deletes a key that is bound to no IP address and may trade or withdraw after {days} idle days; {}",
            card.name,
            card.exchange,
            if left > 0 { format!("{left} are left") } else { "it may be gone already".to_owned() }
        ));
    }
    warnings
}

/// What is to be warned about as long as the card says so, whatever the time.
pub fn lasting_warnings(card: &Card) -> Vec<String> {
    let mut warnings = Vec::new();
    let has = |permission: &str| card.permissions.iter().any(|other| other == permission);
    if has("withdraw") {
        warnings.push(format!(
            "{}: this key may withdraw. A bot should not need that: make another key without it at {}",
            card.name, card.exchange
        ));
    }
    if card.ips.is_empty() {
        warnings.push(format!(
            "{}: no IP address is noted. If the key is not bound to one at {}, whoever gets it can use it from anywhere",
            card.name, card.exchange
        ));
    }
    warnings
}

/// After how many idle days the exchange deletes the key: only an unbound live key that may trade or withdraw.
pub(super) fn idle_days(card: &Card, recipe: &Recipe) -> Option<u32> {
    let risky = card.permissions.iter().any(|permission| permission != "read") || card.permissions.is_empty();
    let idles = card.ips.is_empty() && risky && card.environment == Environment::Live;
    idles.then(|| card.idle_days.or(recipe.credential().unbound_idle_days)).flatten()
}

/// After how many idle days the exchange deletes the key, and how many of them are left; zero and less when it may be gone
/// already.
pub fn idle_days_left(card: &Card, recipe: &Recipe, last_used: Option<UnixMs>, now: UnixMs) -> Option<(u32, i64)> {
    let last = last_used.unwrap_or(card.created);
    idle_days(card, recipe).map(|days| (days, i64::from(days) - (now.0 - last.0).div_euclid(DAY_MS)))
}

/// As many warnings as a person reads, and how many there are besides.
pub fn first_of(mut warnings: impl Iterator<Item = String>) -> Vec<String> {
    let mut told: Vec<String> = warnings.by_ref().take(MOST_WARNINGS).collect();
    match warnings.count() {
        0 => (),
        more => told.push(format!("{more} more warnings: `credential show NAME` and `policy show NAME` tell them")),
    }
    told
}

/// A credential as it may be shown.
pub fn shown(credential: &Credential) -> CredentialCard {
    let card = &credential.card;
    let addresses = credential.recipe.region(&card.region).and_then(|region| region.addresses(card.environment));
    CredentialCard {
        name: card.name.clone(),
        exchange: card.exchange.clone(),
        label: card.label.clone(),
        environment: card.environment,
        region: card.region.clone(),
        permissions: card.permissions.clone(),
        ips: card.ips.clone(),
        base_url: card.base_url.clone().or(addresses.map(|addresses| addresses.rest.to_string())).unwrap_or_default(),
        api_key: card.masked_key.clone(),
        created: card.created.to_string(),
        last_used: credential.last_used.map(|moment| moment.to_string()),
        idle_days: idle_days(card, &credential.recipe),
    }
}
