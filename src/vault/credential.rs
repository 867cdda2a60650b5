//! Credentials: adding, showing, changing and removing one. What may be known of it is [`crate::vault::card`]'s.

use crate::audit::event::{Action, Event};
use crate::recipe::Recipe;
use crate::store::ledger::Change;
use crate::store::record::{RecordRow, Table};
use crate::types::clock::{Now, UnixMs};
use crate::types::id::Id;
use crate::vault::card::{Card, Secrets, check_card, check_with_recipe, edited, mask, shown, warnings};
use crate::vault::change::Prepared;
use crate::vault::keyring::SealedCredential;
use crate::vault::state::{Credential, Unlocked};
use crate::vault::{AdminError, Vault, generate_id};
use crate::wire::{CredentialAdd, CredentialCard, CredentialChanged, CredentialEdit, CredentialSecrets};
use serde::Serialize;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The record's JSON.
#[derive(Serialize)]
struct Stored<'a> {
    card: &'a Card,
    secrets: &'a Secrets,
}

/// A credential to be written.
struct Written {
    id: Id,
    version: u64,
    card: Card,
    secrets: Secrets,
    recipe: Arc<Recipe>,
}

impl Vault {
    /// Every credential, by name.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn credentials(&self) -> Result<Vec<CredentialCard>, AdminError> {
        self.look(|unlocked| unlocked.credentials_by_name().into_values().map(shown).collect())
    }

    /// One credential, with what there is to know about it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn credential(&self, name: &str) -> Result<CredentialChanged, AdminError> {
        let now = self.setup.clock.now().wall;
        self.look(|unlocked| {
            let (_, credential) = unlocked.credential_named(name).ok_or(AdminError::NotFound("credential"))?;
            let warnings = warnings(&credential.card, &credential.recipe, credential.last_used, now);
            Ok(CredentialChanged { credential: shown(credential), warnings })
        })?
    }

    /// Adds a credential.
    ///
    /// # Errors
    /// [`AdminError::Invalid`], [`AdminError::Exists`], [`AdminError::Locked`], [`AdminError::Unavailable`]; nothing was
    /// kept then.
    pub fn add_credential(&self, add: CredentialAdd) -> Result<CredentialChanged, AdminError> {
        let recipe = self.recipe(&add.exchange)?;
        let secrets = Secrets::parse_given(add.secrets)?;
        let region = add.region.unwrap_or_else(|| recipe.default_region().to_owned());
        let card = Card {
            name: add.name,
            exchange: add.exchange,
            label: add.label.filter(|label| !label.is_empty()),
            environment: add.environment,
            region,
            permissions: add.permissions,
            ips: add.ips,
            base_url: add.base_url.filter(|url| !url.is_empty()),
            idle_days: add.idle_days.filter(|days| *days > 0),
            created: self.setup.clock.now().wall,
            masked_key: mask(&secrets.api_key),
        };
        check_card(&card, &recipe)?;
        let id = generate_id()?;
        self.write_credential(Action::Add, move |unlocked| match unlocked.credential_named(&card.name) {
            Some(_) => Err(AdminError::Exists("credential")),
            None => Ok(Written { id, version: 1, card, secrets, recipe }),
        })
    }

    /// Changes what is known about a credential; its secrets stay.
    ///
    /// # Errors
    /// As [`Vault::add_credential`], and [`AdminError::NotFound`].
    pub fn edit_credential(&self, name: &str, edit: CredentialEdit) -> Result<CredentialChanged, AdminError> {
        self.write_credential(Action::Edit, move |unlocked| {
            let (id, found) = unlocked.credential_named(name).ok_or(AdminError::NotFound("credential"))?;
            let (recipe, card) = (found.recipe.clone(), edited(&found.card, edit));
            check_card(&card, &recipe)?;
            if card.name != name && unlocked.credential_named(&card.name).is_some() {
                return Err(AdminError::Exists("credential"));
            }
            let secrets = unlocked.keyring.open_to_reseal(id, &found.sealed);
            let secrets = secrets.map_err(|_| AdminError::Unavailable)?;
            Ok(Written { id, version: found.version + 1, card, secrets, recipe })
        })
    }

    /// Gives a credential new secrets. Its name, card and bots stay; the next signature uses the new ones.
    ///
    /// # Errors
    /// As [`Vault::add_credential`], and [`AdminError::NotFound`].
    pub fn rotate_credential(&self, name: &str, given: CredentialSecrets) -> Result<CredentialChanged, AdminError> {
        let secrets = Secrets::parse_given(given)?;
        self.write_credential(Action::Rotate, move |unlocked| {
            let (id, found) = unlocked.credential_named(name).ok_or(AdminError::NotFound("credential"))?;
            let card = Card { masked_key: mask(&secrets.api_key), ..found.card.clone() };
            Ok(Written { id, version: found.version + 1, card, secrets, recipe: found.recipe.clone() })
        })
    }

    /// Takes a credential out. Bots that could use it keep their tokens and are denied, from its place in the queue on;
    /// they may use it again when the disk refused.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`], [`AdminError::Unavailable`]; nothing has changed then.
    pub fn remove_credential(&self, name: &str) -> Result<CredentialChanged, AdminError> {
        let prepare = |unlocked: &mut Unlocked, now: Now| {
            let (id, found) = unlocked.credential_named(name).ok_or(AdminError::NotFound("credential"))?;
            let bots = unlocked.bots.iter().filter(|(_, entry)| entry.bot.credentials.contains(&id));
            let left: Vec<&str> = bots.map(|(_, entry)| entry.bot.name.as_str()).collect();
            let warnings = match left.is_empty() {
                true => Vec::new(),
                false => vec![format!("these bots could use it and will be denied now: {}", left.join(", "))],
            };
            let answer = (id, CredentialChanged { credential: shown(found), warnings });
            let event = Event::Credential { action: Action::Remove, credential: name };
            set_leaving(unlocked, &id, true);
            Ok(Prepared::new(now, event, vec![Change::Delete(Table::Credential, id)], answer))
        };
        let publish = |unlocked: &mut Unlocked, (id, _): &(Id, _)| drop(unlocked.credentials.remove(id));
        let take_back = |unlocked: &mut Unlocked, (id, _): &(Id, _)| set_leaving(unlocked, id, false);
        Ok(self.change_or_take_back(&self.turn(), prepare, publish, take_back)?.1)
    }

    /// The one way a credential is written: seal, queue, and after it is durable put it into memory.
    fn write_credential(
        &self,
        action: Action,
        make: impl FnOnce(&Unlocked) -> Result<Written, AdminError>,
    ) -> Result<CredentialChanged, AdminError> {
        let prepare = |unlocked: &Unlocked, now: Now| {
            let Written { id, version, card, secrets, recipe } = make(unlocked)?;
            check_with_recipe(&card, &secrets, &recipe)?;
            let stored = Stored { card: &card, secrets: &secrets };
            let json = Zeroizing::new(serde_json::to_vec(&stored).map_err(|_| AdminError::Unavailable)?);
            let row = unlocked.keyring.seal(Table::Credential, id, version, &json)?;
            let change = Change::Put(Table::Credential, row.clone());
            let body_event = Event::Credential { action, credential: &card.name };
            let last_used = last_used(unlocked, &id);
            Ok(Prepared::new(now, body_event, vec![change], (row, card.clone(), recipe, last_used)))
        };
        let (row, card, recipe, last_used) = self.change(prepare, |unlocked, (row, card, recipe, _)| {
            let last_used = last_used(unlocked, &row.id);
            unlocked.credentials.insert(row.id, in_memory(row, card.clone(), recipe.clone(), last_used));
        })?;
        let now = self.setup.clock.now().wall;
        let warnings = warnings(&card, &recipe, last_used, now);
        Ok(CredentialChanged { credential: shown(&in_memory(&row, card, recipe, last_used)), warnings })
    }

    fn recipe(&self, exchange: &str) -> Result<Arc<Recipe>, AdminError> {
        let recipes = self.setup.recipes.all();
        recipes.get(exchange).cloned().ok_or_else(|| {
            let known: Vec<&str> = recipes.keys().map(String::as_str).collect();
            AdminError::invalid("there is no recipe for that exchange", format!("recipes: {}", known.join(", ")))
        })
    }
}

/// A credential as memory keeps it.
pub fn in_memory(row: &RecordRow, card: Card, recipe: Arc<Recipe>, last_used: Option<UnixMs>) -> Credential {
    Credential { card, version: row.version, sealed: SealedCredential::of(row), recipe, last_used, leaving: false }
}

fn set_leaving(unlocked: &mut Unlocked, id: &Id, leaving: bool) {
    if let Some(credential) = unlocked.credentials.get_mut(id) {
        credential.leaving = leaving;
    }
}

fn last_used(unlocked: &Unlocked, id: &Id) -> Option<UnixMs> {
    unlocked.credentials.get(id).and_then(|known| known.last_used)
}
