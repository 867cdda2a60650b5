//! Policies by name: setting, showing and removing them. What they mean is [`crate::policy`]'s.

use crate::audit::event::{Action, Event};
use crate::policy::{self, READ_ONLY, words};
use crate::store::ledger::Change;
use crate::store::record::Table;
use crate::types::clock::Now;
use crate::types::id::Id;
use crate::vault::change::Prepared;
use crate::vault::state::{PolicyEntry, Unlocked};
use crate::vault::{AdminError, Vault, check_name, generate_id};
use crate::wire::{PolicyCard, PolicySet};
use serde::{Deserialize, Serialize};

/// A policy's record.
#[derive(Serialize, Deserialize)]
pub struct StoredPolicy {
    /// Its name.
    pub name: String,
    /// The text it was set from.
    pub text: String,
}

impl Vault {
    /// Every policy, by name.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn policies(&self) -> Result<Vec<PolicyCard>, AdminError> {
        self.look(|unlocked| {
            let mut cards: Vec<PolicyCard> =
                unlocked.policies.iter().map(|(id, entry)| shown(unlocked, *id, entry)).collect();
            cards.sort_by(|one, other| one.name.cmp(&other.name));
            cards
        })
    }

    /// One policy.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn policy(&self, name: &str) -> Result<PolicyCard, AdminError> {
        self.look(|unlocked| {
            let (id, entry) = unlocked.policy_named(name).ok_or(AdminError::NotFound("policy"))?;
            Ok(shown(unlocked, id, entry))
        })?
    }

    /// Makes a policy, or replaces it for all bots that have it.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] with line and column; then the old policy stays.
    pub fn set_policy(&self, name: &str, set: PolicySet) -> Result<PolicyCard, AdminError> {
        check_name("policy", name)?;
        if name == READ_ONLY {
            let help = "that is the name of what bots without a policy get; choose another";
            return Err(AdminError::invalid("a policy can't have that name", help));
        }
        let parsed = policy::parse::parse(&set.text)
            .map_err(|error| AdminError::invalid(error.to_string(), "correct the policy file; nothing was changed"))?;
        let fresh = generate_id()?;
        let prepare = |unlocked: &Unlocked, now: Now| {
            let known = unlocked.policy_named(name);
            let (id, version) = known.map_or((fresh, 1), |(id, entry)| (id, entry.version + 1));
            let stored = StoredPolicy { name: name.to_owned(), text: set.text.clone() };
            let json = serde_json::to_vec(&stored).map_err(|_| AdminError::Unavailable)?;
            let change = Change::Put(Table::Policy, unlocked.keyring.seal(Table::Policy, id, version, &json)?);
            let event = Event::Policy { action: Action::Set, policy: name, version };
            let entry = PolicyEntry::new(name.to_owned(), version, parsed, set.text);
            Ok(Prepared::new(now, event, vec![change], (id, entry)))
        };
        self.change(prepare, |unlocked, (id, entry)| {
            unlocked.policies.insert(*id, entry.clone());
        })?;
        self.policy(name)
    }

    /// Takes a policy out, unless a bot still has it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Invalid`] names the bots that have it.
    pub fn remove_policy(&self, name: &str) -> Result<(), AdminError> {
        let prepare = |unlocked: &Unlocked, now: Now| {
            let (id, entry) = unlocked.policy_named(name).ok_or(AdminError::NotFound("policy"))?;
            let bots = bots_under(unlocked, id);
            if !bots.is_empty() {
                return Err(AdminError::invalid(
                    format!("bots still have this policy: {}", bots.join(", ")),
                    "remove those bots first",
                ));
            }
            let event = Event::Policy { action: Action::Remove, policy: name, version: entry.version };
            Ok(Prepared::new(now, event, vec![Change::Delete(Table::Policy, id)], id))
        };
        let publish = |unlocked: &mut Unlocked, id: &Id| {
            unlocked.policies.remove(id);
        };
        self.change(prepare, publish).map(|_| ())
    }
}

fn bots_under(unlocked: &Unlocked, policy: Id) -> Vec<String> {
    let bots = unlocked.bots.iter().filter(|(_, entry)| entry.bot.policy == Some(policy));
    bots.map(|(_, entry)| entry.bot.name.clone()).collect()
}

fn shown(unlocked: &Unlocked, id: Id, entry: &PolicyEntry) -> PolicyCard {
    PolicyCard {
        name: entry.name.clone(),
        version: entry.version,
        grants: entry.policy.grants.iter().copied().collect(),
        words: words::describe(&entry.policy),
        bots: bots_under(unlocked, id),
        text: entry.text.clone(),
    }
}
