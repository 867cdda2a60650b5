//! What an unlock puts into memory: every record, opened under its own identity, and what the ledger's rows say was
//! used.

use crate::audit::event::Used;
use crate::policy::READ_ONLY;
use crate::recipe::Recipe;
use crate::store::IntegrityError;
use crate::store::ledger::Ledger;
use crate::store::record::{RecordRow, Table};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use crate::types::mode::Mode;
use crate::vault::bot::Bot;
use crate::vault::card::Card;
use crate::vault::clock_guard::ClockGuard;
use crate::vault::credential::in_memory;
use crate::vault::keyring::Keyring;
use crate::vault::mode::Setting;
use crate::vault::policy::StoredPolicy;
use crate::vault::roster::Roster;
use crate::vault::state::{BotEntry, Credential, PolicyEntry, Unlocked};
use crate::vault::usage::Book;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What the rows of the ledger say was used.
#[derive(Default)]
pub struct Past {
    /// When each credential last signed, by name.
    last_used: HashMap<String, UnixMs>,
    book: Book,
    /// Whether a row said something that no row says.
    odd: bool,
}

impl Past {
    /// Takes in a row, in the order of the ledger.
    pub fn note(&mut self, body: &str) {
        // Most rows are signatures; the cheap tests spare the others a parse.
        let (signed, accepted) = (body.contains("\"decision\":\"allow\""), body.contains("\"accepted_clock\":true"));
        let Some(used) = (signed || accepted).then(|| Used::parse(body)).flatten() else { return };
        if accepted && let Some(moment) = UnixMs::parse_rfc3339(&used.time) {
            self.accept_clock(moment);
        }
        self.odd |= !self.book.count_row(&used);
        if let (Some(credential), Some(moment)) = (used.credential, UnixMs::parse_rfc3339(&used.time)) {
            self.last_used.insert(credential, moment);
        }
    }

    /// Takes in that a person said that the clock is right: what was counted later than this, by a clock that was ahead,
    /// counts as now, or it would stay for as long as the clock was wrong.
    pub fn accept_clock(&mut self, now: UnixMs) {
        self.book.not_after(now);
    }

    /// Whether every row could be counted. A row is authenticated before it is read, so only this program's own mistake
    /// makes one that can't be; then nothing may be signed under a count that may be too low.
    pub fn is_whole(&self) -> bool {
        !self.odd
    }
}

/// An unlocked vault before it has a ledger.
pub struct Loading {
    keyring: Keyring,
    past: Past,
    credentials: HashMap<Id, Credential>,
    bots: Roster,
    policies: HashMap<Id, Arc<PolicyEntry>>,
    mode: Mode,
    mode_version: u64,
}

impl Loading {
    /// Nothing but keys and the past.
    pub fn new(keyring: Keyring, past: Past) -> Loading {
        Loading {
            keyring,
            past,
            credentials: HashMap::new(),
            bots: Roster::default(),
            policies: HashMap::new(),
            mode: Mode::Normal,
            mode_version: 0,
        }
    }

    /// Opens a record and keeps what it says.
    ///
    /// # Errors
    /// [`IntegrityError::Tampered`] names the record that does not open, or that says what none says.
    pub fn add(
        &mut self,
        recipes: &BTreeMap<String, Arc<Recipe>>,
        table: Table,
        row: &RecordRow,
    ) -> Result<(), IntegrityError> {
        let tampered = || IntegrityError::Tampered { table: table.name(), id: row.id };
        let json = self.keyring.open_row(table, row)?;
        // EXPOSE: to the readers of each table; a credential's secrets are not read here.
        let json = json.expose();
        match table {
            Table::Credential => {
                let card = Card::parse(json).ok_or_else(tampered)?;
                let recipe = recipes.get(&card.exchange).cloned().ok_or_else(tampered)?;
                let last_used = self.past.last_used.get(&card.name).copied();
                self.credentials.insert(row.id, in_memory(row, card, recipe, last_used));
            }
            Table::Bot => {
                let bot: Bot = serde_json::from_slice(json).map_err(|_| tampered())?;
                self.bots.insert(row.id, BotEntry::new(bot, row.version));
            }
            Table::Policy => {
                let stored: StoredPolicy = serde_json::from_slice(json).map_err(|_| tampered())?;
                let entry = stored.entry(row.version).filter(|entry| entry.name != READ_ONLY).ok_or_else(tampered)?;
                self.policies.insert(row.id, Arc::new(entry));
            }
            Table::Setting => {
                let Setting::Mode { mode } = serde_json::from_slice(json).map_err(|_| tampered())?;
                (self.mode, self.mode_version) = (mode, row.version);
            }
        }
        Ok(())
    }

    /// The unlocked vault.
    pub fn with(self, ledger: Arc<Ledger>, clock_guard: ClockGuard) -> Unlocked {
        Unlocked {
            ledger,
            keyring: self.keyring,
            credentials: self.credentials,
            bots: self.bots,
            policies: self.policies,
            next_policy: None,
            book: self.past.book,
            mode: self.mode,
            mode_version: self.mode_version,
            clock_guard,
            read_only: Arc::new(PolicyEntry::read_only()),
        }
    }
}
