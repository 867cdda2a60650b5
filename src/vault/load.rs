//! What an unlock puts into memory: every record, opened under its own identity, and what the ledger's rows say was
//! used.

use crate::audit::event::{self, Used};
use crate::policy::READ_ONLY;
use crate::recipe::Recipe;
use crate::store::IntegrityError;
use crate::store::ledger::Ledger;
use crate::store::record::{RecordRow, Table};
use crate::types::clock::UnixMs;
use crate::types::id::IdMap;
use crate::types::mode::Mode;
use crate::vault::AdminError;
use crate::vault::annals::Annals;
use crate::vault::backlog::Backlog;
use crate::vault::bot::Bot;
use crate::vault::card::Card;
use crate::vault::checkpoint::{self, SigningKey};
use crate::vault::clock_guard::ClockGuard;
use crate::vault::credential::in_memory;
use crate::vault::head::Logged;
use crate::vault::keyring::Keyring;
use crate::vault::policy::StoredPolicy;
use crate::vault::roster::Roster;
use crate::vault::setting::Setting;
use crate::vault::state::{BotEntry, Credential, PolicyEntry, Unlocked};
use crate::vault::usage::Book;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What the row of a lock says when a row before it was not what was written.
const LOCKED_BROKEN: &str = "\"event\":\"lock\",\"why\":\"audit_broken\"";

/// What comes right after the kind in the row of an ask that was allowed.
const ALLOWED: &str = r#","decision":"allow""#;

/// What the rows of the ledger say was used.
#[derive(Default)]
pub struct Past {
    /// When each credential last signed, by name.
    last_used: HashMap<String, UnixMs>,
    book: Book,
    /// What they say of backups, changes and slots.
    pub annals: Annals,
    /// Whether a row said something that no row says.
    odd: bool,
    /// Whether the last lock was because of a broken row, and nobody has unlocked since.
    distrusts: bool,
}

impl Past {
    /// Takes in a row, in the order of the ledger.
    pub fn note(&mut self, body: &str) {
        self.annals.note(body);
        // Most rows are signatures; the cheap tests spare the others a parse.
        let (kind, rest) = event::kind_of(body).unwrap_or_default();
        let (mut accepted, mut restored) = (kind == "clock", false);
        match kind {
            "sign" if !rest.starts_with(ALLOWED) => return,
            "sign" | "clock" => (),
            "restore" => restored = true,
            "unlock" => {
                self.distrusts = false;
                accepted = body.contains("\"accepted_clock\":true");
            }
            "lock" => self.distrusts |= body.contains(LOCKED_BROKEN),
            _ => (),
        }
        if kind != "sign" && !accepted && !restored {
            return;
        }
        let Some(used) = Used::parse(body) else { return };
        let moment = UnixMs::parse_rfc3339(&used.time);
        match moment {
            Some(moment) if restored => self.book.restore(moment, used.reset_limits),
            None if restored => self.odd = true,
            _ => (),
        }
        if accepted && let Some(moment) = moment {
            self.accept_clock(moment);
        }
        self.odd |= !self.book.count_row(&used, moment);
        if let (Some(credential), Some(moment)) = (used.credential, moment) {
            note_use(&mut self.last_used, &credential, moment);
        }
    }

    /// Takes in that a person or the kernel said that the clock is right: what was counted later than this, by a clock that was ahead,
    /// counts as now, or it would stay for as long as the clock was wrong.
    pub fn accept_clock(&mut self, now: UnixMs) {
        self.book.not_after(now);
    }

    /// Whether the rows that an unlock does not wait for must be verified all the same.
    pub fn distrusts(&self) -> bool {
        self.distrusts
    }

    /// Whether every row could be counted. A row is authenticated before it is read, so only this program's own mistake
    /// makes one that can't be; then nothing may be signed under a count that may be too low.
    pub fn is_whole(&self) -> bool {
        !self.odd
    }
}

/// Whom and when a row says that a credential was used by, as a name and a moment.
pub fn last_use(body: &str) -> Option<(String, UnixMs)> {
    let (kind, rest) = event::kind_of(body)?;
    let used = (kind == "sign" && rest.starts_with(ALLOWED)).then(|| Used::parse(body)).flatten()?;
    Some((used.credential?.to_string(), UnixMs::parse_rfc3339(&used.time)?))
}

/// Notes a use, under a name that is there already but for the first time.
fn note_use(uses: &mut HashMap<String, UnixMs>, name: &str, moment: UnixMs) {
    match uses.get_mut(name) {
        Some(last) => *last = moment,
        None => drop(uses.insert(name.to_owned(), moment)),
    }
}

/// An unlocked vault before it has a ledger.
pub struct Loading {
    keyring: Keyring,
    credentials: IdMap<Credential>,
    bots: Roster,
    policies: IdMap<Arc<PolicyEntry>>,
    mode: Mode,
    mode_version: u64,
    signing_key: Option<SigningKey>,
}

impl Loading {
    /// Nothing but keys.
    pub fn new(keyring: Keyring, counts: &[u64; 4]) -> Loading {
        let credentials = usize::try_from(counts[0]).unwrap_or(0);
        Loading {
            keyring,
            credentials: IdMap::with_capacity_and_hasher(credentials, Default::default()),
            bots: Roster::default(),
            policies: IdMap::default(),
            mode: Mode::Normal,
            mode_version: 0,
            signing_key: None,
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
                self.credentials.insert(row.id, in_memory(row, card, recipe, None));
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
                let setting: Setting = serde_json::from_slice(json).map_err(|_| tampered())?;
                match &setting {
                    Setting::Mode { mode } => (self.mode, self.mode_version) = (*mode, row.version),
                    // Needed before the ledger can be verified: `retired_keys` reads those.
                    Setting::AuditKey { .. } => (),
                    Setting::SigningKey { .. } => {
                        self.signing_key = Some(SigningKey::of(row, &setting).ok_or_else(tampered)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// The keyring.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The key that signs checkpoints, and the record to write when there was none.
    ///
    /// # Errors
    /// The kernel gave no random numbers.
    pub fn signing_key(&self) -> Result<(SigningKey, Option<RecordRow>), AdminError> {
        match &self.signing_key {
            Some(key) => Ok((key.clone(), None)),
            None => checkpoint::generate(&self.keyring).map(|(row, key)| (key, Some(row))),
        }
    }

    /// The unlocked vault, with what the ledger says was used.
    pub fn with(
        mut self,
        past: Past,
        ledger: Arc<Ledger>,
        clock_guard: ClockGuard,
        signing_key: SigningKey,
        checkpointed: UnixMs,
        backlog: Option<Backlog>,
    ) -> Unlocked {
        for credential in self.credentials.values_mut() {
            let moment = past.last_used.get(&credential.card.name).copied();
            // A row from before it was made is about another credential of its name.
            credential.last_used = moment.filter(|moment| *moment >= credential.card.created);
        }
        Unlocked {
            ledger,
            keyring: Arc::new(self.keyring),
            credentials: self.credentials,
            bots: self.bots,
            policies: self.policies,
            next_policy: None,
            book: past.book,
            mode: self.mode,
            disk_mode: Mode::Normal,
            logged: Logged::default(),
            annals: past.annals,
            warned_on: None,
            mode_version: self.mode_version,
            clock_guard,
            signing_key,
            checkpointed,
            backlog,
            used_before: HashMap::new(),
            read_only: Arc::new(PolicyEntry::read_only()),
        }
    }
}
