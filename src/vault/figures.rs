//! What a monitor asks of the vault: numbers, with the names that an admin gave. Plain values; `api` writes them down.
//!
//! Bounded by what the vault holds: as many figures as there are bots and credentials that have anything to tell.

use crate::store::ledger::Ledger;
use crate::types::clock::{Now, UnixMs};
use crate::types::histogram::Counted;
use crate::types::id::Id;
use crate::vault::card::idle_days_left;
use crate::vault::state::{BotEntry, Credential, State, Unlocked};
use crate::vault::tally::{Class, Outcome};
use crate::vault::{AdminError, Vault};

/// Bots or credentials that are looked at in one go: the lock is held for some microseconds.
const PAGE: usize = 256;

/// The figures of a vault.
#[derive(Debug)]
pub struct Figures {
    /// Whether there is a vault at all.
    pub is_initialized: bool,
    /// What a locked vault does not know.
    pub unlocked: Option<OfUnlocked>,
    /// The ledger's; a locked vault has one only while the disk has not taken the row about the lock.
    pub ledger: Option<OfLedger>,
}

/// The figures of an unlocked vault.
#[derive(Debug)]
pub struct OfUnlocked {
    /// By how many milliseconds the wall clock is ahead of the boot clock.
    pub clock_offset_ms: i64,
    /// Each credential with something to tell.
    pub credentials: Vec<OfCredential>,
    /// Each bot with something to tell.
    pub bots: Vec<OfBot>,
}

/// The figures of a credential.
#[derive(Debug, PartialEq, Eq)]
pub struct OfCredential {
    /// Its name.
    pub name: String,
    /// Days until the exchange deletes it for being idle, where it would; zero and less when it may be gone.
    pub idle_days_left: Option<i64>,
    /// How long ago it last signed, in milliseconds.
    pub last_used_ms: Option<u64>,
}

/// The figures of a bot.
#[derive(Debug)]
pub struct OfBot {
    /// Its name.
    pub name: String,
    /// How long ago its token was last accepted, in milliseconds; none when not since the unlock.
    pub last_seen_ms: Option<u64>,
    /// In how many milliseconds its token stops working, where it does.
    pub expires_in_ms: Option<u64>,
    /// How its asks were decided.
    pub decisions: Vec<Decided>,
}

/// How often a bot's asks were decided in one way.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    /// The credential's name; none for asks that named none of the bot's own.
    pub credential: Option<String>,
    /// What they were for.
    pub class: Class,
    /// How they were decided.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

/// The figures of the ledger.
#[derive(Debug)]
pub struct OfLedger {
    /// Batches that wait for the disk.
    pub waiting: usize,
    /// How long transactions took.
    pub commits: Counted,
    /// Rows that are kept.
    pub rows: u64,
}

impl Vault {
    /// What there is to tell a monitor. Never waits for the disk.
    pub fn figures(&self) -> Figures {
        self.figures_by(PAGE)
    }

    /// The figures, read so many at a time: whoever signs in between need not wait for all of them. A vault that is locked
    /// meanwhile is a locked one.
    pub(super) fn figures_by(&self, page: usize) -> Figures {
        let now = self.setup.clock.now();
        let ledger = match &*self.state() {
            State::Locked => None,
            State::Closing(ledger) => Some(ledger.clone()),
            State::Unlocked(unlocked) => Some(unlocked.ledger.clone()),
        };
        let unlocked = self.of_unlocked(page, now).ok();
        let is_initialized = unlocked.is_some() || self.is_initialized();
        Figures { is_initialized, unlocked, ledger: ledger.map(|ledger| of_ledger(&ledger)) }
    }

    fn of_unlocked(&self, page: usize, now: Now) -> Result<OfUnlocked, AdminError> {
        let (clock_offset_ms, credentials, bots) = self.look(|unlocked| {
            let credentials: Vec<Id> = unlocked.credentials.keys().copied().collect();
            let bots: Vec<Id> = unlocked.bots.iter().map(|(id, _)| *id).collect();
            (unlocked.clock_guard.offset_ms(now), credentials, bots)
        })?;
        let mut figures = OfUnlocked { clock_offset_ms, credentials: Vec::new(), bots: Vec::new() };
        for ids in credentials.chunks(page) {
            self.look(|unlocked| {
                let known = ids.iter().filter_map(|id| unlocked.credentials.get(id));
                figures.credentials.extend(known.filter_map(|credential| of_credential(credential, now.wall)));
            })?;
        }
        for ids in bots.chunks(page) {
            self.look(|unlocked| {
                let known = ids.iter().filter_map(|id| Some((id, unlocked.bots.get(id)?)));
                figures.bots.extend(known.filter_map(|(id, entry)| of_bot(unlocked, id, entry, now.wall)));
            })?;
        }
        Ok(figures)
    }
}

fn of_ledger(ledger: &Ledger) -> OfLedger {
    let standing = ledger.standing();
    OfLedger {
        waiting: ledger.waiting(),
        commits: ledger.commit_times(),
        rows: standing.tail.seq.saturating_sub(standing.state.first_kept.link.seq),
    }
}

fn of_credential(credential: &Credential, now: UnixMs) -> Option<OfCredential> {
    let Credential { card, recipe, last_used, .. } = credential;
    let left = idle_days_left(card, recipe, *last_used, now).map(|(_, left)| left);
    (left.is_some() || last_used.is_some()).then(|| OfCredential {
        name: card.name.clone(),
        idle_days_left: left,
        last_used_ms: last_used.map(|moment| ms_between(moment, now)),
    })
}

fn of_bot(unlocked: &Unlocked, id: &Id, entry: &BotEntry, now: UnixMs) -> Option<OfBot> {
    let expires = entry.bot.expires.filter(|_| !entry.bot.revoked);
    let decisions = decisions(unlocked, id);
    (entry.last_seen.is_some() || expires.is_some() || !decisions.is_empty()).then(|| OfBot {
        name: entry.bot.name.clone(),
        last_seen_ms: entry.last_seen.map(|moment| ms_between(moment, now)),
        expires_in_ms: expires.map(|moment| ms_between(now, moment)),
        decisions,
    })
}

/// A credential that was removed takes its counts with it.
fn decisions(unlocked: &Unlocked, bot: &Id) -> Vec<Decided> {
    let tallies = unlocked.book.tallies(bot).into_iter().flat_map(|tallies| tallies.iter());
    let named = tallies.filter_map(|(id, tally)| match id {
        None => Some((None, tally)),
        Some(id) => unlocked.credentials.get(&id).map(|found| (Some(found.card.name.as_str()), tally)),
    });
    let counts = named.flat_map(|(credential, tally)| {
        let decided =
            move |(class, outcome, count)| Decided { credential: credential.map(str::to_owned), class, outcome, count };
        tally.counts().map(decided)
    });
    counts.collect()
}

/// From an earlier moment to a later one; nothing when a clock was set back in between.
fn ms_between(earlier: UnixMs, later: UnixMs) -> u64 {
    u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0)
}
