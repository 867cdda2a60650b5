//! What an unlocked vault holds in memory. Exchange secrets are not among it: they stay sealed in the keyring.

use crate::policy::{Policy, READ_ONLY, Reference};
use crate::recipe::Recipe;
use crate::store::ledger::Ledger;
use crate::types::clock::UnixMs;
use crate::types::id::{Id, IdMap};
use crate::types::mode::Mode;
use crate::vault::annals::Annals;
use crate::vault::backlog::Backlog;
use crate::vault::bot::Bot;
use crate::vault::card::Card;
use crate::vault::checkpoint::SigningKey;
use crate::vault::clock_guard::ClockGuard;
use crate::vault::head::Logged;
use crate::vault::keyring::{Keyring, SealedCredential};
use crate::vault::roster::Roster;
use crate::vault::usage::Book;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Locked, or unlocked with everything that means.
pub enum State {
    /// No key is in memory.
    Locked,
    /// Locked, but the disk has not taken the row about it yet: the ledger's own keys are still there, to write it with,
    /// and nothing that opens a record.
    Closing(Arc<Ledger>),
    /// Bots may sign.
    Unlocked(Box<Unlocked>),
}

/// An unlocked vault's memory. Verified once at unlock; from then on this is the truth and not the file.
pub struct Unlocked {
    /// The ledger, shared with whoever waits for it.
    pub ledger: Arc<Ledger>,
    /// What opens records.
    pub keyring: Arc<Keyring>,
    /// Credentials by id.
    pub credentials: IdMap<Credential>,
    /// Bots by id, which is what a token names.
    pub bots: Roster,
    /// Policies by id.
    pub policies: IdMap<Arc<PolicyEntry>>,
    /// A policy that is on its way to the disk: until it is there it judges beside the one that it replaces.
    pub next_policy: Option<(Id, Arc<PolicyEntry>)>,
    /// What was used of limits.
    pub book: Book,
    /// How much an admin allows, for everyone.
    pub mode: Mode,
    /// How much a disk with little space allows, for everyone.
    pub disk_mode: Mode,
    /// When the ledger's head was last logged.
    pub logged: Logged,
    /// What its rows say of backups, changes and slots.
    pub annals: Annals,
    /// The day, counted from 1970, on which the log was last told what ends soon.
    pub warned_on: Option<i64>,
    /// How often the mode was written.
    pub mode_version: u64,
    /// Watches the wall clock.
    pub clock_guard: ClockGuard,
    /// What signs checkpoints.
    pub signing_key: SigningKey,
    /// When the last checkpoint was made.
    pub checkpointed: UnixMs,
    /// The rows that are still to be verified.
    pub backlog: Option<Backlog>,
    /// When credentials were last used, by name, as those rows say so far.
    pub used_before: HashMap<String, UnixMs>,
    /// What those without a policy of their own get.
    pub read_only: Arc<PolicyEntry>,
}

/// A credential: its card in the clear, its secrets sealed.
pub struct Credential {
    /// What may be shown.
    pub card: Card,
    /// How often it was written.
    pub version: u64,
    /// Card and secrets, sealed.
    pub sealed: SealedCredential,
    /// How its exchange signs.
    pub recipe: Arc<Recipe>,
    /// When it last signed.
    pub last_used: Option<UnixMs>,
    /// Whether its removal is on its way to the disk: from then on no ask is allowed to use it.
    pub leaving: bool,
}

/// A bot.
pub struct BotEntry {
    /// Its record.
    pub bot: Bot,
    /// How often it was written.
    pub version: u64,
    /// When it last asked, since the unlock.
    pub last_seen: Option<UnixMs>,
    /// What the bot becomes with another token, while that is on its way to the disk: from then on the old one does not
    /// let in.
    pub rotating: Option<Box<Bot>>,
}

impl BotEntry {
    /// A bot as its record says.
    pub fn new(bot: Bot, version: u64) -> BotEntry {
        BotEntry { bot, version, last_seen: None, rotating: None }
    }
}

/// A policy with its name and text.
#[derive(Clone, Debug)]
pub struct PolicyEntry {
    /// Its name.
    pub name: String,
    /// How often its text was set.
    pub version: u64,
    /// How often its record was written: reference prices are part of it.
    pub record_version: u64,
    /// What it means.
    pub policy: Policy,
    /// The text it was read from.
    pub text: String,
    /// Reference prices by instrument: the text's, and those given since.
    pub references: BTreeMap<String, Reference>,
    /// `name@version`, as ledger rows say it.
    pub label: String,
    /// Why the text, which an earlier version took, is not understood; then the policy allows nothing.
    pub flaw: Option<String>,
}

impl PolicyEntry {
    /// A policy under its name.
    pub fn new(
        name: String,
        version: u64,
        record_version: u64,
        policy: Policy,
        text: String,
        references: BTreeMap<String, Reference>,
    ) -> PolicyEntry {
        let label = format!("{name}@{version}");
        PolicyEntry { name, version, record_version, policy, text, references, label, flaw: None }
    }

    /// What to tell people about a policy with a flaw.
    pub fn warning(&self, flaw: &str) -> String {
        format!(
            "the policy {} allows nothing until it is set again, because this version does not take it: {flaw}",
            self.name
        )
    }

    /// What bots without a policy of their own get.
    pub fn read_only() -> PolicyEntry {
        PolicyEntry::new(READ_ONLY.to_owned(), 1, 1, Policy::read_only(), String::new(), BTreeMap::new())
    }
}

impl Unlocked {
    /// The credential of that name.
    pub fn credential_named(&self, name: &str) -> Option<(Id, &Credential)> {
        self.credentials.iter().find(|(_, credential)| credential.card.name == name).map(|(id, found)| (*id, found))
    }

    /// The bot of that name.
    pub fn bot_named(&self, name: &str) -> Option<(Id, &BotEntry)> {
        self.bots.iter().find(|(_, entry)| entry.bot.name == name).map(|(id, found)| (*id, found))
    }

    /// The policy of that name.
    pub fn policy_named(&self, name: &str) -> Option<(Id, &Arc<PolicyEntry>)> {
        self.policies.iter().find(|(_, entry)| entry.name == name).map(|(id, found)| (*id, found))
    }

    /// How much everyone may do: the stricter of what an admin and what the disk allows.
    pub fn mode_for_all(&self) -> Mode {
        self.mode.max(self.disk_mode)
    }

    /// The policy that judges a bot. A policy that is gone allows nothing that reading-only does not.
    pub fn policy_of(&self, bot: &Bot) -> Arc<PolicyEntry> {
        Arc::clone(bot.policy.and_then(|id| self.policies.get(&id)).unwrap_or(&self.read_only))
    }

    /// The policy that is about to judge a bot, while that is another.
    pub fn next_policy_of(&self, bot: &Bot) -> Option<Arc<PolicyEntry>> {
        let (id, entry) = self.next_policy.as_ref()?;
        (bot.policy == Some(*id)).then(|| Arc::clone(entry))
    }

    /// Credentials in the order of their names.
    pub fn credentials_by_name(&self) -> BTreeMap<&str, &Credential> {
        self.credentials.values().map(|credential| (credential.card.name.as_str(), credential)).collect()
    }
}
