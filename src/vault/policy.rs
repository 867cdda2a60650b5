//! Policies by name: setting, showing and removing them, and the reference prices they compare with. What they mean is
//! [`crate::policy`]'s.
//!
//! While a policy is on its way to the disk an ask passes only if both it and the one that it replaces allow it: so no
//! ledger row behind the new policy's was judged by the old one alone, and a disk that refuses changes nothing.

use crate::audit::event::{Action, Event, to_body};
use crate::policy::compare::compare;
use crate::policy::{self, Policy, READ_ONLY, Reference, words};
use crate::store::ledger::Change;
use crate::store::record::{RecordRow, Table};
use crate::types::clock::{Now, UnixMs};
use crate::types::decimal::Decimal;
use crate::types::id::Id;
use crate::vault::change::Prepared;
use crate::vault::state::{PolicyEntry, Unlocked};
use crate::vault::{AdminError, Vault, check_name, generate_id};
use crate::wire::policy::{PolicyCard, PolicyChange, PolicySet, PolicyWasSet, ReferenceCard};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A policy's record.
#[derive(Serialize, Deserialize)]
pub struct StoredPolicy {
    name: String,
    /// The text it was set from.
    text: String,
    /// How often its text was set.
    version: u64,
    /// Reference prices by instrument.
    references: BTreeMap<String, StoredReference>,
}

/// A reference price in a policy's record.
#[derive(Serialize, Deserialize)]
struct StoredReference {
    /// A decimal number.
    price: String,
    given: UnixMs,
}

impl StoredPolicy {
    fn of(entry: &PolicyEntry) -> StoredPolicy {
        let stored =
            |reference: &Reference| StoredReference { price: reference.price.to_string(), given: reference.given };
        StoredPolicy {
            name: entry.name.clone(),
            text: entry.text.clone(),
            version: entry.version,
            references: entry.references.iter().map(|(name, found)| (name.clone(), stored(found))).collect(),
        }
    }

    /// The policy that a record tells of; none when it tells of no policy. What an instrument's name looks like was
    /// checked when the policy was set. A text that this version does not take any more allows nothing, and says so.
    pub fn entry(self, record_version: u64) -> Option<PolicyEntry> {
        let parsed = policy::parse::parse(&self.text, &|_| true);
        let flaw = parsed.as_ref().err().map(ToString::to_string);
        let policy = parsed.unwrap_or_else(|_| Policy::granting(BTreeSet::new()));
        let read = |(instrument, stored): (String, StoredReference)| {
            Some((instrument, Reference { price: Decimal::parse(&stored.price).ok()?, given: stored.given }))
        };
        let references = self.references.into_iter().map(read).collect::<Option<_>>()?;
        let entry = PolicyEntry::new(self.name, self.version, record_version, policy, self.text, references);
        Some(PolicyEntry { flaw, ..entry })
    }
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
    /// [`AdminError::Invalid`] with line and column, [`AdminError::Unavailable`]; then the old policy stays.
    pub fn set_policy(&self, name: &str, set: PolicySet) -> Result<PolicyWasSet, AdminError> {
        check_name("policy", name)?;
        if name == READ_ONLY {
            let help = "that is the name of what bots without a policy get; choose another";
            return Err(AdminError::invalid("a policy can't have that name", help));
        }
        let parsed = policy::parse::parse(&set.text, &|name| self.is_instrument(name))
            .map_err(|error| AdminError::invalid(error.to_string(), "correct the policy file; nothing was changed"))?;
        let fresh = generate_id()?;
        let (is_new, changes) = self.write_policy(|unlocked, now| {
            let known = unlocked.policy_named(name).map(|(id, entry)| (id, Arc::clone(entry)));
            let before = known.as_ref().map(|(_, entry)| &**entry);
            let entry = replaced(name, before, parsed, set.text, now);
            let changes = before.map_or_else(Vec::new, |before| differences(&before.policy, &entry.policy));
            let event = Event::Policy { action: Action::Set, policy: name, version: entry.version };
            let id = known.as_ref().map_or(fresh, |(id, _)| *id);
            Ok((id, entry, to_body(now, event), (before.is_none(), changes)))
        })?;
        Ok(PolicyWasSet { policy: self.policy(name)?, is_new, changes })
    }

    /// Gives a policy a price to compare orders with.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Invalid`] for a price that is none, or an instrument that the policy does
    /// not allow; [`AdminError::Unavailable`].
    pub fn set_reference(&self, name: &str, instrument: &str, price: &str) -> Result<PolicyCard, AdminError> {
        let price = Decimal::parse(price).ok().filter(|price| !price.is_zero());
        let price = price.ok_or_else(|| AdminError::invalid("that is no price", "write it as 60000 or 60000.5"))?;
        self.write_policy(|unlocked, now| {
            let (id, entry) = unlocked.policy_named(name).ok_or(AdminError::NotFound("policy"))?;
            if !self.is_instrument(instrument) || !entry.policy.allows_instrument(instrument) {
                let help = "name an instrument that the policy's `order.instruments` allows, as the exchange writes it";
                return Err(AdminError::invalid("the policy has no such instrument", help));
            }
            let mut entry = PolicyEntry { record_version: entry.record_version + 1, ..PolicyEntry::clone(entry) };
            let body = to_body(now, Event::Reference { policy: name, instrument, price: &price.to_string() });
            entry.references.insert(instrument.to_owned(), Reference { price, given: now.wall });
            Ok((id, entry, body, ()))
        })?;
        self.policy(name)
    }

    /// The one way a policy's record is written: from its place in the queue on the new one judges beside the old one,
    /// once it is durable alone.
    fn write_policy<T>(
        &self,
        make: impl FnOnce(&Unlocked, Now) -> Result<(Id, PolicyEntry, String, T), AdminError>,
    ) -> Result<T, AdminError> {
        let prepare = |unlocked: &mut Unlocked, now: Now| {
            let (id, entry, body, answer) = make(unlocked, now)?;
            let changes = vec![Change::Put(Table::Policy, seal(unlocked, id, &entry)?)];
            let entry = Arc::new(entry);
            unlocked.next_policy = Some((id, Arc::clone(&entry)));
            Ok(Prepared { body, changes, answer: (id, entry, answer) })
        };
        let publish = |unlocked: &mut Unlocked, (id, entry, _): &(Id, Arc<PolicyEntry>, T)| {
            unlocked.next_policy = None;
            unlocked.policies.insert(*id, Arc::clone(entry));
        };
        let take_back = |unlocked: &mut Unlocked, _: &(Id, Arc<PolicyEntry>, T)| unlocked.next_policy = None;
        self.change_or_take_back(&self.turn(), prepare, publish, take_back).map(|(_, _, answer)| answer)
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

    /// Whether some exchange would name an instrument like this.
    fn is_instrument(&self, name: &str) -> bool {
        self.setup.recipes.all().values().any(|recipe| recipe.is_instrument(name))
    }
}

/// The policy after its text was set. A price that is new in the text holds from now on. Others that were given stay as
/// long as their instrument does: who corrects a limit does not mean to bring back last week's price.
fn replaced(name: &str, before: Option<&PolicyEntry>, policy: Policy, text: String, now: Now) -> PolicyEntry {
    let mut references = before.map_or_else(BTreeMap::new, |before| before.references.clone());
    references.retain(|instrument, _| policy.allows_instrument(instrument));
    let in_text =
        |policy: &Policy| policy.order.as_ref().map_or_else(BTreeMap::new, |rules| rules.reference_price.clone());
    let said_before = before.map_or_else(BTreeMap::new, |before| in_text(&before.policy));
    for (instrument, price) in in_text(&policy) {
        if said_before.get(&instrument) != Some(&price) || !references.contains_key(&instrument) {
            references.insert(instrument, Reference { price, given: now.wall });
        }
    }
    let version = before.map_or(1, |before| before.version + 1);
    let record_version = before.map_or(1, |before| before.record_version + 1);
    PolicyEntry::new(name.to_owned(), version, record_version, policy, text, references)
}

fn differences(before: &Policy, after: &Policy) -> Vec<PolicyChange> {
    let change = |found: policy::compare::Difference| PolicyChange {
        direction: found.direction.as_str().to_owned(),
        words: found.words,
    };
    compare(before, after).into_iter().map(change).collect()
}

fn seal(unlocked: &Unlocked, id: Id, entry: &PolicyEntry) -> Result<RecordRow, AdminError> {
    let json = serde_json::to_vec(&StoredPolicy::of(entry)).map_err(|_| AdminError::Unavailable)?;
    unlocked.keyring.seal(Table::Policy, id, entry.record_version, &json)
}

fn bots_under(unlocked: &Unlocked, policy: Id) -> Vec<String> {
    let bots = unlocked.bots.iter().filter(|(_, entry)| entry.bot.policy == Some(policy));
    bots.map(|(_, entry)| entry.bot.name.clone()).collect()
}

fn shown(unlocked: &Unlocked, id: Id, entry: &PolicyEntry) -> PolicyCard {
    let reference = |(instrument, found): (&String, &Reference)| {
        (instrument.clone(), ReferenceCard { price: found.price.to_string(), given: found.given.to_string() })
    };
    PolicyCard {
        name: entry.name.clone(),
        version: entry.version,
        grants: entry.policy.grants.iter().copied().collect(),
        words: entry.flaw.iter().map(|flaw| entry.warning(flaw)).chain(words::describe(&entry.policy)).collect(),
        references: entry.references.iter().map(reference).collect(),
        bots: bots_under(unlocked, id),
        text: entry.text.clone(),
    }
}
